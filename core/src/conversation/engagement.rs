//! Agents come, leave, end and finish up; deadlines pass.

use crate::agent;
use crate::conversation::{Conversation, Event, Refused, State};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, OfferId};
use crate::notice::Notice;
use crate::queue;
use crate::time::Timestamp;
use crate::workstream::WrapUpHold;

impl Conversation {
    pub(super) fn on_accept(
        &mut self,
        agent: AgentId,
        offer: OfferId,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.state != State::Open {
            // Closed meanwhile, or (after a restart) already somebody's: the place goes back.
            fx.push(Effect::Agent(agent, agent::Input::Rejected { offer }));
            return;
        }
        self.record(Event::Assigned { agent: agent.clone(), offer: offer.clone() }, now, fx);
        let queue = offer.queue.clone();
        let conversation = self.id;
        let taken = offer.clone();
        fx.push(Effect::Agent(agent.clone(), agent::Input::Confirmed { offer }));
        fx.push(Effect::Queue(queue, queue::Input::Taken { conversation, offer: taken }));
        self.show(fx);
        self.arm(fx);
    }

    pub(super) fn on_resumed(&mut self, agent: AgentId, now: Timestamp, fx: &mut Effects) {
        let is_expected =
            self.state == State::Waiting && self.returning && self.primary.as_ref() == Some(&agent);
        if !is_expected {
            // It went elsewhere while the answer was under way, or was taken up by hand and left again.
            let is_theirs = self.occupies && self.primary.as_ref() == Some(&agent);
            if !is_theirs {
                fx.push(Effect::Agent(agent, agent::Input::Release { conversation: self.id }));
            }
            return;
        }
        self.record(Event::Resumed, now, fx);
        self.show(fx);
        self.arm(fx);
    }

    pub(super) fn on_resume_refused(&mut self, agent: AgentId, now: Timestamp, fx: &mut Effects) {
        let is_expected =
            self.state == State::Waiting && self.returning && self.primary.as_ref() == Some(&agent);
        if !is_expected {
            return;
        }
        // The customer waits anew from now on; the earlier wait ended with the first assignment.
        self.record(Event::Unassigned { agent: agent.clone() }, now, fx);
        self.queued_at = now;
        self.enqueue(now, fx);
        self.show_gone(agent, fx);
    }

    pub(super) fn on_leave(
        &mut self,
        agent: AgentId,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&agent)?;
        self.must_be(State::Active, "leave")?;
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
                let queue = self.policy().queue.clone();
                self.record(Event::Closed, now, fx);
                let remove = queue::Input::Remove { conversation: self.id };
                fx.push(Effect::Queue(queue, remove));
            }
            State::Active | State::Waiting => {
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
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&agent)?;
        if self.state == State::Closed {
            return Ok(());
        }
        self.must_be(State::WrapUp, "finish wrap-up of")?;
        self.close(now, fx);
        Ok(())
    }

    pub(super) fn on_wake(&mut self, now: Timestamp, fx: &mut Effects) {
        let is_due = self.next_deadline().is_some_and(|at| at <= now);
        match self.state {
            State::Active if is_due => {
                let agent = self.primary.clone().expect("an active conversation has an agent");
                self.record(Event::WentIdle, now, fx);
                fx.push(Effect::Agent(agent, agent::Input::Release { conversation: self.id }));
                self.show(fx);
            }
            State::WrapUp if is_due => {
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
        match self.state {
            // Only a customer who has been answered can be called silent (ROUTE-09).
            State::Active if self.last_agent_at >= self.last_customer_at => {
                Some(self.last_agent_at + self.policy().inactivity)
            }
            State::WrapUp => {
                let limit = self.ended_at + self.policy().wrap_up_limit;
                match self.policy().wrap_up {
                    WrapUpHold::For(span) if self.occupies => Some(limit.min(self.ended_at + span)),
                    _ => Some(limit),
                }
            }
            _ => None,
        }
    }

    fn close(&mut self, now: Timestamp, fx: &mut Effects) {
        let agent = self.primary.clone();
        let occupied = self.occupies;
        self.record(Event::Closed, now, fx);
        if let Some(agent) = agent {
            if occupied {
                let release = agent::Input::Release { conversation: self.id };
                fx.push(Effect::Agent(agent.clone(), release));
            }
            self.show_gone(agent, fx);
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

    fn show_gone(&self, agent: AgentId, fx: &mut Effects) {
        let notice = Notice::ConversationGone { conversation: self.id, state: self.state };
        fx.push(Effect::Screen(agent, notice));
    }

    pub(super) fn must_be_primary(&self, agent: &AgentId) -> Result<(), Refused> {
        if self.primary.as_ref() == Some(agent) {
            return Ok(());
        }
        Err(Refused::NotPrimary { agent: agent.clone(), primary: self.primary.clone() })
    }

    fn must_be(&self, state: State, action: &'static str) -> Result<(), Refused> {
        if self.state == state {
            return Ok(());
        }
        Err(Refused::WrongState { action, state: self.state })
    }
}
