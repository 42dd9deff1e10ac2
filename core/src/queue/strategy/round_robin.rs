//! In turn: whoever was offered something here longest ago goes first.

use super::{Candidate, Rank, Strategy};
use crate::capacity::ChannelKind;

pub(super) struct RoundRobin;

impl Strategy for RoundRobin {
    fn rank(&self, member: &Candidate, _: ChannelKind) -> Rank {
        Rank(member.turn, 0)
    }
}
