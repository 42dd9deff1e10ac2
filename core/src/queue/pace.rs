//! How fast the line moves, and from it the estimated wait (ROUTE-16).
//!
//! Method: the time between two items that leave the line to an agent, while others wait, is
//! averaged (exponentially, each new gap weighs a twentieth); the estimate is that average times the
//! number of items up to and including the one asked for. Its error is measured by simulation
//! (`cordboard simulate`).

use crate::time::{Span, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last departure, or when the line began to fill, whichever is later.
    from: Option<Timestamp>,
    /// Milliseconds.
    gap: Option<f64>,
}

impl Pace {
    const WEIGHT: f64 = 0.05;

    /// An item begins to wait in a line that was empty.
    pub fn begins(&mut self, now: Timestamp) {
        self.from.get_or_insert(now);
    }

    /// An item has left the line to an agent; `more` wait behind it.
    pub fn departed(&mut self, now: Timestamp, more: bool) {
        if let Some(from) = self.from {
            let gap = (now.0 - from.0).max(0) as f64;
            self.gap = Some(self.gap.map_or(gap, |mean| mean + Self::WEIGHT * (gap - mean)));
        }
        self.from = more.then_some(now);
    }

    /// How long the item at this position (from 1) will wait; `None` before anybody has waited.
    pub fn estimate(&self, position: usize) -> Option<Span> {
        self.gap.map(|gap| Span((gap * position as f64).round() as i64))
    }
}
