//! The agent: presence, capacity and the offers that are out. It alone says yes or no to its own
//! capacity, so two queues can't take the same place.

mod availability;
mod book;
mod input;
mod offers;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use self::book::Book;
use crate::capacity::{ChannelKind, Ledger, Limits, Load};
use crate::conversation;
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, ConversationId, OfferId, QueueId};
use crate::notice::{Notice, OfferView, Usage};
use crate::offer::Purpose;
use crate::presence::{Attendance, BaseStatus, Presence};
use crate::queue::{self, MemberState};
use crate::time::Timestamp;

pub use input::{Event, Input, KeptPresence, Refused};
pub use settings::{IdleRule, MissedRule, Settings};

/// An offer that is out.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Offered {
    conversation: ConversationId,
    load: Load,
    purpose: Purpose,
    at: Timestamp,
    deadline: Timestamp,
    /// Accepted on screen, at that time; the conversation hasn't answered yet. It can no longer expire.
    accepted_at: Option<Timestamp>,
}

impl Offered {
    fn is_open(&self) -> bool {
        self.accepted_at.is_none()
    }
}

/// The machine. As it is, it can be written down and gone on with (OPS-08).
#[derive(Debug, Serialize, Deserialize)]
pub struct Agent {
    id: AgentId,
    settings: Arc<Settings>,
    /// Configured no longer: takes nothing and gives back what it holds.
    retired: bool,
    /// Screens that are connected now.
    screens: u32,
    /// Signed in: a screen is connected, or was less than the grace ago.
    present: bool,
    /// Which sign-in this is: a greater number than any before.
    sign_in: u64,
    /// When the last screen's connection ended.
    lost_at: Option<Timestamp>,
    chosen: Option<Presence>,
    last_active: Timestamp,
    missed_in_a_row: u32,
    ledger: Ledger,
    /// Theirs as well, without a place, and wanting to hear when they go (ROUTE-18).
    followed: FxHashSet<ConversationId>,
    /// What conversations were last told, and since when that is so.
    told_attendance: Attendance,
    absent_since: Timestamp,
    /// The present absence began before it was noticed.
    backdated: Option<Timestamp>,
    /// Between a restart's first word and [`Input::Recall`].
    restoring: Option<Beliefs>,
    offers: Book,
    picks: u64,
    last_assigned: Timestamp,
    idle_since: Timestamp,
    /// What screens were last told.
    told: Option<Presence>,
    /// What queues were last told; none: they are to be told anew.
    told_queues: Option<MemberState>,
}

/// Where conversations believe their agent to be; nothing: that isn't known. Thousands of one agent mostly
/// believe the same.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Beliefs {
    /// What the first one believes.
    usual: Option<Option<Attendance>>,
    /// Those that believe something else.
    others: FxHashMap<ConversationId, Option<Attendance>>,
}

impl Beliefs {
    fn of(&self, conversation: ConversationId) -> Option<Attendance> {
        self.others.get(&conversation).copied().unwrap_or_else(|| self.usual.flatten())
    }
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
            lost_at: None,
            chosen: None,
            last_active: Timestamp(0),
            missed_in_a_row: 0,
            ledger: Ledger::default(),
            followed: FxHashSet::default(),
            told_attendance: Attendance::Offline,
            absent_since: Timestamp(0),
            backdated: None,
            restoring: None,
            offers: Book::default(),
            picks: 0,
            last_assigned: Timestamp(0),
            idle_since: Timestamp(0),
            told: None,
            told_queues: None,
        }
    }

    /// One who is configured no longer, while something may be on its way to them: they take nothing, and
    /// give back what they are told that they hold.
    pub fn retired(id: AgentId, now: Timestamp) -> Self {
        let mut agent = Self::new(id, Arc::new(Self::nobody()));
        // There is nobody to be told.
        agent.handle(Input::Retire, now, &mut Effects::new()).expect("retiring can't be refused");
        agent
    }

    /// The settings of somebody who is configured no longer.
    pub fn nobody() -> Settings {
        Settings::with_defaults(Vec::new())
    }

    /// The one entry. What it refuses changes nothing.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        match input {
            Input::Connected => self.on_connected(now),
            Input::Disconnected { heard_at } => self.on_disconnected(heard_at.min(now)),
            Input::SignOut => self.on_gone(fx),
            Input::Activity => self.on_activity(now),
            Input::SetPresence(presence) => self.on_set_presence(presence, now)?,
            Input::Reserve(reserve) => self.on_reserve(reserve, now, fx),
            Input::Accept { offer } => self.on_accept(offer, now, fx)?,
            Input::Refuse { offer } => self.on_refuse(offer, now, fx)?,
            Input::Withdraw { offer } => self.on_withdraw(offer, fx),
            Input::Confirmed { offer } => self.on_confirmed(offer, now, fx),
            Input::Rejected { offer } => self.on_rejected(offer, fx),
            Input::Pick { conversation, load, beyond, by_hand } => {
                self.on_pick(conversation, load, beyond, by_hand, now, fx)?;
            }
            Input::Reoccupy { conversation, load, allowed, question } => {
                self.on_reoccupy(conversation, load, allowed, question, fx);
            }
            Input::Restore { conversation, load, attendance } => {
                self.on_restore(conversation, load, attendance);
                // What has become of it all is told once, when the last was.
                return Ok(());
            }
            Input::Recall { standing, alive_until } => {
                self.on_recall(standing, alive_until, now, fx);
            }
            Input::Release { conversation, followed } => {
                self.on_release(conversation, now);
                self.follow(conversation, followed, fx);
            }
            Input::Entrusted { conversation } => {
                if self.ledger.holds(conversation) {
                    self.tell_what_is_so(conversation, self.absent_since, fx);
                }
            }
            Input::Follow { conversation, follows } => self.follow(conversation, follows, fx),
            Input::Relabel { label, to } => self.on_relabel(&label, to),
            Input::Configure(settings) => self.on_configure(settings, fx),
            Input::Retire => self.on_retire(fx),
            Input::Stop => self.on_stop(now, fx),
            Input::Wake => self.on_wake(now, fx),
        }
        self.tell(now, fx);
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
            .filter(|(_, offered)| offered.is_open())
            .map(|(offer, offered)| view(offer, offered))
            .collect()
    }

    /// Conversations that are theirs without taking a place, and follow their presence, in the order
    /// of their names.
    pub fn followed(&self) -> Vec<ConversationId> {
        let mut followed: Vec<ConversationId> = self.followed.iter().copied().collect();
        followed.sort_unstable();
        followed
    }

    /// Where they are, and since when; conversations that are theirs have been told.
    pub fn attendance(&self) -> (Attendance, Timestamp) {
        (self.told_attendance, self.absent_since)
    }

    /// How many screens are connected.
    pub fn screens(&self) -> u32 {
        self.screens
    }

    /// The conversation that an offer of theirs is of, also while it is being accepted.
    pub fn conversation_of(&self, offer: &OfferId) -> Option<ConversationId> {
        self.offers.get(offer).map(|offered| offered.conversation)
    }

    /// What has to be written down of their presence.
    pub fn kept_presence(&self) -> KeptPresence {
        KeptPresence {
            present: self.present,
            chosen: self.chosen.clone(),
            lost_at: self.lost_at,
            missed_in_a_row: self.missed_in_a_row,
            last_assigned: self.last_assigned,
            idle_since: self.idle_since,
            attendance: self.told_attendance,
            absent_since: self.absent_since,
            sign_in: self.sign_in,
        }
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
        load: Option<Load>,
        attendance: Option<Attendance>,
    ) {
        match load {
            Some(load) => self.ledger.hold(conversation, load),
            None => drop(self.followed.insert(conversation)),
        }
        let beliefs = self.restoring.get_or_insert_default();
        if attendance != *beliefs.usual.get_or_insert(attendance) {
            beliefs.others.insert(conversation, attendance);
        }
    }

    /// The conversation takes a place from now on. Who takes it up while they are away (somebody at
    /// lunch picks one that waits) knows what its customer had written until then, `seen_at`; for what
    /// the customer writes afterwards they are away.
    fn hold(
        &mut self,
        conversation: ConversationId,
        load: Load,
        seen_at: Timestamp,
        fx: &mut Effects,
    ) {
        self.ledger.hold(conversation, load);
        self.followed.remove(&conversation);
        self.tell_what_is_so(conversation, self.absent_since.max(seen_at), fx);
    }

    /// What has just become theirs is told at once if they aren't there for it, or never will be.
    fn tell_what_is_so(
        &mut self,
        conversation: ConversationId,
        since: Timestamp,
        fx: &mut Effects,
    ) {
        if let Some(beliefs) = &mut self.restoring {
            beliefs.others.insert(conversation, None);
        } else if self.takes_no_work() {
            self.give_back(conversation, fx);
        } else if self.told_attendance != Attendance::Here {
            self.tell_attendance(conversation, since, fx);
        }
    }

    fn give_back(&self, conversation: ConversationId, fx: &mut Effects) {
        let retired = conversation::Input::AgentRetired { agent: self.id.clone() };
        fx.push(Effect::Conversation(conversation, retired));
    }

    fn give_all_back(&self, fx: &mut Effects) {
        for conversation in self.theirs() {
            self.give_back(conversation, fx);
        }
    }

    fn follow(&mut self, conversation: ConversationId, follows: bool, fx: &mut Effects) {
        if !follows {
            self.followed.remove(&conversation);
        } else if !self.ledger.holds(conversation) {
            self.followed.insert(conversation);
            self.tell_what_is_so(conversation, self.absent_since, fx);
            // It may believe something of long ago.
            if self.restoring.is_none() && self.told_attendance == Attendance::Here {
                self.tell_attendance(conversation, self.absent_since, fx);
            }
        }
    }

    fn on_release(&mut self, conversation: ConversationId, now: Timestamp) {
        let Some(load) = self.ledger.release(conversation) else { return };
        // They are taking it up by hand, and had counted on this place: it stays set aside until the
        // conversation has answered.
        if self.offers.iter().any(|(_, o)| o.conversation == conversation && !o.is_open()) {
            self.ledger.reserve(conversation, load);
        }
        if self.ledger.held_count() == 0 {
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
        let loses_licence = settings.light && !self.settings.light;
        self.settings = settings;
        if loses_licence {
            self.give_all_back(fx);
        }
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
        self.give_all_back(fx);
    }

    /// Every conversation that wants to hear of their comings and goings.
    fn theirs(&self) -> Vec<ConversationId> {
        let mut theirs = self.ledger.held();
        theirs.extend(&self.followed);
        theirs.sort_unstable();
        theirs
    }

    /// Tells queues and screens, and on leaving and returning their conversations, what has changed
    /// since they were last told.
    fn tell(&mut self, now: Timestamp, fx: &mut Effects) {
        let (status, source) = self.status();
        self.tell_theirs(Attendance::of(status, source), now, fx);
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
            // Seldom something new, and each word is written down.
            let skills = self.told_queues.is_none().then(|| self.settings.skills.clone());
            for queue in &self.settings.queues {
                let member =
                    queue::Input::Member { agent: self.id.clone(), state, skills: skills.clone() };
                fx.push(Effect::Queue(queue.clone(), member));
            }
        }
        // A screen that connects is told by itself.
        if self.screens > 0 {
            let notice = Notice::Presence { presence: presence.clone(), capacity: self.usage() };
            fx.push(Effect::Screen(self.id.clone(), notice));
        }
        if presence_is_new {
            fx.agent_events.push(Event::PresenceChanged { presence: presence.clone() });
        }
        self.told = Some(presence);
        self.told_queues = Some(state);
    }

    /// ROUTE-18, 19: the conversations decide what becomes of them. Each learns it, however it came
    /// to be this agent's.
    fn tell_theirs(&mut self, attendance: Attendance, now: Timestamp, fx: &mut Effects) {
        let since = self.backdated.take().unwrap_or(now);
        if self.restoring.is_some() || attendance == self.told_attendance {
            return;
        }
        self.told_attendance = attendance;
        self.absent_since = since;
        for conversation in self.theirs() {
            self.tell_attendance(conversation, since, fx);
        }
    }

    fn tell_attendance(&self, conversation: ConversationId, since: Timestamp, fx: &mut Effects) {
        let agent = self.id.clone();
        let input = match self.told_attendance {
            Attendance::Here => conversation::Input::AgentBack { agent },
            attendance => conversation::Input::AgentAbsent { agent, attendance, since },
        };
        fx.push(Effect::Conversation(conversation, input));
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
