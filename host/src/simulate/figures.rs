//! What a simulation measures.

use std::collections::BTreeMap;

use serde::Serialize;

/// A queue's figures. Times are in seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QueueFigures {
    /// Customers who came here first.
    pub came: u64,
    /// Customers whom an agent took from here.
    pub served: u64,
    /// Customers who gave up here.
    pub abandoned: u64,
    /// Customers who left by an overflow rule.
    pub overflowed: u64,
    /// Served within the service level.
    pub in_time: u64,
    /// Agents were busy with its customers for so long, in seconds, added up.
    pub handled: f64,
    /// The same, of the time that its members were signed in; above 1 where they have several
    /// customers in hand.
    pub occupancy: f64,
    /// Waits of those who were served, in milliseconds.
    #[serde(skip)]
    pub waits: Vec<u32>,
    /// The same by the items' priority.
    #[serde(skip)]
    pub waits_by_priority: BTreeMap<i32, Waits>,
    /// Estimated and real waits of those who were told an estimate, in milliseconds.
    #[serde(skip)]
    pub estimates: Vec<(u32, u32)>,
    /// Waiting items at each minute.
    #[serde(skip)]
    pub lengths: Vec<u32>,
}

/// Waits, added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    /// How many.
    pub count: u64,
    /// Together, in milliseconds.
    pub sum: u64,
}

impl Waits {
    /// One more.
    pub fn add(&mut self, ms: u32) {
        self.count += 1;
        self.sum += u64::from(ms);
    }

    /// The mean, in seconds.
    pub fn mean_seconds(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 / 1000.0 }
    }
}

impl QueueFigures {
    /// The mean wait of those who were served.
    pub fn mean_wait(&self) -> f64 {
        mean(self.waits.iter().map(|ms| f64::from(*ms))) / 1000.0
    }

    /// The wait that `percent` of a hundred didn't exceed.
    pub fn wait_percentile(&self, percent: f64) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let last = waits.len().saturating_sub(1) as f64;
        let index = (percent / 100.0 * last).round() as usize;
        waits.get(index).map_or(0.0, |ms| f64::from(*ms) / 1000.0)
    }

    /// Served in time, of those who came to an end here.
    pub fn service_level(&self) -> f64 {
        ratio(self.in_time, self.served + self.abandoned)
    }

    /// Gave up, of those who came to an end here.
    pub fn abandonment(&self) -> f64 {
        ratio(self.abandoned, self.served + self.abandoned)
    }

    /// Mean absolute error of the estimates, and mean of estimate less wait, in seconds.
    pub fn estimate_error(&self) -> Option<(f64, f64)> {
        if self.estimates.is_empty() {
            return None;
        }
        let errors = self.estimates.iter().map(|(told, real)| f64::from(*told) - f64::from(*real));
        let bias = mean(errors.clone()) / 1000.0;
        Some((mean(errors.map(f64::abs)) / 1000.0, bias))
    }
}

/// An agent's figures. Times are in seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AgentFigures {
    /// Customers they took.
    pub taken: u64,
    /// Offers they refused.
    pub refused: u64,
    /// Offers they let expire.
    pub missed: u64,
    /// Signed in for so long.
    pub signed_in: f64,
    /// Had at least one customer in hand for so long.
    pub busy: f64,
}

impl AgentFigures {
    /// Busy, of the time signed in.
    pub fn occupancy(&self) -> f64 {
        if self.signed_in > 0.0 { self.busy / self.signed_in } else { 0.0 }
    }
}

/// All of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Customers who came.
    pub came: u64,
    /// Simulated time, in seconds.
    pub simulated: f64,
    /// By queue.
    pub queues: BTreeMap<String, QueueFigures>,
    /// By agent.
    pub agents: BTreeMap<String, AgentFigures>,
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}
