//! The distribution settings of a workstream, as the machines need them.

use serde::{Deserialize, Serialize};

use crate::capacity::{ChannelKind, Units};
use crate::ids::{QueueId, WorkstreamId};
use crate::presence::{BaseStatus, StatusSet};
use crate::time::Span;

/// How long wrap-up goes on occupying the agent's capacity (CAP-02).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WrapUpHold {
    /// Released as soon as the conversation ends.
    Never,
    /// Held until the agent has finished wrap-up.
    Always,
    /// Held for this long at most.
    For(Span),
}

/// One workstream's settings. Numbers are in milliseconds and characters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Workstream {
    /// Its name.
    pub id: WorkstreamId,
    /// What sort of work it brings.
    pub kind: ChannelKind,
    /// Where its items wait.
    pub queue: QueueId,
    /// Higher goes first (ROUTE-03).
    pub priority: i32,
    /// Weight of an item.
    pub units: Units,
    /// Base statuses that receive work (ROUTE-06).
    pub allowed: StatusSet,
    /// How long an offer stands (ROUTE-07).
    pub offer_timeout: Span,
    /// Whether an expired offer goes to somebody else (ROUTE-07).
    pub reassign: bool,
    /// No customer reply for this long: capacity is freed (ROUTE-09).
    pub inactivity: Span,
    /// CAP-02.
    pub wrap_up: WrapUpHold,
    /// Wrap-up nobody finished ends by itself after this long.
    pub wrap_up_limit: Span,
    /// A message within this time re-opens an ended conversation (CONV-01).
    pub reopen_within: Span,
    /// The most characters a message may have on these channels (CH-11).
    pub max_text: u32,
}

impl Workstream {
    /// The defaults of features.md for a kind.
    pub fn with_defaults(id: WorkstreamId, kind: ChannelKind, queue: QueueId) -> Self {
        let allowed = match kind {
            ChannelKind::Email => [BaseStatus::Online, BaseStatus::Away].into_iter().collect(),
            _ => [BaseStatus::Online].into_iter().collect(),
        };
        Self {
            id,
            kind,
            queue,
            priority: 0,
            units: Units(1),
            allowed,
            offer_timeout: Span::seconds(30),
            reassign: true,
            inactivity: Span::seconds(600),
            wrap_up: WrapUpHold::Always,
            wrap_up_limit: Span::seconds(900),
            reopen_within: Span::seconds(24 * 3600),
            max_text: 1600,
        }
    }
}
