//! A queue's settings, from the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decision::OverflowReason;
use crate::hours::Hours;
use crate::ids::{HoursId, QueueId};
use crate::queue::{Demand, Order, StrategyName};
use crate::skills::Relaxation;
use crate::time::{Span, Timestamp};

/// What to do with an item that overflows (ROUTE-11).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OverflowAction {
    /// It goes to another queue, age kept.
    Queue(QueueId),
    /// The customer gets this text, once; the item goes on waiting. `{position}` and `{wait}` (in
    /// minutes) are filled in.
    Message(String),
    /// The conversation ends, after this text.
    End(Option<String>),
}

/// An overflow rule. The first one that applies, and hasn't been applied to the item, counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overflow {
    /// When.
    pub when: OverflowReason,
    /// What.
    pub then: OverflowAction,
}

/// Which hours the queue keeps (HOURS-01). The customer's language goes first, then the queue's own,
/// then those of the item's channel or of the whole deployment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct QueueHours {
    /// The queue's own.
    pub own: Option<HoursId>,
    /// By language, as `de`.
    pub by_language: BTreeMap<String, HoursId>,
    /// All hours of the configuration.
    pub tables: BTreeMap<HoursId, Arc<Hours>>,
}

impl QueueHours {
    /// The hours that count for items of this sort; `None`: always open.
    pub fn of(&self, demand: &Demand) -> Option<&Arc<Hours>> {
        let by_language = self.by_language.get(&demand.language);
        let id = by_language.or(self.own.as_ref()).or(demand.hours.as_ref())?;
        self.tables.get(id)
    }
}

/// All of them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// In which order items are given out (ROUTE-03).
    pub order: Order,
    /// Who gets them (ROUTE-05).
    pub strategy: StrategyName,
    /// In the order of their times (ROUTE-12).
    pub relax: Vec<Relaxation>,
    /// In order (ROUTE-11).
    pub overflow: Vec<Overflow>,
    /// HOURS-01.
    pub hours: QueueHours,
    /// After a start with open work, nobody is missed for this long: agents are still signing in.
    pub settling: Span,
}

impl Settings {
    /// The next moment at which an item that waits since then is to be looked at.
    pub(super) fn next_step(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let relaxations = self.relax.iter().map(|step| step.after);
        let waits = self.overflow.iter().filter_map(|rule| match rule.when {
            OverflowReason::Wait(ms) => Some(Span(ms)),
            _ => None,
        });
        relaxations.chain(waits).map(|after| since + after).filter(|at| *at > now).min()
    }

    /// How many relaxation steps an item of this age has been through.
    pub(super) fn stage(&self, since: Timestamp, now: Timestamp) -> u8 {
        let steps = self.relax.iter().filter(|step| since + step.after <= now).count();
        u8::try_from(steps).unwrap_or(u8::MAX)
    }
}
