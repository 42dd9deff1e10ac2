//! A reservation of an agent's capacity for a work item, with a deadline to accept.

use serde::{Deserialize, Serialize};

use crate::capacity::{ChannelKind, Load};
use crate::ids::{AgentId, ConversationId, OfferId};
use crate::presence::{BaseStatus, StatusSet};
use crate::time::Span;

/// What the agent is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what", content = "by")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Purpose {
    /// Take the conversation over from the queue.
    Work,
    /// Take it over from this colleague (CONV-03).
    Transfer(AgentId),
    /// Advise this colleague, unseen by the customer (CONV-03).
    Consult(AgentId),
}

/// What a queue, or a conversation that is handed over, asks of an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// What for. Work is answered to the queue, everything else to the conversation.
    pub purpose: Purpose,
}

/// Why an agent's machine said no to a reservation, before the agent saw anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Presence isn't one that the workstream allows.
    Presence(BaseStatus),
    /// No place for the kind, or not enough units.
    Capacity,
    /// Work of this kind is under way, and it blocks the item's (CAP-03).
    Blocked(ChannelKind),
    /// Holds or is being offered this very conversation.
    AlreadyThere,
    /// Has no licence to take work (PRES-08), or is configured no longer.
    TakesNoWork,
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
