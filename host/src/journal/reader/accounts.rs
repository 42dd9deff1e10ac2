//! Who may sign in, and who has.

use cordboard_core::ids::AgentId;
use cordboard_core::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Reader, Result};

/// An account's password hash.
pub struct Account {
    /// Whose.
    pub agent: AgentId,
    /// Argon2 in PHC form.
    pub password: String,
}

/// A session that a cookie names.
pub struct SignedIn {
    /// Whose.
    pub agent: AgentId,
    /// What unsafe requests must carry beside the cookie.
    pub csrf: String,
}

/// Whose a token is.
pub struct TokenOwner {
    /// Whose.
    pub agent: AgentId,
}

impl Reader {
    /// The account of an agent.
    pub fn account(&self, agent: &str) -> Result<Option<Account>> {
        self.connection
            .prepare_cached("SELECT agent, password FROM accounts WHERE agent = ?1")?
            .query_row([agent], |row| {
                Ok(Account { agent: AgentId::new(row.get::<_, String>(0)?), password: row.get(1)? })
            })
            .optional()
    }

    /// The owner of a token, by its hash.
    pub fn token(&self, hash: &[u8]) -> Result<Option<TokenOwner>> {
        self.connection
            .prepare_cached("SELECT agent FROM tokens WHERE hash = ?1")?
            .query_row([hash], |row| {
                Ok(TokenOwner { agent: AgentId::new(row.get::<_, String>(0)?) })
            })
            .optional()
    }

    /// The session of a cookie, by its hash, unless it has ended.
    pub fn session(&self, hash: &[u8], now: Timestamp) -> Result<Option<SignedIn>> {
        self.connection
            .prepare_cached("SELECT agent, csrf FROM sessions WHERE hash = ?1 AND expires_at > ?2")?
            .query_row(params![hash, now.0], |row| {
                Ok(SignedIn { agent: AgentId::new(row.get::<_, String>(0)?), csrf: row.get(1)? })
            })
            .optional()
    }
}
