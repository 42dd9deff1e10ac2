//! What a conversation can be told, and what it refuses.

use serde::{Deserialize, Serialize};

use crate::classification::Attributes;
use crate::conversation::{Event, State};
use crate::decision::OverflowReason;
use crate::ids::{Address, AgentId, ChannelId, MessageNo, OfferId, QueueId, WorkstreamId};
use crate::message::{Consent, Delivery, Media};
use crate::offer::{Acceptance, Outcome, Refusal};
use crate::presence::Attendance;
use crate::queue::{Declined, OverflowAction};
use crate::time::{Span, Timestamp};

/// What begins a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    /// Where the customer wrote.
    pub channel: ChannelId,
    /// The customer's address.
    pub customer: Address,
    /// Our address.
    pub own: Address,
    /// Known from earlier conversations (CH-12).
    pub opted_out: bool,
    /// Two letters, from the customer's number.
    pub country: Option<String>,
    /// Whom the customer had in their last conversation (ROUTE-13).
    pub last_agent: Option<AgentId>,
}

impl Opening {
    /// What a conversation began with, and its workstream, as its first event says; none: that event isn't a
    /// first one.
    pub fn of(event: &Event) -> Option<(Self, &WorkstreamId)> {
        let Event::Opened {
            channel,
            customer,
            own,
            workstream,
            opted_out,
            country,
            last_agent,
            ..
        } = event
        else {
            return None;
        };
        let opening = Self {
            channel: channel.clone(),
            customer: customer.clone(),
            own: own.clone(),
            opted_out: *opted_out,
            country: country.clone(),
            last_agent: last_agent.clone(),
        };
        Some((opening, workstream))
    }
}

/// A message from the customer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CustomerMessage {
    /// The provider's id; one message, one id, however often it is delivered.
    pub provider_id: String,
    /// Text, whole.
    pub text: String,
    /// Files.
    #[serde(default)]
    pub media: Vec<Media>,
    /// What the provider's opt-out machinery made of it.
    #[serde(default)]
    pub consent: Option<Consent>,
}

/// A reply from an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Who writes; must be the primary.
    pub agent: AgentId,
    /// The text.
    pub text: String,
    /// Files, by URL.
    pub media: Vec<Media>,
}

/// Where a transfer goes (CONV-03).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Target {
    /// This colleague, who has to accept.
    Agent(AgentId),
    /// Anybody of this queue.
    Queue(QueueId),
}

/// An item that left a queue, or is to be told something, by an overflow rule (ROUTE-11).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overflow {
    /// Which queue.
    pub queue: QueueId,
    /// Why.
    pub reason: OverflowReason,
    /// What is to happen.
    pub then: OverflowAction,
    /// Its position at that time.
    pub position: Option<usize>,
    /// The estimated wait at that time.
    pub estimate: Option<Span>,
    /// Who refused it there.
    pub refused: Vec<Declined>,
}

/// Why a colleague doesn't take what was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// Their machine said no.
    Refused(Refusal),
    /// The offer came to nothing.
    Ended(Outcome),
}

/// An input of [`super::Conversation::handle`].
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// The customer wrote.
    Customer(CustomerMessage),
    /// The provider reported consent outside a message.
    OptedOut {
        /// True: no further messages.
        opted_out: bool,
    },
    /// More is known about the customer; while it waits it is classified anew (ROUTE-01).
    Attributes(Box<Attributes>),
    /// The agent's machine has a place for it: an offer was accepted, or the agent takes it up by hand.
    Accept {
        /// Who.
        agent: AgentId,
        /// Which offer.
        offer: OfferId,
        /// What it makes of them.
        acceptance: Acceptance,
    },
    /// Whether it is this agent's; refused if it isn't. Nothing changes.
    Confirm {
        /// Who.
        agent: AgentId,
        /// Those who advise count as well.
        or_advises: bool,
    },
    /// The agent's machine has taken the returning conversation's place.
    Resumed {
        /// Who.
        agent: AgentId,
        /// The number of the question.
        question: u32,
    },
    /// The agent's machine doesn't take the returning conversation.
    ResumeRefused {
        /// Who.
        agent: AgentId,
        /// The number of the question.
        question: u32,
        /// They aren't there (ROUTE-19); else they have no place (ROUTE-09).
        is_absent: bool,
    },
    /// An agent replies.
    Reply(Reply),
    /// An agent writes an internal note (CONV-04).
    Note {
        /// Who.
        agent: AgentId,
        /// The text.
        text: String,
        /// Supervisors write in anybody's conversation, agents in their own.
        as_supervisor: bool,
    },
    /// The provider reported on a reply.
    Delivery {
        /// Which reply.
        message: MessageNo,
        /// When it was said, as far as whoever reports knows: a journal that was put back from a copy may have
        /// given the number to another reply.
        said_at: Option<Timestamp>,
        /// How far it has come.
        delivery: Delivery,
    },
    /// The agent leaves for now (CONV-02); or a consultant has said all.
    Leave {
        /// Who.
        agent: AgentId,
    },
    /// The primary hands it over (CONV-03).
    Transfer {
        /// Who.
        agent: AgentId,
        /// To whom.
        to: Target,
    },
    /// The primary asks a colleague for advice (CONV-03).
    Consult {
        /// Who asks.
        agent: AgentId,
        /// Whom; `None`: anybody of the conversation's queue who is free.
        with: Option<AgentId>,
    },
    /// The primary needs no advice any more, or takes back an offer to a colleague.
    EndConsult {
        /// Who.
        agent: AgentId,
    },
    /// A colleague doesn't take what was handed over.
    NotTaken {
        /// Who.
        agent: AgentId,
        /// Which offer.
        offer: OfferId,
        /// Why.
        why: NotTaken,
    },
    /// A queue's overflow rule (ROUTE-11).
    Overflow(Box<Overflow>),
    /// Classification or the queue is no longer what it was (ROUTE-17).
    Reroute,
    /// The queue that it was sent to isn't there, or isn't any more.
    Bounced {
        /// Which.
        queue: QueueId,
    },
    /// An agent refused it; they aren't offered it again while they stay signed in (ROUTE-04).
    Declined(Declined),
    /// An agent whose it is isn't at their desk (ROUTE-18, 19).
    AgentAbsent {
        /// Who.
        agent: AgentId,
        /// Where they are.
        attendance: Attendance,
        /// Since when; that may be long before anybody noticed it.
        since: Timestamp,
    },
    /// They are back.
    AgentBack {
        /// Who.
        agent: AgentId,
    },
    /// An agent whose it is takes no work any more: configured no longer, or without a licence.
    AgentRetired {
        /// Who.
        agent: AgentId,
    },
    /// End: resolved for the customer, wrap-up for the agent. Somebody else's end finishes wrap-up, too
    /// (CONV-07).
    End {
        /// Who; `None`: a rule.
        agent: Option<AgentId>,
        /// Whether they may end what isn't theirs.
        supervises: bool,
    },
    /// Wrap-up is done.
    FinishWrapUp {
        /// Who.
        agent: AgentId,
        /// The wrap-up code (CONV-08).
        disposition: Option<String>,
        /// What it was about (CONV-08).
        summary: Option<String>,
    },
    /// A deadline may have come.
    Wake,
}

/// Why a command was refused. Nothing changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Only the primary may do this.
    #[error("{agent} isn't the primary agent of this conversation; {}", primary_is(.primary.as_ref()))]
    NotPrimary {
        /// Who tried.
        agent: AgentId,
        /// Who may.
        primary: Option<AgentId>,
    },
    /// Not in this state.
    #[error("can't {action} a conversation that is {}", .state.as_str())]
    WrongState {
        /// What was tried, as a verb.
        action: &'static str,
        /// The state.
        state: State,
    },
    /// CH-11.
    #[error("the text has {count} characters; this channel takes {limit}: shorten it by {}", .count - .limit)]
    TooLong {
        /// Characters in the text.
        count: u32,
        /// The most.
        limit: u32,
    },
    /// The provider takes none, or not as fast as somebody writes.
    #[error("{most} replies of this conversation wait to be sent: wait until some are")]
    TooManyWaiting {
        /// The most.
        most: usize,
    },
    /// CH-12.
    #[error(
        "{customer} has opted out on this channel and gets no messages until they opt in again (for example by texting START)"
    )]
    OptedOut {
        /// The customer's address.
        customer: Address,
    },
    /// The agent left it, or its customer was silent: it takes no place until they come back to it.
    #[error("you left this conversation; come back to it before you reply")]
    Left,
    /// Nothing to send.
    #[error("the message is empty: write a text or attach a file")]
    Empty,
    /// One thing at a time.
    #[error(
        "{agent} has been asked already and hasn't answered yet; wait, or take that back first"
    )]
    OfferUnderWay {
        /// Who; empty: anybody of the queue.
        agent: String,
    },
    /// Oneself.
    #[error("you have this conversation already")]
    Yourself,
    /// CONV-08.
    #[error("choose how it ended before finishing: {}", .known.join(", "))]
    NoDisposition {
        /// What there is.
        known: Vec<String>,
    },
    /// CONV-08.
    #[error("there is no wrap-up code \"{found}\"; known: {}", .known.join(", "))]
    UnknownDisposition {
        /// What was given.
        found: String,
        /// What there is.
        known: Vec<String>,
    },
}

fn primary_is(primary: Option<&AgentId>) -> String {
    match primary {
        Some(agent) => format!("{agent} is"),
        None => "it has none".to_owned(),
    }
}
