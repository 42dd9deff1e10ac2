//! What is on disk of those who are signed in, kept in memory as long as nothing of it changes: each request and each
//! command of a screen asks for it.

use cordboard_core::ids::AgentId;
use cordboard_core::time::{Span, Timestamp};
use dashmap::DashMap;

use crate::http::caller::Credential;
use crate::http::error::ApiError;
use crate::journal::Reader;

/// A session or a token that is there.
#[derive(Clone)]
pub(super) struct OnDisk {
    /// Whose.
    pub agent: AgentId,
    /// What unsafe requests carry beside a cookie.
    pub csrf: Option<String>,
    /// What a token is for.
    pub scopes: Option<String>,
    /// When it was last noted as used.
    pub used_at: Option<Timestamp>,
    begun_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl OnDisk {
    /// Looks it up.
    ///
    /// # Errors
    /// [`ApiError::NotSignedIn`]: it isn't there, or has ended.
    pub fn read(
        credential: &Credential,
        now: Timestamp,
        idle: Span,
        reader: &Reader,
    ) -> Result<Self, ApiError> {
        let found = match credential {
            Credential::Token(hash) => reader.token(hash, now)?.map(|owner| Self {
                agent: owner.agent,
                csrf: None,
                scopes: owner.scopes,
                used_at: owner.used_at,
                begun_at: None,
                expires_at: owner.expires_at,
            }),
            Credential::Session(hash) => {
                let idle_since = Timestamp(now.0 - idle.0);
                reader.session(hash, now, idle_since)?.map(|session| Self {
                    agent: session.agent,
                    csrf: Some(session.csrf),
                    scopes: None,
                    used_at: session.used_at,
                    begun_at: session.created_at,
                    expires_at: Some(session.expires_at),
                })
            }
        };
        found.ok_or(ApiError::NotSignedIn)
    }

    /// As the tables would say of it.
    fn is_valid(&self, credential: &Credential, now: Timestamp, idle: Span) -> bool {
        let is_idle = match credential {
            Credential::Token(_) => false,
            Credential::Session(_) => {
                self.used_at.or(self.begun_at).is_some_and(|at| at.0 <= now.0 - idle.0)
            }
        };
        !is_idle && self.expires_at.is_none_or(|at| at > now)
    }
}

/// Those that were looked up lately, each with the edition of the tables' accounts that it was read of, or a later one.
#[derive(Default)]
pub struct Credentials(DashMap<Credential, (u64, OnDisk)>);

impl Credentials {
    /// More begin anew.
    const MOST: usize = 16_384;

    /// What is known of one that still stands: nothing, if anybody's sessions, tokens or accounts have changed since.
    pub(super) fn known(
        &self,
        credential: &Credential,
        edition: u64,
        now: Timestamp,
        idle: Span,
    ) -> Option<OnDisk> {
        let known = self.0.get(credential)?;
        let (of, on_disk) = known.value();
        (*of == edition && on_disk.is_valid(credential, now, idle)).then(|| on_disk.clone())
    }

    /// It was read while the tables were of this edition.
    pub(super) fn keep(&self, credential: &Credential, edition: u64, on_disk: &OnDisk) {
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        self.0.insert(credential.clone(), (edition, on_disk.clone()));
    }

    /// It was used just now, which is being written.
    pub(super) fn used(&self, credential: &Credential, now: Timestamp) {
        if let Some(mut known) = self.0.get_mut(credential) {
            known.1.used_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-06
    #[test]
    fn what_is_known_ends_with_a_change_its_time_or_idleness() {
        let (at, idle) = (Timestamp(1_000_000), Span(60_000));
        let session = Credential::Session(vec![1]);
        let on_disk = OnDisk {
            agent: AgentId::new("kim"),
            csrf: None,
            scopes: None,
            used_at: None,
            begun_at: Some(at),
            expires_at: Some(Timestamp(at.0 + 100_000)),
        };
        let known = Credentials::default();
        known.keep(&session, 7, &on_disk);
        let after = |ms: i64| Timestamp(at.0 + ms);
        let is_known = |edition, now| known.known(&session, edition, now, idle).is_some();
        assert!(is_known(7, after(1)));
        assert!(!is_known(8, after(1)), "something has changed");
        assert!(is_known(7, after(59_999)));
        assert!(!is_known(7, after(60_000)), "it is idle");
        known.used(&session, after(50_000));
        assert!(is_known(7, after(99_999)));
        assert!(!is_known(7, after(100_000)), "its time is over");
        let token = Credential::Token(vec![1]);
        assert!(known.known(&token, 7, after(1), idle).is_none(), "a token is another thing");
        known.keep(&token, 7, &OnDisk { expires_at: None, ..on_disk });
        assert!(known.known(&token, 7, after(10_000_000), idle).is_some());
    }
}
