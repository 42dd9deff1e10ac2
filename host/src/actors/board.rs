//! What desks need to know of others, published when it changes (OPS-11): who is there, and how many wait in
//! each queue. A screen that asked every few seconds would ask a thousand agents; this costs what changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cordboard_core::ids::{AgentId, QueueId};
use cordboard_core::presence::Presence;
use dashmap::DashMap;
use serde::Serialize;
use tokio::sync::broadcast;

/// Frames that a screen may be behind; one that is further behind asks for everything anew.
const MOST_BEHIND: usize = 1024;

/// A colleague as desks see them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Status.
    pub presence: Presence,
    /// Takes no work (PRES-08).
    pub light: bool,
}

/// A change, and whom it concerns.
#[derive(Clone, Debug)]
pub struct Posted {
    /// Members of this queue; everybody if there is none.
    pub queue: Option<QueueId>,
    /// The frame.
    pub frame: Arc<str>,
}

/// What is sent to screens.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BoardFrame {
    /// A colleague's presence has changed.
    Colleague {
        /// Who.
        #[schema(value_type = String)]
        id: AgentId,
        /// Status.
        presence: Presence,
        /// Takes no work.
        light: bool,
    },
    /// So many wait in a queue of mine.
    Line {
        /// Which.
        #[schema(value_type = String)]
        queue: QueueId,
        /// Items that nobody is offered.
        waiting: usize,
    },
    /// Something else that `/api/v1/desk` tells has changed: ask for it.
    Desk,
}

/// The board.
pub struct Board {
    changes: broadcast::Sender<Posted>,
    colleagues: DashMap<AgentId, Seen>,
    lines: DashMap<QueueId, AtomicUsize>,
}

impl Default for Board {
    fn default() -> Self {
        let (changes, _) = broadcast::channel(MOST_BEHIND);
        Self { changes, colleagues: DashMap::new(), lines: DashMap::new() }
    }
}

impl Board {
    /// What changes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Posted> {
        self.changes.subscribe()
    }

    /// A colleague as they were seen last.
    pub fn colleague(&self, id: &AgentId) -> Option<Seen> {
        self.colleagues.get(id).map(|seen| seen.clone())
    }

    /// Items that wait in a queue.
    pub fn line(&self, id: &QueueId) -> usize {
        self.lines.get(id).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// A colleague was seen; told to everybody if they look different.
    pub(super) fn see(&self, id: &AgentId, seen: Seen) {
        if self.colleagues.get(id).is_some_and(|known| *known == seen) {
            return;
        }
        self.colleagues.insert(id.clone(), seen.clone());
        let Seen { presence, light } = seen;
        self.post(None, &BoardFrame::Colleague { id: id.clone(), presence, light });
    }

    /// So many wait there; told to its members.
    pub(super) fn set_line(&self, id: &QueueId, waiting: usize) {
        let before = self.lines.entry(id.clone()).or_default().swap(waiting, Ordering::Relaxed);
        if before != waiting {
            let line = BoardFrame::Line { queue: id.clone(), waiting };
            self.post(Some(id.clone()), &line);
        }
    }

    /// Something else has changed.
    pub fn changed(&self) {
        self.post(None, &BoardFrame::Desk);
    }

    fn post(&self, queue: Option<QueueId>, frame: &BoardFrame) {
        if self.changes.receiver_count() == 0 {
            return;
        }
        let frame = serde_json::to_string(frame).expect("frames become JSON").into();
        // Without anybody who looks there is nobody to tell.
        let _ = self.changes.send(Posted { queue, frame });
    }
}
