//! A clock that stood ahead and was set right while nobody ran: what the conversation knows of times lies in
//! the future, and all that counts from there would wait for as long as the clock was wrong.

use crate::conversation::{Conversation, Event};
use crate::effect::Effects;
use crate::time::{Span, Timestamp};

impl Conversation {
    /// Before an input that can't be refused is dealt with. Within a run time never goes back, so there is
    /// nothing to be done then.
    pub(super) fn notice_the_clock(&mut self, now: Timestamp, fx: &mut Effects) {
        let by = self.newest_time().0.saturating_sub(now.0);
        if by > 0 {
            self.record(Event::ClockSetBack { by: Span(by) }, now, fx);
        }
    }

    /// The latest moment at which anything has happened here.
    fn newest_time(&mut self) -> Timestamp {
        let mut newest = self.opened_at;
        self.each_past_time(|time| newest = newest.max(*time));
        newest
    }

    /// What lies ahead comes as much earlier as the latest does to be now, but not before what lies behind:
    /// what came after something else still does. What has a term has as much of it left as it had.
    pub(super) fn set_clock_back(&mut self, by: Span, now: Timestamp) {
        let mut known = Timestamp(0);
        self.each_past_time(|time| {
            if *time <= now {
                known = known.max(*time);
            }
        });
        let earlier = |time: Timestamp| Timestamp(time.0.saturating_sub(by.0));
        self.each_past_time(|time| {
            if *time > now {
                *time = earlier(*time).max(known);
            }
        });
        let terms = self.handed.iter_mut().map(|handed| &mut handed.until);
        for until in terms.chain(self.prefer.as_mut().map(|prefer| &mut prefer.until)) {
            *until = earlier(*until).max(now);
        }
    }

    fn each_past_time(&mut self, mut look: impl FnMut(&mut Timestamp)) {
        let always = [
            &mut self.opened_at,
            &mut self.queued_at,
            &mut self.last_customer_at,
            &mut self.last_agent_at,
            &mut self.ended_at,
            &mut self.asked_at,
            &mut self.engaged_at,
            &mut self.begun_at,
            &mut self.timer_from,
        ];
        always.into_iter().for_each(&mut look);
        self.agent_gone_at.iter_mut().chain(&mut self.agent_away_since).for_each(&mut look);
        self.wrap_ups.iter_mut().map(|task| &mut task.since).for_each(look);
    }
}
