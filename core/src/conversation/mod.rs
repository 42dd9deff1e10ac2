//! The conversation: it owns its messages and its assignment.

mod customer;
mod engagement;
mod event;
mod input;
mod outbound;
mod standing;
mod summary;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::Load;
use crate::effect::{Effect, Effects};
use crate::ids::{Address, AgentId, ChannelId, ConversationId, MessageNo, WorkstreamId};
use crate::message::Delivery;
use crate::notice::Notice;
use crate::time::Timestamp;
use crate::workstream::Workstream;

pub use event::Event;
pub use input::{CustomerMessage, Input, Opening, Refused, Reply};
pub use standing::Standing;
pub use summary::Summary;

/// Where a conversation is in its life (CONV-01).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum State {
    /// New or re-opened; no agent.
    Open,
    /// An agent is engaged.
    Active,
    /// The agent waits for the customer; no capacity is taken.
    Waiting,
    /// Ended for the customer; the agent finishes up.
    WrapUp,
    /// Resolved.
    Closed,
}

impl State {
    /// As it is written in API and journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::WrapUp => "wrap_up",
            Self::Closed => "closed",
        }
    }
}

/// The machine. Its serialised form is the snapshot that the journal keeps beside the events, so
/// that a passivated conversation comes back with one read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conversation {
    id: ConversationId,
    channel: ChannelId,
    workstream: WorkstreamId,
    /// The customer's address.
    customer: Address,
    /// Our own address that the customer wrote to.
    own: Address,
    state: State,
    /// The primary agent; `None` while it is open or after it closed without one.
    primary: Option<AgentId>,
    /// Whether the primary's capacity is taken.
    occupies: bool,
    /// The customer wrote while the agent waited; the agent has been asked to take it up again.
    returning: bool,
    opted_out: bool,
    opened_at: Timestamp,
    /// Since when it waits for an agent; kept when it goes back to the queue.
    queued_at: Timestamp,
    last_customer_at: Timestamp,
    last_agent_at: Timestamp,
    /// Start of wrap-up, or of being closed.
    ended_at: Timestamp,
    messages: u32,
    /// Events so far; the journal refuses an append that doesn't follow on it.
    version: u64,
    /// Replies without a final report yet, newest last.
    in_transit: Vec<(MessageNo, Delivery)>,
    /// Set when loaded; follows the configuration.
    #[serde(skip)]
    policy: Option<Arc<Workstream>>,
}

impl Conversation {
    /// A report that concerns a reply older than this many undecided ones is taken as late.
    pub const MOST_IN_TRANSIT: usize = 256;

    /// Opens a conversation; the first customer message follows as an input of its own.
    pub fn open(
        id: ConversationId,
        opening: Opening,
        policy: Arc<Workstream>,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Self {
        let mut conversation = Self {
            id,
            channel: opening.channel.clone(),
            workstream: policy.id.clone(),
            customer: opening.customer.clone(),
            own: opening.own.clone(),
            state: State::Open,
            primary: None,
            occupies: false,
            returning: false,
            opted_out: false,
            opened_at: now,
            queued_at: now,
            last_customer_at: now,
            last_agent_at: Timestamp(0),
            ended_at: Timestamp(0),
            messages: 0,
            version: 0,
            in_transit: Vec::new(),
            policy: Some(policy),
        };
        conversation.record(
            Event::Opened {
                channel: opening.channel,
                customer: opening.customer,
                own: opening.own,
                workstream: conversation.workstream.clone(),
                opted_out: opening.opted_out,
            },
            now,
            fx,
        );
        conversation
    }

    /// Gives a conversation that was read from the journal its present settings.
    pub fn with_policy(mut self, policy: Arc<Workstream>) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The one entry. A refused command changes nothing and has no effects.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        match input {
            Input::Customer(message) => self.on_customer(message, now, fx),
            Input::OptedOut { opted_out } => self.on_consent(opted_out, now, fx),
            Input::Accept { agent, offer } => self.on_accept(agent, offer, now, fx),
            Input::Resumed { agent } => self.on_resumed(agent, now, fx),
            Input::ResumeRefused { agent } => self.on_resume_refused(agent, now, fx),
            Input::Reply(reply) => self.on_reply(reply, now, fx)?,
            Input::Note { agent, text, as_supervisor } => {
                if !as_supervisor {
                    self.must_be_primary(&agent)?;
                }
                self.on_note(agent, text, now, fx)?;
            }
            Input::Delivery { message, delivery } => self.on_delivery(message, delivery, now, fx),
            Input::Leave { agent } => self.on_leave(agent, now, fx)?,
            Input::Rejoin { agent } => self.on_rejoin(agent, now, fx)?,
            Input::End { agent } => self.on_end(agent, now, fx)?,
            Input::FinishWrapUp { agent } => self.on_finish_wrap_up(agent, now, fx)?,
            Input::Wake => self.on_wake(now, fx),
            Input::Recover => fx.then.extend(self.standing().recover(self.policy())),
        }
        self.assert_invariants();
        Ok(())
    }

    /// Applies an event of the journal that the snapshot doesn't hold yet.
    pub fn replay(&mut self, event: &Event, at: Timestamp) {
        self.apply(event, at);
    }

    /// Whether the customer's next message belongs here, or begins a new conversation (CONV-01).
    pub fn takes_message(&self, now: Timestamp) -> bool {
        self.state != State::Closed || now <= self.ended_at + self.policy().reopen_within
    }

    /// Its name.
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// The primary agent.
    pub fn primary(&self) -> Option<&AgentId> {
        self.primary.as_ref()
    }

    /// Whether the primary's capacity is taken.
    pub fn occupies(&self) -> bool {
        self.occupies
    }

    /// Events so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The channel.
    pub fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// The workstream it was classified into.
    pub fn workstream(&self) -> &WorkstreamId {
        &self.workstream
    }

    /// The customer's address.
    pub fn customer(&self) -> &Address {
        &self.customer
    }

    /// Our own address.
    pub fn own(&self) -> &Address {
        &self.own
    }

    /// Whether the customer wants no messages (CH-12).
    pub fn opted_out(&self) -> bool {
        self.opted_out
    }

    /// When it next needs `Wake`, if at all.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.next_deadline()
    }

    /// The columns that a restart and the lists need.
    pub fn standing(&self) -> Standing {
        Standing {
            id: self.id,
            state: self.state,
            agent: self.primary.clone(),
            occupies: self.occupies,
            returning: self.returning,
            queued_at: self.queued_at,
        }
    }

    /// What lists and screens show.
    pub fn summary(&self) -> Summary {
        Summary {
            id: self.id,
            state: self.state,
            channel: self.channel.clone(),
            kind: self.policy().kind,
            queue: self.policy().queue.clone(),
            customer: self.customer.clone(),
            own: self.own.clone(),
            agent: self.primary.clone(),
            opted_out: self.opted_out,
            opened_at: self.opened_at,
            queued_at: self.queued_at,
            last_customer_at: self.last_customer_at,
            messages: self.messages,
        }
    }

    fn policy(&self) -> &Workstream {
        self.policy.as_deref().expect("whoever loads a conversation gives it its workstream")
    }

    fn load(&self) -> Load {
        Load { kind: self.policy().kind, units: self.policy().units }
    }

    /// Applies an event and puts it on the list for the journal: the only way state changes.
    fn record(&mut self, event: Event, now: Timestamp, fx: &mut Effects) {
        self.apply(&event, now);
        fx.events.push(event);
    }

    /// Shows the primary agent that something about the conversation changed.
    fn show(&self, fx: &mut Effects) {
        if let Some(agent) = &self.primary {
            let notice = Notice::Conversation(Box::new(self.summary()));
            fx.push(Effect::Screen(agent.clone(), notice));
        }
    }

    fn arm(&self, fx: &mut Effects) {
        if let Some(at) = self.next_deadline() {
            fx.push(Effect::WakeAt(at));
        }
    }

    fn assert_invariants(&self) {
        debug_assert!(
            !self.occupies || self.primary.is_some(),
            "{}: occupies nobody's capacity",
            self.id
        );
        debug_assert!(
            matches!(self.state, State::Open | State::Closed) || self.primary.is_some(),
            "{}: {:?} without an agent",
            self.id,
            self.state
        );
        debug_assert!(
            self.state != State::Open || self.primary.is_none(),
            "{}: open with an agent",
            self.id
        );
        debug_assert!(
            self.state != State::Active || self.occupies,
            "{}: active without capacity",
            self.id
        );
    }
}
