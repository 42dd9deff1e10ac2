//! Passwords are checked slowly on purpose, so they are checked by few threads of their own, and only so
//! many wait: a flood of wrong ones takes nothing from webhooks (SEC-07).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use tokio::sync::oneshot;

/// Checks that may wait for a thread, in each of the two lines.
const MOST_WAITING: usize = 64;
/// Checks at the same time, whatever the machine.
const MOST_THREADS: usize = 2;
/// The most bytes of a password: longer ones are nobody's.
const MOST_BYTES: usize = 1024;

/// Who takes turns with whom: one that asks a lot waits behind itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Asker {
    /// Somebody who has signed in from there, or in that browser, before: a line of their own.
    Known(String),
    /// Anybody else, by their network.
    Network(Option<IpAddr>),
}

struct Check {
    stored: Option<String>,
    password: String,
    answer: oneshot::Sender<bool>,
}

/// Checks that wait, by who asks. Each has its turn; where there is no room, whoever has most in it gives way.
#[derive(Default)]
struct Line {
    waiting: usize,
    by: HashMap<Asker, VecDeque<Check>>,
    turns: VecDeque<Asker>,
}

impl Line {
    /// Whether there was room for it.
    fn push(&mut self, asker: Asker, check: Check) -> bool {
        if self.waiting >= MOST_WAITING {
            self.drop_abandoned();
        }
        if self.waiting >= MOST_WAITING {
            let own = self.by.get(&asker).map_or(0, VecDeque::len);
            let most = self.by.values_mut().max_by_key(|waiting| waiting.len());
            match most {
                // Its asker is told that it was too much.
                Some(most) if most.len() > own + 1 => drop(most.pop_back()),
                _ => return false,
            }
            self.waiting -= 1;
        }
        self.waiting += 1;
        let of_asker = self.by.entry(asker.clone()).or_default();
        if of_asker.is_empty() {
            self.turns.push_back(asker);
        }
        of_asker.push_back(check);
        true
    }

    /// Whoever has hung up takes nobody's place.
    fn drop_abandoned(&mut self) {
        self.by.retain(|_, waiting| {
            waiting.retain(|check| !check.answer.is_closed());
            !waiting.is_empty()
        });
        self.turns.retain(|asker| self.by.contains_key(asker));
        self.waiting = self.by.values().map(VecDeque::len).sum();
    }

    fn pop(&mut self) -> Option<Check> {
        let asker = self.turns.pop_front()?;
        let of_asker = self.by.get_mut(&asker)?;
        let check = of_asker.pop_front();
        match of_asker.is_empty() {
            true => drop(self.by.remove(&asker)),
            false => self.turns.push_back(asker),
        }
        self.waiting -= 1;
        check
    }
}

#[derive(Default)]
struct Lines {
    known: Line,
    others: Line,
    /// Those are next, if there are any.
    known_next: bool,
    is_over: bool,
}

#[derive(Default)]
struct Queue {
    lines: Mutex<Lines>,
    more: Condvar,
}

impl Queue {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next check; none once it is over.
    fn next(&self) -> Option<Check> {
        let mut lines = self.lines();
        loop {
            lines.known_next = !lines.known_next;
            let Lines { known, others, known_next, is_over } = &mut *lines;
            let (first, second) = if *known_next { (known, others) } else { (others, known) };
            if let Some(check) = first.pop().or_else(|| second.pop()) {
                return Some(check);
            }
            if *is_over {
                return None;
            }
            lines = self.more.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads that check.
pub struct Passwords(Arc<Queue>);

/// More checks wait than may.
#[derive(Debug)]
pub struct TooMany;

impl Passwords {
    /// Starts the threads: half of the machine's, at most two. They end with this.
    pub fn start() -> Self {
        let queue = Arc::new(Queue::default());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for _ in 0..(cores / 2).clamp(1, MOST_THREADS) {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name("passwords".to_owned())
                .spawn(move || run(&queue))
                .expect("a host that can't start a thread can't start");
        }
        Self(queue)
    }

    /// Whether the password is the stored one. Without an account it takes as long to say no.
    ///
    /// # Errors
    /// Too many wait already; nothing was checked.
    pub async fn is_right(
        &self,
        asker: Asker,
        stored: Option<String>,
        password: String,
    ) -> Result<bool, TooMany> {
        if password.len() > MOST_BYTES {
            return Ok(false);
        }
        let (answer, checked) = oneshot::channel();
        let check = Check { stored, password, answer };
        let has_room = {
            let mut lines = self.0.lines();
            match asker {
                Asker::Known(_) => lines.known.push(asker, check),
                Asker::Network(_) => lines.others.push(asker, check),
            }
        };
        if !has_room {
            return Err(TooMany);
        }
        self.0.more.notify_one();
        // Another took its place.
        checked.await.map_err(|_| TooMany)
    }
}

impl Drop for Passwords {
    fn drop(&mut self) {
        self.0.lines().is_over = true;
        self.0.more.notify_all();
    }
}

fn run(queue: &Queue) {
    while let Some(Check { stored, password, answer }) = queue.next() {
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
        let from = |n: u8| Asker::Network(Some(IpAddr::from([10, 0, n, 0])));
        let wrong =
            |asker: Asker| passwords.is_right(asker, Some(right.clone()), "wrong".to_owned());
        let checks = (0..200).map(|_| wrong(from(1)));
        let answers = futures_util::future::join_all(checks).await;
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert!(refused >= 200 - MOST_WAITING - 2 * MOST_THREADS, "{refused}");
        assert!(answers.iter().all(|answer| !matches!(answer, Ok(true))));
        let asked =
            passwords.is_right(from(1), Some(right.clone()), "correct horse battery".to_owned());
        assert!(asked.await.unwrap());
        let nobodys = passwords.is_right(from(1), None, "correct horse battery".to_owned());
        assert!(!nobodys.await.unwrap());
    }

    // SEC-07
    #[test]
    fn whoever_has_hung_up_takes_nobodys_place() {
        let mut line = Line::default();
        let mut push = |n: usize| {
            let (answer, checked) = oneshot::channel();
            let check = Check { stored: None, password: String::new(), answer };
            (line.push(Asker::Known(n.to_string()), check), checked)
        };
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(&mut push).collect();
        assert!(waiting.iter().all(|(has_room, _)| *has_room));
        assert!(!push(MOST_WAITING).0, "as many people as may wait");
        waiting.truncate(MOST_WAITING - 1);
        let (has_room, _checked) = push(MOST_WAITING);
        assert!(has_room, "one of them has gone");
        assert_eq!((line.waiting, line.turns.len()), (MOST_WAITING, MOST_WAITING));
    }

    // SEC-07
    #[tokio::test]
    async fn one_that_asks_without_end_waits_behind_itself_and_takes_nobodys_place() {
        let passwords = Arc::new(Passwords::start());
        let right = stored("correct horse battery").unwrap();
        let flood: Vec<_> = (0..4 * MOST_WAITING)
            .map(|n| {
                let (passwords, stored) = (passwords.clone(), right.clone());
                // A network, and an agent with their own password.
                let asker = match n % 2 {
                    0 => Asker::Network(None),
                    _ => Asker::Known("sam".to_owned()),
                };
                tokio::spawn(async move {
                    passwords
                        .is_right(asker, Some(stored), "correct horse battery".to_owned())
                        .await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let others =
            [Asker::Network(Some(IpAddr::from([10, 0, 7, 0]))), Asker::Known("kim".to_owned())];
        for asker in others {
            let asked = passwords.is_right(asker, Some(right.clone()), "wrong horse".to_owned());
            assert!(!asked.await.expect("there is room for one more"));
        }
        let under_way = flood.iter().filter(|asked| !asked.is_finished()).count();
        assert!(under_way > MOST_WAITING, "they didn't wait for all of those: {under_way}");
        flood.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
