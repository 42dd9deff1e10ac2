//! Presence: chosen, by default, or computed from connection and load (PRES-01..05).

use crate::agent::Agent;
use crate::capacity::ChannelKind;
use crate::effect::{Effect, Effects};
use crate::offer::Outcome;
use crate::presence::{BaseStatus, Presence, PresenceSource};
use crate::time::Timestamp;

impl Agent {
    /// The status now.
    pub fn presence(&self) -> Presence {
        if !self.present {
            return Presence::plain(BaseStatus::Offline, PresenceSource::Computed);
        }
        if let Some(chosen) = &self.chosen {
            return chosen.clone();
        }
        let status = if self.is_full() { BaseStatus::Busy } else { BaseStatus::Online };
        Presence::plain(status, PresenceSource::Computed)
    }

    pub(super) fn on_connected(&mut self) {
        self.screens += 1;
        self.grace_until = None;
        // Sign-in and refresh set the administrator's default (PRES-05); a further tab and a short
        // break change nothing (PRES-04).
        if !self.present {
            self.present = true;
            self.chosen = self
                .settings
                .default_presence
                .map(|status| Presence::plain(status, PresenceSource::Default));
        }
    }

    pub(super) fn on_disconnected(&mut self, now: Timestamp, fx: &mut Effects) {
        self.screens = self.screens.saturating_sub(1);
        if self.screens == 0 && self.present {
            let until = now + self.settings.grace;
            self.grace_until = Some(until);
            fx.push(Effect::WakeAt(until));
        }
    }

    /// Signed out, or away for longer than the grace: the override ends (PRES-03) and offers go
    /// elsewhere at once (PRES-04). Held work stays: the conversations say whose they are.
    pub(super) fn on_gone(&mut self, fx: &mut Effects) {
        self.present = false;
        self.grace_until = None;
        self.chosen = None;
        self.end_offers(Outcome::Gone, fx, |_| true);
    }

    pub(super) fn on_set_presence(&mut self, choice: Option<(BaseStatus, String)>) {
        self.chosen = choice.map(|(status, label)| Presence {
            status,
            label,
            source: PresenceSource::Manual,
        });
    }

    pub(super) fn on_wake(&mut self, now: Timestamp, fx: &mut Effects) {
        if self.grace_until.is_some_and(|until| until <= now) {
            self.on_gone(fx);
        }
        self.end_offers(Outcome::Expired, fx, |offered| offered.deadline <= now);
    }

    /// When `Wake` is next needed. The host keeps one timer; see [`Effect::WakeAt`].
    pub fn wake_at(&self) -> Option<Timestamp> {
        let expiry = self.offers.values().filter(|o| !o.accepting).map(|o| o.deadline).min();
        [self.grace_until, expiry].into_iter().flatten().min()
    }

    /// Full: no kind that this agent takes has a place left (PRES-02).
    fn is_full(&self) -> bool {
        let limits = &self.settings.limits;
        ChannelKind::ALL.into_iter().all(|kind| self.ledger.spare(kind, limits) == 0)
    }
}
