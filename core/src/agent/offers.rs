//! Offers: reserved, shown, accepted, refused, expired, withdrawn.

use crate::agent::{Agent, Event, OfferGone, Offered, view};
use crate::capacity::Load;
use crate::conversation;
use crate::effect::{Effect, Effects};
use crate::ids::{ConversationId, OfferId};
use crate::notice::Notice;
use crate::offer::{Outcome, Refusal, Reserve};
use crate::presence::StatusSet;
use crate::queue;
use crate::time::Timestamp;

impl Agent {
    pub(super) fn on_reserve(&mut self, reserve: Reserve, now: Timestamp, fx: &mut Effects) {
        let Reserve { offer, conversation, load, allowed, timeout } = reserve;
        let queue = offer.queue.clone();
        let refusal = self.objection(load, allowed).or_else(|| {
            let is_new = self.ledger.reserve(conversation, load);
            (!is_new).then_some(Refusal::AlreadyThere)
        });
        if let Some(reason) = refusal {
            fx.push(Effect::Queue(queue, queue::Input::NotReserved { offer, reason }));
            return;
        }
        let offered =
            Offered { conversation, load, at: now, deadline: now + timeout, accepting: false };
        fx.push(Effect::Queue(queue, queue::Input::Reserved { offer: offer.clone() }));
        fx.push(Effect::Screen(self.id().clone(), Notice::Offer(view(&offer, &offered))));
        fx.push(Effect::WakeAt(offered.deadline));
        fx.agent_events.push(Event::Offered { offer: offer.clone(), conversation });
        self.offers.insert(offer, offered);
    }

    pub(super) fn on_accept(&mut self, offer: OfferId, fx: &mut Effects) -> Result<(), OfferGone> {
        let Some(offered) = self.offers.get_mut(&offer) else { return Err(OfferGone { offer }) };
        if offered.accepting {
            return Ok(());
        }
        // From here on the deadline no longer counts: the conversation decides.
        offered.accepting = true;
        let accept = conversation::Input::Accept { agent: self.id.clone(), offer };
        fx.push(Effect::Conversation(offered.conversation, accept));
        Ok(())
    }

    pub(super) fn on_refuse(&mut self, offer: OfferId, fx: &mut Effects) -> Result<(), OfferGone> {
        let is_open = self.offers.get(&offer).is_some_and(|offered| !offered.accepting);
        if !is_open {
            return Err(OfferGone { offer });
        }
        self.end_offer(offer, Outcome::Refused, fx);
        Ok(())
    }

    pub(super) fn on_withdraw(&mut self, offer: OfferId, fx: &mut Effects) {
        // One that is being accepted is the conversation's to decide; it will answer.
        let is_open = self.offers.get(&offer).is_some_and(|offered| !offered.accepting);
        if is_open {
            self.end_offer(offer, Outcome::Withdrawn, fx);
        }
    }

    pub(super) fn on_confirmed(&mut self, offer: OfferId, now: Timestamp, fx: &mut Effects) {
        let Some(offered) = self.offers.remove(&offer) else { return };
        self.ledger.hold(offered.conversation, offered.load);
        self.last_assigned = now;
        self.show_ended(offer, Outcome::Accepted, fx);
    }

    pub(super) fn on_rejected(&mut self, offer: OfferId, fx: &mut Effects) {
        if self.offers.contains_key(&offer) {
            self.end_offer(offer, Outcome::Withdrawn, fx);
        }
    }

    pub(super) fn on_reoccupy(
        &mut self,
        conversation: ConversationId,
        load: Load,
        allowed: StatusSet,
        fx: &mut Effects,
    ) {
        let agent = self.id.clone();
        let is_held = self.ledger.holds(conversation);
        if !is_held && self.objection(load, allowed).is_some() {
            let refused = conversation::Input::ResumeRefused { agent };
            fx.push(Effect::Conversation(conversation, refused));
            return;
        }
        self.ledger.hold(conversation, load);
        fx.push(Effect::Conversation(conversation, conversation::Input::Resumed { agent }));
    }

    /// Ends every open offer that matches, oldest first.
    pub(super) fn end_offers(
        &mut self,
        outcome: Outcome,
        fx: &mut Effects,
        matches: impl Fn(&Offered) -> bool,
    ) {
        let ending: Vec<OfferId> = self
            .offers
            .iter()
            .filter(|(_, offered)| !offered.accepting && matches(offered))
            .map(|(offer, _)| offer.clone())
            .collect();
        for offer in ending {
            self.end_offer(offer, outcome, fx);
        }
    }

    /// Gives the place back and tells queue and screens.
    fn end_offer(&mut self, offer: OfferId, outcome: Outcome, fx: &mut Effects) {
        let offered = self.offers.remove(&offer).expect("the caller has looked it up");
        self.ledger.cancel(offered.conversation);
        let ended = queue::Input::OfferEnded { offer: offer.clone(), outcome };
        fx.push(Effect::Queue(offer.queue.clone(), ended));
        self.show_ended(offer, outcome, fx);
    }

    fn show_ended(&self, offer: OfferId, outcome: Outcome, fx: &mut Effects) {
        fx.push(Effect::Screen(
            self.id.clone(),
            Notice::OfferEnded { offer: offer.clone(), outcome },
        ));
        fx.agent_events.push(Event::OfferEnded { offer, outcome });
    }

    fn objection(&self, load: Load, allowed: StatusSet) -> Option<Refusal> {
        if !allowed.contains(self.presence().status) {
            return Some(Refusal::Presence);
        }
        if !self.ledger.fits(load, &self.settings.limits) {
            return Some(Refusal::Capacity);
        }
        None
    }
}
