//! How fast the line moves, and from it the estimated wait (ROUTE-16).
//!
//! Method: the time between two items that leave the line to an agent, while others wait, times the
//! agents who are signed in, is what one agent takes for an item. Its mean (of all there were, and from
//! the hundredth on exponentially, each new one weighing a hundredth) times the number of items up to
//! and including the one asked for, shared among the agents there are now, is the estimate. So it
//! follows at once when agents come or go, and is calm otherwise. Its error is measured against that of
//! an estimator that knows the truth (`host/src/simulate/theory.rs`), and by `cordboard simulate`.

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pace {
    /// The last departure, or when the line began to fill, whichever is later; nothing while the line is
    /// empty: a night isn't a gap.
    from: Option<Timestamp>,
    /// What one agent takes for an item, in milliseconds.
    each: f64,
    /// Departures that it is the mean of.
    seen: u32,
}

impl Pace {
    /// From then on the past fades.
    const MEMORY: u32 = 100;

    /// An item begins to wait in a line that was empty.
    pub fn begins(&mut self, now: Timestamp) {
        self.from.get_or_insert(now);
    }

    /// Nothing waits any more, whatever became of the last one.
    pub fn emptied(&mut self) {
        self.from = None;
    }

    /// An item has left the line to one of so many agents; `more` wait behind it.
    pub fn departed(&mut self, now: Timestamp, agents: usize, more: bool) {
        if let Some(from) = self.from {
            let took = (now.0 - from.0).max(0) as f64 * agents.max(1) as f64;
            self.seen = (self.seen + 1).min(Self::MEMORY);
            self.each += (took - self.each) / f64::from(self.seen);
        }
        self.from = more.then_some(now);
    }

    /// How long the item at this position (from 1) will wait for so many agents; `None` before anybody
    /// has waited.
    pub fn estimate(&self, position: usize, agents: usize) -> Option<Span> {
        let each = (self.seen > 0).then_some(self.each)?;
        Some(Span((each * position as f64 / agents.max(1) as f64).round() as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // ROUTE-16
    #[test]
    fn a_night_is_no_gap_and_agents_who_come_count_at_once() {
        let mut pace = Pace::default();
        assert_eq!(pace.estimate(1, 2), None);
        pace.begins(Timestamp(0));
        for n in 1..=10 {
            pace.departed(Timestamp(n * 1000), 2, true);
        }
        assert_eq!(pace.estimate(4, 2), Some(Span(4000)));
        assert_eq!(pace.estimate(4, 4), Some(Span(2000)));
        // The last one gives up in the evening, and the next comes in the morning.
        pace.emptied();
        pace.begins(Timestamp(50_000_000));
        pace.departed(Timestamp(50_001_000), 2, false);
        assert_eq!(pace.estimate(4, 2), Some(Span(4000)));
    }
}
