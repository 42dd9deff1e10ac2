//! Local accounts, sessions, API tokens and one-time links (SEC-01). Nothing that opens a door is
//! stored as it is: passwords as Argon2, the rest as SHA-256 of a random value.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cordboard_core::ids::AgentId;
use cordboard_core::time::Span;
use rand::RngCore;
use rusqlite::params;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::config::Permission;
use crate::http::caller::{Credential, WORK};
use crate::http::passwords;
use crate::journal::Journal;

/// That a session or token is used is written down this often.
pub const USE_IS_NOTED_EVERY: Span = Span::seconds(60);
/// Characters of what a browser says it is.
const MOST_DEVICE: usize = 200;
/// Sessions of one agent at a time; with another one the oldest ends.
const MOST_SESSIONS: i64 = 100;
/// How long a sign-in link works.
pub const LINK: Span = Span::seconds(15 * 60);

/// What the database knows of a token.
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// So much chance that nobody guesses it.
pub fn random() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A short name that nobody can sign in with.
fn name() -> String {
    let mut bytes = [0u8; 8];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// Makes a one-time sign-in link's token, good for 15 minutes.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn new_link(journal: &Journal, agent: &AgentId) -> Result<String, String> {
    let token = random();
    let (key, agent, expires) = (hash(&token), agent.to_string(), (clock::now() + LINK).0);
    let write = journal.write_now(move |transaction| {
        transaction.execute("DELETE FROM sign_in_links WHERE expires_at < ?1", [clock::now().0])?;
        let statement = "INSERT INTO sign_in_links (hash, agent, expires_at) VALUES (?1, ?2, ?3)";
        transaction.execute(statement, params![key, agent, expires])?;
        Ok(())
    });
    write.await.map(|()| token)
}

/// Uses a link up; `None` if it is unknown, used or too old.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn use_link(journal: &Journal, token: &str) -> Result<Option<AgentId>, String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let key = hash(token);
    let write = journal.write_now(move |transaction| {
        let statement = "DELETE FROM sign_in_links WHERE hash = ?1 RETURNING agent, expires_at";
        let mut delete = transaction.prepare_cached(statement)?;
        let mut rows = delete.query([key])?;
        let found: Option<(String, i64)> = match rows.next()? {
            Some(row) => Some((row.get(0)?, row.get(1)?)),
            None => None,
        };
        let agent = found.filter(|(_, expires)| *expires > clock::now().0).map(|(agent, _)| agent);
        // The request may have been given up; the link is used all the same.
        let _ = sender.send(agent.map(AgentId::new));
        Ok(())
    });
    write.await?;
    receiver.await.map_err(|_| "the journal's writer has ended".to_owned())
}

/// Opens a session; the cookie's value and the CSRF token.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn new_session(
    journal: &Journal,
    agent: &AgentId,
    lasts: Span,
    address: Option<IpAddr>,
    device: Option<&str>,
) -> Result<(String, String), String> {
    let (token, csrf, now) = (random(), random(), clock::now());
    let (key, agent, id, expires) = (hash(&token), agent.to_string(), name(), (now + lasts).0);
    let (stored, address) = (csrf.clone(), address.map(|address| address.to_string()));
    let device = device.map(|device| device.chars().take(MOST_DEVICE).collect::<String>());
    let write = journal.write_now(move |transaction| {
        transaction.execute("DELETE FROM sessions WHERE expires_at < ?1", [now.0])?;
        let statement = "DELETE FROM sessions WHERE hash IN (
            SELECT hash FROM sessions WHERE agent = ?1
            ORDER BY created_at DESC LIMIT -1 OFFSET ?2)";
        transaction.execute(statement, params![agent, MOST_SESSIONS - 1])?;
        let statement = "INSERT INTO sessions
            (hash, agent, csrf, expires_at, id, created_at, used_at, address, device)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)";
        let values = params![key, agent, stored, expires, id, now.0, address, device];
        transaction.execute(statement, values)?;
        Ok(())
    });
    write.await.map(|()| (token, csrf))
}

/// Notes that a session or token was used just now. Nothing waits for it.
pub fn note_use(journal: &Journal, credential: &Credential) {
    let (statement, key) = match credential {
        Credential::Token(key) => ("UPDATE tokens SET used_at = ?2 WHERE hash = ?1", key.clone()),
        Credential::Session(key) => {
            ("UPDATE sessions SET used_at = ?2 WHERE hash = ?1", key.clone())
        }
    };
    let now = clock::now().0;
    let write = move |transaction: &rusqlite::Transaction<'_>| {
        transaction.prepare_cached(statement)?.execute(params![key, now]).map(drop)
    };
    // Readiness says why the journal can't commit.
    journal.write(write, |_| ());
}

/// Ends a session.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn end_session(journal: &Journal, token: &str) -> Result<(), String> {
    let key = hash(token);
    let write = journal.write_now(move |transaction| {
        transaction.execute("DELETE FROM sessions WHERE hash = ?1", [key])?;
        Ok(())
    });
    write.await
}

/// Ends sessions of an agent: the one of that name, or all. How many there were.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn end_sessions(
    journal: &Journal,
    agent: &AgentId,
    id: Option<&str>,
) -> Result<usize, String> {
    let statement = "DELETE FROM sessions WHERE agent = ?1 AND (?2 IS NULL OR id = ?2)";
    delete(journal, statement, agent, id).await
}

/// Revokes tokens of an agent: the one of that name, or all. How many there were.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn revoke_tokens(
    journal: &Journal,
    agent: &AgentId,
    id: Option<&str>,
) -> Result<usize, String> {
    let statement = "DELETE FROM tokens WHERE agent = ?1 AND (?2 IS NULL OR id = ?2)";
    delete(journal, statement, agent, id).await
}

/// Ends all that an agent can sign in with: sessions, tokens, links, the password. How much there was.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn end_access(journal: &Journal, agent: &AgentId) -> Result<usize, String> {
    let (sender, count) = tokio::sync::oneshot::channel();
    let agent = agent.to_string();
    let write = journal.write_now(move |transaction| {
        let mut count = 0;
        for table in ["sessions", "tokens", "sign_in_links", "accounts"] {
            let statement = format!("DELETE FROM {table} WHERE agent = ?1");
            count += transaction.execute(&statement, [&agent])?;
        }
        // Whoever asked may have gone; what is gone is gone.
        let _ = sender.send(count);
        Ok(())
    });
    write.await?;
    count.await.map_err(|_| "the journal's writer has ended".to_owned())
}

async fn delete(
    journal: &Journal,
    statement: &'static str,
    agent: &AgentId,
    id: Option<&str>,
) -> Result<usize, String> {
    let (agent, id) = (agent.to_string(), id.map(str::to_owned));
    let (sender, count) = tokio::sync::oneshot::channel();
    let write = journal.write_now(move |transaction| {
        let count = transaction.execute(statement, params![agent, id])?;
        // The request may have been given up; what is gone is gone.
        let _ = sender.send(count);
        Ok(())
    });
    write.await?;
    count.await.map_err(|_| "the journal's writer has ended".to_owned())
}

/// What an API token is made with.
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What of the agent's rights it has: `work` and names of permissions; all if nothing is said.
    pub scopes: Option<Vec<String>>,
    /// How long it works; for good if nothing is said.
    pub lasts: Option<Span>,
}

impl NewToken {
    /// The most characters of a name.
    const MOST_NAME: usize = 100;
    /// The longest that a token may be wanted for, if not for good.
    const LONGEST: Span = Span::seconds(10 * 365 * 24 * 3600);
    /// Tokens that one agent may have at a time.
    pub const MOST_OF_ONE: i64 = 100;

    /// Whether it can be made.
    ///
    /// # Errors
    /// A sentence with what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let count = self.name.chars().count();
        if count == 0 || count > Self::MOST_NAME {
            return Err(format!(
                "the token's name has {count} characters; 1 to {}",
                Self::MOST_NAME
            ));
        }
        if let Some(lasts) = self.lasts.filter(|lasts| lasts.0 <= 0 || lasts.0 > Self::LONGEST.0) {
            return Err(format!("a token lasts from 1 ms to ten years, not {} ms", lasts.0));
        }
        if self.name.chars().any(char::is_control) {
            return Err("the token's name holds characters that nobody can see".to_owned());
        }
        if self.scopes.as_ref().is_some_and(Vec::is_empty) {
            return Err(format!(
                "a token for nothing: name scopes, such as {WORK}, or leave them out"
            ));
        }
        for scope in self.scopes.iter().flatten() {
            if scope != WORK && Permission::parse(scope).is_none() {
                let known = Permission::names();
                return Err(format!("there is no scope \"{scope}\"; there are {WORK}, {known}"));
            }
        }
        Ok(())
    }
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// What was asked for isn't possible.
    #[error("{0}")]
    Wrong(String),
    /// They have as many as anybody may.
    #[error(
        "there are {} tokens already, and no more than that for one agent: revoke one first",
        NewToken::MOST_OF_ONE
    )]
    TooMany,
    /// The journal's complaint.
    #[error("{0}")]
    Unavailable(String),
}

/// Makes an API token; it is shown once and stored as its hash.
///
/// # Errors
/// [`NoToken`] says why there is none.
pub async fn new_token(
    journal: &Journal,
    agent: &AgentId,
    wanted: NewToken,
) -> Result<String, NoToken> {
    wanted.check().map_err(NoToken::Wrong)?;
    let (token, now) = (format!("cb_{}", random()), clock::now());
    let (key, agent, id) = (hash(&token), agent.to_string(), name());
    let expires = wanted.lasts.map(|lasts| (now + lasts).0);
    // However they were written.
    let canonical = |scope: &String| {
        Permission::parse(scope).map_or(scope.clone(), |known| known.as_str().to_owned())
    };
    let scopes = wanted.scopes.map(|list| list.iter().map(canonical).collect::<Vec<_>>().join(" "));
    let (sender, has_place) = tokio::sync::oneshot::channel();
    let write = journal.write_now(move |transaction| {
        transaction.execute("DELETE FROM tokens WHERE expires_at < ?1", [now.0])?;
        let statement = "SELECT count(*) FROM tokens WHERE agent = ?1";
        let count: i64 = transaction.query_row(statement, [&agent], |row| row.get(0))?;
        let has_place = count < NewToken::MOST_OF_ONE;
        // The request may have been given up; the token is made all the same.
        let _ = sender.send(has_place);
        if !has_place {
            return Ok(());
        }
        let statement = "INSERT INTO tokens (hash, agent, name, created_at, id, expires_at, scopes)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = params![key, agent, wanted.name, now.0, id, expires, scopes];
        transaction.execute(statement, values)?;
        Ok(())
    });
    write.await.map_err(NoToken::Unavailable)?;
    match has_place.await {
        Ok(true) => Ok(token),
        Ok(false) => Err(NoToken::TooMany),
        Err(_) => Err(NoToken::Unavailable("the journal's writer has ended".to_owned())),
    }
}

/// Sets the password that an agent signs in with.
///
/// # Errors
/// A sentence: too short, or the journal's complaint.
pub async fn set_password(
    journal: &Journal,
    agent: &AgentId,
    password: &str,
) -> Result<(), String> {
    let hashed = passwords::stored(password)?;
    let agent = agent.to_string();
    let write = journal.write_now(move |transaction| {
        let statement = "INSERT OR REPLACE INTO accounts (agent, password) VALUES (?1, ?2)";
        transaction.execute(statement, params![agent, hashed])?;
        // Whoever knew the old one may be signed in by it.
        transaction.execute("DELETE FROM sessions WHERE agent = ?1", [&agent])?;
        Ok(())
    });
    write.await
}
