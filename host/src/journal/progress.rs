//! How far the journal has come: what is committed, what of it can be seen, and which conversations have
//! steps in between.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use cordboard_core::ids::ConversationId;
use dashmap::DashMap;
use tokio::sync::watch;

use super::entry::Position;
use super::texts::Indexed;

/// Written by the journal's threads, read by everybody.
#[derive(Debug)]
pub(super) struct Progress {
    committed: AtomicU64,
    applied: watch::Sender<Position>,
    /// The newest step of each conversation that the views don't show yet: where, and its version.
    behind: DashMap<ConversationId, (Position, u64)>,
    stopping: AtomicBool,
    halted: OnceLock<String>,
    /// What is committed will never be visible: the tables are damaged where it belongs.
    is_hopeless: watch::Sender<bool>,
    /// The newest position that somebody waits for, and who applies.
    wanted: AtomicU64,
    applier: OnceLock<Thread>,
    /// Changes of who is signed in, and by what, that can be seen.
    access_edition: AtomicU64,
    /// How far the index of texts has come.
    indexed: watch::Sender<Indexed>,
    /// How far the tables' own file has it.
    kept: AtomicU64,
    /// Beginnings and ends of moving what lies beside the tables' file into it: odd while that is under way.
    written_back: AtomicU64,
}

impl Progress {
    pub fn new(at: Position) -> Self {
        Self {
            committed: AtomicU64::new(at.0),
            applied: watch::Sender::new(at),
            behind: DashMap::new(),
            stopping: AtomicBool::new(false),
            halted: OnceLock::new(),
            is_hopeless: watch::Sender::new(false),
            wanted: AtomicU64::new(0),
            applier: OnceLock::new(),
            access_edition: AtomicU64::new(0),
            indexed: watch::Sender::new(Indexed::default()),
            kept: AtomicU64::new(0),
            written_back: AtomicU64::new(0),
        }
    }

    pub fn committed(&self) -> Position {
        Position(self.committed.load(Ordering::Acquire))
    }

    pub fn applied(&self) -> Position {
        *self.applied.borrow()
    }

    /// Returns once the views show a position, or never will.
    pub async fn reached(&self, position: Position) {
        self.want(position);
        let (mut applied, mut hopeless) = (self.applied.subscribe(), self.is_hopeless.subscribe());
        // The senders are ours: they can't be gone.
        tokio::select! {
            _ = applied.wait_for(|applied| *applied >= position) => {}
            _ = hopeless.wait_for(|is_hopeless| *is_hopeless) => {}
        }
    }

    /// Somebody waits until the views show a position: whoever applies hurries.
    pub fn want(&self, position: Position) {
        if self.wanted.fetch_max(position.0, Ordering::AcqRel) < position.0 {
            self.wake_applier();
        }
    }

    /// Whoever applies may be waiting for more to come.
    fn wake_applier(&self) {
        if let Some(applier) = self.applier.get() {
            applier.unpark();
        }
    }

    /// Whether somebody waits for more than is visible.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > self.applied().0
    }

    /// Sessions, tokens, links or accounts have changed: what was read of them before doesn't hold any more.
    pub fn change_access(&self) {
        self.access_edition.fetch_add(1, Ordering::AcqRel);
    }

    /// How often they have.
    pub fn access_edition(&self) -> u64 {
        self.access_edition.load(Ordering::Acquire)
    }

    /// How far the index of texts has come.
    pub fn indexed(&self) -> Indexed {
        *self.indexed.borrow()
    }

    /// It has come so far.
    pub fn index(&self, indexed: Indexed) {
        self.indexed.send_if_modified(|known| std::mem::replace(known, indexed) != indexed);
    }

    /// Whether somebody waits for the index of texts.
    pub fn is_searched(&self) -> bool {
        self.indexed.receiver_count() > 0
    }

    /// Returns once the index of texts has all events that there are now.
    pub async fn all_indexed(&self) {
        let newest = self.indexed().newest;
        let has_all = |indexed: &Indexed| indexed.up_to >= newest.min(indexed.newest);
        let mut indexed = self.indexed.subscribe();
        self.wake_applier();
        // The sender is ours: it can't be gone.
        let _ = indexed.wait_for(has_all).await;
    }

    /// All up to a position was moved to the tables' own file.
    pub fn keep(&self, up_to: Position) {
        self.kept.fetch_max(up_to.0, Ordering::AcqRel);
    }

    /// How far that has it.
    pub fn kept(&self) -> Position {
        Position(self.kept.load(Ordering::Acquire))
    }

    /// Moving what lies beside the tables' file into it begins, or has ended.
    pub fn write_back(&self) {
        self.written_back.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that was.
    pub fn written_back(&self) -> u64 {
        self.written_back.load(Ordering::Acquire)
    }

    /// This thread applies.
    pub fn applies_here(&self) {
        // One does.
        let _ = self.applier.set(std::thread::current());
    }

    /// The version that a conversation has in the log, if the views don't show it yet.
    pub fn behind(&self, id: ConversationId) -> Option<u64> {
        self.behind.get(&id).map(|behind| behind.1)
    }

    /// Before anybody is told.
    pub fn commit(&self, position: Position, steps: impl Iterator<Item = (ConversationId, u64)>) {
        for (id, version) in steps {
            self.behind.insert(id, (position, version));
        }
        self.committed.store(position.0, Ordering::Release);
    }

    pub fn apply(
        &self,
        steps: impl Iterator<Item = (Position, ConversationId)>,
        up_to: Option<Position>,
    ) {
        for (position, id) in steps {
            self.behind.remove_if(&id, |_, (at, _)| *at <= position);
        }
        if let Some(up_to) = up_to {
            self.applied.send_replace(up_to);
        }
    }

    /// Nothing is committed any more.
    pub fn halt(&self, why: &str) {
        // The first reason is the one that counts.
        let _ = self.halted.set(why.to_owned());
    }

    /// The same, as what is committed will never be visible.
    pub fn give_up(&self, why: &str) {
        self.halt(why);
        self.is_hopeless.send_replace(true);
    }

    /// Whether that is so.
    pub fn is_hopeless(&self) -> bool {
        *self.is_hopeless.borrow()
    }

    /// Why nothing is committed any more.
    pub fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    /// Nothing is waited for any more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_applier();
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
