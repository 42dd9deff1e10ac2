//! What an agent's machine can be told, what it journals, and the one thing it refuses.

use serde::{Deserialize, Serialize};

use crate::capacity::Load;
use crate::ids::{ConversationId, OfferId};
use crate::offer::{Outcome, Reserve};
use crate::presence::{BaseStatus, Presence, StatusSet};

/// An input of [`super::Agent::handle`].
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// A screen connected.
    Connected,
    /// A screen's connection ended.
    Disconnected,
    /// The agent signed out.
    SignOut,
    /// The agent chose a status and its label, or went back to the computed one.
    SetPresence(Option<(BaseStatus, String)>),
    /// A queue asks for a place.
    Reserve(Reserve),
    /// The agent accepts on screen.
    Accept {
        /// Which offer.
        offer: OfferId,
    },
    /// The agent refuses on screen.
    Refuse {
        /// Which offer.
        offer: OfferId,
    },
    /// The queue takes the offer back.
    Withdraw {
        /// Which offer.
        offer: OfferId,
    },
    /// The conversation is this agent's.
    Confirmed {
        /// Through which offer.
        offer: OfferId,
    },
    /// The conversation couldn't be this agent's after all.
    Rejected {
        /// Which offer.
        offer: OfferId,
    },
    /// A waiting conversation's customer is back; is there a place (ROUTE-09)?
    Reoccupy {
        /// Which conversation.
        conversation: ConversationId,
        /// What it takes.
        load: Load,
        /// Base statuses that the workstream allows.
        allowed: StatusSet,
    },
    /// The agent took it up by hand; it is held whatever the limits say.
    HoldByHand {
        /// Which conversation.
        conversation: ConversationId,
        /// What it takes.
        load: Load,
    },
    /// After a restart: the conversation says that it occupies this agent (CAP-04).
    Restore {
        /// Which conversation.
        conversation: ConversationId,
        /// What it takes.
        load: Load,
    },
    /// The conversation no longer takes a place.
    Release {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// A deadline may have come.
    Wake,
}

/// What is kept of an agent's day. Nothing is rebuilt from it: it is history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Presence has changed.
    PresenceChanged {
        /// To this.
        presence: Presence,
    },
    /// An offer was made.
    Offered {
        /// Which.
        offer: OfferId,
        /// Of what.
        conversation: ConversationId,
    },
    /// An offer ended.
    OfferEnded {
        /// Which.
        offer: OfferId,
        /// How.
        outcome: Outcome,
    },
}

/// The offer has expired, was withdrawn, or has been answered already.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("offer {offer} is over: it expired, was withdrawn or has been answered")]
pub struct OfferGone {
    /// Which.
    pub offer: OfferId,
}
