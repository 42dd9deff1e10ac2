//! What happens by itself: the earliest deadline, the alarm for it, and what is done when it rings.

use crate::conversation::{Conversation, Event, State};
use crate::effect::{Effect, Effects};
use crate::time::Timestamp;
use crate::workstream::OnOffline;

impl Conversation {
    /// A restart has lost its alarms; whoever restarts sets them by what is on disk.
    pub fn forget_alarms(&mut self) {
        self.armed = None;
    }

    /// Asks for an alarm unless one that isn't later is set: whoever is woken too early looks at the
    /// deadlines and asks for the next.
    pub(super) fn arm(&mut self, has_rung: bool, now: Timestamp, fx: &mut Effects) {
        let Some(at) = self.wake_at() else { return };
        let is_set = self.armed.is_some_and(|armed| now < armed && armed <= at);
        if has_rung || !is_set {
            self.armed = Some(at);
            fx.push(Effect::WakeAt(at));
        }
    }

    pub(super) fn on_wake(&mut self, now: Timestamp, fx: &mut Effects) {
        self.end_overdue_requests(now, fx);
        self.end_lapsed_wrap_ups(now, fx);
        if self.is_too_old(now) {
            // A rule may do what a supervisor may; nobody is asked.
            let _ = self.on_end(None, true, now, fx);
            return;
        }
        match self.state {
            State::Active | State::Waiting if self.return_at().is_some_and(|at| at <= now) => {
                self.give_back(self.queued_at, self.preferred_for(), now, fx);
            }
            State::Active if self.idle_at().is_some_and(|at| at <= now) => {
                let agent = self.primary.clone().expect("an active conversation has an agent");
                self.end_advice(now, fx);
                self.record(Event::WentIdle, now, fx);
                self.release(&agent, fx);
                self.show(fx);
            }
            State::WrapUp if self.wrap_up_step_at().is_some_and(|at| at <= now) => {
                self.on_wrap_up_step(now, fx);
            }
            _ => {}
        }
    }

    /// The next moment at which something happens by itself: when it needs `Wake`, if at all.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let by_state = match self.state {
            State::Active => [self.idle_at(), self.return_at()].into_iter().flatten().min(),
            State::Waiting => self.return_at(),
            State::WrapUp => self.wrap_up_step_at(),
            State::Open | State::Closed => None,
        };
        let requests = self.handed.iter().map(|handed| handed.until).min();
        let lapse = self.wrap_up_lapses_at();
        [by_state, requests, lapse, self.too_old_at()].into_iter().flatten().min()
    }

    /// Only a customer who has been answered can be called silent (ROUTE-09).
    fn idle_at(&self) -> Option<Timestamp> {
        let is_answered = self.last_agent_at >= self.asked_at;
        // Whoever has just taken it up is about to write.
        let since = self.last_agent_at.max(self.engaged_at);
        is_answered.then(|| since + self.goes_by().inactivity)
    }

    /// When it goes back to the queue because its agent is offline (ROUTE-18).
    fn return_at(&self) -> Option<Timestamp> {
        match self.goes_by().on_offline {
            OnOffline::Keep => None,
            OnOffline::Return => self.agent_gone_at,
            OnOffline::ReturnAfter(delay) => self.agent_gone_at.map(|at| at + delay),
        }
    }

    /// CONV-07.
    fn too_old_at(&self) -> Option<Timestamp> {
        let is_under_way = matches!(self.state, State::Open | State::Active | State::Waiting);
        self.goes_by().end_after.filter(|_| is_under_way).map(|limit| self.begun_at + limit)
    }

    fn is_too_old(&self, now: Timestamp) -> bool {
        self.too_old_at().is_some_and(|at| at <= now)
    }
}
