//! Passwords are checked slowly on purpose, so they are checked by few threads of their own, and only so
//! many wait: a flood of wrong ones takes nothing from webhooks (SEC-07).

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use tokio::sync::oneshot;

/// Checks that may wait for a thread.
const MOST_WAITING: usize = 64;
/// Checks at the same time, whatever the machine.
const MOST_THREADS: usize = 2;
/// The most bytes of a password: longer ones are nobody's.
const MOST_BYTES: usize = 1024;

struct Check {
    stored: Option<String>,
    password: String,
    answer: oneshot::Sender<bool>,
}

/// The threads that check.
pub struct Passwords {
    queue: SyncSender<Check>,
}

/// More checks wait than may.
#[derive(Debug)]
pub struct TooMany;

impl Passwords {
    /// Starts the threads: half of the machine's, at most two. They end with this.
    pub fn start() -> Self {
        let (queue, inbox) = sync_channel(MOST_WAITING);
        let inbox = Arc::new(Mutex::new(inbox));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..(cores / 2).clamp(1, MOST_THREADS) {
            let inbox = inbox.clone();
            std::thread::Builder::new()
                .name("passwords".to_owned())
                .spawn(move || run(&inbox))
                .expect("a host that can't start a thread can't start");
        }
        Self { queue }
    }

    /// Whether the password is the stored one. Without an account it takes as long to say no.
    ///
    /// # Errors
    /// Too many wait already; nothing was checked.
    pub async fn is_right(
        &self,
        stored: Option<String>,
        password: String,
    ) -> Result<bool, TooMany> {
        if password.len() > MOST_BYTES {
            return Ok(false);
        }
        let (answer, checked) = oneshot::channel();
        match self.queue.try_send(Check { stored, password, answer }) {
            Ok(()) => Ok(checked.await.unwrap_or(false)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(TooMany),
        }
    }
}

fn run(inbox: &Mutex<Receiver<Check>>) {
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Check { stored, password, answer }) = next else { return };
        // Whoever has given up doesn't want to know.
        if !answer.is_closed() {
            let _ = answer.send(is_password(stored.as_deref(), &password));
        }
    }
}

fn is_password(stored: Option<&str>, password: &str) -> bool {
    const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$1V3eGHyx4dTBpaSXcr3nOUvUQxHHjqQzSg6d8z2F6Gk";
    let is_match = PasswordHash::new(stored.unwrap_or(NOBODYS))
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    stored.is_some() && is_match
}

/// What is stored of a password.
///
/// # Errors
/// A sentence: too short, or too long.
pub fn stored(password: &str) -> Result<String, String> {
    let count = password.chars().count();
    if count < 10 {
        return Err(format!("the password has {count} characters; it needs at least 10"));
    }
    if password.len() > MOST_BYTES {
        return Err(format!("the password has more than {MOST_BYTES} bytes"));
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-07
    #[tokio::test]
    async fn a_flood_is_refused_and_the_right_one_still_gets_in() {
        let passwords = Arc::new(Passwords::start());
        let right = stored("correct horse battery").unwrap();
        let checks = (0..200).map(|_| passwords.is_right(Some(right.clone()), "wrong".to_owned()));
        let answers = futures_util::future::join_all(checks).await;
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert!(refused >= 200 - MOST_WAITING - 2 * MOST_THREADS, "{refused}");
        assert!(answers.iter().all(|answer| !matches!(answer, Ok(true))));
        let asked = passwords.is_right(Some(right), "correct horse battery".to_owned());
        assert!(asked.await.unwrap());
        assert!(!passwords.is_right(None, "correct horse battery".to_owned()).await.unwrap());
    }
}
