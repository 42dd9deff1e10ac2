//! Who goes first among those who may have an item (ROUTE-05). A strategy is a small type that
//! gives each member a rank; another one is one file and one line in `Strategy::of`.

mod highest_spare_capacity;
mod least_active;
mod longest_idle;
mod most_skilled;
mod round_robin;

use serde::{Deserialize, Serialize};

use crate::capacity::ChannelKind;
use crate::skills::Level;
use crate::time::Timestamp;

use highest_spare_capacity::HighestSpareCapacity;
use least_active::LeastActive;
use longest_idle::LongestIdle;
use most_skilled::MostSkilled;
use round_robin::RoundRobin;

/// A queue's strategy, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyName {
    /// The most places left for the item's kind; then the longest without an assignment.
    #[default]
    HighestSpareCapacity,
    /// In turn.
    RoundRobin,
    /// The longest without any work; those who have some come last.
    LongestIdle,
    /// The highest levels in what the item asks for.
    MostSkilled,
    /// The fewest conversations in hand.
    LeastActive,
    /// What a strategy plugin says, by the plugin's name in the configuration.
    Plugin(String),
}

impl StrategyName {
    /// As it is written in the configuration.
    pub fn as_str(&self) -> &str {
        match self {
            Self::HighestSpareCapacity => "highest_spare_capacity",
            Self::RoundRobin => "round_robin",
            Self::LongestIdle => "longest_idle",
            Self::MostSkilled => "most_skilled",
            Self::LeastActive => "least_active",
            Self::Plugin(name) => name,
        }
    }
}

/// A member as strategies see it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Places left per kind, less what has been asked for and not been answered yet.
    pub spare: [u16; 4],
    /// Conversations in hand, asked-for ones included.
    pub active: u16,
    /// When they last got work.
    pub last_assigned: Timestamp,
    /// Since when they have had none.
    pub idle_since: Timestamp,
    /// The number of this queue's last item that they were offered; 0: none yet.
    pub turn: u64,
}

impl Candidate {
    /// Places left for a kind.
    pub fn spare_for(&self, kind: ChannelKind) -> u16 {
        self.spare[kind.index()]
    }
}

/// A place in the order: lower goes first. Equal ones go in the order in which they joined.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Rank(pub u64, pub u64);

impl Rank {
    /// Earlier goes first.
    pub fn time(at: Timestamp) -> u64 {
        u64::try_from(at.0).unwrap_or(0)
    }
}

/// One way to choose.
pub trait Strategy: Sync {
    /// The member's place in the order for items of this kind.
    fn rank(&self, member: &Candidate, kind: ChannelKind) -> Rank;

    /// Whether [`Strategy::fit`] matters: then all who may have the item are compared by it, and
    /// the rank only settles ties.
    fn compares_fit(&self) -> bool {
        false
    }

    /// How well a member's levels, in the order of the item's requirements, suit it: higher is
    /// better.
    fn fit(&self, _levels: &mut dyn Iterator<Item = Level>) -> u32 {
        0
    }
}

impl dyn Strategy {
    /// The type behind the name. A plugin is asked later; what it gets to choose from, and what
    /// counts if it fails, is the default's order.
    pub fn of(name: &StrategyName) -> &'static dyn Strategy {
        match name {
            StrategyName::HighestSpareCapacity | StrategyName::Plugin(_) => &HighestSpareCapacity,
            StrategyName::RoundRobin => &RoundRobin,
            StrategyName::LongestIdle => &LongestIdle,
            StrategyName::MostSkilled => &MostSkilled,
            StrategyName::LeastActive => &LeastActive,
        }
    }
}
