//! Messages of a conversation and what became of them.

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, MessageNo};
use crate::time::Timestamp;

/// A file that came with a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Media {
    /// Where the provider keeps it.
    pub url: String,
    /// MIME type, as the provider says.
    pub content_type: String,
}

/// Who wrote it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role", content = "agent")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Author {
    /// The customer.
    Customer,
    /// An agent.
    Agent(AgentId),
    /// The engine itself: an automated message (CH-17).
    System,
}

/// How far an outbound message has come: one model for all providers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "status")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Delivery {
    /// On our disk, not yet taken by the provider.
    Queued,
    /// It may or may not have gone out: the connection broke or the host died in mid-send, and this
    /// provider can't be asked twice. A later report settles it.
    Unconfirmed,
    /// The provider has it.
    Sent,
    /// It reached the customer.
    Delivered,
    /// It will not reach the customer.
    Undelivered {
        /// The provider's own code, or ours where there is none.
        code: String,
        /// A sentence for the agent.
        reason: String,
    },
}

impl Delivery {
    /// Providers report out of order; a report of lower or equal rank than what is known is late.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Unconfirmed => 1,
            Self::Sent => 2,
            Self::Delivered | Self::Undelivered { .. } => 3,
        }
    }

    /// Nothing can follow.
    pub fn is_final(&self) -> bool {
        self.rank() == 3
    }
}

/// What the customer said about being written to (CH-12).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Consent {
    /// No further messages.
    OptOut,
    /// Messages are welcome again.
    OptIn,
    /// Asked for help; changes nothing.
    Help,
}

/// One entry of a transcript.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// Its place in the conversation.
    pub no: MessageNo,
    /// Who wrote it.
    #[serde(flatten)]
    pub author: Author,
    /// What was written, whole.
    pub text: String,
    /// What came with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub media: Vec<Media>,
    /// When we took it.
    pub at: Timestamp,
    /// Seen by agents and supervisors only (CONV-04).
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub internal: bool,
    /// Longer than the channel allows; kept whole (CH-11).
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub over_length: bool,
    /// The provider's opt-out machinery recognised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// For replies: how far it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}
