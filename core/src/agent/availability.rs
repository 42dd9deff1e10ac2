//! Presence: chosen, by default, by rule, or computed from connection and load (PRES-01..08).

use std::borrow::Cow;

use crate::agent::{Agent, Refused};
use crate::capacity::ChannelKind;
use crate::effect::{Effect, Effects};
use crate::notice::Alert;
use crate::offer::Outcome;
use crate::presence::{BaseStatus, Presence, PresenceSource};
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

    pub(super) fn on_connected(&mut self, resumed: bool, now: Timestamp) {
        let is_first = self.screens == 0;
        self.screens += 1;
        self.grace_until = None;
        self.last_active = now;
        let signs_in = !std::mem::replace(&mut self.present, true);
        if signs_in {
            self.sign_in = self.sign_in.wrapping_add(1);
            self.idle_since = now;
            self.missed_in_a_row = 0;
        }
        // Sign-in and refresh set the administrator's default (PRES-05); a further tab and a short
        // break change nothing (PRES-04).
        let default = self.settings.default_presence;
        if signs_in || (is_first && !resumed && default.is_some()) {
            self.chosen = default.map(|status| Presence::plain(status, PresenceSource::Default));
        }
    }

    pub(super) fn on_disconnected(&mut self, now: Timestamp) {
        self.screens = self.screens.saturating_sub(1);
        if self.screens == 0 && self.present {
            self.grace_until = Some(now + self.settings.grace);
        }
    }

    /// Signed out, or away for longer than the grace: the override ends (PRES-03) and offers go
    /// elsewhere at once (PRES-04). What becomes of held work the conversations say (ROUTE-18).
    pub(super) fn on_gone(&mut self, fx: &mut Effects) {
        self.present = false;
        self.grace_until = None;
        self.chosen = None;
        self.end_offers(Outcome::Gone, fx, |_| true);
    }

    /// Who does something isn't idle; what the idle rule set ends with it (PRES-06).
    pub(super) fn on_activity(&mut self, now: Timestamp) {
        self.last_active = self.last_active.max(now);
        if self.chosen.as_ref().is_some_and(|chosen| chosen.source == PresenceSource::Idle) {
            self.chosen = None;
        }
    }

    pub(super) fn on_set_presence(
        &mut self,
        choice: Option<(BaseStatus, String)>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if self.settings.light {
            return Err(Refused::Light);
        }
        self.on_activity(now);
        self.missed_in_a_row = 0;
        self.chosen = choice.map(|(status, label)| Presence {
            status,
            label: label.into(),
            source: PresenceSource::Manual,
        });
        Ok(())
    }

    pub(super) fn on_wake(&mut self, now: Timestamp, fx: &mut Effects) {
        if self.grace_until.is_some_and(|until| until <= now) {
            self.on_gone(fx);
        }
        if self.expected_until.is_some_and(|until| until <= now) {
            self.expected_until = None;
            if self.status().0 == BaseStatus::Offline {
                self.tell_held(true, fx);
            }
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
        let expiry = self.offers.values().filter(|o| !o.accepting).map(|o| o.deadline).min();
        [self.grace_until, expiry, self.idle_at(), self.expected_until].into_iter().flatten().min()
    }

    fn idle_at(&self) -> Option<Timestamp> {
        let rule = self.settings.idle.filter(|_| self.present && !self.settings.light)?;
        let (status, source) = self.status();
        let is_set = matches!(source, PresenceSource::Idle | PresenceSource::MissedOffers)
            || status == BaseStatus::Offline;
        (!is_set).then(|| self.last_active + rule.after)
    }

    /// Full: no kind that can reach this agent has a place left (PRES-02).
    fn is_full(&self) -> bool {
        let (limits, kinds) = (&self.settings.limits, self.settings.kinds);
        let mut reachable = ChannelKind::ALL.into_iter().filter(|kind| kinds.contains(*kind));
        kinds != Default::default() && reachable.all(|kind| self.ledger.spare(kind, limits) == 0)
    }
}
