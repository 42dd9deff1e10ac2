//! The agent: presence, capacity and the offers that are out. It alone says yes or no to its own
//! capacity, so two queues can't take the same place.

mod availability;
mod input;
mod offers;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::capacity::{ChannelKind, Ledger, Limits, Load};
use crate::conversation;
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, ConversationId, OfferId, QueueId};
use crate::notice::{Notice, OfferView, Usage};
use crate::offer::Purpose;
use crate::presence::{BaseStatus, Presence};
use crate::queue::{self, MemberState};
use crate::time::Timestamp;

pub use input::{Event, Input, Refused};
pub use settings::{IdleRule, MissedRule, Settings};

/// An offer that is out.
#[derive(Clone, Debug)]
struct Offered {
    conversation: ConversationId,
    load: Load,
    purpose: Purpose,
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
    /// Configured no longer: takes nothing and gives back what it holds.
    retired: bool,
    /// Screens that are connected now.
    screens: u32,
    /// Signed in: a screen is connected, or was less than the grace ago.
    present: bool,
    /// Counts them.
    sign_in: u32,
    grace_until: Option<Timestamp>,
    /// After a restart: signs in until then, or is offline to the conversations it holds.
    expected_until: Option<Timestamp>,
    chosen: Option<Presence>,
    last_active: Timestamp,
    missed_in_a_row: u32,
    ledger: Ledger,
    offers: BTreeMap<OfferId, Offered>,
    picks: u64,
    last_assigned: Timestamp,
    idle_since: Timestamp,
    /// What screens were last told.
    told: Option<Presence>,
    /// What queues were last told; none: they are to be told anew.
    told_queues: Option<MemberState>,
}

impl Agent {
    /// Nobody is signed in and nothing is held; recovery adds what is.
    pub fn new(id: AgentId, settings: Arc<Settings>) -> Self {
        Self {
            id,
            settings,
            retired: false,
            screens: 0,
            present: false,
            sign_in: 0,
            grace_until: None,
            expected_until: None,
            chosen: None,
            last_active: Timestamp(0),
            missed_in_a_row: 0,
            ledger: Ledger::default(),
            offers: BTreeMap::new(),
            picks: 0,
            last_assigned: Timestamp(0),
            idle_since: Timestamp(0),
            told: None,
            told_queues: None,
        }
    }

    /// The one entry. What it refuses changes nothing.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        match input {
            Input::Connected { resumed } => self.on_connected(resumed, now),
            Input::Disconnected => self.on_disconnected(now),
            Input::SignOut => self.on_gone(fx),
            Input::Activity => self.on_activity(now),
            Input::SetPresence(presence) => self.on_set_presence(presence, now)?,
            Input::Reserve(reserve) => self.on_reserve(reserve, now, fx),
            Input::Accept { offer } => self.on_accept(offer, now, fx)?,
            Input::Refuse { offer } => self.on_refuse(offer, now, fx)?,
            Input::Withdraw { offer } => self.on_withdraw(offer, fx),
            Input::Confirmed { offer } => self.on_confirmed(offer, now, fx),
            Input::Rejected { offer } => self.on_rejected(offer, fx),
            Input::Pick { conversation, load, beyond } => {
                self.on_pick(conversation, load, beyond, now, fx)?;
            }
            Input::Reoccupy { conversation, load, allowed, question } => {
                self.on_reoccupy(conversation, load, allowed, question, fx);
            }
            Input::HoldByHand { conversation, load } => {
                self.ledger.hold(conversation, load);
                self.last_assigned = now;
            }
            Input::Restore { conversation, load } => self.on_restore(conversation, load, now, fx),
            Input::Release { conversation } => self.on_release(conversation, now),
            Input::Configure(settings) => self.on_configure(settings, fx),
            Input::Retire => self.on_retire(fx),
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

    /// The settings.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
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
    pub fn usage(&self) -> [Usage; 4] {
        let used = self.ledger.used();
        ChannelKind::ALL.map(|kind| Usage {
            kind,
            used: used.of(kind),
            limit: self.settings.limits.counts.of(kind),
        })
    }

    fn on_restore(
        &mut self,
        conversation: ConversationId,
        load: Load,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        self.ledger.hold(conversation, load);
        if self.retired {
            self.give_back(conversation, fx);
        } else if !self.present {
            self.expected_until = Some(now + self.settings.grace);
        }
    }

    fn on_release(&mut self, conversation: ConversationId, now: Timestamp) {
        if self.ledger.release(conversation) && self.ledger.held_count() == 0 {
            self.idle_since = now;
        }
    }

    fn on_configure(&mut self, settings: Arc<Settings>, fx: &mut Effects) {
        self.retired = false;
        if *self.settings == *settings {
            return;
        }
        let stays = |queue: &QueueId| settings.queues.contains(queue) && !settings.light;
        for queue in self.settings.queues.iter().filter(|queue| !stays(queue)) {
            let leave = queue::Input::Leave { agent: self.id.clone() };
            fx.push(Effect::Queue(queue.clone(), leave));
        }
        self.settings = settings;
        // New queues know nothing, old ones perhaps other skills.
        self.told_queues = None;
    }

    /// Configured no longer: what it held goes back, whatever the workstreams say.
    fn on_retire(&mut self, fx: &mut Effects) {
        for queue in &self.settings.queues {
            let leave = queue::Input::Leave { agent: self.id.clone() };
            fx.push(Effect::Queue(queue.clone(), leave));
        }
        self.settings = Arc::new(Settings { queues: Vec::new(), ..(*self.settings).clone() });
        self.retired = true;
        self.on_gone(fx);
        for conversation in self.ledger.held() {
            self.give_back(conversation, fx);
        }
    }

    fn give_back(&self, conversation: ConversationId, fx: &mut Effects) {
        let gone = conversation::Input::AgentGone { agent: self.id.clone(), for_good: true };
        fx.push(Effect::Conversation(conversation, gone));
    }

    /// Tells queues and screens, and on leaving and returning the conversations that are held, what
    /// has changed since they were last told.
    fn tell(&mut self, fx: &mut Effects) {
        let (status, source) = self.status();
        let state = self.member_state(status);
        let label = self.label();
        let presence_is_new = self.told.as_ref().is_none_or(|known| {
            (known.status, known.source, &known.label) != (status, source, &label)
        });
        let state_is_new = self.told_queues != Some(state);
        if !presence_is_new && !state_is_new {
            return;
        }
        let presence = Presence { status, source, label };
        if state_is_new && !self.settings.light {
            for queue in &self.settings.queues {
                let member = queue::Input::Member {
                    agent: self.id.clone(),
                    state,
                    skills: self.settings.skills.clone(),
                };
                fx.push(Effect::Queue(queue.clone(), member));
            }
        }
        let notice = Notice::Presence { presence: presence.clone(), capacity: self.usage() };
        fx.push(Effect::Screen(self.id.clone(), notice));
        if presence_is_new {
            fx.agent_events.push(Event::PresenceChanged { presence: presence.clone() });
        }
        let is_offline = status == BaseStatus::Offline;
        let was_offline =
            self.told.as_ref().map_or(is_offline, |p| p.status == BaseStatus::Offline);
        if is_offline != was_offline {
            self.expected_until = None;
            self.tell_held(is_offline, fx);
        }
        self.told = Some(presence);
        self.told_queues = Some(state);
    }

    /// ROUTE-18: the conversations decide what becomes of them.
    fn tell_held(&self, is_offline: bool, fx: &mut Effects) {
        for conversation in self.ledger.held() {
            let agent = self.id.clone();
            let input = match is_offline {
                true => conversation::Input::AgentGone { agent, for_good: false },
                false => conversation::Input::AgentBack { agent },
            };
            fx.push(Effect::Conversation(conversation, input));
        }
    }

    fn member_state(&self, status: BaseStatus) -> MemberState {
        let limits = &self.settings.limits;
        MemberState {
            status,
            spare: ChannelKind::ALL.map(|kind| self.ledger.spare(kind, limits)),
            spare_units: self.ledger.spare_units(limits),
            active: u16::try_from(self.ledger.held_count()).unwrap_or(u16::MAX),
            last_assigned: self.last_assigned,
            idle_since: self.idle_since,
            sign_in: self.sign_in,
        }
    }
}

fn view(offer: &OfferId, offered: &Offered) -> OfferView {
    OfferView {
        offer: offer.clone(),
        conversation: offered.conversation,
        queue: offer.queue.clone(),
        kind: offered.load.kind,
        purpose: offered.purpose.clone(),
        at: offered.at,
        deadline: offered.deadline,
    }
}
