//! Local accounts, sessions, API tokens and one-time links (SEC-01). Nothing that opens a door is
//! stored as it is: passwords as Argon2, the rest as SHA-256 of a random value.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cordboard_core::ids::AgentId;
use cordboard_core::time::Span;
use rand::RngCore;
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::config::Permission;
use crate::http::caller::{Credential, WORK};
use crate::http::content;
use crate::journal::{Access, Journal, JournalError, Record, Records, With, Written};

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
/// [`JournalError`]: there is none.
pub async fn new_link(journal: &impl Records, agent: &AgentId) -> Result<String, JournalError> {
    let (token, now) = (random(), clock::now());
    let (agent, expires_at) = (agent.clone(), now + LINK);
    write(journal, Access::LinkMade { hash: hash(&token), agent, now, expires_at }).await?;
    Ok(token)
}

async fn write(journal: &impl Records, access: Access) -> Written {
    journal.write_now(Record::Access(access)).await
}

/// Opens a session; the cookie's value and the CSRF token. None: what they sign in with doesn't hold any more.
///
/// # Errors
/// [`JournalError`]: there is none.
pub async fn new_session(
    journal: &impl Records,
    agent: &AgentId,
    with: With,
    lasts: Span,
    address: Option<IpAddr>,
    device: Option<&str>,
) -> Result<Option<(String, String)>, JournalError> {
    let (token, csrf, now) = (random(), random(), clock::now());
    let begins = Access::SessionBegins {
        hash: hash(&token),
        agent: agent.clone(),
        csrf: csrf.clone(),
        id: name(),
        now,
        expires_at: now + lasts,
        address: address.map(|address| address.to_string()),
        device: device.map(|device| device.chars().take(MOST_DEVICE).collect()),
        most: MOST_SESSIONS,
        with,
    };
    let is_refused = write(journal, begins).await?.is_outdated;
    Ok((!is_refused).then_some((token, csrf)))
}

/// Notes that a session or token was used just now. Nothing waits for it.
pub fn note_use(journal: &Journal, credential: &Credential) {
    let now = clock::now();
    let used = match credential.clone() {
        Credential::Token(hash) => Access::TokenUsed { hash, now },
        Credential::Session(hash) => Access::SessionUsed { hash, now },
    };
    // Readiness says why the journal can't commit.
    journal.write(Record::Access(used), |_| ());
}

/// Ends a session.
///
/// # Errors
/// [`JournalError`]: it goes on.
pub async fn end_session(journal: &impl Records, token: &str) -> Result<(), JournalError> {
    write(journal, Access::SessionEnds { hash: hash(token) }).await.map(drop)
}

/// Ends sessions of an agent: the one of that name; or all, with sign-in links that weren't used. How many sessions there
/// were.
///
/// # Errors
/// [`JournalError`]: they go on.
pub async fn end_sessions(
    journal: &impl Records,
    agent: &AgentId,
    id: Option<&str>,
) -> Result<usize, JournalError> {
    let (agent, id) = (agent.clone(), id.map(str::to_owned));
    Ok(write(journal, Access::SessionsEnd { agent, id }).await?.count)
}

/// Revokes tokens of an agent: the one of that name, or all. How many there were.
///
/// # Errors
/// [`JournalError`]: they work on.
pub async fn revoke_tokens(
    journal: &impl Records,
    agent: &AgentId,
    id: Option<&str>,
) -> Result<usize, JournalError> {
    let (agent, id) = (agent.clone(), id.map(str::to_owned));
    Ok(write(journal, Access::TokensRevoked { agent, id }).await?.count)
}

/// Ends all that an agent can sign in with: sessions, tokens, links, the password. How much there was.
///
/// # Errors
/// [`JournalError`]: nothing ended.
pub async fn end_access(journal: &impl Records, agent: &AgentId) -> Result<usize, JournalError> {
    Ok(write(journal, Access::Ends { agent: agent.clone() }).await?.count)
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
        content::check_text("the token's name", &self.name, None).map_err(|e| e.to_string())?;
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
    /// Whoever wants it isn't signed in any more.
    #[error("the session that asks for it has ended")]
    SignedOut,
    /// The journal's complaint.
    #[error("{0}")]
    Unavailable(#[from] JournalError),
}

/// Makes an API token; it is shown once and stored as its hash. `by` is the session that asks for it.
///
/// # Errors
/// [`NoToken`] says why there is none.
pub async fn new_token(
    journal: &impl Records,
    agent: &AgentId,
    by: Option<Vec<u8>>,
    wanted: NewToken,
) -> Result<String, NoToken> {
    wanted.check().map_err(NoToken::Wrong)?;
    let (token, now) = (format!("cb_{}", random()), clock::now());
    // However they were written.
    let canonical = |scope: &String| {
        Permission::parse(scope).map_or(scope.clone(), |known| known.as_str().to_owned())
    };
    let scopes = wanted.scopes.map(|list| list.iter().map(canonical).collect::<Vec<_>>().join(" "));
    let made = Access::TokenMade {
        hash: hash(&token),
        agent: agent.clone(),
        name: wanted.name,
        id: name(),
        now,
        expires_at: wanted.lasts.map(|lasts| now + lasts),
        scopes,
        most: NewToken::MOST_OF_ONE,
        by: by.map(ByteBuf::from),
    };
    let outcome = write(journal, made).await?;
    match (outcome.is_too_many, outcome.is_outdated) {
        (true, _) => Err(NoToken::TooMany),
        (_, true) => Err(NoToken::SignedOut),
        (false, false) => Ok(token),
    }
}

/// Sets the password that an agent signs in with, as it is stored ([`crate::http::stored_password`]).
///
/// # Errors
/// [`JournalError`]: it stays as it is.
pub async fn set_password(
    journal: &impl Records,
    agent: &AgentId,
    hashed: String,
) -> Result<(), JournalError> {
    write(journal, Access::PasswordSet { agent: agent.clone(), hashed }).await.map(drop)
}
