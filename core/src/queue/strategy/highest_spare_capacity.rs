//! The most places left for the item's kind; on a tie, the longest without an assignment.

use super::{Candidate, Rank, Strategy};
use crate::capacity::ChannelKind;

pub(super) struct HighestSpareCapacity;

impl Strategy for HighestSpareCapacity {
    fn rank(&self, member: &Candidate, kind: ChannelKind) -> Rank {
        let used_up = u64::from(u16::MAX - member.spare_for(kind));
        Rank(used_up, Rank::time(member.last_assigned))
    }
}
