//! Offers: reserved, shown, accepted, refused, expired, withdrawn; and work taken by hand.

use crate::agent::{Agent, Event, Offered, Refused, view};
use crate::capacity::Load;
use crate::conversation;
use crate::effect::{Effect, Effects};
use crate::ids::{ConversationId, OfferId};
use crate::notice::Notice;
use crate::offer::{Acceptance, ByHand, Outcome, Purpose, Refusal, Reserve};
use crate::presence::{Attendance, BaseStatus, StatusSet};
use crate::queue;
use crate::time::Timestamp;

impl Agent {
    pub(super) fn on_reserve(&mut self, reserve: Reserve, now: Timestamp, fx: &mut Effects) {
        let Reserve { offer, conversation, load, allowed, timeout, purpose, member_of } = reserve;
        if self.offers.get(&offer).is_some() {
            // The same request once more: it was answered.
            return;
        }
        let is_stranger = member_of.is_some_and(|queue| !self.settings.queues.contains(&queue));
        let stranger = is_stranger.then_some(Refusal::NotMember);
        let refusal = stranger.or_else(|| self.objection(load, allowed)).or_else(|| {
            let is_new = self.ledger.reserve(conversation, load);
            (!is_new).then_some(Refusal::AlreadyThere)
        });
        if let Some(reason) = refusal {
            self.answer_no(conversation, offer, reason, fx);
            return;
        }
        let offered = Offered {
            conversation,
            load,
            purpose,
            at: now,
            deadline: now + timeout,
            accepted_at: None,
        };
        if !offer.is_direct() {
            let reserved = queue::Input::Reserved { offer: offer.clone() };
            fx.push(Effect::Queue(offer.queue.clone(), reserved));
        }
        fx.push(Effect::Screen(self.id().clone(), Notice::Offer(view(&offer, &offered))));
        fx.agent_events.push(Event::Offered { offer: offer.clone(), conversation });
        self.offers.insert(offer, offered);
    }

    pub(super) fn on_accept(
        &mut self,
        offer: OfferId,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if self.offers.get(&offer).is_some_and(|offered| !offered.is_open()) {
            return Ok(());
        }
        // From here on the deadline no longer counts: the conversation decides.
        let Some(offered) = self.offers.accept(&offer, now) else {
            return Err(Refused::OfferGone { offer });
        };
        let acceptance = match offered.purpose {
            Purpose::Consult(_) => Acceptance::Consult,
            Purpose::Work | Purpose::Transfer(_) => Acceptance::Work,
        };
        let accept = conversation::Input::Accept { agent: self.id.clone(), offer, acceptance };
        fx.push(Effect::Conversation(offered.conversation, accept));
        self.missed_in_a_row = 0;
        self.on_activity(now);
        Ok(())
    }

    pub(super) fn on_refuse(
        &mut self,
        offer: OfferId,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        let is_open = self.offers.get(&offer).is_some_and(Offered::is_open);
        if !is_open {
            return Err(Refused::OfferGone { offer });
        }
        self.end_offer(offer, Outcome::Refused, fx);
        self.missed_in_a_row = 0;
        self.on_activity(now);
        Ok(())
    }

    pub(super) fn on_withdraw(&mut self, offer: OfferId, fx: &mut Effects) {
        // One that is being accepted is the conversation's to decide; it will answer.
        let is_open = self.offers.get(&offer).is_some_and(Offered::is_open);
        if is_open {
            self.end_offer(offer, Outcome::Withdrawn, fx);
        }
    }

    pub(super) fn on_confirmed(&mut self, offer: OfferId, now: Timestamp, fx: &mut Effects) {
        let Some(offered) = self.offers.remove(&offer) else { return };
        self.hold(
            offered.conversation,
            offered.load,
            offered.accepted_at.unwrap_or(offered.at),
            fx,
        );
        self.last_assigned = now;
        self.show_ended(offer, Outcome::Accepted, fx);
    }

    pub(super) fn on_rejected(&mut self, offer: OfferId, fx: &mut Effects) {
        if self.offers.get(&offer).is_some() {
            self.end_offer(offer, Outcome::Withdrawn, fx);
        }
    }

    /// The place is set aside at once; the conversation says whether it is still to be had. It needs
    /// somebody who is there: a customer mustn't end up with a desk that nobody sits at.
    pub(super) fn on_pick(
        &mut self,
        conversation: ConversationId,
        load: Load,
        beyond: bool,
        by_hand: ByHand,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if self.takes_no_work() {
            return Err(Refused::Light);
        }
        if self.status().0 == BaseStatus::Offline {
            return Err(Refused::Offline);
        }
        // An offer of the same item needs no second place: taking it by hand accepts it.
        let on_offer = self.offers.iter().find(|(_, o)| {
            o.conversation == conversation && !matches!(o.purpose, Purpose::Consult(_))
        });
        if let Some(offer) = on_offer.map(|(offer, _)| offer.clone()) {
            return self.on_accept(offer, now, fx);
        }
        match by_hand {
            // Who advises has a place for it, and so has who is back already as the customer was faster.
            // If that place is just being given back, it stays set aside (see `on_release`).
            ByHand::ComeBack | ByHand::TakeOver if self.ledger.holds(conversation) => {}
            _ if !beyond && !self.ledger.fits(load, &self.settings.limits) => {
                return Err(Refused::NoPlace { kind: load.kind });
            }
            _ if !self.ledger.reserve(conversation, load) => return Err(Refused::AlreadyThere),
            _ => {}
        }
        self.picks += 1;
        // Larger than any number of an earlier run, unless that picked a thousand times a second.
        let start = u64::try_from(now.0).unwrap_or(0) * 1000;
        let offer = OfferId::by_hand(&self.id, start + self.picks % 1000);
        let offered = Offered {
            conversation,
            load,
            purpose: Purpose::Work,
            at: now,
            deadline: now,
            accepted_at: Some(now),
        };
        self.offers.insert(offer.clone(), offered);
        self.on_activity(now);
        let acceptance = Acceptance::ByHand(by_hand);
        let accept = conversation::Input::Accept { agent: self.id.clone(), offer, acceptance };
        fx.push(Effect::Conversation(conversation, accept));
        Ok(())
    }

    pub(super) fn on_reoccupy(
        &mut self,
        conversation: ConversationId,
        load: Load,
        allowed: StatusSet,
        question: u32,
        fx: &mut Effects,
    ) {
        let agent = self.id.clone();
        // Whoever takes no work won't be back for it, and isn't waited for.
        let is_absent = self.is_absent(allowed) && !self.takes_no_work();
        let is_held = self.ledger.holds(conversation);
        let has_place = is_held || self.ledger.fits(load, &self.settings.limits);
        if is_absent || self.takes_no_work() || !has_place {
            let refused = conversation::Input::ResumeRefused { agent, question, is_absent };
            fx.push(Effect::Conversation(conversation, refused));
            return;
        }
        let resumed = conversation::Input::Resumed { agent, question };
        fx.push(Effect::Conversation(conversation, resumed));
        // Behind it: taking it up forgets where the agent was.
        self.hold(conversation, load, self.absent_since, fx);
    }

    /// Ends every open offer that matches, oldest first; says how many.
    pub(super) fn end_offers(
        &mut self,
        outcome: Outcome,
        fx: &mut Effects,
        matches: impl Fn(&Offered) -> bool,
    ) -> u32 {
        let ending: Vec<OfferId> = self
            .offers
            .iter()
            .filter(|(_, offered)| offered.is_open() && matches(offered))
            .map(|(offer, _)| offer.clone())
            .collect();
        let count = u32::try_from(ending.len()).unwrap_or(u32::MAX);
        for offer in ending {
            self.end_offer(offer, outcome, fx);
        }
        count
    }

    /// Gives the place back and tells whoever made the offer, and the screens.
    fn end_offer(&mut self, offer: OfferId, outcome: Outcome, fx: &mut Effects) {
        let offered = self.offers.remove(&offer).expect("the caller has looked it up");
        self.ledger.cancel(offered.conversation);
        if offer.is_direct() {
            let agent = self.id.clone();
            let why = conversation::NotTaken::Ended(outcome);
            let not_taken = conversation::Input::NotTaken { agent, offer: offer.clone(), why };
            fx.push(Effect::Conversation(offered.conversation, not_taken));
        } else {
            let ended = queue::Input::OfferEnded { offer: offer.clone(), outcome };
            fx.push(Effect::Queue(offer.queue.clone(), ended));
        }
        self.show_ended(offer, outcome, fx);
    }

    fn answer_no(
        &self,
        conversation: ConversationId,
        offer: OfferId,
        reason: Refusal,
        fx: &mut Effects,
    ) {
        if offer.is_direct() {
            let why = conversation::NotTaken::Refused(reason);
            let not_taken = conversation::Input::NotTaken { agent: self.id.clone(), offer, why };
            fx.push(Effect::Conversation(conversation, not_taken));
        } else {
            let queue = offer.queue.clone();
            fx.push(Effect::Queue(queue, queue::Input::NotReserved { offer, reason }));
        }
    }

    fn show_ended(&self, offer: OfferId, outcome: Outcome, fx: &mut Effects) {
        fx.push(Effect::Screen(
            self.id.clone(),
            Notice::OfferEnded { offer: offer.clone(), outcome },
        ));
        fx.agent_events.push(Event::OfferEnded { offer, outcome });
    }

    /// ROUTE-19. `busy`, `do_not_disturb` and `transfers_only` take no new work, but are there for what
    /// is theirs.
    fn is_absent(&self, allowed: StatusSet) -> bool {
        let (status, source) = self.status();
        Attendance::of(status, source).is_absence(allowed)
    }

    pub(super) fn takes_no_work(&self) -> bool {
        self.settings.light || self.retired
    }

    fn objection(&self, load: Load, allowed: StatusSet) -> Option<Refusal> {
        if self.takes_no_work() {
            return Some(Refusal::TakesNoWork);
        }
        let (status, _) = self.status();
        if !allowed.contains(status) {
            return Some(Refusal::Presence(status));
        }
        if let Some(kind) = self.ledger.blocked_by(load.kind, &self.settings.limits) {
            return Some(Refusal::Blocked(kind));
        }
        if !self.ledger.fits(load, &self.settings.limits) {
            return Some(Refusal::Capacity);
        }
        None
    }
}
