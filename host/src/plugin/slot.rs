//! What stands under a name: the instance that is called, and for a while the one that was called before it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cordboard_sdk::{Received, Rejection};

use super::instance::{CallFailed, Instance, Webhook};
use super::origin::{Origin, Refused};
use super::tally::Counters;
use crate::config::Swaps;
use crate::journal::Repeater;

/// A channel, or a strategy, and whether it works. It isn't changed: another takes its place.
#[derive(Clone)]
pub struct Slot {
    /// The instance that is called, or why there is none.
    pub state: Result<Arc<Instance>, String>,
    /// What providers and operators know it by (CH-15).
    pub callback_url: String,
    /// Who is asked if something is to be sent once more: nobody, if it doesn't recognise that.
    pub repeats: Repeater,
    /// Of all that have stood here.
    pub counters: Arc<Counters>,
    /// What the state was made of.
    pub(super) origin: Origin,
    /// While it isn't known yet whether the instance does as well.
    pub(super) trial: Option<Trial>,
    /// Another that should have been put here and wasn't.
    pub(super) refused: Option<Refused>,
}

/// An instance is new here: the one of before is kept, and takes what only that understands.
#[derive(Clone)]
pub(super) struct Trial {
    /// The one of before.
    pub before: Arc<Instance>,
    /// Since then.
    pub began: Instant,
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

    /// Whether a plugin that stands here wants to see a header of webhooks.
    pub fn looks_at(&self, header: &str) -> bool {
        let new = self.state.as_ref().is_ok_and(|instance| instance.looks_at(header));
        new || self.trial.as_ref().is_some_and(|trial| trial.before.looks_at(header))
    }

    /// Why another isn't in its place that should be.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_ref().map(|refused| refused.why.as_str())
    }

    /// Whether its instance is new here, and the one of before is kept.
    pub fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Understands a webhook. What was signed, or sent, for the one of before a swap is that one's still: a provider has
    /// it on its way when its credentials change, or sends nothing more once it was refused.
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
            Ok(Err(Rejection::NotAuthentic(_) | Rejection::NotUnderstood(_))) | Err(_) => true,
            Ok(Ok(_) | Err(Rejection::TryAgain(_))) => false,
        };
        if may_be_of_before && let Some(trial) = &self.trial {
            let taken = trial.before.receive(request).await;
            if matches!(taken, Ok(Ok(_))) {
                answer = taken;
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
        if failed >= u64::from(terms.least_failures) && share >= u64::from(terms.most_failing) {
            return Verdict::Bad(format!("{failed} of {} calls failed", done + failed));
        }
        let since = trial.began.elapsed();
        // Whoever calls us goes by what was before: their messages would be lost.
        let is_of_before = instance.tally().webhooks() == 0 && trial.before_takes_still();
        match since >= terms.watch && !(is_of_before && since < LONGEST) {
            true => Verdict::Good,
            false => Verdict::Open,
        }
    }
}

impl Trial {
    pub fn of(before: Arc<Instance>) -> Self {
        before.tally().begins_to_count();
        Self { before, began: Instant::now() }
    }

    /// Whether the one of before has taken any webhook since.
    fn before_takes_still(&self) -> bool {
        self.before.tally().counted() > 0
    }
}
