//! What a machine wants done: data, carried out by whoever runs it.

use std::sync::Arc;

use crate::agent;
use crate::conversation;
use crate::decision::Decision;
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::notice::{Alert, Notice};
use crate::queue;
use crate::skills::Skills;
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
    /// Show the same on all screens of several agents.
    Screens(Vec<AgentId>, Box<Notice>),
    /// The conversation has changed: whoever of these looks sees it as it is by then. What that is isn't worked out for
    /// nobody.
    Changed(Vec<AgentId>),
    /// Give this conversation `Wake` at that time. A later one does not cancel an earlier one: a
    /// conversation that is woken early looks at its deadlines and does nothing. (Agents and queues
    /// are always in memory: they say by `wake_at()` when they want to be woken.)
    WakeAt(Timestamp),
    /// Keep the reasons of a choice.
    Decided(Box<Decision>),
    /// Ask a strategy plugin; the answer is a [`queue::Input::Judged`].
    Judge(Box<Judgement>),
    /// Tell supervisors something that they should look after.
    Alert(Alert),
}

/// A question to a strategy plugin.
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// Who asks.
    pub queue: QueueId,
    /// The plugin's name in the configuration.
    pub strategy: String,
    /// The item.
    pub conversation: ConversationId,
    /// To be repeated in the answer.
    pub question: u64,
    /// Since when it waits.
    pub since: Timestamp,
    /// Its priority.
    pub priority: i32,
    /// What it asks for.
    pub demand: Arc<queue::Demand>,
    /// All may have it; in the default strategy's order.
    pub candidates: Vec<(AgentId, queue::MemberState, Arc<Skills>)>,
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
    /// Whoever has the conversation open is to see it, at the end of the step.
    pub(crate) changed: bool,
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
