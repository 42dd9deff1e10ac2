//! Local accounts, sessions, API tokens and one-time links (SEC-01). Nothing that opens a door is
//! stored as it is: passwords as Argon2, the rest as SHA-256 of a random value.

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cordboard_core::ids::AgentId;
use cordboard_core::time::Span;
use rand::RngCore;
use rusqlite::params;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::journal::Journal;

/// How long a session lasts.
pub const SESSION: Span = Span::seconds(12 * 3600);
/// How long a sign-in link works.
pub const LINK: Span = Span::seconds(15 * 60);

/// What the database knows of a token.
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

fn random() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
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
pub async fn new_session(journal: &Journal, agent: &AgentId) -> Result<(String, String), String> {
    let (token, csrf) = (random(), random());
    let (key, agent) = (hash(&token), agent.to_string());
    let (expires, stored) = ((clock::now() + SESSION).0, csrf.clone());
    let write = journal.write_now(move |transaction| {
        transaction.execute("DELETE FROM sessions WHERE expires_at < ?1", [clock::now().0])?;
        let statement =
            "INSERT INTO sessions (hash, agent, csrf, expires_at) VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(statement, params![key, agent, stored, expires])?;
        Ok(())
    });
    write.await.map(|()| (token, csrf))
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

/// Makes an API token; it is shown once and stored as its hash.
///
/// # Errors
/// A sentence with the journal's complaint.
pub async fn new_token(journal: &Journal, agent: &AgentId, name: &str) -> Result<String, String> {
    let token = format!("cb_{}", random());
    let (key, agent, name) = (hash(&token), agent.to_string(), name.to_owned());
    let write = journal.write_now(move |transaction| {
        let statement =
            "INSERT INTO tokens (hash, agent, name, created_at) VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(statement, params![key, agent, name, clock::now().0])?;
        Ok(())
    });
    write.await.map(|()| token)
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
    let count = password.chars().count();
    if count < 10 {
        return Err(format!("the password has {count} characters; it needs at least 10"));
    }
    let salt = SaltString::generate(&mut OsRng);
    let hashed = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(|error| error.to_string())?
        .to_string();
    let agent = agent.to_string();
    let write = journal.write_now(move |transaction| {
        let statement = "INSERT OR REPLACE INTO accounts (agent, password) VALUES (?1, ?2)";
        transaction.execute(statement, params![agent, hashed])?;
        Ok(())
    });
    write.await
}

/// Whether the password is the stored one. Without an account it takes as long to say no.
pub fn is_password(stored: Option<&str>, password: &str) -> bool {
    const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$1V3eGHyx4dTBpaSXcr3nOUvUQxHHjqQzSg6d8z2F6Gk";
    let is_match = PasswordHash::new(stored.unwrap_or(NOBODYS))
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    stored.is_some() && is_match
}
