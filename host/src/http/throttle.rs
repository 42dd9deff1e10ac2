//! Whoever guesses waits, longer each time: by account and address together, by account, and by address
//! (SEC-07). An office behind one address isn't locked out for longer than a minute by one of its people,
//! nor by pages that were left open with an old session; and whoever has signed in from an address before
//! isn't kept out there by somebody elsewhere.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How failures of one kind are answered.
#[derive(Clone, Copy)]
struct Rule {
    /// So many cost nothing.
    free: u32,
    /// After that a second, and twice as long each time, up to this.
    longest: Duration,
}

const ONE_ACCOUNT_FROM_ONE_ADDRESS: Rule = Rule { free: 5, longest: Duration::from_secs(15 * 60) };
const ONE_ACCOUNT: Rule = Rule { free: 50, longest: Duration::from_secs(60) };
const ONE_ADDRESS: Rule = Rule { free: 50, longest: Duration::from_secs(60) };
/// Failures are forgotten after this long without another.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Names that are remembered; beyond, the oldest are forgotten first.
const MOST_REMEMBERED: usize = 20_000;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Both(String, IpAddr),
    Account(String),
    Address(IpAddr),
    /// Tokens, cookies and links that don't work: an old page sends one again and again.
    Tokens(IpAddr),
}

impl Key {
    fn rule(&self) -> Rule {
        match self {
            Self::Both(..) => ONE_ACCOUNT_FROM_ONE_ADDRESS,
            Self::Account(_) => ONE_ACCOUNT,
            Self::Address(_) | Self::Tokens(_) => ONE_ADDRESS,
        }
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Who has failed how often.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
    /// From where each account has signed in.
    known: Mutex<HashSet<(String, IpAddr)>>,
}

impl Throttle {
    /// How long they have to wait before they may try again; nothing: they may.
    pub fn wait(
        &self,
        account: Option<&str>,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Option<Duration> {
        let known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let is_at_home = self.is_at_home(account, address);
        let of = |key: Key| {
            // What others get wrong elsewhere.
            if is_at_home && matches!(key, Key::Account(_)) {
                return None;
            }
            let failures = known.get(&key)?;
            let due = failures.last + delay(failures.count, key.rule());
            due.checked_duration_since(now).filter(|wait| !wait.is_zero())
        };
        keys(account, address).filter_map(of).max()
    }

    /// They were wrong.
    pub fn failed(&self, account: Option<&str>, address: Option<IpAddr>, now: Instant) {
        self.note(keys(account, address), now);
    }

    fn note(&self, keys: impl Iterator<Item = Key>, now: Instant) {
        let mut known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            let failures = known.entry(key).or_insert(Failures { count: 0, last: now });
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
        if known.len() > MOST_REMEMBERED {
            known.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN_AFTER);
        }
        if known.len() > MOST_REMEMBERED {
            let mut times: Vec<Instant> = known.values().map(|failures| failures.last).collect();
            times.sort_unstable();
            let oldest = times[times.len() / 2];
            known.retain(|_, failures| failures.last > oldest);
        }
    }

    /// They were right: what they got wrong before was a mistake, and they are at home there. This attempt
    /// was counted as a failure until then, so that many at once don't pass as one.
    pub fn succeeded(&self, account: &str, address: Option<IpAddr>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(Some(account), address) {
            if let Some(known) = failures.get_mut(&key) {
                known.count = known.count.saturating_sub(1);
            }
        }
        let Some(address) = address else { return };
        failures.remove(&Key::Both(account.to_owned(), address));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert((account.to_owned(), address));
    }

    fn is_at_home(&self, account: Option<&str>, address: Option<IpAddr>) -> bool {
        let Some((account, address)) = account.zip(address) else { return false };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&(account.to_owned(), address))
    }

    /// How long somebody waits whose token, cookie or link doesn't work.
    pub fn wait_of_tokens(&self, address: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = known.get(&Key::Tokens(address?))?;
        let due = failures.last + delay(failures.count, ONE_ADDRESS);
        due.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// A token, cookie or link didn't work.
    pub fn token_failed(&self, address: Option<IpAddr>, now: Instant) {
        if let Some(address) = address {
            self.note([Key::Tokens(address)].into_iter(), now);
        }
    }
}

fn keys(account: Option<&str>, address: Option<IpAddr>) -> impl Iterator<Item = Key> {
    let account = account.map(str::to_owned);
    let both = account.clone().zip(address).map(|(account, address)| Key::Both(account, address));
    both.into_iter().chain(account.map(Key::Account)).chain(address.map(Key::Address))
}

fn delay(failures: u32, rule: Rule) -> Duration {
    match failures.checked_sub(rule.free) {
        None | Some(0) => Duration::ZERO,
        Some(beyond) => Duration::from_secs(1 << (beyond - 1).min(20)).min(rule.longest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    // SEC-07
    #[test]
    fn delays_grow_and_others_dont_wait() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..5 {
            throttle.failed(Some("kim"), address(1), now);
        }
        assert_eq!(throttle.wait(Some("kim"), address(1), now), None);
        throttle.failed(Some("kim"), address(1), now);
        assert_eq!(throttle.wait(Some("kim"), address(1), now), Some(Duration::from_secs(1)));
        for _ in 0..30 {
            throttle.failed(Some("kim"), address(1), now);
        }
        let longest = Some(Duration::from_secs(900));
        assert_eq!(throttle.wait(Some("kim"), address(1), now), longest);
        assert_eq!(throttle.wait(Some("kim"), address(2), now), None, "the account's owner");
        assert_eq!(throttle.wait(Some("lee"), address(1), now), None, "a colleague");
        let later = now + Duration::from_secs(900);
        assert_eq!(throttle.wait(Some("kim"), address(1), later), None);
        throttle.succeeded("kim", address(1));
        assert_eq!(throttle.wait(Some("kim"), address(1), now), None);
    }

    // SEC-07
    #[test]
    fn many_accounts_from_one_address_and_one_account_from_many_are_seen() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..60 {
            throttle.failed(Some(&format!("agent-{n}")), address(1), now);
            throttle.failed(Some("kim"), address(n + 2), now);
        }
        assert!(throttle.wait(Some("somebody"), address(1), now).is_some());
        assert!(throttle.wait(Some("kim"), address(200), now).unwrap() <= ONE_ACCOUNT.longest);
    }

    // SEC-07
    #[test]
    fn old_pages_and_strangers_keep_nobody_out() {
        let throttle = Throttle::default();
        let now = Instant::now();
        throttle.succeeded("kim", address(1));
        for n in 0..200 {
            throttle.token_failed(address(1), now);
            throttle.failed(Some("kim"), address(n + 2), now);
        }
        assert!(throttle.wait_of_tokens(address(1), now).is_some());
        assert_eq!(throttle.wait(Some("kim"), address(1), now), None, "at home");
        assert_eq!(throttle.wait(Some("lee"), address(1), now), None, "old pages there");
    }

    // OPS-11
    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..100_000_u64 {
            let name = format!("nobody-{n}");
            throttle.failed(Some(&name), None, now + Duration::from_millis(n));
        }
        assert!(throttle.failures.lock().unwrap().len() <= MOST_REMEMBERED);
    }
}
