//! What an agent's machine can be told, what it journals, and what it refuses.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::Settings;
use crate::capacity::{ChannelKind, Load};
use crate::ids::{ConversationId, OfferId};
use crate::offer::{Outcome, Reserve};
use crate::presence::{BaseStatus, Presence, StatusSet};

/// An input of [`super::Agent::handle`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Input {
    /// A screen connected.
    Connected {
        /// The same page had been connected before: a short break, not a sign-in or refresh.
        resumed: bool,
    },
    /// A screen's connection ended.
    Disconnected,
    /// The agent signed out.
    SignOut,
    /// The agent is doing something (PRES-06).
    Activity,
    /// The agent chose a status and its label, or went back to the computed one.
    SetPresence(Option<(BaseStatus, String)>),
    /// A queue, or a conversation that is handed over, asks for a place.
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
    /// Whoever made the offer takes it back.
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
    /// The agent takes waiting work by hand (ROUTE-10, ROUTE-14).
    Pick {
        /// Which conversation.
        conversation: ConversationId,
        /// What it takes.
        load: Load,
        /// Whether they may go beyond their capacity.
        beyond: bool,
    },
    /// A waiting conversation's customer is back; is there a place (ROUTE-09)?
    Reoccupy {
        /// Which conversation.
        conversation: ConversationId,
        /// What it takes.
        load: Load,
        /// Base statuses that the workstream allows.
        allowed: StatusSet,
        /// To be repeated in the answer.
        question: u32,
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
    /// The configuration has changed (ROUTE-17).
    Configure(Arc<Settings>),
    /// The agent is configured no longer.
    Retire,
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

/// Why a command was refused. Nothing changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The offer has expired, was withdrawn, or has been answered already.
    #[error("offer {offer} is over: it expired, was withdrawn or has been answered")]
    OfferGone {
        /// Which.
        offer: OfferId,
    },
    /// PRES-08.
    #[error(
        "a light agent has no status and takes no work; an administrator can change `light` in the configuration"
    )]
    Light,
    /// Nobody is there who could do it.
    #[error("you are offline: open the console first")]
    Offline,
    /// No place, and no permission to go beyond.
    #[error("you have no capacity left for {}; finish something first, or ask for the permission `self_assign`", .kind.as_str())]
    NoPlace {
        /// For this kind.
        kind: ChannelKind,
    },
    /// It is held or on offer already.
    #[error("this conversation is yours or on offer to you already")]
    AlreadyThere,
}
