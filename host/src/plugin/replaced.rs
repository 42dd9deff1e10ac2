//! Instances whose place another has taken: calls in flight end, then they are closed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::instance::Instance;

/// They wait here for their last calls.
#[derive(Default)]
pub struct Replaced(Mutex<Vec<Draining>>);

struct Draining {
    instance: Arc<Instance>,
    since: Instant,
    /// It was said that it doesn't end.
    is_said: bool,
}

/// How many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Until it is known whether what has taken their place does as well.
    pub on_trial: usize,
    /// They are called still.
    pub draining: usize,
}

impl Replaced {
    /// As many that don't end are too many: another swap would add one.
    pub const MOST: usize = 64;
    /// A call is given up before that.
    const ENDS_WITHIN: Duration = Duration::from_secs(35);

    /// It isn't called any more from now on.
    pub fn drain(&self, instance: Arc<Instance>) {
        let draining = Draining { instance, since: Instant::now(), is_said: false };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(draining);
    }

    /// How many are called still.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Those that nobody calls any more. One that doesn't end is said once, and stays.
    pub fn ended(&self) -> Vec<Arc<Instance>> {
        let mut ended = Vec::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain_mut(|draining| {
            if Arc::strong_count(&draining.instance) == 1 && !draining.instance.is_stuck() {
                ended.push(draining.instance.clone());
                return false;
            }
            if draining.since.elapsed() > Self::ENDS_WITHIN && !draining.is_said {
                draining.is_said = true;
                tracing::warn!(
                    channel = draining.instance.id(),
                    "an instance whose place another has taken is called still, and can't be closed"
                );
            }
            true
        });
        ended
    }
}
