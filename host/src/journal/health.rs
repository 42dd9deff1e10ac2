//! How the journal is, for readiness, metrics, and whoever has to wait for it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::{JournalError, Trouble};

/// Whether the journal can commit, and how much it has.
#[derive(Debug, Default)]
pub struct JournalHealth {
    commits: AtomicU64,
    writes: AtomicU64,
    has_ended: AtomicBool,
    waiting: AtomicUsize,
    panics: AtomicU64,
    /// Microseconds between the commit of what was made visible last and that moment.
    lag: AtomicU64,
    /// Why the log takes nothing; why the views don't follow.
    stuck: [Mutex<Option<String>>; 2],
    /// Why its files can't be looked at.
    blind: Mutex<Option<String>>,
    /// What of the tables is damaged, as the look at the start has found.
    damaged: Mutex<Option<String>>,
    /// Reads that failed.
    unread: Mutex<Unread>,
    reads_failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Unread {
    last: Option<(Instant, String)>,
    said_at: Option<Instant>,
    unsaid: u64,
}

/// What helps, to whoever has a host that runs.
const DAMAGED: &str = "it is damaged; see how much with cordboard journal verify, and go on with what leads furthest by cordboard journal recover (the host has to be stopped for that)";

/// What can be stuck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Putting batches into the log.
    Log,
    /// Applying them to the views.
    Views,
}

impl JournalHealth {
    /// Why nothing is committed, or what is committed can't be seen; `None` while all is well.
    pub fn problem(&self) -> Option<String> {
        let why = |stage: Stage| {
            self.stuck[stage as usize].lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let log = why(Stage::Log).map(|why| format!("the journal can't commit: {why}"));
        let views = || {
            let why = why(Stage::Views)?;
            Some(format!("what is committed can't be seen yet: {why}"))
        };
        log.or_else(views)
    }

    /// A read failed. That is said, with what helps, but not by the thousand.
    pub fn read_failed(&self, error: &JournalError) {
        const SAID_EVERY: Duration = Duration::from_secs(60);
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.last = Some((Instant::now(), error.to_string()));
        self.reads_failed.fetch_add(1, Ordering::Relaxed);
        if unread.said_at.is_some_and(|at| at.elapsed() < SAID_EVERY) {
            unread.unsaid += 1;
            return;
        }
        unread.said_at = Some(Instant::now());
        let unsaid = std::mem::take(&mut unread.unsaid);
        let helps = match error.trouble {
            Trouble::Damaged => DAMAGED,
            _ => "",
        };
        tracing::error!(%error, unsaid, helps, "the journal can't be read");
    }

    /// Reads that failed so far.
    pub fn reads_failed(&self) -> u64 {
        self.reads_failed.load(Ordering::Relaxed)
    }

    /// Why a read failed within the last half minute.
    pub fn unreadable(&self) -> Option<String> {
        const LATELY: Duration = Duration::from_secs(30);
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.last.as_ref().filter(|(at, _)| at.elapsed() < LATELY).map(|(_, why)| why.clone())
    }

    /// Writes that were given to it and aren't answered.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Panics in writes that were contained.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// How long what was made visible last had been committed by then.
    pub fn lag(&self) -> Duration {
        Duration::from_micros(self.lag.load(Ordering::Relaxed))
    }

    pub(super) fn visible(&self, lag: Duration) {
        self.lag.store(lag.as_micros() as u64, Ordering::Relaxed);
    }

    /// Whether one of its threads has ended, in order or not.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Commits and writes so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.commits.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed))
    }

    pub(super) fn given(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn taken(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    /// `input`: what it was about, without what people wrote.
    pub(super) fn panicked(&self, part: &str, input: &str, why: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(part, input, why, "a panic in the journal was contained");
    }

    pub(super) fn committed(&self, writes: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(writes, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// What of its tables is damaged, as the look at the start has found.
    pub fn damaged(&self) -> Option<String> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_damaged(&self, what: &str) {
        tracing::error!(what, helps = DAMAGED, "a look through the journal has found damage");
        *self.damaged.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.to_owned());
    }

    /// Why its files can't be looked at, so that nobody would know if somebody deleted or replaced one.
    pub fn blind(&self) -> Option<String> {
        self.blind.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says once that they can't be looked at, and once that they can again.
    pub fn set_blind(&self, why: Option<&String>) {
        let mut blind = self.blind.lock().unwrap_or_else(PoisonError::into_inner);
        match (why, blind.is_some()) {
            (Some(why), false) => {
                tracing::error!(
                    why,
                    "the journal's files can't be looked at: if one is deleted or replaced, nobody knows"
                );
            }
            (None, true) => tracing::info!("the journal's files can be looked at again"),
            (Some(_), true) | (None, false) => {}
        }
        *blind = why.cloned();
    }

    /// Says once that a stage is stuck, and once that it isn't any more.
    pub(super) fn set(&self, stage: Stage, error: Option<&JournalError>) {
        let mut stuck = self.stuck[stage as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match (error, stuck.is_some(), stage) {
            (Some(error), false, Stage::Log) => tracing::error!(%error, "the journal can't commit"),
            (Some(error), false, Stage::Views) => {
                tracing::error!(%error, "what is committed can't be made visible; it is in the log");
            }
            (None, true, Stage::Log) => tracing::info!("the journal commits again"),
            (None, true, Stage::Views) => tracing::info!("what is committed is visible again"),
            (Some(_), true, _) | (None, false, _) => {}
        }
        *stuck = error.map(ToString::to_string);
    }
}
