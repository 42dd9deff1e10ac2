//! The members, and an index of them in the order of the queue's strategy (ROUTE-05).
//!
//! Members have numbers and skills have numbers, so that looking at one costs a few array look-ups.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::capacity::{ChannelKind, Load};
use crate::ids::{AgentId, ConversationId, SkillId};
use crate::offer::Refusal;
use crate::presence::BaseStatus;
use crate::queue::strategy::{Candidate, Rank, Strategy};
use crate::queue::{MemberState, StrategyName};
use crate::skills::{Level, SkillNeed, Skills};

/// A member's number.
pub(super) type Slot = u32;

/// Inline for as many skills as most queues ask for: a look at a member shouldn't cost a second
/// place in memory.
type Levels = SmallVec<[Level; 24]>;

/// Small, as each agent is one in each of its queues, and each of these hears all that it says.
#[derive(Serialize, Deserialize)]
pub(super) struct Member {
    pub agent: AgentId,
    /// What it last said.
    said: MemberState,
    skills: Arc<Skills>,
    /// Levels by the queue's skill numbers.
    levels: Levels,
    /// Loads that it has been asked to set aside and hasn't answered for.
    asked: [u16; 4],
    asked_units: u32,
    /// It refused although it seemed free; not to be asked before its next word.
    pub stale: bool,
    /// Items that it said it has already.
    already: Vec<ConversationId>,
    turn: u64,
    /// It is a member still.
    is_here: bool,
}

impl Member {
    pub fn status(&self) -> BaseStatus {
        self.said.status
    }

    pub fn sign_in(&self) -> u64 {
        self.said.sign_in
    }

    /// What it said, less what is already asked for.
    pub fn estimate(&self) -> MemberState {
        let mut state = self.said;
        for (spare, asked) in state.spare.iter_mut().zip(self.asked) {
            *spare = spare.saturating_sub(asked);
        }
        state.spare_units = state.spare_units.saturating_sub(self.asked_units);
        state
    }

    pub fn fits(&self, load: Load) -> bool {
        let kind = load.kind.index();
        self.said.spare[kind] > self.asked[kind]
            && self.said.spare_units.saturating_sub(self.asked_units) >= load.units.0
    }

    /// Whether it said since its last word that it has the item.
    pub fn has(&self, conversation: ConversationId) -> bool {
        self.already.contains(&conversation)
    }

    pub fn level(&self, skill: u16) -> Level {
        self.levels.get(usize::from(skill)).copied().unwrap_or(0)
    }

    pub fn skills(&self) -> Arc<Skills> {
        self.skills.clone()
    }

    fn counts(&self) -> bool {
        self.is_here && !self.stale && self.said.status != BaseStatus::Offline
    }

    fn candidate(&self) -> Candidate {
        let state = self.estimate();
        let asked: u16 = self.asked.iter().sum();
        Candidate {
            spare: state.spare,
            active: state.active.saturating_add(asked),
            last_assigned: state.last_assigned,
            idle_since: state.idle_since,
            turn: self.turn,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Members {
    strategy: StrategyName,
    members: Vec<Member>,
    slots: FxHashMap<AgentId, Slot>,
    free: Vec<Slot>,
    skill_numbers: FxHashMap<SkillId, u16>,
    skill_names: Vec<SkillId>,
    /// Per kind that there have been items of, those with a place for it. Signed-out and stale
    /// members aren't in it.
    ranked: [Option<BTreeSet<(Rank, Slot)>>; 4],
    signed_in: usize,
    turns: u64,
}

impl Members {
    pub fn new(strategy: &StrategyName) -> Self {
        Self {
            strategy: strategy.clone(),
            members: Vec::new(),
            slots: FxHashMap::default(),
            free: Vec::new(),
            skill_numbers: FxHashMap::default(),
            skill_names: Vec::new(),
            ranked: Default::default(),
            signed_in: 0,
            turns: 0,
        }
    }

    pub fn strategy(&self) -> &'static dyn Strategy {
        <dyn Strategy>::of(&self.strategy)
    }

    pub fn set_strategy(&mut self, strategy: &StrategyName) {
        self.strategy = strategy.clone();
        for kind in ChannelKind::ALL {
            if self.ranked[kind.index()].take().is_some() {
                self.index(kind);
            }
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn signed_in(&self) -> usize {
        self.signed_in
    }

    pub fn slot(&self, agent: &AgentId) -> Option<Slot> {
        self.slots.get(agent).copied()
    }

    pub fn get(&self, slot: Slot) -> &Member {
        &self.members[slot as usize]
    }

    /// Everybody, in the order of their numbers.
    pub fn all(&self) -> Vec<Slot> {
        (0..).zip(&self.members).filter(|(_, member)| member.is_here).map(|(n, _)| n).collect()
    }

    /// The queue's own numbers for the skills that are asked for.
    pub fn numbered(&mut self, needs: &[SkillNeed]) -> Vec<(u16, Level)> {
        needs.iter().map(|need| (self.number_of(&need.skill), need.level)).collect()
    }

    pub fn skill(&self, number: u16) -> &SkillId {
        &self.skill_names[usize::from(number)]
    }

    fn number_of(&mut self, skill: &SkillId) -> u16 {
        if let Some(number) = self.skill_numbers.get(skill) {
            return *number;
        }
        let number = u16::try_from(self.skill_names.len()).expect("at most 65,535 skills");
        self.skill_numbers.insert(skill.clone(), number);
        self.skill_names.push(skill.clone());
        for member in &mut self.members {
            member.levels.push(member.skills.get(skill).copied().unwrap_or(0));
        }
        number
    }

    /// Takes note of what a member says; and whether there may be work that it couldn't get before.
    pub fn update(
        &mut self,
        agent: AgentId,
        state: MemberState,
        skills: Option<Arc<Skills>>,
    ) -> (Slot, bool) {
        let slot = match self.slot(&agent) {
            Some(slot) => slot,
            None => self.join(agent, state, skills.clone().unwrap_or_default()),
        };
        let ranks = self.ranks(slot);
        let member = &mut self.members[slot as usize];
        let before = member.said;
        let was_stale = std::mem::replace(&mut member.stale, false) || !member.already.is_empty();
        member.already.clear();
        let is_new = |skills: &Arc<Skills>| {
            !Arc::ptr_eq(&member.skills, skills) && *member.skills != **skills
        };
        let learnt = skills.filter(is_new);
        let has_learnt = learnt.is_some();
        if let Some(skills) = learnt {
            member.skills = skills;
            let levels = self.skill_names.iter().map(|skill| member.skills.get(skill).copied());
            member.levels = levels.map(Option::unwrap_or_default).collect();
        }
        let (was_in, is_in) =
            (before.status != BaseStatus::Offline, state.status != BaseStatus::Offline);
        if is_in && !was_in {
            self.signed_in += 1;
        } else if was_in && !is_in {
            self.signed_in -= 1;
        }
        let has_more = state.spare.iter().zip(before.spare).any(|(now, before)| *now > before)
            || state.spare_units > before.spare_units;
        member.said = state;
        self.rerank(slot, ranks);
        (slot, was_stale || has_learnt || has_more || state.status != before.status)
    }

    fn join(&mut self, agent: AgentId, state: MemberState, skills: Arc<Skills>) -> Slot {
        let levels = self.skill_names.iter().map(|skill| skills.get(skill).copied());
        let member = Member {
            agent: agent.clone(),
            said: MemberState { status: BaseStatus::Offline, spare: [0; 4], ..state },
            levels: levels.map(Option::unwrap_or_default).collect(),
            skills,
            asked: [0; 4],
            asked_units: 0,
            stale: false,
            already: Vec::new(),
            turn: 0,
            is_here: true,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.members[slot as usize] = member;
                slot
            }
            None => {
                self.members.push(member);
                u32::try_from(self.members.len() - 1).expect("fewer members than people")
            }
        };
        self.slots.insert(agent, slot);
        slot
    }

    /// Forgets a member. Its offers must have been taken back.
    pub fn leave(&mut self, slot: Slot) {
        let ranks = self.ranks(slot);
        let member = &mut self.members[slot as usize];
        self.signed_in -= usize::from(member.said.status != BaseStatus::Offline);
        member.said.status = BaseStatus::Offline;
        member.is_here = false;
        let agent = member.agent.clone();
        self.rerank(slot, ranks);
        self.slots.remove(&agent);
        self.free.push(slot);
    }

    pub fn asking(&mut self, slot: Slot, load: Load) {
        self.turns += 1;
        let turn = self.turns;
        self.adjust(slot, |member| {
            member.asked[load.kind.index()] += 1;
            member.asked_units += load.units.0;
            member.turn = turn;
        });
    }

    pub fn answered(&mut self, slot: Slot, load: Load, granted: bool) {
        self.adjust(slot, |member| {
            let asked = &mut member.asked[load.kind.index()];
            *asked = asked.saturating_sub(1);
            member.asked_units = member.asked_units.saturating_sub(load.units.0);
            if granted {
                // Its own word follows and says the same; until then the place counts as taken.
                let spare = &mut member.said.spare[load.kind.index()];
                *spare = spare.saturating_sub(1);
                member.said.spare_units = member.said.spare_units.saturating_sub(load.units.0);
            }
        });
    }

    /// A member that refused has said why before, as its words keep their order. If it seems able
    /// all the same, something is wrong: it isn't asked again before its next word.
    pub fn mark_stale_if_free(&mut self, slot: Slot, load: Load, reason: Refusal) {
        let member = self.get(slot);
        let is_explained = match reason {
            Refusal::Presence(status) => member.status() == status,
            Refusal::Capacity | Refusal::Blocked(_) => !member.fits(load),
            Refusal::AlreadyThere => true,
            Refusal::TakesNoWork | Refusal::NotMember => false,
        };
        if !is_explained {
            self.adjust(slot, |member| member.stale = true);
        }
    }

    /// It said that it has the item; it isn't asked for it again before its next word.
    pub fn has_already(&mut self, slot: Slot, conversation: ConversationId) {
        self.members[slot as usize].already.push(conversation);
    }

    /// Members with a place for the kind, best first.
    pub fn ranked(&self, kind: ChannelKind) -> impl Iterator<Item = Slot> + '_ {
        self.ranked[kind.index()].iter().flatten().map(|(_, slot)| *slot)
    }

    /// Whether the member stands in the index of a kind.
    pub fn is_ranked(&self, slot: Slot, kind: ChannelKind) -> bool {
        self.ranks(slot)[kind.index()].is_some()
    }

    /// Keeps an index for the kind from now on.
    pub fn index(&mut self, kind: ChannelKind) {
        let kind = kind.index();
        if self.ranked[kind].is_none() {
            self.ranked[kind] = Some(BTreeSet::new());
            let all = self.all().into_iter();
            let ranked = all.filter_map(|slot| Some((self.ranks(slot)[kind]?, slot))).collect();
            self.ranked[kind] = Some(ranked);
        }
    }

    fn adjust(&mut self, slot: Slot, change: impl FnOnce(&mut Member)) {
        let ranks = self.ranks(slot);
        change(&mut self.members[slot as usize]);
        self.rerank(slot, ranks);
    }

    /// Where it stands in each index that is kept. Worked out and not kept, as it would be half of
    /// what a member takes.
    fn ranks(&self, slot: Slot) -> Ranks {
        let member = self.get(slot);
        if !member.counts() {
            return [None; 4];
        }
        let candidate = member.candidate();
        ChannelKind::ALL.map(|kind| {
            let is_kept = self.ranked[kind.index()].is_some() && candidate.spare_for(kind) > 0;
            is_kept.then(|| self.strategy().rank(&candidate, kind))
        })
    }

    /// After a change: from where it stood to where it belongs now.
    fn rerank(&mut self, slot: Slot, before: Ranks) {
        let after = self.ranks(slot);
        for ((ranked, before), after) in self.ranked.iter_mut().zip(before).zip(after) {
            let Some(ranked) = ranked.as_mut().filter(|_| before != after) else { continue };
            if let Some(old) = before {
                ranked.remove(&(old, slot));
            }
            if let Some(new) = after {
                ranked.insert((new, slot));
            }
        }
    }
}

/// Places in the order, per kind.
type Ranks = [Option<Rank>; 4];

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").field("members", &self.members.len()).finish_non_exhaustive()
    }
}
