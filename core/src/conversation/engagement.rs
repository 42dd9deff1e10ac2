//! Agents come, leave, end and finish up; deadlines pass.

use crate::agent;
use crate::conversation::{Conversation, Event, Refused, State};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, OfferId};
use crate::notice::Notice;
use crate::queue;
use crate::time::Timestamp;
use crate::workstream::{OnOffline, WrapUpHold};

impl Conversation {
    pub(super) fn on_accept(
        &mut self,
        agent: AgentId,
        offer: OfferId,
        consult: bool,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.on_colleague(&agent, &offer, consult, now, fx) {
            return;
        }
        if self.state != State::Open || consult {
            // Closed meanwhile, or (after a restart) already somebody's: the place goes back.
            fx.push(Effect::Agent(agent, agent::Input::Rejected { offer }));
            return;
        }
        let queue = self.queue().clone();
        self.record(Event::Assigned { agent: agent.clone(), offer: offer.clone() }, now, fx);
        let conversation = self.id;
        let taken = offer.clone();
        fx.push(Effect::Agent(agent.clone(), agent::Input::Confirmed { offer }));
        fx.push(Effect::Queue(queue, queue::Input::Taken { conversation, offer: taken }));
        self.show(fx);
        self.arm(fx);
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
                fx.push(Effect::Agent(agent, agent::Input::Release { conversation: self.id }));
            }
            return;
        }
        self.record(Event::Resumed, now, fx);
        self.show(fx);
        self.arm(fx);
    }

    pub(super) fn on_resume_refused(
        &mut self,
        agent: AgentId,
        question: u32,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.is_asked(&agent, question) {
            // The customer waits anew from now on; the earlier wait ended with the assignment.
            self.give_back(now, now, fx);
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
        fx.push(Effect::Agent(agent, agent::Input::Release { conversation: self.id }));
        self.show(fx);
        Ok(())
    }

    pub(super) fn on_rejoin(
        &mut self,
        agent: AgentId,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&agent)?;
        if self.state == State::Active {
            return Ok(());
        }
        self.must_be(State::Waiting, "come back to")?;
        self.record(Event::Resumed, now, fx);
        let hold = agent::Input::HoldByHand { conversation: self.id, load: self.load() };
        fx.push(Effect::Agent(agent, hold));
        self.show(fx);
        self.arm(fx);
        Ok(())
    }

    pub(super) fn on_end(
        &mut self,
        agent: Option<AgentId>,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if let Some(agent) = &agent {
            self.must_be_primary(agent)?;
        }
        match self.state {
            State::Open => {
                let queue = self.queue().clone();
                self.record(Event::Closed, now, fx);
                let remove = queue::Input::Remove { conversation: self.id };
                fx.push(Effect::Queue(queue, remove));
            }
            State::Active | State::Waiting => {
                self.dismiss_all(fx);
                self.record(Event::WrapUpStarted { by: agent }, now, fx);
                if self.policy().wrap_up == WrapUpHold::Never {
                    self.release_wrap_up(now, fx);
                }
                self.show(fx);
                self.arm(fx);
            }
            // Asking twice is harmless: the button was pressed in two tabs.
            State::WrapUp | State::Closed => {}
        }
        Ok(())
    }

    pub(super) fn on_finish_wrap_up(
        &mut self,
        agent: AgentId,
        disposition: Option<String>,
        summary: Option<String>,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&agent)?;
        if self.state == State::Closed {
            return Ok(());
        }
        self.must_be(State::WrapUp, "finish wrap-up of")?;
        let known = self.policy().dispositions.clone();
        match &disposition {
            None if self.policy().disposition_required => {
                return Err(Refused::NoDisposition { known });
            }
            Some(found) if !known.contains(found) => {
                return Err(Refused::UnknownDisposition { found: found.clone(), known });
            }
            None | Some(_) => {}
        }
        if disposition.is_some() || summary.is_some() {
            self.record(Event::Disposed { disposition, summary }, now, fx);
        }
        self.close(now, fx);
        Ok(())
    }

    pub(super) fn on_wake(&mut self, now: Timestamp, fx: &mut Effects) {
        self.end_overdue_requests(now, fx);
        if self.is_too_old(now) {
            // A rule may do what a supervisor may; nobody is asked.
            let _ = self.on_end(None, now, fx);
            self.arm(fx);
            return;
        }
        match self.state {
            State::Active if self.return_at().is_some_and(|at| at <= now) => {
                self.give_back(self.queued_at, now, fx);
            }
            State::Active if self.idle_at().is_some_and(|at| at <= now) => {
                let agent = self.primary.clone().expect("an active conversation has an agent");
                self.end_advice(now, fx);
                self.record(Event::WentIdle, now, fx);
                fx.push(Effect::Agent(agent, agent::Input::Release { conversation: self.id }));
                self.show(fx);
            }
            State::WrapUp if self.wrap_up_step_at().is_some_and(|at| at <= now) => {
                if now >= self.ended_at + self.policy().wrap_up_limit {
                    self.close(now, fx);
                } else {
                    self.release_wrap_up(now, fx);
                    self.show(fx);
                }
            }
            _ => {}
        }
        self.arm(fx);
    }

    /// The next moment at which something happens by itself.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let by_state = match self.state {
            State::Active => [self.idle_at(), self.return_at()].into_iter().flatten().min(),
            State::WrapUp => self.wrap_up_step_at(),
            State::Open | State::Waiting | State::Closed => None,
        };
        let requests = self.handed.iter().map(|handed| handed.until).min();
        [by_state, requests, self.too_old_at()].into_iter().flatten().min()
    }

    /// Only a customer who has been answered can be called silent (ROUTE-09).
    fn idle_at(&self) -> Option<Timestamp> {
        let is_answered = self.last_agent_at >= self.last_customer_at;
        is_answered.then(|| self.last_agent_at + self.policy().inactivity)
    }

    /// When it goes back to the queue because its agent is offline (ROUTE-18).
    fn return_at(&self) -> Option<Timestamp> {
        match self.policy().on_offline {
            OnOffline::Keep => None,
            OnOffline::Return => self.agent_gone_at,
            OnOffline::ReturnAfter(delay) => self.agent_gone_at.map(|at| at + delay),
        }
    }

    fn wrap_up_step_at(&self) -> Option<Timestamp> {
        let limit = self.ended_at + self.policy().wrap_up_limit;
        match self.policy().wrap_up {
            WrapUpHold::For(span) if self.occupies => Some(limit.min(self.ended_at + span)),
            _ => Some(limit),
        }
    }

    /// CONV-07.
    fn too_old_at(&self) -> Option<Timestamp> {
        let is_under_way = matches!(self.state, State::Open | State::Active | State::Waiting);
        self.policy().end_after.filter(|_| is_under_way).map(|limit| self.begun_at + limit)
    }

    fn is_too_old(&self, now: Timestamp) -> bool {
        self.too_old_at().is_some_and(|at| at <= now)
    }

    pub(super) fn close(&mut self, now: Timestamp, fx: &mut Effects) {
        let (agent, occupied) = (self.primary.clone(), self.occupies);
        self.record(Event::Closed, now, fx);
        if let Some(agent) = agent {
            self.release_if(occupied, &agent, fx);
            self.show_gone(agent, fx);
        }
    }

    /// The agent's place is free, if it was taken until the event before.
    pub(super) fn release_if(&self, occupied: bool, agent: &AgentId, fx: &mut Effects) {
        if occupied {
            let release = agent::Input::Release { conversation: self.id };
            fx.push(Effect::Agent(agent.clone(), release));
        }
    }

    fn release_wrap_up(&mut self, now: Timestamp, fx: &mut Effects) {
        if !self.occupies {
            return;
        }
        self.record(Event::WrapUpReleased, now, fx);
        let agent = self.primary.clone().expect("wrap-up has an agent");
        fx.push(Effect::Agent(agent, agent::Input::Release { conversation: self.id }));
    }

    pub(super) fn show_gone(&self, agent: AgentId, fx: &mut Effects) {
        let notice = Notice::ConversationGone { conversation: self.id, state: self.state };
        fx.push(Effect::Screen(agent, notice));
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
