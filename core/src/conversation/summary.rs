//! A conversation in one line, for lists and screens.

use serde::{Deserialize, Serialize};

use crate::capacity::ChannelKind;
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
    /// The queue of its workstream.
    pub queue: QueueId,
    /// The customer's address.
    pub customer: Address,
    /// Our address.
    pub own: Address,
    /// The primary agent.
    pub agent: Option<AgentId>,
    /// The customer wants no messages (CH-12).
    pub opted_out: bool,
    /// When it began.
    pub opened_at: Timestamp,
    /// Since when it waits, or waited, for an agent.
    pub queued_at: Timestamp,
    /// When the customer last wrote.
    pub last_customer_at: Timestamp,
    /// Entries in the transcript.
    pub messages: u32,
}
