//! What a queue can be told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::{ChannelKind, Load};
use crate::ids::{AgentId, ConversationId, OfferId};
use crate::offer::{Outcome, Refusal};
use crate::presence::BaseStatus;
use crate::queue::{Item, Settings};
use crate::skills::Skills;
use crate::time::Timestamp;

/// What a member last said of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberState {
    /// Base status.
    pub status: BaseStatus,
    /// Places left per kind.
    pub spare: [u16; 4],
    /// Units left.
    pub spare_units: u32,
    /// Conversations in hand.
    pub active: u16,
    /// When it last got work.
    pub last_assigned: Timestamp,
    /// Since when it has had none.
    pub idle_since: Timestamp,
    /// Which sign-in this is: a greater number than any before.
    pub sign_in: u64,
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
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Input {
    /// An item waits. One that is here already keeps what it has been through, and gets the new
    /// requirements and priority.
    Enqueue(Box<Item>),
    /// The same after a restart.
    Recover(Box<Item>),
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
        /// What it knows; none: what it said before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skills: Option<Arc<Skills>>,
    },
    /// Somebody is a member no longer; offers to them are taken back.
    Leave {
        /// Who.
        agent: AgentId,
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
    /// A strategy plugin has answered; empty: it couldn't, and the default order counts.
    Judged {
        /// For which item.
        conversation: ConversationId,
        /// The number of the question.
        question: u64,
        /// Best first.
        order: Vec<AgentId>,
    },
    /// The configuration is about to change: nothing is given out until [`Input::GoOn`], so that
    /// nothing goes by the queue's new settings to those who were members under the old ones.
    Hold,
    /// The configuration has changed (ROUTE-17).
    Configure(Arc<Settings>),
    /// All that changes has changed.
    GoOn,
    /// The queue is configured no longer: all its items go back to their conversations.
    Close,
    /// A deadline may have come.
    Wake,
}
