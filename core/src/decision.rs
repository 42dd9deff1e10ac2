//! The record of a routing choice: who was considered, and why each was passed over (ROUTE-15).

use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, ConversationId, OfferId, QueueId};
use crate::presence::BaseStatus;

/// What kept an agent from getting an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedOver {
    /// The workstream doesn't give work to this status.
    Presence(BaseStatus),
    /// No place for the kind, or not enough units.
    Capacity,
    /// Refused or let expire an earlier offer of the same item.
    Excluded,
}

/// One choice of a queue. `considered` holds at most [`Decision::MOST_CONSIDERED`] agents in the
/// order they were looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// The queue that chose.
    pub queue: QueueId,
    /// For which item.
    pub conversation: ConversationId,
    /// Who was chosen, under which offer; none: the item waits.
    pub chosen: Option<(AgentId, OfferId)>,
    /// Who was passed over and why.
    pub considered: Vec<(AgentId, PassedOver)>,
}

impl Decision {
    /// A record stays small however large the queue is.
    pub const MOST_CONSIDERED: usize = 16;
}
