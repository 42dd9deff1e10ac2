//! Who may sign in, and who has.

use cordboard_core::ids::AgentId;
use cordboard_core::time::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::{Reader, Result, all};

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
    /// When it was last used; it may have been used since, by less than a minute.
    pub used_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Whose a token is, and what it is for.
pub struct TokenOwner {
    /// Whose.
    pub agent: AgentId,
    /// What of the agent's rights it has, as names with spaces between; all if there are none.
    pub scopes: Option<String>,
    /// When it was last used; it may have been used since, by less than a minute.
    pub used_at: Option<Timestamp>,
    /// When it ends; never, if there is nothing.
    pub expires_at: Option<Timestamp>,
}

/// A session as lists show it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SignInView {
    /// Its name, to end it by.
    pub id: String,
    /// Whose.
    #[schema(value_type = String)]
    pub agent: AgentId,
    /// When it began.
    #[schema(value_type = Option<i64>)]
    pub created_at: Option<Timestamp>,
    /// When it was last used, give or take a minute.
    #[schema(value_type = Option<i64>)]
    pub used_at: Option<Timestamp>,
    /// When it ends.
    #[schema(value_type = i64)]
    pub expires_at: Timestamp,
    /// From where it began.
    pub address: Option<String>,
    /// With what, in the browser's own words.
    pub device: Option<String>,
    /// Whether this is the one that asks.
    pub is_mine: bool,
}

/// A token as lists show it; never the token itself.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenView {
    /// Its name in this list, to revoke it by.
    pub id: String,
    /// Whose.
    #[schema(value_type = String)]
    pub agent: AgentId,
    /// What it is for.
    pub name: String,
    /// When it was made.
    #[schema(value_type = i64)]
    pub created_at: Timestamp,
    /// When it was last used, give or take a minute.
    #[schema(value_type = Option<i64>)]
    pub used_at: Option<Timestamp>,
    /// When it ends; never, if there is nothing.
    #[schema(value_type = Option<i64>)]
    pub expires_at: Option<Timestamp>,
    /// What of the agent's rights it has; all, if there is nothing.
    pub scopes: Option<Vec<String>>,
}

impl Reader {
    /// The account of an agent.
    pub fn account(&self, agent: &str) -> Result<Option<Account>> {
        let found = self
            .connection
            .prepare_cached("SELECT agent, password FROM accounts WHERE agent = ?1")?
            .query_row([agent], |row| {
                Ok(Account { agent: AgentId::new(row.get::<_, String>(0)?), password: row.get(1)? })
            })
            .optional()?;
        Ok(found)
    }

    /// The owner of a token, by its hash, unless it has ended.
    pub fn token(&self, hash: &[u8], now: Timestamp) -> Result<Option<TokenOwner>> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT agent, scopes, used_at, expires_at FROM tokens
                 WHERE hash = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
            )?
            .query_row(params![hash, now.0], |row| {
                Ok(TokenOwner {
                    agent: AgentId::new(row.get::<_, String>(0)?),
                    scopes: row.get(1)?,
                    used_at: time(row, 2)?,
                    expires_at: time(row, 3)?,
                })
            })
            .optional()?;
        Ok(found)
    }

    /// The session of a cookie, by its hash, unless it has ended or hasn't been used since `idle_since`.
    pub fn session(
        &self,
        hash: &[u8],
        now: Timestamp,
        idle_since: Timestamp,
    ) -> Result<Option<SignedIn>> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT agent, csrf, used_at, created_at, expires_at FROM sessions
                 WHERE hash = ?1 AND expires_at > ?2 AND coalesce(used_at, created_at, ?2) > ?3",
            )?
            .query_row(params![hash, now.0, idle_since.0], |row| {
                Ok(SignedIn {
                    agent: AgentId::new(row.get::<_, String>(0)?),
                    csrf: row.get(1)?,
                    used_at: time(row, 2)?,
                    created_at: time(row, 3)?,
                    expires_at: Timestamp(row.get(4)?),
                })
            })
            .optional()?;
        Ok(found)
    }

    /// Sessions that haven't ended, the latest first: of one agent, or everybody's. `mine` is the hash
    /// of the one that asks.
    pub fn sign_ins(
        &self,
        agent: Option<&AgentId>,
        now: Timestamp,
        idle_since: Timestamp,
        mine: Option<&[u8]>,
    ) -> Result<Vec<SignInView>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, agent, created_at, used_at, expires_at, address, device, hash IS ?4
             FROM sessions
             WHERE expires_at > ?1 AND coalesce(used_at, created_at, ?1) > ?2
             AND (?3 IS NULL OR agent = ?3)
             ORDER BY created_at DESC, id",
        )?;
        let agent = agent.map(AgentId::as_str);
        let rows = statement.query_map(params![now.0, idle_since.0, agent, mine], |row| {
            Ok(SignInView {
                id: row.get(0)?,
                agent: AgentId::new(row.get::<_, String>(1)?),
                created_at: time(row, 2)?,
                used_at: time(row, 3)?,
                expires_at: Timestamp(row.get(4)?),
                address: row.get(5)?,
                device: row.get(6)?,
                is_mine: row.get(7)?,
            })
        })?;
        all(rows)
    }

    /// Tokens that haven't ended, the latest first: of one agent, or everybody's.
    pub fn tokens(&self, agent: Option<&AgentId>, now: Timestamp) -> Result<Vec<TokenView>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, agent, name, created_at, used_at, expires_at, scopes FROM tokens
             WHERE (expires_at IS NULL OR expires_at > ?1) AND (?2 IS NULL OR agent = ?2)
             ORDER BY created_at DESC, id",
        )?;
        let rows = statement.query_map(params![now.0, agent.map(AgentId::as_str)], |row| {
            let scopes: Option<String> = row.get(6)?;
            Ok(TokenView {
                id: row.get(0)?,
                agent: AgentId::new(row.get::<_, String>(1)?),
                name: row.get(2)?,
                created_at: Timestamp(row.get(3)?),
                used_at: time(row, 4)?,
                expires_at: time(row, 5)?,
                scopes: scopes.map(|names| names.split(' ').map(str::to_owned).collect()),
            })
        })?;
        all(rows)
    }

    /// Everybody who has something to sign in with.
    pub fn agents_with_access(&self) -> Result<Vec<AgentId>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT agent FROM accounts UNION SELECT agent FROM tokens
             UNION SELECT agent FROM sessions UNION SELECT agent FROM sign_in_links ORDER BY agent",
        )?;
        let rows = statement.query_map([], |row| Ok(AgentId::new(row.get::<_, String>(0)?)))?;
        all(rows)
    }

    /// Whose a sign-in link is, unless it has been used or has ended.
    pub fn sign_in_link(&self, hash: &[u8], now: Timestamp) -> Result<Option<AgentId>> {
        let found = self
            .connection
            .prepare_cached("SELECT agent FROM sign_in_links WHERE hash = ?1 AND expires_at > ?2")?
            .query_row(params![hash, now.0], |row| Ok(AgentId::new(row.get::<_, String>(0)?)))
            .optional()?;
        Ok(found)
    }
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}
