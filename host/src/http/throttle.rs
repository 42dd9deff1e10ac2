//! Whoever guesses waits, longer each time: by account and address together, by account, and by address
//! (SEC-07). An office behind one address isn't locked out for longer than a minute by one of its people,
//! nor by pages that were left open with an old session; whoever has signed in from an address before
//! isn't kept out there by somebody elsewhere, nor in the browser they had then; and from a network of which nothing
//! wrong came lately somebody may try once, one of them at a time, whatever others do elsewhere with their name.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::device::Device;

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
/// For whoever has signed in from there before.
const AT_HOME: Rule = Rule { free: 5, longest: Duration::from_secs(60) };
const ONE_ADDRESS: Rule = Rule { free: 50, longest: Duration::from_secs(60) };
/// Somebody of whose network nothing wrong is known tries once, whatever others do with the name elsewhere: one
/// of them in so long.
const ONE_NEWCOMER_IN: Duration = Duration::from_secs(1);
/// And from one network, whatever became of it, one in so long: addresses in one are had by the thousand.
const ONE_NEWCOMER_IN_A_NETWORK: Duration = Duration::from_secs(600);
/// Failures are forgotten after this long without another.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Names that are remembered; beyond, the oldest are forgotten first.
const MOST_REMEMBERED: usize = 20_000;

/// What somebody typed as their name. Names that nobody has are answered like those that somebody has,
/// or the answers would tell who has an account.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name {
    text: String,
    /// Whether an agent has it. Those that nobody has are forgotten first: there's no end of them.
    is_known: bool,
}

impl Name {
    /// Characters that are remembered; an agent's name has no more.
    const MOST: usize = 64;

    /// The name as it was typed.
    pub fn new(text: &str, is_known: bool) -> Self {
        Self { text: text.chars().take(Self::MOST).collect(), is_known }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Both(Name, IpAddr),
    Account(Name),
    /// What is tried in a browser in which they have signed in before counts there, and nowhere else.
    Browser(Name, Device),
    Address(IpAddr),
    /// Nobody waits for what its others do; it tells who is new.
    Network(IpAddr),
    /// A newcomer's turn with this name from this network.
    Newcomer(Name, IpAddr),
    /// Tokens, cookies and links that don't work: an old page sends one again and again.
    Tokens(IpAddr),
}

impl Key {
    fn is_worth_more(&self) -> bool {
        match self {
            Self::Both(name, _)
            | Self::Account(name)
            | Self::Browser(name, _)
            | Self::Newcomer(name, _) => name.is_known,
            Self::Address(_) | Self::Network(_) | Self::Tokens(_) => true,
        }
    }

    fn rule(&self) -> Rule {
        match self {
            Self::Both(..) => ONE_ACCOUNT_FROM_ONE_ADDRESS,
            Self::Account(_) => ONE_ACCOUNT,
            Self::Browser(..) => AT_HOME,
            Self::Address(_) | Self::Network(_) | Self::Newcomer(..) | Self::Tokens(_) => {
                ONE_ADDRESS
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    /// When a newcomer last tried: with this name, or from this network.
    newcomer: Option<Instant>,
}

impl Failures {
    fn none(now: Instant) -> Self {
        Self { count: 0, last: now, newcomer: None }
    }

    /// Those that aren't forgotten.
    fn count(&self, now: Instant) -> u32 {
        if now.duration_since(self.last) < FORGOTTEN_AFTER { self.count } else { 0 }
    }

    /// How long whoever they are the failures of has to wait.
    fn wait(&self, rule: Rule, now: Instant) -> Option<Duration> {
        let due = self.last + delay(self.count(now), rule);
        due.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }
}

/// From where somebody tries to sign in.
#[derive(Clone, Copy, Default)]
pub struct Origin {
    /// Their address.
    pub address: Option<IpAddr>,
    /// The browser, if they have signed in there before.
    pub browser: Option<Device>,
}

/// An attempt to sign in, until it is known what became of it.
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    account: &'a Name,
    from: Origin,
    counts: bool,
}

impl Attempt<'_> {
    /// The password was wrong.
    pub fn was_wrong(mut self) {
        self.counts = true;
    }

    /// The password was right.
    pub fn was_right(self) {
        self.throttle.succeeded(self.account, self.from);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.counts {
            self.throttle.take_back(self.account, self.from);
        }
    }
}

/// Who has failed how often.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
    /// From where each account has signed in.
    known: Mutex<HashSet<(Name, IpAddr)>>,
}

impl Throttle {
    /// How long they have to wait before they may try again; nothing: they may.
    pub fn wait(&self, account: &Name, from: Origin, now: Instant) -> Option<Duration> {
        let known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let is_at_home = self.is_at_home(account, from.address);
        let is_new = is_new(&known, account, from.address, now);
        let of = |key: Key| {
            if matches!(key, Key::Network(_) | Key::Newcomer(..)) {
                return None;
            }
            // What others get wrong: elsewhere with this name, or here with another one.
            if is_at_home && matches!(key, Key::Account(_) | Key::Address(_)) {
                return None;
            }
            let failures = known.get(&key)?;
            // Somebody beside them keeps whoever is at home out for a minute at most.
            let rule = if is_at_home { AT_HOME } else { key.rule() };
            let wait = failures.wait(rule, now)?;
            if is_new && matches!(key, Key::Account(_)) {
                let due = failures.newcomer? + ONE_NEWCOMER_IN;
                return due.checked_duration_since(now).filter(|wait| !wait.is_zero());
            }
            Some(wait)
        };
        keys(account, from).filter_map(of).max()
    }

    /// They try. It counts as wrong until it is known, so that many at once don't pass as one; if it never is
    /// (the host is busy, or they hang up), it doesn't count.
    pub fn attempt<'a>(&'a self, account: &'a Name, from: Origin, now: Instant) -> Attempt<'a> {
        self.note(keys(account, from), Some((account, from.address)), now);
        Attempt { throttle: self, account, from, counts: false }
    }

    fn take_back(&self, account: &Name, from: Origin) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(account, from) {
            if let Some(known) = failures.get_mut(&key) {
                known.count = known.count.saturating_sub(1);
            }
        }
    }

    fn note(
        &self,
        keys: impl Iterator<Item = Key>,
        who: Option<(&Name, Option<IpAddr>)>,
        now: Instant,
    ) {
        let mut known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = who.is_some_and(|(account, address)| is_new(&known, account, address, now));
        for key in keys {
            let has_turn = matches!(key, Key::Account(_) | Key::Newcomer(..));
            let failures = known.entry(key).or_insert(Failures::none(now));
            failures.count = failures.count(now).saturating_add(1);
            failures.last = now;
            if has_turn && is_new {
                failures.newcomer = Some(now);
            }
        }
        if known.len() > MOST_REMEMBERED {
            known.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN_AFTER);
        }
        if known.len() > MOST_REMEMBERED {
            forget_older_half(&mut known, |key| !key.is_worth_more());
        }
        if known.len() > MOST_REMEMBERED {
            forget_older_half(&mut known, |_| true);
        }
    }

    /// What they got wrong before was a mistake, and they are at home there.
    fn succeeded(&self, account: &Name, from: Origin) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(browser) = from.browser {
            failures.remove(&Key::Browser(account.clone(), browser));
        }
        let Some(address) = from.address else { return };
        failures.remove(&Key::Both(account.clone(), address));
        // With their name whoever comes next from there is as new; with others' that is nobody's business.
        failures.remove(&Key::Newcomer(account.clone(), network(address)));
        drop(failures);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert((account.clone(), address));
    }

    /// They have signed in from there before, in an earlier run.
    pub fn remember(&self, agent: &str, address: IpAddr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((Name::new(agent, true), address));
    }

    fn is_at_home(&self, account: &Name, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&(account.clone(), address))
    }

    /// How long somebody waits whose token, cookie or link doesn't work.
    pub fn wait_of_tokens(&self, address: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = known.get(&Key::Tokens(address?))?;
        failures.wait(ONE_ADDRESS, now)
    }

    /// A token, cookie or link didn't work.
    pub fn token_failed(&self, address: Option<IpAddr>, now: Instant) {
        if let Some(address) = address {
            self.note([Key::Tokens(address)].into_iter(), None, now);
        }
    }
}

/// Whether nothing wrong came from their network lately, and nobody has had a newcomer's turn with this name there: also
/// one of which nothing came, and one that was broken off.
fn is_new(
    known: &HashMap<Key, Failures>,
    account: &Name,
    address: Option<IpAddr>,
    now: Instant,
) -> bool {
    let had_turn = |of: &Failures| {
        of.newcomer.is_some_and(|at| now.duration_since(at) < ONE_NEWCOMER_IN_A_NETWORK)
    };
    let of = |network| {
        known.get(&Key::Network(network)).is_none_or(|of| of.count(now) == 0)
            && !known.get(&Key::Newcomer(account.clone(), network)).is_some_and(had_turn)
    };
    address.map(network).is_some_and(of)
}

/// What is given to one customer of a provider as a whole: the first 24 bits, or 48.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::from((u32::from(address) & !0xff).to_be_bytes()),
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & !(u128::MAX >> 48)).to_be_bytes())
        }
    }
}

fn keys(account: &Name, from: Origin) -> impl Iterator<Item = Key> {
    let browser = from.browser.map(|browser| Key::Browser(account.clone(), browser));
    let elsewhere = browser.is_none().then(|| {
        let of_address = |address| {
            let both = Key::Both(account.clone(), address);
            let network = network(address);
            let turn = Key::Newcomer(account.clone(), network);
            [both, Key::Address(address), Key::Network(network), turn]
        };
        let of_address = from.address.map(of_address).into_iter().flatten();
        of_address.chain([Key::Account(account.clone())])
    });
    browser.into_iter().chain(elsewhere.into_iter().flatten())
}

/// Of those that are worth little.
fn forget_older_half(known: &mut HashMap<Key, Failures>, is_little: impl Fn(&Key) -> bool) {
    let of_little = known.iter().filter(|(key, _)| is_little(key));
    let mut times: Vec<Instant> = of_little.map(|(_, failures)| failures.last).collect();
    times.sort_unstable();
    if let Some(oldest) = times.get(times.len() / 2).copied() {
        known.retain(|key, failures| failures.last > oldest || !is_little(key));
    }
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

    fn known(name: &str) -> Name {
        Name::new(name, true)
    }

    fn address(last: u8) -> Origin {
        Origin { address: Some(IpAddr::from([10, 0, last, 1])), browser: None }
    }

    fn nowhere() -> Origin {
        Origin::default()
    }

    // SEC-07
    #[test]
    fn delays_grow_and_others_dont_wait() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..5 {
            throttle.attempt(&known("kim"), address(1), now).was_wrong();
        }
        assert_eq!(throttle.wait(&known("kim"), address(1), now), None);
        throttle.attempt(&known("kim"), address(1), now).was_wrong();
        assert_eq!(throttle.wait(&known("kim"), address(1), now), Some(Duration::from_secs(1)));
        for _ in 0..30 {
            throttle.attempt(&known("kim"), address(1), now).was_wrong();
        }
        let longest = Some(Duration::from_secs(900));
        assert_eq!(throttle.wait(&known("kim"), address(1), now), longest);
        assert_eq!(throttle.wait(&known("kim"), address(2), now), None, "the account's owner");
        assert_eq!(throttle.wait(&known("lee"), address(1), now), None, "a colleague");
        let later = now + Duration::from_secs(900);
        assert_eq!(throttle.wait(&known("kim"), address(1), later), None);
        throttle.succeeded(&known("kim"), address(1));
        assert_eq!(throttle.wait(&known("kim"), address(1), now), None);
    }

    // SEC-07
    #[test]
    fn many_accounts_from_one_address_and_one_account_from_many_are_seen() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..60 {
            throttle.attempt(&known(&format!("agent-{n}")), address(1), now).was_wrong();
            throttle.attempt(&known("kim"), address(n + 2), now).was_wrong();
        }
        assert!(throttle.wait(&known("somebody"), address(1), now).is_some());
        // From where something wrong came already.
        throttle.attempt(&known("lee"), address(200), now).was_wrong();
        assert!(throttle.wait(&known("kim"), address(200), now).unwrap() <= ONE_ACCOUNT.longest);
    }

    // SEC-07
    #[test]
    fn nobody_is_kept_out_of_their_account_from_a_new_place_for_long() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        // Somebody guesses without end, from two addresses.
        for n in 0..200 {
            now += Duration::from_secs(20);
            throttle.attempt(&known("kim"), address(n % 2), now).was_wrong();
        }
        assert!(throttle.wait(&known("kim"), address(0), now).is_some());
        now += Duration::from_secs(1);
        assert_eq!(throttle.wait(&known("kim"), address(9), now), None);
        // One try each: whoever has many addresses doesn't get far.
        throttle.attempt(&known("kim"), address(9), now).was_wrong();
        assert!(throttle.wait(&known("kim"), address(9), now).is_some());
        assert_eq!(throttle.wait(&known("kim"), address(10), now), Some(ONE_NEWCOMER_IN));
        assert_eq!(throttle.wait(&known("kim"), address(10), now + ONE_NEWCOMER_IN), None);
        // Nor does whoever hangs up again and again from one.
        now += Duration::from_secs(60);
        drop(throttle.attempt(&known("kim"), address(11), now));
        throttle.attempt(&known("kim"), address(0), now).was_wrong();
        now += ONE_NEWCOMER_IN;
        assert!(throttle.wait(&known("kim"), address(11), now).is_some());
        assert_eq!(throttle.wait(&known("kim"), address(12), now), None);
        // Whoever gets in leaves the turn to the next: a new office has more than one person.
        now += Duration::from_secs(60);
        throttle.attempt(&known("kim"), address(13), now).was_right();
        throttle.attempt(&known("lee"), address(0), now).was_wrong();
        for n in 0..60 {
            throttle.attempt(&known("lee"), address(100 + n % 100), now).was_wrong();
        }
        now += ONE_NEWCOMER_IN;
        assert_eq!(throttle.wait(&known("lee"), address(13), now), None);
        // Nor does whoever signs in as themselves in between.
        now += Duration::from_secs(60);
        drop(throttle.attempt(&known("kim"), address(20), now));
        throttle.attempt(&known("lee"), address(20), now).was_right();
        throttle.attempt(&known("kim"), address(0), now).was_wrong();
        now += ONE_NEWCOMER_IN;
        assert!(throttle.wait(&known("kim"), address(20), now).is_some());
        assert_eq!(throttle.wait(&known("kim"), address(21), now), None);
        // Addresses of one network are had by the thousand.
        now += Duration::from_secs(60);
        throttle.attempt(&known("kim"), address(0), now).was_wrong();
        now += ONE_NEWCOMER_IN;
        let beside = Origin { address: Some(IpAddr::from([10, 0, 9, 2])), browser: None };
        assert!(throttle.wait(&known("kim"), beside, now).is_some());
        assert_eq!(throttle.wait(&known("kim"), address(14), now), None);
        // And after an hour without another nothing is left of it.
        now += FORGOTTEN_AFTER;
        for _ in 0..5 {
            assert_eq!(throttle.wait(&known("kim"), address(9), now), None);
            throttle.attempt(&known("kim"), address(9), now).was_wrong();
        }
    }

    // SEC-07
    #[test]
    fn in_the_browser_they_had_nobody_is_kept_out_by_others_and_may_guess_no_better() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..200 {
            throttle.attempt(&known("kim"), address(n), now).was_wrong();
        }
        let theirs = Origin { browser: Some([7; 16]), ..address(1) };
        assert_eq!(throttle.wait(&known("kim"), theirs, now), None);
        for _ in 0..40 {
            throttle.attempt(&known("kim"), theirs, now).was_wrong();
        }
        let wait = throttle.wait(&known("kim"), theirs, now);
        assert_eq!(wait, Some(AT_HOME.longest));
        let another = Origin { browser: Some([8; 16]), ..address(1) };
        assert_eq!(throttle.wait(&known("kim"), another, now), None);
        let later = now + AT_HOME.longest;
        throttle.attempt(&known("kim"), theirs, later).was_right();
        assert_eq!(throttle.wait(&known("kim"), theirs, later), None);
    }

    // SEC-07
    #[test]
    fn old_pages_and_strangers_keep_nobody_out() {
        let throttle = Throttle::default();
        let now = Instant::now();
        throttle.succeeded(&known("kim"), address(1));
        for n in 0..200 {
            throttle.token_failed(address(1).address, now);
            throttle.attempt(&known("kim"), address(n + 2), now).was_wrong();
        }
        assert!(throttle.wait_of_tokens(address(1).address, now).is_some());
        for n in 0..200 {
            throttle.attempt(&known(&format!("agent-{n}")), address(1), now).was_wrong();
        }
        assert_eq!(throttle.wait(&known("kim"), address(1), now), None, "at home");
        assert!(throttle.wait(&known("lee"), address(1), now).is_some());
        for _ in 0..40 {
            throttle.attempt(&known("kim"), address(1), now).was_wrong();
        }
        let wait = throttle.wait(&known("kim"), address(1), now);
        assert!(wait.is_some_and(|wait| wait <= AT_HOME.longest), "{wait:?}");
        throttle.remember("lee", address(1).address.unwrap());
        assert_eq!(throttle.wait(&known("lee"), address(1), now), None, "from before a restart");
    }

    // SEC-07
    #[test]
    fn what_was_never_known_to_be_wrong_doesnt_count() {
        let throttle = Throttle::default();
        let now = Instant::now();
        // The host was busy, or they hung up.
        for _ in 0..100 {
            drop(throttle.attempt(&known("kim"), address(1), now));
        }
        assert_eq!(throttle.wait(&known("kim"), address(1), now), None);
        // While they are under way they do: a hundred at once aren't the first.
        let kim = known("kim");
        let under_way: Vec<Attempt<'_>> =
            (0..20).map(|_| throttle.attempt(&kim, address(1), now)).collect();
        assert!(throttle.wait(&kim, address(1), now).is_some());
        drop(under_way);
        assert_eq!(throttle.wait(&kim, address(1), now), None);
    }

    // OPS-11
    #[test]
    fn what_is_remembered_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..100_000_u64 {
            let name = format!("nobody-{n}");
            throttle
                .attempt(&Name::new(&name, n % 2 == 0), nowhere(), now + Duration::from_millis(n))
                .was_wrong();
        }
        assert!(throttle.failures.lock().unwrap().len() <= MOST_REMEMBERED);
    }

    // SEC-07
    #[test]
    fn names_that_nobody_has_are_answered_alike_and_crowd_out_nobody() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let nobody = Name::new("nobody", false);
        for _ in 0..8 {
            throttle.attempt(&nobody, address(1), now).was_wrong();
            throttle.attempt(&known("kim"), address(2), now).was_wrong();
        }
        let wait = throttle.wait(&known("kim"), address(2), now);
        assert!(wait.is_some());
        assert_eq!(throttle.wait(&nobody, address(1), now), wait);
        for n in 0..60_000_u64 {
            let later = now + Duration::from_millis(n);
            throttle
                .attempt(&Name::new(&format!("nobody-{n}"), false), nowhere(), later)
                .was_wrong();
        }
        assert_eq!(throttle.wait(&known("kim"), address(2), now), wait);
        assert_eq!(Name::new(&"x".repeat(100_000), false).text.len(), Name::MOST);
    }
}
