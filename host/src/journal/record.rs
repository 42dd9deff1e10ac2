//! What is written beside conversations' steps, each kind by its name: whoever keeps the journal knows all
//! of them, and nobody else writes. What one does depends on nothing but the journal before it, so it
//! can be done again.

use std::borrow::Cow;
use std::sync::Arc;

use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::time::Timestamp;
use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::forget::{self, Rows};
use super::outbox::{self, Repeater};
use super::views::Written;

/// Something to be written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Record {
    /// Nothing: it is written behind everything that was given before it.
    Barrier,
    /// What an agent is (PRES-04), encoded.
    Presence {
        /// Whose.
        agent: AgentId,
        /// When.
        at: Timestamp,
        /// Encoded.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// What became of an agent's presence and offers, encoded.
    AgentHistory {
        /// Whose.
        agent: AgentId,
        /// When.
        at: Timestamp,
        /// One each.
        events: Vec<ByteBuf>,
    },
    /// What routing was told and what it chose (ROUTE-15, OPS-08), encoded.
    Routing {
        /// Since when the host runs.
        run: i64,
        /// When.
        at: Timestamp,
        /// What.
        entries: Arc<RoutingEntries>,
    },
    /// So many rows of what routing was told in a run aren't needed any more.
    RoutingForgotten {
        /// Which run.
        run: i64,
        /// The most that are removed.
        rows: i64,
    },
    /// The host runs, until this time at least.
    Alive {
        /// Until when.
        until: Timestamp,
    },
    /// An attempt to send begins.
    SendBegins {
        /// Which row of the outbox.
        row: i64,
        /// When it was tried first.
        first_attempt_at: Timestamp,
        /// Who may be asked to repeat it; logs of before don't say.
        #[serde(default)]
        repeatable_by: Option<Repeater>,
    },
    /// It ended and certainly sent nothing.
    SendEnds {
        /// Which row of the outbox.
        row: i64,
    },
    /// Nothing becomes of it any more, and there is no conversation that could be told.
    SendGivenUp {
        /// Which row of the outbox.
        row: i64,
    },
    /// A value of a channel's own store.
    PluginValue {
        /// Whose.
        channel: String,
        /// Under which name.
        key: String,
        /// What.
        #[serde(with = "serde_bytes")]
        value: Vec<u8>,
    },
    /// It is there no more.
    PluginValueRemoved {
        /// Whose.
        channel: String,
        /// Under which name.
        key: String,
    },
    /// An entry of the audit log (SEC-03).
    Audit {
        /// When.
        at: Timestamp,
        /// Who did it.
        actor: String,
        /// What.
        action: Cow<'static, str>,
        /// To what or whom.
        subject: String,
        /// From where.
        address: Option<String>,
        /// What else matters.
        details: Option<String>,
    },
    /// Something about who may sign in.
    Access(Access),
    /// What is kept of a customer is removed, unless one of these conversations is open (SEC-04).
    CustomerErased {
        /// Their address.
        customer: String,
        /// On this channel only.
        channel: Option<String>,
        /// Theirs.
        conversations: Vec<ConversationId>,
        /// With them goes whatever else there is.
        is_last: bool,
    },
    /// No copies are left in the journal's files of what so many removals have removed (SEC-04).
    Scrubbed {
        /// So many.
        removals: i64,
    },
    /// Those of these conversations that ended before a time are removed (SEC-04).
    ConversationsExpired {
        /// Which.
        conversations: Vec<ConversationId>,
        /// Which time.
        before: Timestamp,
    },
    /// Rows that have been kept for long enough are removed (SEC-04).
    RowsExpired {
        /// Of what.
        rows: Rows,
        /// Their numbers.
        ids: Vec<i64>,
    },
}

/// Whoever writes records: the journal itself, or, for a command, the host that has it.
pub trait Records {
    /// Writes it; what came of it, once that stands.
    ///
    /// # Errors
    /// [`super::JournalError`]: nothing was written.
    fn write_now(&self, record: Record) -> impl Future<Output = Written>;
}

/// A part of the record of routing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoutingEntries {
    /// What it was told.
    #[serde(with = "serde_bytes")]
    pub log: Vec<u8>,
    /// What it chose, for which conversation and when.
    pub decisions: Vec<(ConversationId, Timestamp, ByteBuf)>,
}

/// What is written about who may sign in. Nothing that opens a door is in it as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Access {
    /// A session was opened; beyond so many of one agent the oldest end.
    SessionBegins {
        /// Hash of the cookie.
        #[serde(with = "serde_bytes")]
        hash: Vec<u8>,
        /// Whose.
        agent: AgentId,
        /// What unsafe requests carry.
        csrf: String,
        /// Its name in lists.
        id: String,
        /// When.
        now: Timestamp,
        /// Until when.
        expires_at: Timestamp,
        /// From where.
        address: Option<String>,
        /// With what.
        device: Option<String>,
        /// Sessions of one agent.
        most: i64,
        /// With what they sign in: if it doesn't hold any more, no session begins.
        with: With,
    },
    /// A session ended, by its hash.
    SessionEnds {
        /// Hash of the cookie.
        #[serde(with = "serde_bytes")]
        hash: Vec<u8>,
    },
    /// Sessions of an agent ended: the one of that name; or all, and with them the sign-in links that weren't used.
    SessionsEnd {
        /// Whose.
        agent: AgentId,
        /// Which.
        id: Option<String>,
    },
    /// A session was used.
    SessionUsed {
        /// Hash of the cookie.
        #[serde(with = "serde_bytes")]
        hash: Vec<u8>,
        /// When.
        now: Timestamp,
    },
    /// A token was made, unless there are as many as may be.
    TokenMade {
        /// Its hash.
        #[serde(with = "serde_bytes")]
        hash: Vec<u8>,
        /// Whose.
        agent: AgentId,
        /// What for.
        name: String,
        /// Its name in lists.
        id: String,
        /// When.
        now: Timestamp,
        /// Until when.
        expires_at: Option<Timestamp>,
        /// What of the agent's rights it has, with spaces between.
        scopes: Option<String>,
        /// Tokens of one agent.
        most: i64,
        /// The session that asks for it, by its hash, which must still be there.
        by: Option<ByteBuf>,
    },
    /// Tokens of an agent were revoked: the one of that name, or all.
    TokensRevoked {
        /// Whose.
        agent: AgentId,
        /// Which.
        id: Option<String>,
    },
    /// A token was used.
    TokenUsed {
        /// Its hash.
        #[serde(with = "serde_bytes")]
        hash: Vec<u8>,
        /// When.
        now: Timestamp,
    },
    /// A sign-in link was made.
    LinkMade {
        /// Hash of its end.
        #[serde(with = "serde_bytes")]
        hash: Vec<u8>,
        /// Whose.
        agent: AgentId,
        /// When.
        now: Timestamp,
        /// Until when.
        expires_at: Timestamp,
    },
    /// A password was set; whoever knew the old one is signed out, and has no link any more.
    PasswordSet {
        /// Whose.
        agent: AgentId,
        /// Argon2 in PHC form.
        hashed: String,
    },
    /// All that an agent can sign in with is gone.
    Ends {
        /// Whose.
        agent: AgentId,
    },
}

/// With what somebody signs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum With {
    /// A password, by what is stored of it: it was this one that was right.
    Password(String),
    /// A sign-in link, by its hash: it is used up.
    Link(ByteBuf),
}

/// What came of a record.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// How much there was of what was ended.
    pub count: usize,
    /// There were as many as may be: nothing was written.
    pub is_too_many: bool,
    /// What it is based on doesn't hold any more: nothing was written.
    pub is_outdated: bool,
}

impl Outcome {
    fn count(count: usize) -> Self {
        Self { count, ..Self::default() }
    }
}

/// How much a channel may keep in its own store. It is for what can't be asked for again: a cursor, a token that is
/// renewed. It counts again with each value, so it is small.
pub struct PluginStore;

impl PluginStore {
    /// Values.
    pub const MOST_VALUES: i64 = 1000;
    /// Bytes of all of them.
    pub const MOST_BYTES: i64 = 4 * 1024 * 1024;
}

impl Record {
    /// Whoever waits for it waits for what applying it brings to light; of others it is enough that they
    /// are in the log.
    pub(super) fn is_told_once_applied(&self) -> bool {
        match self {
            Self::Access(access) => !access.is_use(),
            Self::Barrier | Self::RoutingForgotten { .. } => true,
            Self::CustomerErased { .. }
            | Self::Scrubbed { .. }
            | Self::ConversationsExpired { .. }
            | Self::RowsExpired { .. } => true,
            // The next one who asks for it shall get it.
            Self::PluginValue { .. } | Self::PluginValueRemoved { .. } => true,
            Self::Presence { .. }
            | Self::AgentHistory { .. }
            | Self::Routing { .. }
            | Self::Alive { .. }
            | Self::SendBegins { .. }
            | Self::SendEnds { .. }
            | Self::SendGivenUp { .. }
            | Self::Audit { .. } => false,
        }
    }

    /// Conversations of which nothing is left once it is written.
    pub fn removes(&self) -> &[ConversationId] {
        match self {
            Self::CustomerErased { conversations, .. }
            | Self::ConversationsExpired { conversations, .. } => conversations,
            _ => &[],
        }
    }

    /// Writes it.
    pub(super) fn apply(&self, to: &Transaction<'_>) -> rusqlite::Result<Outcome> {
        let done = |_| Outcome::default();
        match self {
            Self::Barrier => Ok(Outcome::default()),
            Self::Presence { agent, at, body } => to
                .prepare_cached(
                    "INSERT OR REPLACE INTO presence (agent, at, body) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![agent.as_str(), at.0, body])
                .map(done),
            Self::AgentHistory { agent, at, events } => {
                let mut insert = to.prepare_cached(
                    "INSERT INTO agent_events (agent, at, body) VALUES (?1, ?2, ?3)",
                )?;
                for body in events {
                    insert.execute(params![agent.as_str(), at.0, body.as_slice()])?;
                }
                Ok(Outcome::default())
            }
            Self::Routing { run, at, entries } => {
                let RoutingEntries { log, decisions } = entries.as_ref();
                if !log.is_empty() {
                    to.prepare_cached(
                        "INSERT INTO routing_log (run, at, body) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![run, at.0, log])?;
                }
                let mut insert = to.prepare_cached(
                    "INSERT INTO decisions (run, conversation, at, body) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for (conversation, at, body) in decisions {
                    let id = conversation.0.as_bytes().as_slice();
                    insert.execute(params![run, id, at.0, body.as_slice()])?;
                }
                Ok(Outcome::default())
            }
            Self::RoutingForgotten { run, rows } => to
                .prepare_cached(
                    "DELETE FROM routing_log WHERE id IN
                     (SELECT id FROM routing_log WHERE run = ?1 ORDER BY id LIMIT ?2)",
                )?
                .execute([run, rows])
                .map(Outcome::count),
            Self::Alive { until } => to
                .prepare_cached("INSERT OR REPLACE INTO life (one, alive_at) VALUES (1, ?1)")?
                .execute([until.0])
                .map(done),
            Self::SendBegins { row, first_attempt_at, repeatable_by } => {
                outbox::begin(to, *row, *first_attempt_at, *repeatable_by).map(done)
            }
            Self::SendEnds { row } => to
                .prepare_cached(
                    "UPDATE outbox SET attempting = 0, repeatable_by = NULL WHERE id = ?1",
                )?
                .execute([row])
                .map(done),
            Self::SendGivenUp { row } => outbox::settle(to, *row, None).map(done),
            Self::PluginValue { channel, key, value } => put(to, channel, key, value),
            Self::PluginValueRemoved { channel, key } => to
                .prepare_cached("DELETE FROM plugin_store WHERE channel = ?1 AND key = ?2")?
                .execute([channel, key])
                .map(Outcome::count),
            Self::Audit { at, actor, action, subject, address, details } => to
                .prepare_cached(
                    "INSERT INTO audit (at, actor, action, subject, address, details)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![at.0, actor, action.as_ref(), subject, address, details])
                .map(done),
            Self::Access(access) => access.apply(to),
            Self::CustomerErased { customer, channel, conversations, is_last } => {
                forget::customer(to, customer, channel.as_deref(), conversations, *is_last)
            }
            Self::Scrubbed { removals } => forget::scrubbed(to, *removals),
            Self::ConversationsExpired { conversations, before } => {
                forget::expired(to, conversations, *before)
            }
            Self::RowsExpired { rows, ids } => forget::rows(to, *rows, ids),
        }
    }
}

/// A value of a channel's own store, if there is room for it beside the others.
fn put(to: &Transaction<'_>, channel: &str, key: &str, value: &[u8]) -> rusqlite::Result<Outcome> {
    let (others, bytes) = to
        .prepare_cached(
            "SELECT count(*), coalesce(sum(length(value)), 0) FROM plugin_store WHERE channel = ?1 AND key <> ?2",
        )?
        .query_row([channel, key], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
    let bytes = bytes.saturating_add(i64::try_from(value.len()).unwrap_or(i64::MAX));
    if others >= PluginStore::MOST_VALUES || bytes > PluginStore::MOST_BYTES {
        return Ok(Outcome { is_too_many: true, ..Outcome::default() });
    }
    to.prepare_cached(
        "INSERT OR REPLACE INTO plugin_store (channel, key, value) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![channel, key, value])
    .map(|_| Outcome::default())
}

impl Access {
    /// It changes nothing of who is signed in, and nobody waits for it.
    pub(super) const fn is_use(&self) -> bool {
        matches!(self, Self::SessionUsed { .. } | Self::TokenUsed { .. })
    }

    fn apply(&self, to: &Transaction<'_>) -> rusqlite::Result<Outcome> {
        let done = |_| Outcome::default();
        match self {
            Self::SessionBegins {
                hash,
                agent,
                csrf,
                id,
                now,
                expires_at,
                address,
                device,
                most,
                with,
            } => {
                if !with.holds(agent, *now, to)? {
                    return Ok(Outcome { is_outdated: true, ..Outcome::default() });
                }
                to.execute("DELETE FROM sessions WHERE expires_at < ?1", [now.0])?;
                to.execute(
                    "DELETE FROM sessions WHERE hash IN (
                     SELECT hash FROM sessions WHERE agent = ?1
                     ORDER BY created_at DESC LIMIT -1 OFFSET ?2)",
                    params![agent.as_str(), most - 1],
                )?;
                to.execute(
                    "INSERT INTO sessions
                     (hash, agent, csrf, expires_at, id, created_at, used_at, address, device)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)",
                    params![hash, agent.as_str(), csrf, expires_at.0, id, now.0, address, device],
                )
                .map(done)
            }
            Self::SessionEnds { hash } => {
                to.execute("DELETE FROM sessions WHERE hash = ?1", [hash]).map(Outcome::count)
            }
            Self::SessionsEnd { agent, id } => {
                if id.is_none() {
                    // Or whoever is put out comes in again by one.
                    to.execute("DELETE FROM sign_in_links WHERE agent = ?1", [agent.as_str()])?;
                }
                to.execute(
                    "DELETE FROM sessions WHERE agent = ?1 AND (?2 IS NULL OR id = ?2)",
                    params![agent.as_str(), id],
                )
                .map(Outcome::count)
            }
            Self::SessionUsed { hash, now } => to
                .prepare_cached("UPDATE sessions SET used_at = ?2 WHERE hash = ?1")?
                .execute(params![hash, now.0])
                .map(done),
            Self::TokenMade { hash, agent, name, id, now, expires_at, scopes, most, by } => {
                let session = "SELECT EXISTS (SELECT 1 FROM sessions WHERE hash = ?1)";
                if let Some(by) = by
                    && !to.query_row(session, [by.as_slice()], |row| row.get(0))?
                {
                    return Ok(Outcome { is_outdated: true, ..Outcome::default() });
                }
                to.execute("DELETE FROM tokens WHERE expires_at < ?1", [now.0])?;
                let count = "SELECT count(*) FROM tokens WHERE agent = ?1";
                let count: i64 = to.query_row(count, [agent.as_str()], |row| row.get(0))?;
                if count >= *most {
                    return Ok(Outcome { is_too_many: true, ..Outcome::default() });
                }
                let expires_at = expires_at.map(|at| at.0);
                to.execute(
                    "INSERT INTO tokens (hash, agent, name, created_at, id, expires_at, scopes)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![hash, agent.as_str(), name, now.0, id, expires_at, scopes],
                )
                .map(done)
            }
            Self::TokensRevoked { agent, id } => to
                .execute(
                    "DELETE FROM tokens WHERE agent = ?1 AND (?2 IS NULL OR id = ?2)",
                    params![agent.as_str(), id],
                )
                .map(Outcome::count),
            Self::TokenUsed { hash, now } => to
                .prepare_cached("UPDATE tokens SET used_at = ?2 WHERE hash = ?1")?
                .execute(params![hash, now.0])
                .map(done),
            Self::LinkMade { hash, agent, now, expires_at } => {
                to.execute("DELETE FROM sign_in_links WHERE expires_at < ?1", [now.0])?;
                to.execute(
                    "INSERT INTO sign_in_links (hash, agent, expires_at) VALUES (?1, ?2, ?3)",
                    params![hash, agent.as_str(), expires_at.0],
                )
                .map(done)
            }
            Self::PasswordSet { agent, hashed } => {
                let set = "INSERT OR REPLACE INTO accounts (agent, password) VALUES (?1, ?2)";
                to.execute(set, params![agent.as_str(), hashed])?;
                for table in ["sessions", "sign_in_links"] {
                    let end = format!("DELETE FROM {table} WHERE agent = ?1");
                    to.execute(&end, [agent.as_str()])?;
                }
                Ok(Outcome::default())
            }
            Self::Ends { agent } => {
                let mut count = 0;
                for table in ["sessions", "tokens", "sign_in_links", "accounts"] {
                    let end = format!("DELETE FROM {table} WHERE agent = ?1");
                    count += to.execute(&end, [agent.as_str()])?;
                }
                Ok(Outcome::count(count))
            }
        }
    }
}

impl With {
    /// Whether it can still be signed in with; a link is used up by that.
    fn holds(
        &self,
        agent: &AgentId,
        now: Timestamp,
        to: &Transaction<'_>,
    ) -> rusqlite::Result<bool> {
        match self {
            Self::Password(hashed) => to
                .prepare_cached("SELECT 1 FROM accounts WHERE agent = ?1 AND password = ?2")?
                .exists(params![agent.as_str(), hashed]),
            Self::Link(hash) => {
                let mut delete = to.prepare_cached(
                    "DELETE FROM sign_in_links WHERE hash = ?1 AND agent = ?2 AND expires_at > ?3",
                )?;
                Ok(delete.execute(params![hash.as_slice(), agent.as_str(), now.0])? == 1)
            }
        }
    }
}
