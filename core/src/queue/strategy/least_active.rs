//! The fewest conversations in hand, of any kind; on a tie, the longest without an assignment.

use super::{Candidate, Rank, Strategy};
use crate::capacity::ChannelKind;

pub(super) struct LeastActive;

impl Strategy for LeastActive {
    fn rank(&self, member: &Candidate, _: ChannelKind) -> Rank {
        Rank(u64::from(member.active), Rank::time(member.last_assigned))
    }
}
