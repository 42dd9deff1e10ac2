//! A reservation of an agent's capacity for a work item, with a deadline to accept.

use serde::{Deserialize, Serialize};

use crate::capacity::{ChannelKind, Load};
use crate::ids::{AgentId, ConversationId, OfferId, QueueId};
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

/// How somebody takes up a conversation by themselves (ROUTE-10). The agent's machine sets the place
/// aside first, so that no way of doing it goes round the capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByHand {
    /// One that waits in a queue (ROUTE-14).
    Take,
    /// One that a colleague has.
    TakeOver,
    /// One that they left, or whose customer fell silent (CONV-02).
    ComeBack,
}

/// What an acceptance makes of the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// An offer of work, by a queue or a colleague.
    Work,
    /// An offer to advise.
    Consult,
    /// No offer at all.
    ByHand(ByHand),
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
    /// Only for members of this queue: advice is theirs to give (CONV-03).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_of: Option<QueueId>,
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
    /// Isn't a member of the queue whose members are asked (CONV-03).
    NotMember,
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
