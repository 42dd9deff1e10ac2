//! What appears on an agent's screen, as it happens.

use serde::{Deserialize, Serialize};

use crate::capacity::ChannelKind;
use crate::conversation::{State, Summary};
use crate::ids::{Address, AgentId, ChannelId, ConversationId, MessageNo, OfferId, QueueId};
use crate::message::{Delivery, Message};
use crate::offer::{Outcome, Purpose};
use crate::presence::Presence;
use crate::time::Timestamp;

/// An offer as the agent sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OfferView {
    /// To be named when accepting or refusing.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "support.17"))]
    pub offer: OfferId,
    /// The work item.
    pub conversation: ConversationId,
    /// The queue it comes from.
    pub queue: QueueId,
    /// What sort of work it is.
    pub kind: ChannelKind,
    /// What for.
    pub purpose: Purpose,
    /// When it was made.
    pub at: Timestamp,
    /// When it ends.
    pub deadline: Timestamp,
}

/// A used and a highest number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// The kind.
    pub kind: ChannelKind,
    /// Held and reserved.
    pub used: u32,
    /// The most.
    pub limit: u32,
}

/// One event for one agent's screens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Notice {
    /// The agent's own presence and load changed.
    Presence {
        /// The status now.
        presence: Presence,
        /// Load per kind.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<Usage>))]
        capacity: [Usage; 4],
    },
    /// Work is offered.
    Offer(OfferView),
    /// An offer is over.
    OfferEnded {
        /// Which.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        offer: OfferId,
        /// How.
        outcome: Outcome,
    },
    /// A conversation of this agent is new or has changed.
    Conversation(Box<Summary>),
    /// The conversation is no longer this agent's.
    ConversationGone {
        /// Which.
        conversation: ConversationId,
        /// Its state now.
        state: State,
        /// Whose it is now, if anybody's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
        agent: Option<AgentId>,
    },
    /// A new entry in a transcript.
    Message {
        /// Which conversation.
        conversation: ConversationId,
        /// The entry.
        message: Box<Message>,
    },
    /// A reply has come further.
    Delivery {
        /// Which conversation.
        conversation: ConversationId,
        /// Which reply.
        message: MessageNo,
        /// How far.
        delivery: Delivery,
    },
    /// For supervisors.
    Alert(Alert),
    /// A transfer or consult that this agent asked for came to nothing.
    NotTaken {
        /// Which conversation.
        conversation: ConversationId,
        /// In a sentence.
        why: String,
    },
    /// Somebody is typing in the conversation.
    Typing {
        /// Which conversation.
        conversation: ConversationId,
        /// Which colleague; none: the customer.
        agent: Option<AgentId>,
    },
}

/// Something that supervisors should look after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "alert")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Alert {
    /// An agent let offers expire and was set to another status (PRES-07).
    MissedOffers {
        /// Who.
        agent: AgentId,
        /// How many in a row.
        missed: u32,
    },
}

/// Channel and customer of a conversation: the key under which the next message finds it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ThreadKey {
    /// The channel.
    pub channel: ChannelId,
    /// The customer's address there.
    pub customer: Address,
}
