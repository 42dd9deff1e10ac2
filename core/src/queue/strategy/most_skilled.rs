//! The highest levels, added up over what the item asks for; on a tie, the most spare capacity.

use super::{Candidate, HighestSpareCapacity, Rank, Strategy};
use crate::capacity::ChannelKind;
use crate::skills::Level;

pub(super) struct MostSkilled;

impl Strategy for MostSkilled {
    fn rank(&self, member: &Candidate, kind: ChannelKind) -> Rank {
        HighestSpareCapacity.rank(member, kind)
    }

    fn compares_fit(&self) -> bool {
        true
    }

    fn fit(&self, levels: &mut dyn Iterator<Item = Level>) -> u32 {
        levels.map(u32::from).sum()
    }
}
