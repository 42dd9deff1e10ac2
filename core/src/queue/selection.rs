//! Who gets an item: eligibility (ROUTE-04) and the choice among the eligible (ROUTE-05).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::decision::{Choice, Decision, PassedOver};
use crate::ids::{AgentId, ConversationId};
use crate::queue::backlog::{Class, Entry};
use crate::queue::members::{Member, Slot};
use crate::queue::{Declined, Queue, StrategyName};
use crate::skills::Level;
use crate::time::Timestamp;
use crate::workstream::Mode;

/// What came of looking for an agent.
pub(super) enum Pick {
    /// This one.
    Agent(Slot),
    /// A strategy plugin is to say which.
    Ask(Vec<Slot>),
    /// Nobody for now.
    Nobody(Choice),
}

/// What keeps a member from an item: small, as most are only looked at on the way to the best.
#[derive(Clone, Copy)]
pub(super) enum Obstacle {
    Presence,
    NotReserved,
    Capacity,
    Skill(u16, Level),
    Refused,
}

impl Queue {
    /// A strategy plugin chooses among this many at most, the default order's first.
    const MOST_JUDGED: usize = 32;

    /// The best agent for a waiting item, and why the others looked at were passed over.
    pub(super) fn choose(
        &mut self,
        conversation: ConversationId,
        now: Timestamp,
    ) -> (Pick, Vec<(AgentId, PassedOver)>) {
        let mut considered = Vec::new();
        let Some(entry) = self.backlog.waiting_entry(conversation) else {
            return (Pick::Nobody(Choice::NobodyFree), considered);
        };
        let class = self.backlog.class(entry.class);
        if class.demand.mode == Mode::Pull {
            return (Pick::Nobody(Choice::Pull), considered);
        }
        if !class.is_open {
            let until = self.settings.hours.of(&class.demand).and_then(|h| h.next_change(now));
            return (Pick::Nobody(Choice::Closed { until }), considered);
        }
        if let Some(pick) = self.wanted(conversation, entry, class, now, &mut considered) {
            return (pick, considered);
        }
        let story = entry.story.as_deref();
        let tried = story.map_or(&[][..], |story| &story.tried);
        let compares_fit = self.members.strategy().compares_fit();
        let judged = matches!(self.settings.strategy, StrategyName::Plugin(_));
        let mut best: Option<(u32, Slot)> = None;
        let mut to_judge = Vec::new();
        let mut first_of_new_round = None;
        for slot in self.members.ranked(class.demand.load.kind) {
            let member = self.members.get(slot);
            if let Some(obstacle) = obstacle_to(conversation, member, class, entry) {
                self.note(&mut considered, member, class, obstacle);
                continue;
            }
            if tried.contains(&member.agent) {
                first_of_new_round.get_or_insert(slot);
                note(&mut considered, &member.agent, PassedOver::Missed);
                continue;
            }
            if judged {
                to_judge.push(slot);
                if to_judge.len() == Self::MOST_JUDGED {
                    break;
                }
            } else if compares_fit {
                let mut levels = class.needs.iter().map(|(skill, _)| member.level(*skill));
                let fit = self.members.strategy().fit(&mut levels);
                if best.is_none_or(|(known, _)| fit > known) {
                    best = Some((fit, slot));
                }
            } else {
                return (Pick::Agent(slot), considered);
            }
        }
        if to_judge.len() > 1 {
            return (Pick::Ask(to_judge), considered);
        }
        let found = best.map(|(_, slot)| slot).or(to_judge.pop());
        if let Some(slot) = found {
            return (Pick::Agent(slot), considered);
        }
        if let Some(slot) = first_of_new_round {
            if let Some(entry) = self.backlog.entry_mut(conversation) {
                entry.story_mut().tried.clear();
            }
            return (Pick::Agent(slot), considered);
        }
        self.note_the_full(class, &mut considered);
        (Pick::Nobody(Choice::NobodyFree), considered)
    }

    /// The agent whose offer expired, with reassignment off; or the one the customer had before.
    fn wanted(
        &self,
        conversation: ConversationId,
        entry: &Entry,
        class: &Class,
        now: Timestamp,
        considered: &mut Vec<(AgentId, PassedOver)>,
    ) -> Option<Pick> {
        let story = entry.story.as_deref()?;
        let is_free = |agent: &AgentId| {
            let slot = self.members.slot(agent)?;
            let member = self.members.get(slot);
            obstacle_to(conversation, member, class, entry).is_none().then_some(slot)
        };
        if let Some(slot) = story.again.as_ref().and_then(is_free) {
            return Some(Pick::Agent(slot));
        }
        let prefer = story.prefer.as_ref()?;
        if let Some(slot) = is_free(&prefer.agent) {
            return Some(Pick::Agent(slot));
        }
        if now >= prefer.until {
            return None;
        }
        let others = self.members.ranked(class.demand.load.kind).take(Decision::MOST_CONSIDERED);
        for slot in others {
            let kept = PassedOver::KeptFor(prefer.agent.clone());
            note(considered, &self.members.get(slot).agent, kept);
        }
        let kept = Choice::KeptFor { agent: prefer.agent.clone(), until: prefer.until };
        Some(Pick::Nobody(kept))
    }

    /// The waiting items that a member who has just spoken could get, best first, as many as it has
    /// places for: nobody else's chances have changed.
    pub(super) fn candidates_for(&self, slot: Slot, now: Timestamp) -> Vec<ConversationId> {
        let mut candidates = Vec::new();
        if self.backlog.waiting() == 0 {
            return candidates;
        }
        let member = self.members.get(slot);
        let mut state = member.estimate();
        let mut heads = BinaryHeap::new();
        for (number, class) in self.backlog.lined() {
            let serves = class.is_open
                && class.demand.mode == Mode::Push
                && obstacle(member, class).is_none();
            if serves && let Some(place) = self.backlog.next_in(number, None) {
                heads.push(Reverse((place, number)));
            }
        }
        while let Some(Reverse((place, number))) = heads.pop() {
            let conversation = place.2;
            let load = self.backlog.class(number).demand.load;
            if !state.fits(load) {
                continue;
            }
            let entry = self.backlog.entry(conversation).expect("it stands in the line");
            let is_away = has_refused(member, entry) || member.has(conversation);
            if !is_away && !is_kept(entry, member, now) {
                state.spare[load.kind.index()] -= 1;
                state.spare_units -= load.units.0;
                candidates.push(conversation);
            }
            if let Some(next) = self.backlog.next_in(number, Some(place)) {
                heads.push(Reverse((next, number)));
            }
        }
        candidates
    }

    /// Why a member doesn't have a waiting item (ROUTE-15); `None`: nothing keeps it away.
    pub fn why_not(
        &self,
        agent: &AgentId,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Option<PassedOver> {
        let entry = self.backlog.entry(conversation)?;
        let class = self.backlog.class(entry.class);
        let Some(slot) = self.members.slot(agent) else { return Some(PassedOver::NotMember) };
        let member = self.members.get(slot);
        if let Some(obstacle) = obstacle_to(conversation, member, class, entry) {
            return Some(self.in_words(member, class, obstacle));
        }
        let story = entry.story.as_deref()?;
        if story.tried.contains(agent) {
            return Some(PassedOver::Missed);
        }
        let prefer = story.prefer.as_ref().filter(|_| is_kept(entry, member, now))?;
        Some(PassedOver::KeptFor(prefer.agent.clone()))
    }

    /// Whether the holder of an offer may still have its item: the configuration may have changed.
    pub(super) fn may_keep(&self, slot: Slot, conversation: ConversationId) -> bool {
        let Some(entry) = self.backlog.entry(conversation) else { return true };
        let member = self.members.get(slot);
        self.backlog
            .class(entry.class)
            .needs
            .iter()
            .all(|(skill, level)| member.level(*skill) >= *level)
    }

    fn note_the_full(&self, class: &Class, considered: &mut Vec<(AgentId, PassedOver)>) {
        let kind = class.demand.load.kind;
        for slot in self.members.all() {
            if considered.len() >= Decision::MOST_CONSIDERED {
                return;
            }
            if self.members.is_ranked(slot, kind) {
                continue;
            }
            let member = self.members.get(slot);
            let why = obstacle(member, class).unwrap_or(Obstacle::Capacity);
            self.note(considered, member, class, why);
        }
    }

    fn note(
        &self,
        considered: &mut Vec<(AgentId, PassedOver)>,
        member: &Member,
        class: &Class,
        obstacle: Obstacle,
    ) {
        if considered.len() < Decision::MOST_CONSIDERED {
            considered.push((member.agent.clone(), self.in_words(member, class, obstacle)));
        }
    }

    fn in_words(&self, member: &Member, class: &Class, obstacle: Obstacle) -> PassedOver {
        match obstacle {
            Obstacle::Presence => {
                PassedOver::Presence { status: member.status(), allowed: class.demand.allowed }
            }
            Obstacle::NotReserved => PassedOver::NotReserved,
            Obstacle::Capacity => PassedOver::Capacity(class.demand.load.kind),
            Obstacle::Skill(skill, needs) => PassedOver::Skill {
                skill: self.members.skill(skill).clone(),
                needs,
                has: member.level(skill),
            },
            Obstacle::Refused => PassedOver::Refused,
        }
    }
}

/// What keeps the member from this item of the class, if anything (ROUTE-04).
fn obstacle_to(
    conversation: ConversationId,
    member: &Member,
    class: &Class,
    entry: &Entry,
) -> Option<Obstacle> {
    let by_story = || match () {
        () if has_refused(member, entry) => Some(Obstacle::Refused),
        () if member.has(conversation) => Some(Obstacle::NotReserved),
        () => None,
    };
    obstacle(member, class).or_else(by_story)
}

/// What keeps the member from every item of the class, if anything.
fn obstacle(member: &Member, class: &Class) -> Option<Obstacle> {
    if !class.demand.allowed.contains(member.status()) {
        return Some(Obstacle::Presence);
    }
    if member.stale {
        return Some(Obstacle::NotReserved);
    }
    for (skill, level) in &class.needs {
        if member.level(*skill) < *level {
            return Some(Obstacle::Skill(*skill, *level));
        }
    }
    (!member.fits(class.demand.load)).then_some(Obstacle::Capacity)
}

fn has_refused(member: &Member, entry: &Entry) -> bool {
    entry.story.as_deref().is_some_and(|story| {
        let is_theirs = |declined: &Declined| {
            declined.agent == member.agent && declined.sign_in == Some(member.sign_in())
        };
        story.refused.iter().any(is_theirs)
    })
}

/// Whether the item waits for somebody else (ROUTE-13).
fn is_kept(entry: &Entry, member: &Member, now: Timestamp) -> bool {
    let prefer = entry.story.as_ref().and_then(|story| story.prefer.as_ref());
    prefer.is_some_and(|prefer| prefer.agent != member.agent && now < prefer.until)
}

fn note(considered: &mut Vec<(AgentId, PassedOver)>, agent: &AgentId, why: PassedOver) {
    if considered.len() < Decision::MOST_CONSIDERED {
        considered.push((agent.clone(), why));
    }
}
