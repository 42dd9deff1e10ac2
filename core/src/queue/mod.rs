//! The queue: a backlog of work items and its member agents.
//!
//! Its picture of the members may be stale; the agent's answer corrects it and the queue goes on to
//! the next. It acts when something happens and never looks round by itself (ROUTE-20).

mod backlog;
mod input;
mod members;
mod selection;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::agent;
use crate::capacity::Load;
use crate::decision::{Decision, PassedOver};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, ConversationId, OfferId, QueueId};
use crate::offer::{Outcome, Refusal, Reserve};
use crate::time::Timestamp;

use backlog::Backlog;
use members::Members;

pub use backlog::{Item, Order};
pub use input::{Input, MemberState};

/// A reservation that has been asked for.
#[derive(Debug)]
struct Asked {
    agent: AgentId,
    conversation: ConversationId,
    load: Load,
}

/// The machine.
#[derive(Debug)]
pub struct Queue {
    id: QueueId,
    backlog: Backlog,
    members: Members,
    /// Reservations that the agent hasn't answered yet.
    asked: HashMap<OfferId, Asked>,
    /// Reservations that the agent has granted: offers on screens.
    out: HashMap<OfferId, (AgentId, ConversationId)>,
    next_offer: u64,
}

impl Queue {
    /// An empty queue. `first_offer` must be larger than any number used in an earlier run; the
    /// host passes the time of its start.
    pub fn new(id: QueueId, order: Order, first_offer: u64) -> Self {
        Self {
            id,
            backlog: Backlog::new(order),
            members: Members::default(),
            asked: HashMap::new(),
            out: HashMap::new(),
            next_offer: first_offer,
        }
    }

    /// The one entry. Nothing a queue is told can be refused; what is late is ignored.
    pub fn handle(&mut self, input: Input, _now: Timestamp, fx: &mut Effects) {
        match input {
            Input::Enqueue(item) => self.on_enqueue(item, fx),
            Input::Remove { conversation } => self.on_remove(conversation, None, fx),
            Input::Taken { conversation, offer } => self.on_remove(conversation, Some(offer), fx),
            Input::Member { agent, state } => self.on_member(agent, state, fx),
            Input::Reserved { offer } => self.on_reserved(offer, fx),
            Input::NotReserved { offer, reason } => self.on_not_reserved(offer, reason, fx),
            Input::OfferEnded { offer, outcome } => self.on_offer_ended(offer, outcome, fx),
        }
    }

    /// Its name.
    pub fn id(&self) -> &QueueId {
        &self.id
    }

    /// Items in the backlog, offered ones included.
    pub fn len(&self) -> usize {
        self.backlog.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.backlog.len() == 0
    }

    /// Since when the oldest item waits.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.backlog.oldest()
    }

    /// Items that no offer is out for, in the order in which they will be given out (ROUTE-03).
    pub fn waiting(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.backlog.line()
    }

    fn on_enqueue(&mut self, item: Item, fx: &mut Effects) {
        let conversation = item.conversation;
        if self.backlog.add(item) {
            self.place(conversation, fx);
        }
    }

    /// The item has ended or is somebody's; other offers of it are taken back.
    fn on_remove(
        &mut self,
        conversation: ConversationId,
        accepted: Option<OfferId>,
        fx: &mut Effects,
    ) {
        let Some(entry) = self.backlog.remove(conversation) else { return };
        if let Some(offer) = &accepted {
            self.out.remove(offer);
        }
        let Some(offer) = entry.offer.filter(|offer| accepted.as_ref() != Some(offer)) else {
            return;
        };
        let asked = self.asked.get(&offer).map(|asked| asked.agent.clone());
        let out = self.out.remove(&offer).map(|(agent, _)| agent);
        if let Some(agent) = asked.or(out) {
            fx.push(Effect::Agent(agent, agent::Input::Withdraw { offer }));
        }
    }

    fn on_member(&mut self, agent: AgentId, state: MemberState, fx: &mut Effects) {
        self.members.update(&agent, state);
        for conversation in self.candidates_for(&agent) {
            self.place(conversation, fx);
        }
    }

    fn on_reserved(&mut self, offer: OfferId, fx: &mut Effects) {
        let Some(asked) = self.asked.remove(&offer) else { return };
        self.members.answered(&asked.agent, asked.load);
        let is_wanted = self.backlog.offer_of(asked.conversation) == Some(&offer);
        if is_wanted {
            self.out.insert(offer, (asked.agent, asked.conversation));
        } else {
            fx.push(Effect::Agent(asked.agent, agent::Input::Withdraw { offer }));
        }
    }

    fn on_not_reserved(&mut self, offer: OfferId, reason: Refusal, fx: &mut Effects) {
        let Some(asked) = self.asked.remove(&offer) else { return };
        self.members.answered(&asked.agent, asked.load);
        // What we thought of this agent was wrong: not again before its next word.
        self.members.mark_stale(&asked.agent);
        let is_wanted = self.backlog.offer_of(asked.conversation) == Some(&offer);
        if !is_wanted {
            return;
        }
        if reason == Refusal::AlreadyThere {
            self.exclude(asked.conversation, &asked.agent);
        }
        self.backlog.put_back(asked.conversation);
        self.place(asked.conversation, fx);
    }

    fn on_offer_ended(&mut self, offer: OfferId, outcome: Outcome, fx: &mut Effects) {
        let Some((agent, conversation)) = self.out.remove(&offer) else { return };
        if self.backlog.offer_of(conversation) != Some(&offer) {
            return;
        }
        match outcome {
            Outcome::Refused => self.exclude(conversation, &agent),
            Outcome::Expired => self.backlog.expired(conversation, agent),
            Outcome::Accepted | Outcome::Withdrawn | Outcome::Gone => {}
        }
        self.backlog.put_back(conversation);
        self.place(conversation, fx);
    }

    /// Offers the item to the best agent there is; if there is none, it keeps its place in line.
    fn place(&mut self, conversation: ConversationId, fx: &mut Effects) {
        let Some(entry) = self.backlog.waiting_entry(conversation) else { return };
        let item = entry.item.clone();
        let (chosen, considered) = self.choose(conversation);
        let Some(agent) = chosen else {
            self.explain(conversation, None, considered, fx);
            return;
        };
        let offer = OfferId { queue: self.id.clone(), number: self.next_offer };
        self.next_offer += 1;
        self.backlog.take(conversation, offer.clone());
        self.members.asking(&agent, item.load);
        let asked = Asked { agent: agent.clone(), conversation, load: item.load };
        self.asked.insert(offer.clone(), asked);
        let reserve = Reserve {
            offer: offer.clone(),
            conversation,
            load: item.load,
            allowed: item.allowed,
            timeout: item.offer_timeout,
        };
        fx.push(Effect::Agent(agent.clone(), agent::Input::Reserve(reserve)));
        self.explain(conversation, Some((agent, offer)), considered, fx);
    }

    fn explain(
        &self,
        conversation: ConversationId,
        chosen: Option<(AgentId, OfferId)>,
        considered: Vec<(AgentId, PassedOver)>,
        fx: &mut Effects,
    ) {
        let queue = self.id.clone();
        fx.push(Effect::Decided(Decision { queue, conversation, chosen, considered }));
    }

    fn exclude(&mut self, conversation: ConversationId, agent: &AgentId) {
        let sign_in = self.members.sign_in_of(agent);
        self.backlog.refused(conversation, agent.clone(), sign_in);
    }
}
