//! What stands under a name: the instance that is called, and for a while the one that was called before it.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cordboard_sdk::{Received, Rejection};

use super::instance::{CallFailed, Instance, Webhook};
use super::origin::{Origin, Refused};
use super::tally::Counters;
use crate::config::{PluginKind, Swaps};

/// A channel, or a strategy, and whether it works. It isn't changed: another takes its place.
#[derive(Clone)]
pub struct Slot {
    /// The instance that is called, or why there is none.
    pub state: Result<Arc<Instance>, String>,
    /// What providers and operators know it by (CH-15).
    pub callback_url: String,
    /// Of all that have stood here.
    pub counters: Arc<Counters>,
    /// What the state was made of.
    pub(super) origin: Origin,
    /// While it isn't known yet whether the instance does as well.
    pub(super) trial: Option<Trial>,
    /// Another that should have been put here and wasn't.
    pub(super) refused: Option<Refused>,
}

/// It is called since a moment ago: others are kept, and take what only they understand.
#[derive(Clone)]
pub(super) struct Trial {
    /// Since then.
    began: Instant,
    /// Whether it is new here, so that one of the others may be put back.
    is_new: bool,
    /// Webhooks that it had taken by then.
    taken_by_then: u64,
    /// Those that were called before it, and those that were taken back: the newest first.
    pub others: Vec<Other>,
}

/// One that isn't called any more, or isn't yet.
#[derive(Clone)]
pub(super) struct Other {
    pub instance: Arc<Instance>,
    /// Webhooks that it had taken when the trial began.
    taken_by_then: u64,
}

/// How a trial stands.
pub(super) enum Verdict {
    /// It isn't over.
    Open,
    /// The new one does as well as can be told.
    Good,
    /// It doesn't, and why.
    Bad(String),
}

impl Slot {
    /// The name under which it stands.
    pub fn id(&self) -> &str {
        &self.origin.config.id
    }

    /// What it is.
    pub fn kind(&self) -> PluginKind {
        self.origin.config.kind
    }

    /// Whether a plugin that stands here wants to see a header of webhooks.
    pub fn looks_at(&self, header: &str) -> bool {
        let others = self.others().map(|other| &other.instance);
        let mut all = self.state.iter().chain(others);
        all.any(|instance| instance.looks_at(header))
    }

    /// Why another isn't in its place that should be.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_ref().map(|refused| refused.why.as_str())
    }

    /// Whether its instance is new here, and the one of before is kept.
    pub fn is_on_trial(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.is_new)
    }

    /// Those that are kept beside the one that is called.
    pub(super) fn others(&self) -> impl Iterator<Item = &Other> {
        self.trial.iter().flat_map(|trial| &trial.others)
    }

    /// Understands a webhook. What was signed, or sent, for one of before a swap is that one's still: a provider has
    /// it on its way when its credentials change, or sends nothing more once it was refused. So it is after one was put back.
    ///
    /// # Errors
    /// [`CallFailed`] of the instance that is called.
    pub async fn receive(
        &self,
        instance: &Instance,
        request: &Webhook<'_>,
    ) -> Result<Result<Received, Rejection>, CallFailed> {
        let mut answer = instance.receive(request).await;
        let may_be_of_before = match &answer {
            Ok(Err(Rejection::NotAuthentic(_) | Rejection::NotUnderstood(_)))
            | Err(CallFailed::Plugin { .. }) => true,
            // Whoever sent it waits for long enough already, and sends it again.
            Ok(Ok(_) | Err(Rejection::TryAgain(_)))
            | Err(CallFailed::TimedOut { .. } | CallFailed::NotBegun { .. }) => false,
        };
        for other in self.others().filter(|_| may_be_of_before) {
            let taken = other.instance.receive(request).await;
            if matches!(taken, Ok(Ok(_))) {
                answer = taken;
                break;
            }
        }
        if matches!(answer, Ok(Err(Rejection::NotAuthentic(_)))) {
            self.counters.rejected.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Whether the new instance has shown what it is.
    pub(super) fn verdict(&self, terms: Swaps) -> Verdict {
        /// A provider that hasn't changed its credentials by then hasn't heard of it.
        const LONGEST: Duration = Duration::from_secs(3600);
        let (Some(trial), Ok(instance)) = (&self.trial, &self.state) else { return Verdict::Good };
        let (done, failed) = instance.tally().ended();
        let share = failed * 100 / (done + failed).max(1);
        let fails =
            failed >= u64::from(terms.least_failures) && share >= u64::from(terms.most_failing);
        if trial.is_new && fails {
            return Verdict::Bad(format!("{failed} of {} calls failed", done + failed));
        }
        let since = trial.began.elapsed();
        // Whoever calls us goes by what was before: their messages would be lost.
        let is_of_others = instance.tally().webhooks() == trial.taken_by_then
            && trial.others.iter().any(Other::has_taken_more);
        match since >= terms.watch && !(is_of_others && since < LONGEST) {
            true => Verdict::Good,
            false => Verdict::Open,
        }
    }
}

impl Trial {
    /// As many are kept at most.
    const MOST_OTHERS: usize = 8;

    /// Of an instance that takes the place of what is called here: that is kept, with those that were kept beside it. Those
    /// that are too many don't count any more.
    pub fn of_new(known: &Slot) -> (Option<Self>, Vec<Arc<Instance>>) {
        let Ok(before) = &known.state else { return (None, Vec::new()) };
        let others = known.others().map(|other| other.instance.clone());
        let mut all: Vec<_> = iter::once(before.clone()).chain(others).collect();
        let too_many = all.split_off(all.len().min(Self::MOST_OTHERS));
        (Some(Self::of(0, true, all)), too_many)
    }

    fn of(taken_by_then: u64, is_new: bool, others: Vec<Arc<Instance>>) -> Self {
        let others = others.into_iter().map(|instance| {
            let taken_by_then = instance.tally().webhooks();
            Other { instance, taken_by_then }
        });
        Self { began: Instant::now(), is_new, taken_by_then, others: others.collect() }
    }

    /// The one that is put back if this one fails: the newest that has shown that it works, or else the oldest.
    pub fn last_good(&self) -> Option<&Arc<Instance>> {
        let works = |other: &&Other| {
            let (done, failed) = other.instance.tally().ended();
            done > failed
        };
        let good = self.others.iter().find(works).or(self.others.last());
        good.map(|other| &other.instance)
    }

    /// It is put back: what was called instead of it is kept for a while.
    pub fn of_one_put_back(&self, good: &Arc<Instance>, failed: &Arc<Instance>) -> Self {
        let others = self.others.iter().map(|other| other.instance.clone());
        let others = others.filter(|other| !Arc::ptr_eq(other, good));
        let all = iter::once(failed.clone()).chain(others).collect();
        Self::of(good.tally().webhooks(), false, all)
    }
}

impl Other {
    fn has_taken_more(&self) -> bool {
        self.instance.tally().webhooks() > self.taken_by_then
    }
}
