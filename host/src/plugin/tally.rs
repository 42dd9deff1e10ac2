//! What is counted of a plugin: under its name for as long as the host runs, and of each instance by itself, so that
//! one that fails after a swap shows.

use std::sync::atomic::{AtomicU64, Ordering};

/// Of a channel, or a strategy, whatever was in its place.
#[derive(Debug, Default)]
pub struct Counters {
    /// Calls.
    pub(super) calls: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) swapped: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) rolled_back: AtomicU64,
}

impl Counters {
    /// Each with its name as metrics have it.
    pub fn all(&self) -> [(&'static str, u64); 3] {
        [
            ("cordboard_plugin_calls_total", self.calls.load(Ordering::Relaxed)),
            ("cordboard_plugin_panics_total", self.panics()),
            ("cordboard_webhooks_rejected_total", self.rejected()),
        ]
    }

    /// What has become of attempts to put another instance in its place.
    pub fn swaps(&self) -> [(&'static str, u64); 3] {
        [
            ("swapped", self.swapped.load(Ordering::Relaxed)),
            ("refused", self.refused.load(Ordering::Relaxed)),
            ("rolled_back", self.rolled_back.load(Ordering::Relaxed)),
        ]
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Webhooks that were not authentic.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

/// Of one instance.
#[derive(Debug, Default)]
pub struct Tally {
    done: AtomicU64,
    failed: AtomicU64,
    webhooks: AtomicU64,
    /// Answers of the provider, or none, that say nothing of whoever asked.
    outages: AtomicU64,
}

impl Tally {
    /// A call came to what it was for.
    pub(super) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// It didn't: it panicked, took too long, or its provider doesn't know its credentials.
    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The provider has failed, or can't be reached: any other would fare like that.
    pub(super) fn provider_failed(&self) {
        self.outages.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn took_webhook(&self) {
        self.webhooks.fetch_add(1, Ordering::Relaxed);
        self.done();
    }

    /// Webhooks that it has understood.
    pub fn webhooks(&self) -> u64 {
        self.webhooks.load(Ordering::Relaxed)
    }

    /// Calls that came to what they were for, and those that didn't.
    pub fn ended(&self) -> (u64, u64) {
        let failed = self.failed.load(Ordering::Relaxed);
        // Each has failed a call, whoever made it.
        let own = failed.saturating_sub(self.outages.load(Ordering::Relaxed));
        (self.done.load(Ordering::Relaxed), own)
    }
}
