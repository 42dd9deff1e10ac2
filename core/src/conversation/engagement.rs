//! Agents come, leave and end.

use crate::agent;
use crate::conversation::{Conversation, Event, Refused, State};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, OfferId};
use crate::offer::{Acceptance, ByHand};
use crate::queue;
use crate::time::Timestamp;
use crate::workstream::WrapUpHold;

impl Conversation {
    pub(super) fn on_accept(
        &mut self,
        agent: AgentId,
        offer: OfferId,
        acceptance: Acceptance,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let is_theirs = match acceptance {
            Acceptance::ByHand(by_hand) => self.take_up(&agent, &offer, by_hand, now, fx),
            Acceptance::Consult => self.on_colleague(&agent, &offer, true, now, fx),
            Acceptance::Work => {
                self.on_colleague(&agent, &offer, false, now, fx)
                    || self.take_up(&agent, &offer, ByHand::Take, now, fx)
            }
        };
        if !is_theirs {
            // Closed meanwhile, or (after a restart) already somebody's: the place goes back.
            fx.push(Effect::Agent(agent, agent::Input::Rejected { offer }));
        }
    }

    /// An agent whose machine has a place for it takes it up. False if it isn't to be had.
    fn take_up(
        &mut self,
        agent: &AgentId,
        offer: &OfferId,
        by_hand: ByHand,
        now: Timestamp,
        fx: &mut Effects,
    ) -> bool {
        if self.may_be_taken_up(agent, by_hand).is_err() {
            return false;
        }
        match by_hand {
            ByHand::Take => {
                let assigned = Event::Assigned { agent: agent.clone(), offer: offer.clone() };
                self.record(assigned, now, fx);
            }
            ByHand::TakeOver => self.take_over(agent, now, fx),
            ByHand::ComeBack => self.record(Event::Resumed, now, fx),
        }
        let confirmed = agent::Input::Confirmed { offer: offer.clone() };
        fx.push(Effect::Agent(agent.clone(), confirmed));
        if by_hand == ByHand::Take {
            let taken = queue::Input::Taken { conversation: self.id, offer: offer.clone() };
            fx.push(Effect::Queue(self.queue().clone(), taken));
        }
        self.show(fx);
        true
    }

    /// Whether an agent's answer is the one to the question that is under way. A late one, to a
    /// question of before, is nobody's word any more.
    fn is_asked(&self, agent: &AgentId, question: u32) -> bool {
        self.state == State::Waiting
            && self.returning
            && self.primary.as_ref() == Some(agent)
            && self.questions == question
    }

    pub(super) fn on_resumed(
        &mut self,
        agent: AgentId,
        question: u32,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if !self.is_asked(&agent, question) {
            // It went elsewhere while the answer was under way, or was taken up by hand and left
            // again. If the same agent has been asked once more, that answer will follow and needs
            // the place.
            let is_asked_again = self.returning && self.primary.as_ref() == Some(&agent);
            let is_theirs = self.occupies && self.takes_part(&agent);
            if !is_theirs && !is_asked_again {
                self.release(&agent, fx);
            }
            return;
        }
        self.record(Event::Resumed, now, fx);
        self.show(fx);
    }

    pub(super) fn on_resume_refused(
        &mut self,
        agent: AgentId,
        question: u32,
        is_absent: bool,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.is_asked(&agent, question) {
            // The customer waits anew from now on; the earlier wait ended with the assignment. Whoever
            // is there and has no place isn't waited for longer than the workstream says.
            let wait = if is_absent { self.preferred_for() } else { self.affinity() };
            self.give_back(self.asked_at, wait, now, fx);
        }
    }

    pub(super) fn on_leave(
        &mut self,
        agent: AgentId,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if self.consultants.contains(&agent) {
            self.dismiss(&agent, now, fx);
            self.show(fx);
            return Ok(());
        }
        self.must_be_primary(&agent)?;
        self.must_be(State::Active, "leave")?;
        self.end_advice(now, fx);
        self.record(Event::Left, now, fx);
        self.release(&agent, fx);
        self.show(fx);
        Ok(())
    }

    pub(super) fn on_end(
        &mut self,
        agent: Option<AgentId>,
        supervises: bool,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        let agent_is_other = agent.is_some() && self.primary != agent;
        if let Some(agent) = agent.as_ref().filter(|_| !supervises) {
            self.must_be_primary(agent)?;
        }
        match self.state {
            State::Open => {
                let queue = self.queue().clone();
                self.record(Event::Closed, now, fx);
                let remove = queue::Input::Remove { conversation: self.id };
                fx.push(Effect::Queue(queue, remove));
            }
            // Nobody knows how long that would last.
            State::Active | State::Waiting if self.goes_by().is_retired() => {
                self.dismiss_all(fx);
                self.close(now, fx);
            }
            State::Active | State::Waiting => {
                self.dismiss_all(fx);
                self.record(Event::WrapUpStarted { by: agent }, now, fx);
                if !self.occupies {
                    // It may have been followed.
                    let primary = self.primary.clone().expect("somebody had it");
                    self.release(&primary, fx);
                } else if self.goes_by().wrap_up == WrapUpHold::Never {
                    self.release_wrap_up(now, fx);
                }
                self.show(fx);
            }
            // CONV-07: what is stuck in wrap-up ends as well.
            State::WrapUp if agent_is_other => self.close(now, fx),
            // Asking twice is harmless: the button was pressed in two tabs.
            State::WrapUp | State::Closed => {}
        }
        if self.state == State::Closed && supervises && agent_is_other {
            self.end_wrap_ups(|_| true, now, fx);
        }
        Ok(())
    }

    pub(super) fn close(&mut self, now: Timestamp, fx: &mut Effects) {
        let agent = self.primary.clone();
        self.record(Event::Closed, now, fx);
        if let Some(agent) = agent {
            self.release(&agent, fx);
        }
    }

    /// It takes no place of the agent's any more, if it did.
    pub(super) fn release(&self, agent: &AgentId, fx: &mut Effects) {
        let followed = self.follows_agent() && self.primary.as_ref() == Some(agent);
        let release = agent::Input::Release { conversation: self.id, followed };
        fx.push(Effect::Agent(agent.clone(), release));
    }

    pub(super) fn must_be_primary(&self, agent: &AgentId) -> Result<(), Refused> {
        if self.primary.as_ref() == Some(agent) {
            return Ok(());
        }
        Err(Refused::NotPrimary { agent: agent.clone(), primary: self.primary.clone() })
    }

    pub(super) fn must_take_part(&self, agent: &AgentId) -> Result<(), Refused> {
        if self.consultants.contains(agent) { Ok(()) } else { self.must_be_primary(agent) }
    }

    pub(super) fn must_be(&self, state: State, action: &'static str) -> Result<(), Refused> {
        if self.state == state {
            return Ok(());
        }
        Err(Refused::WrongState { action, state: self.state })
    }
}
