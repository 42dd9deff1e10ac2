//! What happened to a conversation: the journal's words, and how each changes the state.

use serde::{Deserialize, Serialize};

use crate::conversation::{Conversation, State};
use crate::ids::{Address, AgentId, ChannelId, MessageNo, OfferId, QueueId, WorkstreamId};
use crate::message::{Delivery, Message};
use crate::time::Timestamp;

/// One journaled fact. New variants and optional fields may be added; none may change meaning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Opened {
        /// Where.
        channel: ChannelId,
        /// With whom.
        customer: Address,
        /// At which address of ours.
        own: Address,
        /// Classified into.
        workstream: WorkstreamId,
        /// Known opt-out.
        opted_out: bool,
    },
    /// The customer wrote.
    MessageReceived {
        /// The entry.
        message: Message,
        /// The provider's id of it.
        provider_id: String,
    },
    /// The customer's consent changed.
    ConsentChanged {
        /// True: no further messages.
        opted_out: bool,
    },
    /// It waits for an agent; the age counts from `since`.
    Queued {
        /// Where.
        queue: QueueId,
        /// Since when.
        since: Timestamp,
    },
    /// It has a primary agent.
    Assigned {
        /// Who.
        agent: AgentId,
        /// Through which offer.
        offer: OfferId,
    },
    /// The agent was asked to take up a waiting conversation again.
    ReturnAsked,
    /// The agent has taken it up again.
    Resumed,
    /// It lost its agent and goes back to the queue.
    Unassigned {
        /// Who had it.
        agent: AgentId,
    },
    /// A reply is to be sent.
    ReplyQueued {
        /// The entry.
        message: Message,
    },
    /// An internal note.
    NoteAdded {
        /// The entry.
        message: Message,
    },
    /// A reply has come further.
    DeliveryChanged {
        /// Which.
        message: MessageNo,
        /// How far.
        delivery: Delivery,
    },
    /// The customer has been silent; capacity is freed (ROUTE-09).
    WentIdle,
    /// The agent left for now (CONV-02).
    Left,
    /// Ended; the agent finishes up.
    WrapUpStarted {
        /// Who ended it; `None`: a supervisor or a rule.
        by: Option<AgentId>,
    },
    /// Wrap-up no longer takes capacity (CAP-02).
    WrapUpReleased,
    /// Resolved.
    Closed,
    /// The customer wrote again after the end.
    Reopened,
}

impl Event {
    /// The variant's name, as the journal's column has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::MessageReceived { .. } => "message_received",
            Self::ConsentChanged { .. } => "consent_changed",
            Self::Queued { .. } => "queued",
            Self::Assigned { .. } => "assigned",
            Self::ReturnAsked => "return_asked",
            Self::Resumed => "resumed",
            Self::Unassigned { .. } => "unassigned",
            Self::ReplyQueued { .. } => "reply_queued",
            Self::NoteAdded { .. } => "note_added",
            Self::DeliveryChanged { .. } => "delivery_changed",
            Self::WentIdle => "went_idle",
            Self::Left => "left",
            Self::WrapUpStarted { .. } => "wrap_up_started",
            Self::WrapUpReleased => "wrap_up_released",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
        }
    }
}

impl Conversation {
    /// How each event changes the state. Total: an event that was journaled is never refused.
    pub(super) fn apply(&mut self, event: &Event, now: Timestamp) {
        self.version += 1;
        match event {
            Event::Opened { opted_out, .. } => self.opted_out = *opted_out,
            Event::MessageReceived { message, .. } => {
                self.messages = message.no.0;
                self.last_customer_at = now;
            }
            Event::ConsentChanged { opted_out } => self.opted_out = *opted_out,
            Event::Queued { since, .. } => {
                self.state = State::Open;
                self.queued_at = *since;
            }
            Event::Assigned { agent, .. } => {
                self.state = State::Active;
                self.primary = Some(agent.clone());
                self.occupies = true;
                self.returning = false;
            }
            Event::ReturnAsked => self.returning = true,
            Event::Resumed => {
                self.state = State::Active;
                self.occupies = true;
                self.returning = false;
            }
            Event::Unassigned { .. } => {
                self.state = State::Open;
                self.primary = None;
                self.occupies = false;
                self.returning = false;
            }
            Event::ReplyQueued { message } => {
                self.messages = message.no.0;
                self.last_agent_at = now;
                self.in_transit.push((message.no, Delivery::Queued));
                if self.in_transit.len() > Self::MOST_IN_TRANSIT {
                    self.in_transit.remove(0);
                }
            }
            Event::NoteAdded { message } => self.messages = message.no.0,
            Event::DeliveryChanged { message, delivery } => {
                self.in_transit.retain(|(no, _)| no != message || !delivery.is_final());
                for (no, known) in &mut self.in_transit {
                    if no == message {
                        *known = delivery.clone();
                    }
                }
            }
            Event::WentIdle | Event::Left => {
                self.state = State::Waiting;
                self.occupies = false;
            }
            Event::WrapUpStarted { .. } => {
                self.state = State::WrapUp;
                self.ended_at = now;
                self.returning = false;
            }
            Event::WrapUpReleased => self.occupies = false,
            Event::Closed => {
                self.state = State::Closed;
                self.occupies = false;
                self.returning = false;
                self.ended_at = now;
            }
            // With its agent still in wrap-up it is theirs again; else nobody's.
            Event::Reopened => {
                self.state = match (self.state, self.occupies) {
                    (State::WrapUp, true) => State::Active,
                    (State::WrapUp, false) => State::Waiting,
                    _ => State::Open,
                };
                if self.state == State::Open {
                    self.primary = None;
                    self.queued_at = now;
                }
            }
        }
    }
}
