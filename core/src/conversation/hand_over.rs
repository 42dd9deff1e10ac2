//! Colleagues: transfer, consult, taking over (CONV-03). Only the primary hands over or asks.

use crate::agent;
use crate::conversation::{Conversation, Event, HandOver, NotTaken, Refused, State, Target};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, OfferId};
use crate::notice::Notice;
use crate::offer::{Outcome, Purpose, Refusal, Reserve};
use crate::presence::{BaseStatus, StatusSet};
use crate::queue::{self, Demand};
use crate::time::{Span, Timestamp};
use crate::workstream::Mode;

impl Conversation {
    /// A request that nobody answered (the host was stopped, say) ends this long after its offer.
    const SLACK: Span = Span::seconds(15);
    pub(super) fn on_transfer(
        &mut self,
        agent: AgentId,
        to: Target,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&agent)?;
        if !matches!(self.state, State::Active | State::Waiting) {
            return Err(Refused::WrongState { action: "transfer", state: self.state });
        }
        match to {
            Target::Agent(to) => self.ask_colleague(agent, to, false, now, fx),
            Target::Queue(queue) => {
                self.no_request_under_way()?;
                self.unassign(now, fx);
                // The wait for the next agent begins now.
                self.queued_at = now;
                self.enqueue(queue, None, vec![agent.into()], now, fx);
                Ok(())
            }
        }
    }

    pub(super) fn on_consult(
        &mut self,
        agent: AgentId,
        with: Option<AgentId>,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&agent)?;
        self.must_be(State::Active, "consult about")?;
        if let Some(colleague) = with {
            return self.ask_colleague(agent, colleague, true, now, fx);
        }
        self.no_request_under_way()?;
        let queue = self.queue().clone();
        // The queue names its offer itself; this stands for it until then.
        let offer = OfferId::of_conversation(self.id, self.version + 1);
        let until = now + self.goes_by().consult_search;
        self.record(Event::HandedOver { offer, to: None, consult: true, until }, now, fx);
        let mut item = self.standing().item(self.goes_by());
        item.since = now;
        item.prefer = None;
        item.refused = vec![agent.clone().into()];
        item.purpose = Purpose::Consult(agent);
        // Where agents pick their work they don't see who looks for advice: somebody is asked.
        let mode = Mode::Push;
        item.demand = Demand { mode, ..item.demand.as_ref().clone() }.into();
        fx.push(Effect::Queue(queue, queue::Input::Enqueue(Box::new(item))));
        self.show(fx);
        Ok(())
    }

    fn ask_colleague(
        &mut self,
        agent: AgentId,
        to: AgentId,
        consult: bool,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if to == agent {
            return Err(Refused::Yourself);
        }
        self.no_request_under_way()?;
        let offer = OfferId::of_conversation(self.id, self.version + 1);
        if !consult && self.consultants.contains(&to) {
            // They have a place for it already, and know what it is about.
            self.pass_on(&to, &offer, now, fx);
            return Ok(());
        }
        let timeout = self.goes_by().offer_timeout;
        let until = now + timeout + Self::SLACK;
        let handed =
            Event::HandedOver { offer: offer.clone(), to: Some(to.clone()), consult, until };
        self.record(handed, now, fx);
        // Who takes only what colleagues hand over takes this.
        let allowed: StatusSet =
            self.goes_by().allowed.iter().chain([BaseStatus::TransfersOnly]).collect();
        let reserve = Reserve {
            offer,
            conversation: self.id,
            load: self.load(),
            allowed,
            timeout,
            purpose: if consult { Purpose::Consult(agent) } else { Purpose::Transfer(agent) },
            member_of: consult.then(|| self.queue().clone()),
        };
        fx.push(Effect::Agent(to, agent::Input::Reserve(reserve)));
        self.show(fx);
        Ok(())
    }

    /// An offer to a colleague was accepted. False if it isn't one of those.
    pub(super) fn on_colleague(
        &mut self,
        agent: &AgentId,
        offer: &OfferId,
        consult: bool,
        now: Timestamp,
        fx: &mut Effects,
    ) -> bool {
        let is_asked = self.handed.iter().any(|handed| {
            handed.consult == consult
                && (handed.offer == *offer || (handed.to.is_none() && !offer.is_direct()))
        });
        if !is_asked || self.takes_part(agent) {
            return false;
        }
        if consult {
            if self.state != State::Active {
                return false;
            }
            self.drop_search(Some(offer), fx);
            let joined = Event::ConsultJoined { agent: agent.clone(), offer: offer.clone() };
            self.record(joined, now, fx);
        } else {
            self.pass_on(agent, offer, now, fx);
        }
        let confirmed = agent::Input::Confirmed { offer: offer.clone() };
        fx.push(Effect::Agent(agent.clone(), confirmed));
        self.show(fx);
        true
    }

    fn pass_on(&mut self, to: &AgentId, offer: &OfferId, now: Timestamp, fx: &mut Effects) {
        let from = self.primary.clone().expect("only the primary hands over");
        let (to, offer) = (to.clone(), offer.clone());
        self.record(Event::Transferred { from: from.clone(), to: to.clone(), offer }, now, fx);
        self.release(&from, fx);
        // Whoever advised has nothing to confirm; they say where they are.
        fx.push(Effect::Agent(to, agent::Input::Entrusted { conversation: self.id }));
    }

    pub(super) fn on_not_taken(
        &mut self,
        agent: &AgentId,
        offer: OfferId,
        why: NotTaken,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if !self.handed.iter().any(|handed| handed.offer == offer) {
            return;
        }
        self.record(Event::HandOverEnded { offer }, now, fx);
        self.tell_primary(format!("{agent} {}", in_words(why)), fx);
    }

    /// Takes back requests to colleagues, and thanks those who advise.
    pub(super) fn on_end_consult(
        &mut self,
        agent: AgentId,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&agent)?;
        self.end_requests(|_| true, now, fx);
        self.end_advice(now, fx);
        self.show(fx);
        Ok(())
    }

    /// Nobody needs advice any more: those who give it and those who were asked are told.
    pub(super) fn end_advice(&mut self, now: Timestamp, fx: &mut Effects) {
        self.end_requests(|handed| handed.consult, now, fx);
        for colleague in self.consultants.clone() {
            self.dismiss(&colleague, now, fx);
        }
    }

    /// Takes requests back; says which.
    fn end_requests(
        &mut self,
        which: impl Fn(&HandOver) -> bool,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Vec<HandOver> {
        let ending: Vec<HandOver> = self.handed.iter().filter(|h| which(h)).cloned().collect();
        for handed in &ending {
            self.withdraw(handed, fx);
            self.record(Event::HandOverEnded { offer: handed.offer.clone() }, now, fx);
        }
        ending
    }

    /// Somebody takes it over by hand.
    pub(super) fn take_over(&mut self, agent: &AgentId, now: Timestamp, fx: &mut Effects) {
        let from = self.primary.clone().expect("an active or waiting conversation has an agent");
        self.withdraw_requests(fx);
        self.record(Event::TakenOver { from: from.clone(), to: agent.clone() }, now, fx);
        self.release(&from, fx);
    }

    /// A consultant leaves, by themselves or not.
    pub(super) fn dismiss(&mut self, agent: &AgentId, now: Timestamp, fx: &mut Effects) {
        self.record(Event::ConsultLeft { agent: agent.clone() }, now, fx);
        self.release(agent, fx);
    }

    /// Before an event that ends all of it: requests are taken back, consultants released.
    pub(super) fn dismiss_all(&mut self, fx: &mut Effects) {
        self.withdraw_requests(fx);
        for agent in &self.consultants {
            self.release(agent, fx);
        }
    }

    /// Requests that nobody has answered in time.
    pub(super) fn end_overdue_requests(&mut self, now: Timestamp, fx: &mut Effects) {
        for handed in self.end_requests(|handed| handed.until <= now, now, fx) {
            let why = match handed.to {
                Some(to) => format!("{to} didn't answer in time"),
                None => "nobody of the queue answered in time".to_owned(),
            };
            self.tell_primary(why, fx);
        }
    }

    fn withdraw_requests(&self, fx: &mut Effects) {
        self.handed.iter().for_each(|handed| self.withdraw(handed, fx));
    }

    fn withdraw(&self, handed: &HandOver, fx: &mut Effects) {
        match &handed.to {
            Some(to) => {
                let withdraw = agent::Input::Withdraw { offer: handed.offer.clone() };
                fx.push(Effect::Agent(to.clone(), withdraw));
            }
            None => self.drop_search(None, fx),
        }
    }

    /// The queue needn't look for a consultant any more.
    fn drop_search(&self, found: Option<&OfferId>, fx: &mut Effects) {
        let conversation = self.id;
        let input = match found.filter(|offer| !offer.is_direct()) {
            Some(offer) => queue::Input::Taken { conversation, offer: offer.clone() },
            None if found.is_some() => return,
            None => queue::Input::Remove { conversation },
        };
        fx.push(Effect::Queue(self.queue().clone(), input));
    }

    fn no_request_under_way(&self) -> Result<(), Refused> {
        match self.handed.first() {
            None => Ok(()),
            Some(handed) => Err(Refused::OfferUnderWay {
                agent: handed.to.as_ref().map_or("the queue".to_owned(), ToString::to_string),
            }),
        }
    }

    fn tell_primary(&self, why: String, fx: &mut Effects) {
        if let Some(agent) = &self.primary {
            let notice = Notice::NotTaken { conversation: self.id, why };
            fx.push(Effect::Screen(agent.clone(), notice));
        }
        self.show(fx);
    }
}

fn in_words(why: NotTaken) -> String {
    match why {
        NotTaken::Refused(Refusal::Presence(status)) => format!("is {}", status.as_str()),
        NotTaken::Refused(Refusal::Capacity) => "has no capacity left".to_owned(),
        NotTaken::Refused(Refusal::Blocked(kind)) => {
            format!("can't take it beside {}", kind.as_str())
        }
        NotTaken::Refused(Refusal::AlreadyThere) => "takes part already".to_owned(),
        NotTaken::Refused(Refusal::TakesNoWork) => "takes no work".to_owned(),
        NotTaken::Refused(Refusal::NotMember) => {
            "isn't a member of this conversation's queue, and only members advise".to_owned()
        }
        NotTaken::Ended(Outcome::Refused) => "has refused".to_owned(),
        NotTaken::Ended(Outcome::Expired) => "didn't answer in time".to_owned(),
        NotTaken::Ended(Outcome::Gone) => "has gone offline".to_owned(),
        NotTaken::Ended(Outcome::Accepted | Outcome::Withdrawn) => {
            "isn't asked any more".to_owned()
        }
    }
}
