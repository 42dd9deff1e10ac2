//! What a machine wants done: data, carried out by whoever runs it.

use crate::agent;
use crate::conversation;
use crate::decision::Decision;
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::notice::Notice;
use crate::queue;
use crate::time::Timestamp;

/// One thing to do after the events are on disk.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Give a conversation an input.
    Conversation(ConversationId, conversation::Input),
    /// Give a queue an input.
    Queue(QueueId, queue::Input),
    /// Give an agent an input.
    Agent(AgentId, agent::Input),
    /// Show something on all screens of an agent.
    Screen(AgentId, Notice),
    /// Give this machine `Wake` at that time. A later one does not cancel an earlier one: a machine
    /// that is woken early looks at its deadlines and does nothing.
    WakeAt(Timestamp),
    /// Keep the reasons of a choice.
    Decided(Decision),
}

/// All that one `handle` wants done. Events go to the journal first; the rest follows in order once
/// they are committed.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the journal, in order. Only conversations have events that a restart needs.
    pub events: Vec<conversation::Event>,
    /// For the journal's record of agents; nothing waits for these.
    pub agent_events: Vec<agent::Event>,
    /// To be done in order.
    pub then: Vec<Effect>,
}

impl Effects {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.agent_events.is_empty() && self.then.is_empty()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.then.push(effect);
    }
}
