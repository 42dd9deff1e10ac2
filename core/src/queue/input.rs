//! What a queue can be told.

use crate::capacity::{ChannelKind, Load};
use crate::ids::{AgentId, ConversationId, OfferId};
use crate::offer::{Outcome, Refusal};
use crate::presence::BaseStatus;
use crate::queue::Item;
use crate::time::Timestamp;

/// What a member last said of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberState {
    /// Base status.
    pub status: BaseStatus,
    /// Places left per kind.
    pub spare: [u16; 4],
    /// Units left.
    pub spare_units: u32,
    /// When it last got work.
    pub last_assigned: Timestamp,
}

impl MemberState {
    /// Whether the load would fit.
    pub fn fits(&self, load: Load) -> bool {
        self.spare_for(load.kind) > 0 && self.spare_units >= load.units.0
    }

    /// Places left for a kind.
    pub fn spare_for(&self, kind: ChannelKind) -> u16 {
        self.spare[kind.index()]
    }
}

/// An input of [`super::Queue::handle`].
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// An item waits. One that is here already is left as it is.
    Enqueue(Item),
    /// The item has ended.
    Remove {
        /// Which.
        conversation: ConversationId,
    },
    /// The item is somebody's.
    Taken {
        /// Which.
        conversation: ConversationId,
        /// Through which offer.
        offer: OfferId,
    },
    /// A member's state.
    Member {
        /// Who.
        agent: AgentId,
        /// What it says.
        state: MemberState,
    },
    /// The agent has set a place aside and shows the offer.
    Reserved {
        /// Which offer.
        offer: OfferId,
    },
    /// The agent has no place.
    NotReserved {
        /// Which offer.
        offer: OfferId,
        /// Why.
        reason: Refusal,
    },
    /// An offer on screen came to nothing.
    OfferEnded {
        /// Which offer.
        offer: OfferId,
        /// How it ended.
        outcome: Outcome,
    },
}
