//! A reservation of an agent's capacity for a work item, with a deadline to accept.

use serde::{Deserialize, Serialize};

use crate::capacity::Load;
use crate::ids::{ConversationId, OfferId};
use crate::presence::StatusSet;
use crate::time::Span;

/// What a queue asks of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reserve {
    /// The offer's name; every later step repeats it.
    pub offer: OfferId,
    /// The work item.
    pub conversation: ConversationId,
    /// What it takes.
    pub load: Load,
    /// Base statuses that the workstream allows.
    pub allowed: StatusSet,
    /// How long the agent has to accept.
    pub timeout: Span,
}

/// Why an agent's machine said no to a reservation, before the agent saw anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Presence isn't one that the workstream allows.
    Presence,
    /// No place for the kind, or not enough units.
    Capacity,
    /// Holds or is being offered this very conversation.
    AlreadyThere,
}

/// How an offer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// The agent has the conversation.
    Accepted,
    /// The agent said no.
    Refused,
    /// The deadline passed.
    Expired,
    /// The item went elsewhere or ended.
    Withdrawn,
    /// The agent vanished.
    Gone,
}
