//! What desks need to know of others, published when it changes (OPS-11): who is there, and how many wait in
//! each queue; and, for those who watch, what of all open work. A screen that asked every few seconds would ask a thousand agents; this costs what changed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cordboard_core::ids::{AgentId, ConversationId, QueueId};
use cordboard_core::presence::Presence;
use dashmap::DashMap;
use serde::Serialize;
use tokio::sync::{Notify, broadcast};

/// Frames that a screen may be behind; one that is further behind asks for everything anew.
const MOST_BEHIND: usize = 1024;

/// Conversations that are named in one frame.
const MOST_NAMED: usize = 200;
/// What changes in it is told together.
const MOMENT: Duration = Duration::from_millis(300);

/// A colleague as desks see them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Status.
    pub presence: Presence,
    /// Takes no work (PRES-08).
    pub light: bool,
}

/// Whom a change concerns.
#[derive(Clone, Debug)]
pub enum Audience {
    /// Every screen.
    Everybody,
    /// A queue's members.
    Members(QueueId),
    /// Those who have all open work before them.
    Watchers,
}

/// A change, and whom it concerns.
#[derive(Clone, Debug)]
pub struct Posted {
    /// To whom it is sent.
    pub audience: Audience,
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
    /// Conversations have changed, of whomever; for screens that `watch`.
    Work {
        /// Which; nothing: too many to be named.
        #[schema(value_type = Option<Vec<String>>)]
        conversations: Option<Vec<ConversationId>>,
    },
    /// Something else that `/api/v1/desk` tells has changed: ask for it.
    Desk,
}

/// The board.
pub struct Board {
    changes: broadcast::Sender<Posted>,
    colleagues: DashMap<AgentId, Seen>,
    lines: DashMap<QueueId, AtomicUsize>,
    watchers: Arc<AtomicUsize>,
    /// Conversations that watchers haven't heard of yet.
    work: Mutex<BTreeSet<ConversationId>>,
    has_work: Notify,
}

/// A screen that has all open work before it, until this is dropped.
pub struct Watching(Arc<AtomicUsize>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Board {
    fn default() -> Self {
        let (changes, _) = broadcast::channel(MOST_BEHIND);
        Self {
            changes,
            colleagues: DashMap::new(),
            lines: DashMap::new(),
            watchers: Arc::default(),
            work: Mutex::default(),
            has_work: Notify::new(),
        }
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
        self.post(Audience::Everybody, &BoardFrame::Colleague { id: id.clone(), presence, light });
    }

    /// So many wait there; told to its members.
    pub(super) fn set_line(&self, id: &QueueId, waiting: usize) {
        let before = self.lines.entry(id.clone()).or_default().swap(waiting, Ordering::Relaxed);
        if before != waiting {
            let line = BoardFrame::Line { queue: id.clone(), waiting };
            self.post(Audience::Members(id.clone()), &line);
        }
    }

    /// Something else has changed.
    pub fn changed(&self) {
        self.post(Audience::Everybody, &BoardFrame::Desk);
    }

    /// Somebody has all open work before them.
    pub fn watch(&self) -> Watching {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watching(self.watchers.clone())
    }

    /// A conversation has changed. Where nobody watches this costs nothing.
    pub(super) fn work_changed(&self, id: ConversationId) {
        if self.watchers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.len() <= MOST_NAMED {
            work.insert(id);
        }
        self.has_work.notify_one();
    }

    /// Tells watchers what has changed, once in a moment, however much; until the host stops.
    pub async fn tell_watchers(&self) {
        loop {
            self.has_work.notified().await;
            tokio::time::sleep(MOMENT).await;
            let work =
                std::mem::take(&mut *self.work.lock().unwrap_or_else(PoisonError::into_inner));
            if !work.is_empty() {
                let named = (work.len() <= MOST_NAMED).then(|| work.into_iter().collect());
                self.post(Audience::Watchers, &BoardFrame::Work { conversations: named });
            }
        }
    }

    fn post(&self, audience: Audience, frame: &BoardFrame) {
        if self.changes.receiver_count() == 0 {
            return;
        }
        let frame = serde_json::to_string(frame).expect("frames become JSON").into();
        // Without anybody who looks there is nobody to tell.
        let _ = self.changes.send(Posted { audience, frame });
    }
}
