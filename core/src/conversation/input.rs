//! What a conversation can be told, and what it refuses.

use serde::{Deserialize, Serialize};

use crate::conversation::State;
use crate::ids::{Address, AgentId, ChannelId, MessageNo, OfferId};
use crate::message::{Consent, Delivery, Media};

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
    /// The agent's machine passes on an accepted offer.
    Accept {
        /// Who.
        agent: AgentId,
        /// Which offer.
        offer: OfferId,
    },
    /// The agent's machine has taken the returning conversation's place.
    Resumed {
        /// Who.
        agent: AgentId,
    },
    /// The agent's machine has no place for the returning conversation.
    ResumeRefused {
        /// Who.
        agent: AgentId,
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
        /// How far it has come.
        delivery: Delivery,
    },
    /// The agent leaves for now (CONV-02).
    Leave {
        /// Who.
        agent: AgentId,
    },
    /// The agent comes back to it by hand (CONV-02).
    Rejoin {
        /// Who.
        agent: AgentId,
    },
    /// End: resolved for the customer, wrap-up for the agent.
    End {
        /// Who; `None`: a supervisor or a rule.
        agent: Option<AgentId>,
    },
    /// Wrap-up is done.
    FinishWrapUp {
        /// Who.
        agent: AgentId,
    },
    /// A deadline may have come.
    Wake,
    /// Tell queue and agent again what they need to know: after a restart.
    Recover,
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
    /// CH-12.
    #[error(
        "{customer} has opted out on this channel and gets no messages until they opt in again (for example by texting START)"
    )]
    OptedOut {
        /// The customer's address.
        customer: Address,
    },
    /// Nothing to send.
    #[error("the message is empty: write a text or attach a file")]
    Empty,
}

fn primary_is(primary: Option<&AgentId>) -> String {
    match primary {
        Some(agent) => format!("{agent} is"),
        None => "it has none".to_owned(),
    }
}
