//! Who gets an item: eligibility (ROUTE-04) and the choice among the eligible (ROUTE-05).

use crate::decision::{Decision, PassedOver};
use crate::ids::{AgentId, ConversationId};
use crate::queue::backlog::Entry;
use crate::queue::{MemberState, Queue};

impl Queue {
    /// The best agent for a waiting item, and why the others looked at were passed over.
    pub(super) fn choose(
        &mut self,
        conversation: ConversationId,
    ) -> (Option<AgentId>, Vec<(AgentId, PassedOver)>) {
        let mut considered = Vec::new();
        let Some(entry) = self.backlog.waiting_entry(conversation) else {
            return (None, considered);
        };
        if let Some(agent) = entry.again.as_ref().filter(|agent| self.may_get(agent, entry)) {
            return (Some(agent.clone()), considered);
        }
        let mut first_of_new_round = None;
        for agent in self.members.ranked(entry.item.load.kind) {
            let Some(state) = self.members.estimate_of(agent) else { continue };
            let Some(obstacle) = self.obstacle(agent, &state, entry) else {
                if !entry.tried.contains(agent) {
                    return (Some(agent.clone()), considered);
                }
                first_of_new_round.get_or_insert_with(|| agent.clone());
                note(&mut considered, agent, PassedOver::Excluded);
                continue;
            };
            note(&mut considered, agent, obstacle);
        }
        if first_of_new_round.is_some() {
            self.backlog.new_round(conversation);
            return (first_of_new_round, considered);
        }
        for (agent, _) in self.members.full(entry.item.load.kind).take(Decision::MOST_CONSIDERED) {
            note(&mut considered, agent, PassedOver::Capacity);
        }
        (None, considered)
    }

    /// The waiting items that a member who has just spoken could get, in line order, as many as it
    /// has places for: nobody else's chances have changed.
    pub(super) fn candidates_for(&self, agent: &AgentId) -> Vec<ConversationId> {
        let mut candidates = Vec::new();
        if self.backlog.line_is_empty() {
            return candidates;
        }
        let Some(mut state) = self.members.estimate_of(agent) else { return candidates };
        for conversation in self.backlog.line() {
            if state.spare == [0; 4] {
                break;
            }
            let Some(entry) = self.backlog.entry(conversation) else { continue };
            if self.obstacle(agent, &state, entry).is_none() {
                let load = entry.item.load;
                state.spare[load.kind.index()] -= 1;
                state.spare_units = state.spare_units.saturating_sub(load.units.0);
                candidates.push(conversation);
            }
        }
        candidates
    }

    fn may_get(&self, agent: &AgentId, entry: &Entry) -> bool {
        let state = self.members.estimate_of(agent);
        state.is_some_and(|state| self.obstacle(agent, &state, entry).is_none())
    }

    /// What keeps the agent from getting the item, if anything (ROUTE-04).
    fn obstacle(&self, agent: &AgentId, state: &MemberState, entry: &Entry) -> Option<PassedOver> {
        if !entry.item.allowed.contains(state.status) {
            return Some(PassedOver::Presence(state.status));
        }
        if !state.fits(entry.item.load) {
            return Some(PassedOver::Capacity);
        }
        let sign_in = self.members.sign_in_of(agent);
        let has_refused = entry.refused.iter().any(|(who, when)| who == agent && *when == sign_in);
        has_refused.then_some(PassedOver::Excluded)
    }
}

fn note(considered: &mut Vec<(AgentId, PassedOver)>, agent: &AgentId, why: PassedOver) {
    if considered.len() < Decision::MOST_CONSIDERED {
        considered.push((agent.clone(), why));
    }
}
