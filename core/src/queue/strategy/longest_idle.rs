//! The longest without any work. Whoever has some isn't idle and comes after those who have none,
//! the longest without an assignment first.

use super::{Candidate, Rank, Strategy};
use crate::capacity::ChannelKind;

pub(super) struct LongestIdle;

impl Strategy for LongestIdle {
    fn rank(&self, member: &Candidate, _: ChannelKind) -> Rank {
        match member.active {
            0 => Rank(0, Rank::time(member.idle_since)),
            _ => Rank(1, Rank::time(member.last_assigned)),
        }
    }
}
