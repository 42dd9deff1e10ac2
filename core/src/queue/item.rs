//! A work item as queues know it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::Load;
use crate::ids::{AgentId, ConversationId, HoursId, QueueId};
use crate::offer::Purpose;
use crate::presence::StatusSet;
use crate::skills::SkillNeed;
use crate::time::{Span, Timestamp};
use crate::workstream::Mode;

/// What an item asks of an agent and of its queue: the same for many items.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Demand {
    /// What it takes of an agent.
    pub load: Load,
    /// Base statuses that may get it.
    pub allowed: StatusSet,
    /// What the agent must know.
    pub skills: Vec<SkillNeed>,
    /// Push or pull.
    pub mode: Mode,
    /// How long an offer stands.
    pub offer_timeout: Span,
    /// Whether an expired offer goes to somebody else.
    pub reassign: bool,
    /// The customer's language: a queue can have hours by language.
    pub language: String,
    /// Hours that count if the queue has none of its own.
    pub hours: Option<HoursId>,
}

/// The agent that an item would rather have (ROUTE-13, ROUTE-19).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Preference {
    /// Whom the customer had before.
    pub agent: AgentId,
    /// Until then it waits for them; afterwards anybody gets it.
    pub until: Timestamp,
}

/// Somebody who isn't to be offered an item until they sign in anew: or what is refused by the only
/// agent of a night shift would wait for ever.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Declined {
    /// Who.
    pub agent: AgentId,
    /// The sign-in during which they did, by the agent's own number; `None`: the present one,
    /// whichever the queue knows of.
    pub sign_in: Option<u64>,
}

impl From<AgentId> for Declined {
    fn from(agent: AgentId) -> Self {
        Self { agent, sign_in: None }
    }
}

/// A work item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Item {
    /// The conversation that waits.
    pub conversation: ConversationId,
    /// Its age counts from here, whatever it has been through.
    pub since: Timestamp,
    /// Higher goes first.
    pub priority: i32,
    /// What it asks for.
    pub demand: Arc<Demand>,
    /// Whom it would rather have.
    pub prefer: Option<Preference>,
    /// Who refused it in another queue that it comes from, or just gave it away.
    pub refused: Vec<Declined>,
    /// Queues that it has left by an overflow rule; none of them gets it back that way.
    pub visited: Vec<QueueId>,
    /// Work, or advice for a colleague.
    pub purpose: Purpose,
}

/// In which order items are given out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Priority, then age.
    #[default]
    #[serde(alias = "Priority")]
    Priority,
    /// Age alone.
    #[serde(alias = "OldestFirst")]
    OldestFirst,
}
