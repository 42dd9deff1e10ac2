//! What an agent's machine can be told, what it journals, and what it refuses.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent::Settings;
use crate::capacity::{ChannelKind, Load};
use crate::ids::{ConversationId, OfferId};
use crate::offer::{ByHand, Outcome, Reserve};
use crate::presence::{Attendance, BaseStatus, Presence, StatusSet};
use crate::time::Timestamp;

/// An input of [`super::Agent::handle`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Input {
    /// A screen connected.
    Connected,
    /// A screen's connection ended.
    Disconnected {
        /// When it was last heard of: a line that breaks silently is noticed later.
        heard_at: Timestamp,
    },
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
    /// The agent takes a conversation up by hand (ROUTE-10, ROUTE-14, CONV-02).
    Pick {
        /// Which conversation.
        conversation: ConversationId,
        /// What it takes.
        load: Load,
        /// Whether they may go beyond their capacity.
        beyond: bool,
        /// In which way.
        by_hand: ByHand,
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
    /// After a restart: the conversation says that it is this agent's (CAP-04). All of these come
    /// before [`Input::Recall`].
    Restore {
        /// Which conversation.
        conversation: ConversationId,
        /// What it takes; nothing for one that is only followed.
        load: Option<Load>,
        /// Where it believes the agent to be, and has drawn its conclusions from; nothing: by other
        /// settings than today's.
        attendance: Option<Attendance>,
    },
    /// After a restart: the agent's presence as it was (PRES-04), if it was ever written down.
    Recall {
        /// What was written last.
        standing: Option<KeptPresence>,
        /// When the last run was last known to live: until then a screen was connected that no
        /// disconnection was seen of.
        alive_until: Timestamp,
    },
    /// The conversation no longer takes a place.
    Release {
        /// Which conversation.
        conversation: ConversationId,
        /// It is theirs all the same, and wants to hear when they go (ROUTE-18).
        followed: bool,
    },
    /// It is theirs, by the word of a colleague whom they advised: they have a place for it.
    Entrusted {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// A conversation that takes no place wants to hear, or no longer, when the agent goes.
    Follow {
        /// Which conversation.
        conversation: ConversationId,
        /// It wants to.
        follows: bool,
    },
    /// A label has changed in the configuration (PRES-01).
    Relabel {
        /// What it was called.
        label: String,
        /// What it stands for now, and what it is called; none: it is gone.
        to: Option<(BaseStatus, String)>,
    },
    /// The configuration has changed (ROUTE-17).
    Configure(Arc<Settings>),
    /// The agent is configured no longer.
    Retire,
    /// The host stops: offers are taken back, presence is kept for the next start.
    Stop,
    /// A deadline may have come.
    Wake,
}

/// What is written down of an agent's presence, so that a restart finds it as it was (PRES-04).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptPresence {
    /// Signed in: a screen is connected, or was less than the grace ago.
    pub present: bool,
    /// The status that isn't computed, and where it comes from.
    pub chosen: Option<Presence>,
    /// When the last screen's connection ended; `None`: one is connected.
    pub lost_at: Option<Timestamp>,
    /// Offers that expired one after the other (PRES-07).
    pub missed_in_a_row: u32,
    /// When they last got work, and since when they have had none: strategies go by it (ROUTE-05).
    pub last_assigned: Timestamp,
    /// See above.
    pub idle_since: Timestamp,
    /// Where they are, and since when, as conversations were told or were about to be: a customer who
    /// wrote after that wrote to nobody, however often the host was restarted since (ROUTE-19).
    pub attendance: Attendance,
    /// See above.
    pub absent_since: Timestamp,
    /// Which sign-in this is: who has refused an item isn't offered it in the same one (ROUTE-04).
    pub sign_in: u64,
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
