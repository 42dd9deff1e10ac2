//! The line: by priority, highest first, then oldest first (ROUTE-03).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::capacity::Load;
use crate::ids::{AgentId, ConversationId, OfferId};
use crate::presence::StatusSet;
use crate::time::{Span, Timestamp};
use crate::workstream::Workstream;

/// In which order items are given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Order {
    /// Priority, then age.
    #[default]
    Priority,
    /// Age alone.
    OldestFirst,
}

/// A work item as a queue knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// The conversation that waits.
    pub conversation: ConversationId,
    /// Its age counts from here, whatever it has been through.
    pub since: Timestamp,
    /// Higher goes first.
    pub priority: i32,
    /// What it takes of an agent.
    pub load: Load,
    /// Base statuses that may get it.
    pub allowed: StatusSet,
    /// How long an offer stands.
    pub offer_timeout: Span,
    /// Whether an expired offer goes to somebody else.
    pub reassign: bool,
}

impl Item {
    /// An item of a workstream.
    pub fn new(conversation: ConversationId, since: Timestamp, policy: &Workstream) -> Self {
        Self {
            conversation,
            since,
            priority: policy.priority,
            load: Load { kind: policy.kind, units: policy.units },
            allowed: policy.allowed,
            offer_timeout: policy.offer_timeout,
            reassign: policy.reassign,
        }
    }
}

/// An item and what it has been through here.
#[derive(Debug)]
pub(super) struct Entry {
    pub item: Item,
    /// The offer that is asked for or out.
    pub offer: Option<OfferId>,
    /// Agents that refused it, with the sign-in during which they did: a new sign-in is a new
    /// chance, or an item refused by the only agent of a night shift would wait for ever.
    pub refused: Vec<(AgentId, u32)>,
    /// Agents whose offer expired in this round; when all have, a new round begins (ROUTE-07).
    pub tried: Vec<AgentId>,
    /// With reassignment off: the agent who is offered it again.
    pub again: Option<AgentId>,
}

type Place = (Reverse<i32>, Timestamp, ConversationId);

#[derive(Debug)]
pub(super) struct Backlog {
    order: Order,
    entries: HashMap<ConversationId, Entry>,
    /// Items without an offer, in order.
    line: BTreeSet<Place>,
}

impl Backlog {
    pub fn new(order: Order) -> Self {
        Self { order, entries: HashMap::new(), line: BTreeSet::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn oldest(&self) -> Option<Timestamp> {
        self.entries.values().map(|entry| entry.item.since).min()
    }

    pub fn line(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.line.iter().map(|(_, _, conversation)| *conversation)
    }

    pub fn line_is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// False if it is here already.
    pub fn add(&mut self, item: Item) -> bool {
        if self.entries.contains_key(&item.conversation) {
            return false;
        }
        let place = self.place_of(&item);
        self.line.insert(place);
        let conversation = item.conversation;
        let entry =
            Entry { item, offer: None, refused: Vec::new(), tried: Vec::new(), again: None };
        self.entries.insert(conversation, entry);
        true
    }

    pub fn remove(&mut self, conversation: ConversationId) -> Option<Entry> {
        let entry = self.entries.remove(&conversation)?;
        self.line.remove(&self.place_of(&entry.item));
        Some(entry)
    }

    pub fn entry(&self, conversation: ConversationId) -> Option<&Entry> {
        self.entries.get(&conversation)
    }

    pub fn waiting_entry(&self, conversation: ConversationId) -> Option<&Entry> {
        self.entry(conversation).filter(|entry| entry.offer.is_none())
    }

    pub fn offer_of(&self, conversation: ConversationId) -> Option<&OfferId> {
        self.entry(conversation)?.offer.as_ref()
    }

    /// Out of the line while it is being offered.
    pub fn take(&mut self, conversation: ConversationId, offer: OfferId) {
        let Some(entry) = self.entries.get_mut(&conversation) else { return };
        entry.offer = Some(offer);
        let place = place(self.order, &entry.item);
        self.line.remove(&place);
    }

    /// Back to its old place in the line, age kept.
    pub fn put_back(&mut self, conversation: ConversationId) {
        let Some(entry) = self.entries.get_mut(&conversation) else { return };
        entry.offer = None;
        let place = place(self.order, &entry.item);
        self.line.insert(place);
    }

    pub fn refused(&mut self, conversation: ConversationId, agent: AgentId, sign_in: u32) {
        if let Some(entry) = self.entries.get_mut(&conversation) {
            entry.refused.push((agent, sign_in));
        }
    }

    pub fn expired(&mut self, conversation: ConversationId, agent: AgentId) {
        let Some(entry) = self.entries.get_mut(&conversation) else { return };
        if entry.item.reassign {
            entry.tried.push(agent);
        } else {
            entry.again = Some(agent);
        }
    }

    pub fn new_round(&mut self, conversation: ConversationId) {
        if let Some(entry) = self.entries.get_mut(&conversation) {
            entry.tried.clear();
        }
    }

    fn place_of(&self, item: &Item) -> Place {
        place(self.order, item)
    }
}

fn place(order: Order, item: &Item) -> Place {
    let priority = match order {
        Order::Priority => item.priority,
        Order::OldestFirst => 0,
    };
    (Reverse(priority), item.since, item.conversation)
}
