//! A conversation in one line, for lists and screens.

use serde::{Deserialize, Serialize};

use crate::capacity::ChannelKind;
use crate::classification::Flags;
use crate::conversation::State;
use crate::ids::{Address, AgentId, ChannelId, ConversationId, QueueId};
use crate::time::Timestamp;

/// What lists and screens show of a conversation. Times are milliseconds since the epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Summary {
    /// Its name.
    pub id: ConversationId,
    /// Where it is in its life.
    pub state: State,
    /// Where the customer wrote.
    pub channel: ChannelId,
    /// What sort of work it is.
    pub kind: ChannelKind,
    /// Where it waits, or waited last.
    pub queue: QueueId,
    /// The customer's address.
    pub customer: Address,
    /// Our address.
    pub own: Address,
    /// The primary agent.
    pub agent: Option<AgentId>,
    /// Colleagues who advise, unseen by the customer.
    pub consultants: Vec<AgentId>,
    /// A colleague who was asked and hasn't answered yet.
    pub handed_to: Option<HandedTo>,
    /// Higher goes first.
    pub priority: i32,
    /// From the rules that matched.
    pub tags: Vec<String>,
    /// Reserved flags (ID-05).
    pub flags: Flags,
    /// The customer wants no messages (CH-12).
    pub opted_out: bool,
    /// When it began.
    pub opened_at: Timestamp,
    /// Since when it waits, or waited, for an agent.
    pub queued_at: Timestamp,
    /// The session timer counts from here (CONV-05).
    pub timer_from: Timestamp,
    /// When the customer last wrote.
    pub last_customer_at: Timestamp,
    /// Entries in the transcript.
    pub messages: u32,
    /// The most characters that a reply may have (CH-11).
    pub max_text: u32,
    /// Wrap-up codes to choose from (CONV-08).
    pub dispositions: Vec<String>,
    /// The one that was chosen.
    pub disposition: Option<String>,
    /// What it was about, in the words of whoever finished it (CONV-08).
    pub summary: Option<String>,
    /// Who still has to say how an earlier part of it ended: its customer wrote during wrap-up
    /// (CAP-02).
    pub wrap_ups: Vec<AgentId>,
}

/// A request to a colleague (CONV-03).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HandedTo {
    /// Whom; `None`: anybody of the queue.
    pub agent: Option<AgentId>,
    /// Advice, not a transfer.
    pub consult: bool,
}
