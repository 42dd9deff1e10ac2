//! Where the primary is, as their machine says, and what follows from it: ROUTE-18 for whoever is
//! offline, ROUTE-19 for a customer who writes to somebody absent.

use crate::conversation::{Conversation, Event, State};
use crate::effect::Effects;
use crate::ids::AgentId;
use crate::presence::Attendance;
use crate::time::{Span, Timestamp};
use crate::workstream::OnOffline;

impl Conversation {
    /// ROUTE-19, where the workstream has no affinity.
    const PREFERRED_FOR: Span = Span::seconds(60);

    /// Where the primary was last known to be.
    pub fn attendance(&self) -> Attendance {
        match (self.agent_gone_at, self.agent_away_since) {
            (Some(_), _) => Attendance::Offline,
            (None, Some(_)) => Attendance::Away,
            (None, None) => Attendance::Here,
        }
    }

    /// Whether the primary isn't there for the customer (ROUTE-19).
    pub fn is_agent_absent(&self) -> bool {
        self.attendance().is_absence(self.goes_by().allowed)
    }

    /// Whether the customer has written at that time or later and hasn't been answered.
    pub fn is_asking_since(&self, since: Timestamp) -> bool {
        self.asked_at >= since && self.asked_at > self.last_agent_at
    }

    /// Whether it takes no place of its agent's and still goes elsewhere when they go (ROUTE-18).
    pub fn follows_agent(&self) -> bool {
        self.goes_by().follows_agent(self.state)
    }

    /// How long a customer waits for the agent they had, at most (ROUTE-13).
    pub(super) fn affinity(&self) -> Span {
        self.goes_by().affinity.unwrap_or_default()
    }

    /// The same where that agent was absent and may be back at once (ROUTE-19).
    pub(super) fn preferred_for(&self) -> Span {
        self.goes_by().affinity.unwrap_or(Self::PREFERRED_FOR)
    }

    /// ROUTE-19: a customer who writes to somebody who isn't there is routed anew.
    pub(super) fn leave_the_absent(&mut self, now: Timestamp, fx: &mut Effects) {
        if self.state == State::Active && self.is_agent_absent() {
            self.give_back(now, self.preferred_for(), now, fx);
        }
    }

    /// Somebody away may have been there by the settings of before (ROUTE-17).
    pub(super) fn leave_whoever_counts_as_absent_now(&mut self, now: Timestamp, fx: &mut Effects) {
        if let (State::Active, Some(since)) = (self.state, self.agent_away_since)
            && self.is_agent_absent()
            && self.is_asking_since(since)
        {
            self.give_back(self.asked_at, self.preferred_for(), now, fx);
        }
    }

    /// The primary isn't there, and perhaps wasn't when the customer last wrote, though nobody knew.
    pub(super) fn on_agent_absent(
        &mut self,
        agent: AgentId,
        attendance: Attendance,
        since: Timestamp,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.consultants.contains(&agent) {
            if attendance == Attendance::Offline {
                self.dismiss(&agent, now, fx);
                self.show(fx);
            }
            return;
        }
        let is_theirs = self.occupies || self.follows_agent();
        if self.primary.as_ref() != Some(&agent) || !is_theirs {
            return;
        }
        // Who took it up while away knew what its customer had written until then.
        let taken_at = self.agent_away_since.filter(|_| attendance == Attendance::Away);
        let since = taken_at.map_or(since, |taken_at| since.max(taken_at));
        self.note_attendance(attendance, since, now, fx);
        let is_asking = self.is_asking_since(since);
        match self.state {
            State::Active if is_asking && self.is_agent_absent() => {
                self.give_back(self.asked_at, self.preferred_for(), now, fx);
            }
            State::Active | State::Waiting
                if attendance == Attendance::Offline
                    && self.goes_by().on_offline == OnOffline::Return =>
            {
                self.give_back(self.queued_at, self.preferred_for(), now, fx);
            }
            _ => {}
        }
    }

    /// Nobody will come back to it: it finds somebody else, whatever the workstream says.
    pub(super) fn on_agent_retired(&mut self, agent: AgentId, now: Timestamp, fx: &mut Effects) {
        if self.consultants.contains(&agent) {
            self.dismiss(&agent, now, fx);
            self.show(fx);
        }
        if self.primary.as_ref() != Some(&agent) {
            return;
        }
        match self.state {
            State::Active => self.give_back(self.queued_at, Span(0), now, fx),
            State::Waiting if self.follows_agent() => {
                self.give_back(self.queued_at, Span(0), now, fx);
            }
            State::WrapUp => self.close(now, fx),
            State::Open | State::Waiting | State::Closed => {}
        }
    }

    pub(super) fn on_agent_back(&mut self, agent: &AgentId, now: Timestamp, fx: &mut Effects) {
        if self.primary.as_ref() == Some(agent) {
            self.note_attendance(Attendance::Here, now, now, fx);
        }
    }

    fn note_attendance(
        &mut self,
        attendance: Attendance,
        since: Timestamp,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if attendance == self.attendance() {
            return;
        }
        let event = match attendance {
            Attendance::Here => Event::AgentCameBack,
            Attendance::Away => Event::AgentSteppedAway { since },
            Attendance::Offline => Event::AgentWentAway,
        };
        self.record(event, now, fx);
    }
}
