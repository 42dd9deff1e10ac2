//! Mailboxes have no end, so what lies in them is counted (OPS-11): inputs of queues and agents until
//! they are dealt with, or while they are put aside; of conversations until they are on disk. Whoever
//! brings one in from outside waits for its answer, so connections bound them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many inputs are on their way to one kind of actor.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Counted(Counter);

impl Counter {
    /// One more, until what is given for it is dropped.
    pub fn count_one(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// One more, unless there are `most` already.
    pub fn count_below(&self, most: usize) -> Option<Counted> {
        let counted = Counted(self.clone());
        (self.0.fetch_add(1, Ordering::Relaxed) < most).then_some(counted)
    }

    /// How many.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// By kind of actor.
#[derive(Debug, Default)]
pub struct Waiting {
    /// For conversations.
    pub conversations: Counter,
    /// For queues.
    pub queues: Counter,
    /// For agents.
    pub agents: Counter,
}

impl Waiting {
    /// With their names.
    pub fn counts(&self) -> [(&'static str, usize); 3] {
        [
            ("conversation", self.conversations.get()),
            ("queue", self.queues.get()),
            ("agent", self.agents.get()),
        ]
    }
}
