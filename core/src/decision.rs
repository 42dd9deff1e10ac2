//! The record of a routing choice: who was considered, and why each was passed over (ROUTE-15).
//!
//! Each part has a plain sentence as its `Display`, the same in API, CLI and console.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::capacity::ChannelKind;
use crate::ids::{AgentId, ConversationId, OfferId, QueueId, SkillId};
use crate::presence::{BaseStatus, StatusSet};
use crate::queue::StrategyName;
use crate::skills::Level;
use crate::time::Timestamp;

/// What kept an agent from getting an item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedOver {
    /// The workstream doesn't give work to this status.
    Presence {
        /// The agent's.
        status: BaseStatus,
        /// The workstream's.
        allowed: StatusSet,
    },
    /// No place for the kind, or not enough units.
    Capacity(ChannelKind),
    /// A skill is missing, or its level is too low.
    Skill {
        /// Which.
        skill: SkillId,
        /// The least level.
        needs: Level,
        /// The agent's; 0: not at all.
        has: Level,
    },
    /// Refused an earlier offer of the same item.
    Refused,
    /// Let an offer of the same item expire in this round.
    Missed,
    /// Said no to a reservation, and hasn't spoken since.
    NotReserved,
    /// The item is being kept for somebody else for now.
    KeptFor(AgentId),
    /// Isn't a member of the queue.
    NotMember,
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence { status, allowed } => {
                let allowed: Vec<&str> = allowed.iter().map(BaseStatus::as_str).collect();
                let (status, allowed) = (status.as_str(), allowed.join(", "));
                write!(f, "presence is {status}; the workstream allows {allowed}")
            }
            Self::Capacity(kind) => write!(f, "no capacity is left for {}", kind.as_str()),
            Self::Skill { skill, needs, has: 0 } => {
                write!(f, "doesn't have the skill {skill}; level {needs} is needed")
            }
            Self::Skill { skill, needs, has } => {
                write!(f, "has {skill} at level {has}; level {needs} is needed")
            }
            Self::Refused => f.write_str("has refused this item since signing in"),
            Self::Missed => f.write_str("let an offer of this item expire in this round"),
            Self::NotReserved => {
                f.write_str("had no place when asked, and nothing has changed since")
            }
            Self::KeptFor(agent) => write!(f, "the item is being kept for {agent} for now"),
            Self::NotMember => f.write_str("isn't a member of the queue"),
        }
    }
}

/// What came of a choice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The item is offered.
    Offered {
        /// To whom.
        agent: AgentId,
        /// Under which name.
        offer: OfferId,
    },
    /// Nobody can have it now.
    NobodyFree,
    /// Out of the queue's hours.
    Closed {
        /// Until then; `None`: for longer than a year.
        until: Option<Timestamp>,
    },
    /// Agents pick from this workstream (ROUTE-14).
    Pull,
    /// Kept for the agent that the customer had (ROUTE-13).
    KeptFor {
        /// Whom.
        agent: AgentId,
        /// For so long.
        until: Timestamp,
    },
    /// A strategy plugin is asked.
    Judged,
    /// Taken out by an overflow rule (ROUTE-11).
    Overflowed {
        /// Why.
        reason: OverflowReason,
    },
}

/// What an overflow rule reacts to (ROUTE-11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverflowReason {
    /// More than this many items wait.
    Length(u32),
    /// It has waited this long, in milliseconds.
    Wait(i64),
    /// No member is signed in.
    NobodySignedIn,
    /// Out of hours.
    OutOfHours,
}

impl fmt::Display for OverflowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(limit) => write!(f, "more than {limit} items wait in the queue"),
            Self::Wait(ms) => write!(f, "it has waited for {} s", ms / 1000),
            Self::NobodySignedIn => f.write_str("no member of the queue is signed in"),
            Self::OutOfHours => f.write_str("the queue is out of hours"),
        }
    }
}

/// One choice of a queue. `considered` holds at most [`Decision::MOST_CONSIDERED`] agents in the
/// order they were looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// The queue that chose.
    pub queue: QueueId,
    /// For which item.
    pub conversation: ConversationId,
    /// When.
    pub at: Timestamp,
    /// By which strategy.
    pub strategy: StrategyName,
    /// What came of it.
    pub choice: Choice,
    /// Who was passed over and why.
    pub considered: Vec<(AgentId, PassedOver)>,
    /// Members of the queue at that time.
    pub members: u32,
}

impl Decision {
    /// A record stays small however large the queue is.
    pub const MOST_CONSIDERED: usize = 16;

    /// The choice in a sentence.
    pub fn sentence(&self) -> String {
        let Self { queue, members, .. } = self;
        let strategy = self.strategy.as_str();
        match &self.choice {
            Choice::Offered { agent, .. } => {
                format!("{queue} offered it to {agent}: first of {members} members by {strategy}")
            }
            Choice::NobodyFree if *members == 0 => {
                format!("it waits in {queue}: no member has signed in since the host started")
            }
            Choice::NobodyFree => {
                format!("it waits in {queue}: none of {members} members can have it")
            }
            Choice::Closed { .. } => format!("it waits in {queue}: the queue is out of hours"),
            Choice::Pull => format!("it waits in {queue} until an agent picks it"),
            Choice::KeptFor { agent, .. } => {
                format!("it waits in {queue} for {agent}, whom the customer had before")
            }
            Choice::Judged => format!("{queue} asks the strategy plugin {strategy}"),
            Choice::Overflowed { reason } => {
                format!("it left {queue} by an overflow rule: {reason}")
            }
        }
    }
}
