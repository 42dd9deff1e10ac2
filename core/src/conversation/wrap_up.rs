//! Finishing up: wrap-up after the end (CAP-02, CONV-08), and what is left of it when the customer
//! writes before the agent is done.

use serde::{Deserialize, Serialize};

use crate::conversation::{Conversation, Event, Refused, State};
use crate::effect::Effects;
use crate::ids::AgentId;
use crate::time::Timestamp;
use crate::workstream::WrapUpHold;

/// A wrap-up that the customer's next message cut short. The conversation goes on; the agent can
/// still say how the part before ended. It takes no place, and lapses by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WrapUpTask {
    /// Whose.
    pub agent: AgentId,
    /// When that part ended.
    pub since: Timestamp,
}

impl Conversation {
    /// Who still has to say how an earlier part of it ended.
    pub fn owners_of_wrap_ups(&self) -> Vec<AgentId> {
        self.wrap_ups.iter().map(|task| task.agent.clone()).collect()
    }

    /// Whether this agent has to.
    pub fn has_wrap_up_of(&self, agent: &AgentId) -> bool {
        self.wrap_ups.iter().any(|task| task.agent == *agent)
    }

    pub(super) fn on_finish_wrap_up(
        &mut self,
        agent: AgentId,
        disposition: Option<String>,
        summary: Option<String>,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        let is_own = self.state == State::WrapUp && self.primary.as_ref() == Some(&agent);
        if !is_own && !self.has_wrap_up_of(&agent) {
            self.must_be_primary(&agent)?;
            if self.state == State::Closed {
                return Ok(());
            }
            self.must_be(State::WrapUp, "finish wrap-up of")?;
        }
        let known = self.goes_by().dispositions.clone();
        match &disposition {
            None if self.goes_by().disposition_required => {
                return Err(Refused::NoDisposition { known });
            }
            Some(found) if !known.contains(found) => {
                return Err(Refused::UnknownDisposition { found: found.clone(), known });
            }
            None | Some(_) => {}
        }
        if disposition.is_some() || summary.is_some() {
            let of_before = !is_own;
            self.record(Event::Disposed { disposition, summary, of_before }, now, fx);
        }
        if is_own {
            self.close(now, fx);
            return Ok(());
        }
        self.record(Event::WrapUpFinished { agent }, now, fx);
        self.show(fx);
        Ok(())
    }

    /// Tasks that nobody has finished in time.
    pub(super) fn end_lapsed_wrap_ups(&mut self, now: Timestamp, fx: &mut Effects) {
        let limit = self.goes_by().wrap_up_limit;
        self.end_wrap_ups(|task| task.since + limit <= now, now, fx);
    }

    /// Nobody needs to finish these any more.
    pub(super) fn end_wrap_ups(
        &mut self,
        which: impl Fn(&WrapUpTask) -> bool,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let ending = self.wrap_ups.iter().filter(|task| which(task));
        let ending: Vec<AgentId> = ending.map(|task| task.agent.clone()).collect();
        for agent in ending {
            self.record(Event::WrapUpLapsed { agent }, now, fx);
        }
    }

    pub(super) fn wrap_up_lapses_at(&self) -> Option<Timestamp> {
        self.wrap_ups.iter().map(|task| task.since + self.goes_by().wrap_up_limit).min()
    }

    /// The next moment at which the wrap-up under way moves on by itself.
    pub(super) fn wrap_up_step_at(&self) -> Option<Timestamp> {
        let limit = self.ended_at + self.goes_by().wrap_up_limit;
        match self.goes_by().wrap_up {
            WrapUpHold::For(span) if self.occupies => Some(limit.min(self.ended_at + span)),
            // The setting has changed since: whoever is in wrap-up follows it.
            WrapUpHold::Never if self.occupies => Some(self.ended_at),
            WrapUpHold::Never | WrapUpHold::Always | WrapUpHold::For(_) => Some(limit),
        }
    }

    pub(super) fn on_wrap_up_step(&mut self, now: Timestamp, fx: &mut Effects) {
        if now >= self.ended_at + self.goes_by().wrap_up_limit {
            self.close(now, fx);
        } else {
            self.release_wrap_up(now, fx);
            self.show(fx);
        }
    }

    pub(super) fn release_wrap_up(&mut self, now: Timestamp, fx: &mut Effects) {
        if !self.occupies {
            return;
        }
        self.record(Event::WrapUpReleased, now, fx);
        let agent = self.primary.clone().expect("wrap-up has an agent");
        self.release(&agent, fx);
    }
}
