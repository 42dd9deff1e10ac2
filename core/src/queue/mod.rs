//! The queue: a backlog of work items and its member agents.
//!
//! Its picture of the members may be stale; the agent's answer corrects it and the queue goes on to
//! the next. It acts when something happens and never looks round by itself (ROUTE-20).

mod backlog;
mod configuration;
mod input;
mod item;
mod members;
mod offers;
mod overflow;
mod pace;
mod selection;
mod settings;
pub mod strategy;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::agent;
use crate::capacity::{ChannelKind, Load};
use crate::conversation;
use crate::decision::{Choice, Decision, PassedOver};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, ConversationId, OfferId, QueueId};
use crate::time::{Span, Timestamp};

use backlog::Backlog;
use members::{Members, Slot};
use pace::Pace;
use selection::Pick;

pub use input::{Input, MemberState};
pub use item::{Declined, Demand, Item, Order, Preference};
pub use settings::{Overflow, OverflowAction, QueueHours, Settings};
pub use strategy::StrategyName;

/// A reservation that has been asked for, and perhaps granted.
#[derive(Debug, Serialize, Deserialize)]
struct Out {
    slot: Slot,
    conversation: ConversationId,
    load: Load,
    granted: bool,
}

/// Where an item stands (ROUTE-16).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceInLine {
    /// From 1; `None`: it is being offered.
    pub position: Option<usize>,
    /// How long it will probably wait from now on; `None` before anybody has waited.
    pub estimate: Option<Span>,
    /// Items in the line.
    pub waiting: usize,
}

/// The machine. As it is, it can be written down and gone on with (OPS-08).
#[derive(Debug, Serialize, Deserialize)]
pub struct Queue {
    id: QueueId,
    settings: Arc<Settings>,
    backlog: Backlog,
    members: Members,
    offers: FxHashMap<u64, Out>,
    next_offer: u64,
    /// Items that something happens to at that time; some may have gone meanwhile.
    steps: BTreeSet<(Timestamp, ConversationId)>,
    /// When the next hours begin or end.
    hours_change: Option<Timestamp>,
    /// Until then nobody is missed: the host has just started.
    settling_until: Timestamp,
    pace: Pace,
    /// Gives nothing out while the configuration changes.
    held: bool,
    closed: bool,
}

impl Queue {
    /// An empty queue. `first_offer` must be larger than any number used in an earlier run; the
    /// host passes the time of its start.
    pub fn new(id: QueueId, settings: Arc<Settings>, first_offer: u64) -> Self {
        Self {
            id,
            backlog: Backlog::new(settings.order),
            members: Members::new(&settings.strategy),
            settings,
            offers: FxHashMap::default(),
            next_offer: first_offer,
            steps: BTreeSet::new(),
            hours_change: None,
            settling_until: Timestamp(0),
            pace: Pace::default(),
            held: false,
            closed: false,
        }
    }

    /// One that is configured no longer, while something may be on its way to it: it gives back what comes.
    pub fn closed(id: QueueId) -> Self {
        Self { closed: true, ..Self::new(id, Arc::default(), 0) }
    }

    /// The one entry. Nothing a queue is told can be refused; what is late is ignored.
    pub fn handle(&mut self, input: Input, now: Timestamp, fx: &mut Effects) {
        match input {
            Input::Enqueue(item) => self.on_enqueue(*item, false, now, fx),
            Input::Recover(item) => {
                self.settling_until = now + self.settings.settling;
                self.on_enqueue(*item, true, now, fx);
            }
            Input::Remove { conversation } => self.on_remove(conversation, None, now, fx),
            Input::Taken { conversation, offer } => {
                self.on_remove(conversation, Some(offer), now, fx);
            }
            Input::Member { agent, state, skills } => {
                self.on_member(agent, state, skills, now, fx);
            }
            Input::Leave { agent } => self.on_leave(&agent, now, fx),
            Input::Reserved { offer } => self.on_reserved(&offer, fx),
            Input::NotReserved { offer, reason } => self.on_not_reserved(&offer, reason, now, fx),
            Input::OfferEnded { offer, outcome } => self.on_offer_ended(&offer, outcome, now, fx),
            Input::Judged { conversation, question, order } => {
                self.on_judged(conversation, question, &order, now, fx);
            }
            Input::Hold => self.held = true,
            Input::Configure(settings) => self.on_configure(settings, now, fx),
            Input::GoOn => {
                self.held = false;
                self.overflow_all(now, fx);
            }
            Input::Close => self.on_close(fx),
            Input::Wake => self.on_wake(now, fx),
        }
    }

    /// Its name.
    pub fn id(&self) -> &QueueId {
        &self.id
    }

    /// Items in the backlog, offered ones included.
    pub fn len(&self) -> usize {
        self.backlog.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.backlog.len() == 0
    }

    /// Members that are signed in.
    pub fn signed_in(&self) -> usize {
        self.members.signed_in()
    }

    /// Since when the oldest item waits.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.backlog.oldest()
    }

    /// Items that no offer is out for, in the order in which they will be given out (ROUTE-03).
    pub fn waiting(&self) -> Vec<ConversationId> {
        self.backlog.line()
    }

    /// The first of them, at most so many: the line isn't looked at as a whole.
    pub fn first_waiting(&self, most: usize) -> Vec<ConversationId> {
        self.backlog.first(most)
    }

    /// How many there are.
    pub fn count_waiting(&self) -> usize {
        self.backlog.waiting()
    }

    /// Where an item stands; `None`: it isn't here.
    pub fn place_in_line(&self, conversation: ConversationId) -> Option<PlaceInLine> {
        self.backlog.entry(conversation)?;
        let position = self.backlog.position(conversation);
        let estimate =
            position.and_then(|position| self.pace.estimate(position, self.members.signed_in()));
        Some(PlaceInLine { position, estimate, waiting: self.backlog.waiting() })
    }

    /// How long an item that came now would probably wait, at the end of the line.
    pub fn estimate(&self) -> Option<Span> {
        match self.backlog.waiting() {
            0 => None,
            waiting => self.pace.estimate(waiting + 1, self.members.signed_in()),
        }
    }

    /// When `Wake` is next needed; whoever runs the machine keeps one timer for it.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let step = self.steps.first().map(|(at, _)| *at);
        [step, self.hours_change].into_iter().flatten().min()
    }

    fn on_enqueue(&mut self, item: Item, recovered: bool, now: Timestamp, fx: &mut Effects) {
        let conversation = item.conversation;
        if self.closed {
            let bounced = conversation::Input::Bounced { queue: self.id.clone() };
            fx.push(Effect::Conversation(conversation, bounced));
            return;
        }
        let class = self.class_for(&item.demand, self.settings.stage(item.since, now), now);
        self.members.index(item.demand.load.kind);
        if let Some(entry) = self.backlog.entry(conversation) {
            if entry.purpose() != item.purpose {
                self.on_remove(conversation, None, now, fx);
            } else {
                if (entry.class, entry.priority) != (class, item.priority) {
                    self.backlog.move_to(conversation, class, item.priority);
                    self.recheck_offer(conversation, now, fx);
                }
                self.place(conversation, now, fx);
                return;
            }
        }
        self.backlog.add(&item, class, recovered);
        for declined in item.refused {
            self.exclude(conversation, declined);
        }
        if !self.place(conversation, now, fx) {
            self.backlog.line_up(conversation);
            // Whoever gets somebody at once says nothing about how fast a line moves.
            if self.backlog.waiting() == 1 {
                self.pace.begins(now);
            }
            self.overflow(conversation, now, fx);
        }
        self.set_step(conversation, now);
    }

    /// The item has ended or is somebody's; other offers of it are taken back.
    fn on_remove(
        &mut self,
        conversation: ConversationId,
        accepted: Option<OfferId>,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let Some(entry) = self.backlog.remove(conversation) else { return };
        let more = self.backlog.waiting() > 0;
        if accepted.is_some() {
            self.pace.departed(now, self.members.signed_in(), more);
        } else if !more {
            self.pace.emptied();
        }
        let Some(number) = entry.offer else { return };
        let is_accepted = accepted.is_some_and(|offer| self.is_ours(&offer) == Some(number));
        if is_accepted {
            self.forget_offer(number);
        } else {
            self.withdraw(number, fx);
        }
    }

    fn on_member(
        &mut self,
        agent: AgentId,
        state: MemberState,
        skills: Option<Arc<crate::skills::Skills>>,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let was_staffed = self.members.signed_in() > 0;
        // Also while it is closed: should it be configured again, nobody says once more that they are members.
        let (slot, may_get_more) = self.members.update(agent, state, skills);
        if !may_get_more || self.closed {
            return;
        }
        self.recheck_offers_of(slot, now, fx);
        self.give_work_to(slot, now, fx);
        self.if_the_last_left(was_staffed, now, fx);
    }

    fn on_leave(&mut self, agent: &AgentId, now: Timestamp, fx: &mut Effects) {
        let Some(slot) = self.members.slot(agent) else { return };
        let was_staffed = self.members.signed_in() > 0;
        let theirs = self.offers_of(slot);
        for (number, _) in &theirs {
            self.offers.remove(number);
            let offer = self.offer_id(*number);
            fx.push(Effect::Agent(agent.clone(), agent::Input::Withdraw { offer }));
        }
        self.members.leave(slot);
        for (number, conversation) in theirs {
            self.put_back_if(conversation, number, now, fx);
        }
        self.if_the_last_left(was_staffed, now, fx);
    }

    /// With nobody signed in any more, overflow rules may apply.
    fn if_the_last_left(&mut self, was_staffed: bool, now: Timestamp, fx: &mut Effects) {
        if was_staffed && self.members.signed_in() == 0 && !self.settings.overflow.is_empty() {
            self.overflow_all(now, fx);
        }
    }

    fn give_work_to(&mut self, slot: Slot, now: Timestamp, fx: &mut Effects) {
        for conversation in self.candidates_for(slot, now) {
            self.place(conversation, now, fx);
        }
    }

    /// Offers the item to the best agent there is; if there is none, it keeps its place in line.
    /// False if it goes on waiting.
    fn place(&mut self, conversation: ConversationId, now: Timestamp, fx: &mut Effects) -> bool {
        if self.backlog.waiting_entry(conversation).is_none() {
            return true;
        }
        if self.held {
            return false;
        }
        let (pick, considered) = self.choose(conversation, now);
        match pick {
            Pick::Agent(slot) => {
                self.offer_to(slot, conversation, considered, now, fx);
                true
            }
            Pick::Ask(slots) => {
                self.ask(slots, conversation, considered, now, fx);
                true
            }
            Pick::Nobody(choice) => {
                self.explain(conversation, choice, considered, now, fx);
                false
            }
        }
    }

    fn explain(
        &self,
        conversation: ConversationId,
        choice: Choice,
        considered: Vec<(AgentId, PassedOver)>,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let decision = Decision {
            queue: self.id.clone(),
            conversation,
            at: now,
            strategy: self.settings.strategy.clone(),
            choice,
            considered,
            members: u32::try_from(self.members.len()).unwrap_or(u32::MAX),
        };
        fx.push(Effect::Decided(Box::new(decision)));
    }

    fn class_for(&mut self, demand: &Arc<Demand>, stage: u8, now: Timestamp) -> u32 {
        if let Some(number) = self.backlog.find_class(demand, stage) {
            return number;
        }
        let steps = &self.settings.relax[..usize::from(stage).min(self.settings.relax.len())];
        let needs = match steps.last() {
            Some(last) => crate::skills::relaxed(&demand.skills, steps, last.after),
            None => demand.skills.clone(),
        };
        let needs = self.members.numbered(&needs);
        let hours = self.settings.hours.of(demand);
        let is_open = hours.is_none_or(|hours| hours.is_open(now));
        if let Some(change) = hours.and_then(|hours| hours.next_change(now)) {
            self.hours_change = Some(self.hours_change.map_or(change, |known| known.min(change)));
        }
        self.backlog.add_class(demand.clone(), stage, needs, is_open)
    }

    fn kind_of(&self, conversation: ConversationId) -> Option<ChannelKind> {
        let entry = self.backlog.entry(conversation)?;
        Some(self.backlog.class(entry.class).demand.load.kind)
    }

    fn offer_of(&self, conversation: ConversationId) -> Option<u64> {
        self.backlog.entry(conversation)?.offer
    }

    fn next_number(&mut self) -> u64 {
        let number = self.next_offer;
        self.next_offer += 1;
        number
    }

    fn offer_id(&self, number: u64) -> OfferId {
        OfferId { queue: self.id.clone(), number }
    }

    fn is_ours(&self, offer: &OfferId) -> Option<u64> {
        (offer.queue == self.id).then_some(offer.number)
    }
}
