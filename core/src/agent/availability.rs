//! Presence: chosen, by default, by rule, or computed from connection and load (PRES-01..08).

use std::borrow::Cow;

use crate::agent::KeptPresence;
use crate::agent::{Agent, Refused};
use crate::effect::{Effect, Effects};
use crate::notice::Alert;
use crate::offer::Outcome;
use crate::presence::{Attendance, BaseStatus, Presence, PresenceSource};
use crate::time::Timestamp;

impl Agent {
    /// The status now.
    pub fn presence(&self) -> Presence {
        let (status, source) = self.status();
        Presence { status, source, label: self.label() }
    }

    pub(super) fn status(&self) -> (BaseStatus, PresenceSource) {
        if !self.present || self.settings.light {
            return (BaseStatus::Offline, PresenceSource::Computed);
        }
        if let Some(chosen) = &self.chosen {
            return (chosen.status, chosen.source);
        }
        let status = if self.is_full() { BaseStatus::Busy } else { BaseStatus::Online };
        (status, PresenceSource::Computed)
    }

    pub(super) fn label(&self) -> Cow<'static, str> {
        match &self.chosen {
            Some(chosen) if self.present && !self.settings.light => chosen.label.clone(),
            _ => Cow::Borrowed(self.status().0.as_str()),
        }
    }

    /// Within the grace nothing changes, whatever ended the connection: a broken line, a page that was
    /// loaded again, a restart of the host (PRES-04). Whoever wasn't present signs in, and that sets
    /// the administrator's default (PRES-05).
    pub(super) fn on_connected(&mut self, now: Timestamp) {
        self.screens += 1;
        self.lost_at = None;
        self.last_active = now;
        self.become_present(now);
    }

    /// Whether they weren't.
    fn become_present(&mut self, now: Timestamp) -> bool {
        if std::mem::replace(&mut self.present, true) {
            return false;
        }
        // Never a number of before, though a restart may have forgotten the last one.
        self.sign_in = self.sign_in.saturating_add(1).max(now.0.unsigned_abs());
        self.idle_since = now;
        self.missed_in_a_row = 0;
        let default = self.settings.default_presence;
        self.chosen = default.map(|status| Presence::plain(status, PresenceSource::Default));
        true
    }

    pub(super) fn on_disconnected(&mut self, heard_at: Timestamp) {
        self.screens = self.screens.saturating_sub(1);
        if self.screens == 0 && self.present {
            self.lost_at = Some(heard_at);
        }
    }

    /// When presence ends unless a screen comes back (PRES-04).
    fn grace_until(&self) -> Option<Timestamp> {
        self.lost_at.map(|at| at + self.settings.grace)
    }

    /// PRES-04: a restart of the host is a lost connection like any other, and began when the last run
    /// ended. Conversations that believe something else of this agent than what is so are told.
    pub(super) fn on_recall(
        &mut self,
        standing: Option<KeptPresence>,
        alive_until: Timestamp,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let kept = standing.unwrap_or_default();
        // Nothing of before is later than now, whatever a clock showed that stood ahead.
        let alive_until = alive_until.min(now);
        let kept = KeptPresence {
            last_assigned: kept.last_assigned.min(now),
            idle_since: kept.idle_since.min(now),
            absent_since: kept.absent_since.min(now),
            ..kept
        };
        let is_first_word = !self.present;
        if is_first_word {
            (self.last_assigned, self.idle_since) = (kept.last_assigned, kept.idle_since);
        }
        self.sign_in = self.sign_in.max(kept.sign_in);
        let mut since = now;
        if kept.present && !self.retired && is_first_word {
            let lost_at = kept.lost_at.unwrap_or(alive_until).min(now);
            since = lost_at;
            if now < lost_at + self.settings.grace {
                self.present = true;
                self.lost_at = Some(lost_at);
                self.chosen = kept.chosen;
                self.missed_in_a_row = kept.missed_in_a_row;
                self.last_active = now;
            }
        }
        let beliefs = self.restoring.take().unwrap_or_default();
        let (status, source) = self.status();
        self.told_attendance = Attendance::of(status, source);
        // Absent for longer than that: somebody may have written to them and not been heard.
        let was_so = kept.attendance == self.told_attendance && kept.absent_since > Timestamp(0);
        self.absent_since = if was_so { kept.absent_since } else { since };
        for conversation in self.theirs() {
            if self.takes_no_work() {
                self.give_back(conversation, fx);
            } else if beliefs.of(conversation) != Some(self.told_attendance) {
                self.tell_attendance(conversation, self.absent_since, fx);
            }
        }
    }

    /// Whoever is present now is present after the next start, if that comes within the grace.
    pub(super) fn on_stop(&mut self, now: Timestamp, fx: &mut Effects) {
        self.end_offers(Outcome::Gone, fx, |_| true);
        if self.present {
            self.lost_at.get_or_insert(now);
        }
    }

    /// Signed out, or away for longer than the grace: the override ends (PRES-03) and offers go
    /// elsewhere at once (PRES-04). What becomes of held work the conversations say (ROUTE-18).
    pub(super) fn on_gone(&mut self, fx: &mut Effects) {
        self.present = false;
        self.lost_at = None;
        self.chosen = None;
        self.end_offers(Outcome::Gone, fx, |_| true);
    }

    /// The chosen label is configured no longer (`to` is none), or stands for another status (PRES-01).
    pub(super) fn on_relabel(&mut self, label: &str, to: Option<(BaseStatus, String)>) {
        let is_theirs = |chosen: &&mut Presence| {
            chosen.source == PresenceSource::Manual && chosen.label == label
        };
        if self.chosen.as_mut().filter(is_theirs).is_none() {
            return;
        }
        self.chosen = to.map(Presence::by_hand);
    }

    /// Who does something isn't idle; what the idle rule set ends with it (PRES-06).
    pub(super) fn on_activity(&mut self, now: Timestamp) {
        self.last_active = self.last_active.max(now);
        if self.chosen.as_ref().is_some_and(|chosen| chosen.source == PresenceSource::Idle) {
            self.chosen = None;
        }
    }

    /// Whoever says what they are is there. Without a screen (a program that calls the API) that holds
    /// for the grace, from the last time it was said.
    pub(super) fn on_set_presence(
        &mut self,
        choice: Option<(BaseStatus, String)>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if self.settings.light {
            return Err(Refused::Light);
        }
        let signs_in = self.become_present(now);
        if self.screens == 0 {
            self.lost_at = Some(now);
        }
        self.on_activity(now);
        self.missed_in_a_row = 0;
        if signs_in && choice.is_none() {
            return Ok(());
        }
        self.chosen = choice.map(Presence::by_hand);
        Ok(())
    }

    pub(super) fn on_wake(&mut self, now: Timestamp, fx: &mut Effects) {
        if self.grace_until().is_some_and(|until| until <= now) {
            // Whoever wrote since the connection was lost wrote to somebody who wasn't there.
            self.backdated = self.lost_at;
            self.on_gone(fx);
        }
        let expired = self.end_offers(Outcome::Expired, fx, |offered| offered.deadline <= now);
        self.on_missed(expired, fx);
        self.on_idle(now);
    }

    /// PRES-06: a manual override ends with it (PRES-03).
    fn on_idle(&mut self, now: Timestamp) {
        let Some(rule) = self.settings.idle.filter(|_| self.idle_at().is_some_and(|at| at <= now))
        else {
            return;
        };
        self.chosen = Some(Presence::plain(rule.status, PresenceSource::Idle));
        self.backdated = Some(self.last_active);
    }

    /// PRES-07.
    fn on_missed(&mut self, expired: u32, fx: &mut Effects) {
        self.missed_in_a_row += expired;
        let Some(rule) = self.settings.missed else { return };
        if expired == 0 || self.missed_in_a_row < rule.limit {
            return;
        }
        let missed = std::mem::take(&mut self.missed_in_a_row);
        self.chosen = Some(Presence::plain(rule.status, PresenceSource::MissedOffers));
        fx.push(Effect::Alert(Alert::MissedOffers { agent: self.id.clone(), missed }));
    }

    /// When `Wake` is next needed; whoever runs the machine keeps one timer for it.
    pub fn wake_at(&self) -> Option<Timestamp> {
        [self.grace_until(), self.offers.first_deadline(), self.idle_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn idle_at(&self) -> Option<Timestamp> {
        let rule = self.settings.idle.filter(|_| self.present && !self.settings.light)?;
        let (status, source) = self.status();
        let is_set = matches!(source, PresenceSource::Idle | PresenceSource::MissedOffers)
            || status == BaseStatus::Offline;
        (!is_set).then(|| self.last_active + rule.after)
    }

    /// Full: nothing that can come to this agent fits any more (PRES-02).
    fn is_full(&self) -> bool {
        let mut lightest = self.settings.reach.loads().peekable();
        lightest.peek().is_some()
            && lightest.all(|load| !self.ledger.fits(load, &self.settings.limits))
    }
}
