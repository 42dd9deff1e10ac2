//! The members, and an index of them: spare capacity first, then longest without work (ROUTE-05).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::capacity::{ChannelKind, Load};
use crate::ids::AgentId;
use crate::presence::BaseStatus;
use crate::queue::MemberState;
use crate::time::Timestamp;

type Rank = (Reverse<u16>, Timestamp, AgentId);

#[derive(Debug)]
pub(super) struct Member {
    /// What it last said.
    said: MemberState,
    /// Loads that it has been asked to set aside and hasn't answered for.
    asked: [u16; 4],
    asked_units: u32,
    /// It refused although it seemed free; not to be asked before its next word.
    stale: bool,
    /// Counts its sign-ins.
    sign_in: u32,
}

impl Member {
    /// What it said, less what is already asked for.
    fn estimate(&self) -> MemberState {
        let mut state = self.said;
        for (spare, asked) in state.spare.iter_mut().zip(self.asked) {
            *spare = spare.saturating_sub(asked);
        }
        state.spare_units = state.spare_units.saturating_sub(self.asked_units);
        state
    }
}

#[derive(Debug, Default)]
pub(super) struct Members {
    members: HashMap<AgentId, Member>,
    /// Per kind, those with a place for it. Signed-out and stale members aren't in it.
    ranked: [BTreeSet<Rank>; 4],
}

impl Members {
    pub fn update(&mut self, agent: &AgentId, state: MemberState) {
        self.unrank(agent);
        let member = self.members.entry(agent.clone()).or_insert_with(|| Member {
            said: MemberState { status: BaseStatus::Offline, ..state },
            asked: [0; 4],
            asked_units: 0,
            stale: false,
            sign_in: 0,
        });
        let signs_in =
            member.said.status == BaseStatus::Offline && state.status != BaseStatus::Offline;
        member.sign_in += u32::from(signs_in);
        member.said = state;
        member.stale = false;
        self.rank(agent);
    }

    pub fn asking(&mut self, agent: &AgentId, load: Load) {
        self.adjust(agent, |member| {
            member.asked[load.kind.index()] += 1;
            member.asked_units += load.units.0;
        });
    }

    pub fn answered(&mut self, agent: &AgentId, load: Load) {
        self.adjust(agent, |member| {
            let asked = &mut member.asked[load.kind.index()];
            *asked = asked.saturating_sub(1);
            member.asked_units = member.asked_units.saturating_sub(load.units.0);
        });
    }

    pub fn mark_stale(&mut self, agent: &AgentId) {
        self.adjust(agent, |member| member.stale = true);
    }

    pub fn sign_in_of(&self, agent: &AgentId) -> u32 {
        self.members.get(agent).map_or(0, |member| member.sign_in)
    }

    /// The member's present estimate, unless it is stale.
    pub fn estimate_of(&self, agent: &AgentId) -> Option<MemberState> {
        self.members.get(agent).filter(|member| !member.stale).map(Member::estimate)
    }

    /// Members with a place for the kind, best first.
    pub fn ranked(&self, kind: ChannelKind) -> impl Iterator<Item = &AgentId> {
        self.ranked[kind.index()].iter().map(|(_, _, agent)| agent)
    }

    /// Members with no place for the kind, in no order: only for explanations.
    pub fn full(&self, kind: ChannelKind) -> impl Iterator<Item = (&AgentId, BaseStatus)> {
        self.members
            .iter()
            .filter(move |(_, member)| member.stale || member.estimate().spare_for(kind) == 0)
            .map(|(agent, member)| (agent, member.said.status))
    }

    fn adjust(&mut self, agent: &AgentId, change: impl FnOnce(&mut Member)) {
        self.unrank(agent);
        if let Some(member) = self.members.get_mut(agent) {
            change(member);
        }
        self.rank(agent);
    }

    fn rank(&mut self, agent: &AgentId) {
        let Some(state) = self.estimate_of(agent) else { return };
        if state.status == BaseStatus::Offline {
            return;
        }
        for kind in ChannelKind::ALL {
            let spare = state.spare_for(kind);
            if spare > 0 {
                let rank = (Reverse(spare), state.last_assigned, agent.clone());
                self.ranked[kind.index()].insert(rank);
            }
        }
    }

    fn unrank(&mut self, agent: &AgentId) {
        let Some(state) = self.estimate_of(agent) else { return };
        for kind in ChannelKind::ALL {
            let rank = (Reverse(state.spare_for(kind)), state.last_assigned, agent.clone());
            self.ranked[kind.index()].remove(&rank);
        }
    }
}
