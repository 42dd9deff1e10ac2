//! The agent: presence, capacity and the offers that are out. It alone says yes or no to its own
//! capacity, so two queues can't take the same place.

mod availability;
mod input;
mod offers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::{ChannelKind, Ledger, Limits, Load};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, ConversationId, OfferId, QueueId};
use crate::notice::{Notice, OfferView, Usage};
use crate::presence::{BaseStatus, Presence};
use crate::queue::{self, MemberState};
use crate::time::{Span, Timestamp};

pub use input::{Event, Input, OfferGone};

/// An agent's settings, from the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Member of these queues.
    pub queues: Vec<QueueId>,
    /// CAP-01.
    pub limits: Limits,
    /// Set at sign-in; `None`: computed from used capacity (PRES-05).
    pub default_presence: Option<BaseStatus>,
    /// How long presence outlives the last screen (PRES-04).
    pub grace: Span,
}

impl Settings {
    /// The defaults of features.md for a member of these queues.
    pub fn with_defaults(queues: Vec<QueueId>) -> Self {
        Self {
            queues,
            limits: Limits::default(),
            default_presence: None,
            grace: Span::seconds(150),
        }
    }
}

/// An offer that is out.
#[derive(Clone, Debug)]
struct Offered {
    conversation: ConversationId,
    load: Load,
    at: Timestamp,
    deadline: Timestamp,
    /// Accepted on screen; the conversation hasn't answered yet. It can no longer expire.
    accepting: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Agent {
    id: AgentId,
    settings: Arc<Settings>,
    /// Screens that are connected now.
    screens: u32,
    /// Signed in: a screen is connected, or was less than the grace ago.
    present: bool,
    grace_until: Option<Timestamp>,
    chosen: Option<Presence>,
    ledger: Ledger,
    offers: BTreeMap<OfferId, Offered>,
    last_assigned: Timestamp,
    /// What queues and screens were last told.
    told: Option<(Presence, MemberState)>,
}

impl Agent {
    /// Nobody is signed in and nothing is held; recovery adds what is.
    pub fn new(id: AgentId, settings: Arc<Settings>) -> Self {
        Self {
            id,
            settings,
            screens: 0,
            present: false,
            grace_until: None,
            chosen: None,
            ledger: Ledger::default(),
            offers: BTreeMap::new(),
            last_assigned: Timestamp(0),
            told: None,
        }
    }

    /// The one entry. The only thing it refuses is an answer to an offer that is over.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), OfferGone> {
        match input {
            Input::Connected => self.on_connected(),
            Input::Disconnected => self.on_disconnected(now, fx),
            Input::SignOut => self.on_gone(fx),
            Input::SetPresence(presence) => self.on_set_presence(presence),
            Input::Reserve(reserve) => self.on_reserve(reserve, now, fx),
            Input::Accept { offer } => self.on_accept(offer, fx)?,
            Input::Refuse { offer } => self.on_refuse(offer, fx)?,
            Input::Withdraw { offer } => self.on_withdraw(offer, fx),
            Input::Confirmed { offer } => self.on_confirmed(offer, now, fx),
            Input::Rejected { offer } => self.on_rejected(offer, fx),
            Input::Reoccupy { conversation, load, allowed } => {
                self.on_reoccupy(conversation, load, allowed, fx);
            }
            Input::HoldByHand { conversation, load } | Input::Restore { conversation, load } => {
                self.ledger.hold(conversation, load);
            }
            Input::Release { conversation } => {
                self.ledger.release(conversation);
            }
            Input::Wake => self.on_wake(now, fx),
        }
        self.tell(fx);
        Ok(())
    }

    /// Who it is.
    pub fn id(&self) -> &AgentId {
        &self.id
    }

    /// What is held and reserved.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Offers that are out, for a screen that has just connected.
    pub fn open_offers(&self) -> Vec<OfferView> {
        self.offers
            .iter()
            .filter(|(_, offered)| !offered.accepting)
            .map(|(offer, offered)| view(offer, offered))
            .collect()
    }

    /// Load per kind.
    pub fn usage(&self) -> Vec<Usage> {
        let used = self.ledger.used();
        ChannelKind::ALL
            .into_iter()
            .map(|kind| Usage {
                kind,
                used: used.of(kind),
                limit: self.settings.limits.counts.of(kind),
            })
            .collect()
    }

    /// Tells queues and screens what has changed since they were last told.
    fn tell(&mut self, fx: &mut Effects) {
        let presence = self.presence();
        let state = self.member_state(presence.status);
        let (told_presence, told_state) = match &self.told {
            Some((presence, state)) => (Some(presence), Some(state)),
            None => (None, None),
        };
        let presence_is_new = told_presence != Some(&presence);
        let state_is_new = told_state != Some(&state);
        if state_is_new {
            for queue in &self.settings.queues {
                let member = queue::Input::Member { agent: self.id.clone(), state };
                fx.push(Effect::Queue(queue.clone(), member));
            }
        }
        if presence_is_new || state_is_new {
            let notice = Notice::Presence { presence: presence.clone(), capacity: self.usage() };
            fx.push(Effect::Screen(self.id.clone(), notice));
        }
        if presence_is_new {
            fx.agent_events.push(Event::PresenceChanged { presence: presence.clone() });
        }
        self.told = Some((presence, state));
    }

    fn member_state(&self, status: BaseStatus) -> MemberState {
        let limits = &self.settings.limits;
        MemberState {
            status,
            spare: ChannelKind::ALL.map(|kind| self.ledger.spare(kind, limits)),
            spare_units: self.ledger.spare_units(limits),
            last_assigned: self.last_assigned,
        }
    }
}

fn view(offer: &OfferId, offered: &Offered) -> OfferView {
    OfferView {
        offer: offer.clone(),
        conversation: offered.conversation,
        queue: offer.queue.clone(),
        kind: offered.load.kind,
        at: offered.at,
        deadline: offered.deadline,
    }
}
