//! Whoever guesses waits, longer each time: by account and address together, by account, and by address
//! (SEC-07). An office behind one address isn't locked out for longer than a minute by one of its people,
//! nor by pages that were left open with an old session; whoever has signed in from an address before
//! isn't kept out there by somebody elsewhere, nor in the browser they had then; and from a network from which this name
//! was hardly tried lately somebody may try a few times, whatever others do elsewhere with it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
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
/// Some have thousands of addresses: what they try doesn't crowd out what is remembered of others.
const ONE_NETWORK: Rule = Rule { free: 2000, longest: Duration::from_secs(60) };
/// So often somebody may try from an address, however much is guessed at the name elsewhere: whoever mistypes may. What
/// became of it doesn't matter, or one could hang up again and again.
const TURNS_OF_AN_ADDRESS: u32 = 4;
/// And from all of a network: addresses in one are had by the thousand, and neighbours mustn't use up what is there.
const TURNS_OF_A_NETWORK: u32 = 32;
/// One of all those networks in so long.
const ONE_TURN_IN: Duration = Duration::from_secs(1);
/// Failures are forgotten after this long without another.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Addresses at which one account is at home.
const MOST_HOMES: usize = 32;
/// Whoever may go on only now and then has one attempt at a time: until it is known what became of it, another waits.
const ONE_AT_A_TIME: Duration = Duration::from_secs(1);
/// What is remembered of attempts, some 40 MB; beyond, the oldest is forgotten first. Some forty networks together can
/// bring that about.
const MOST_REMEMBERED: usize = 250_000;
/// Addresses with tokens that don't work.
const MOST_TOKENS: usize = 20_000;

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
    Network(IpAddr),
    /// What was tried with this name from this address, and from all of its network: nobody waits for that by itself, it
    /// tells who has turns left.
    Turns(Name, IpAddr),
    TurnsOfNetwork(Name, IpAddr),
}

impl Key {
    fn counts_turns(&self) -> bool {
        matches!(self, Self::Turns(..) | Self::TurnsOfNetwork(..))
    }

    /// From where, whoever it was said to be.
    fn is_place(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Network(_))
    }

    fn is_worth_more(&self) -> bool {
        match self {
            Self::Both(name, _)
            | Self::Account(name)
            | Self::Browser(name, _)
            | Self::Turns(name, _)
            | Self::TurnsOfNetwork(name, _) => name.is_known,
            Self::Address(_) | Self::Network(_) => true,
        }
    }

    fn rule(&self) -> Rule {
        match self {
            Self::Both(..) => ONE_ACCOUNT_FROM_ONE_ADDRESS,
            Self::Account(_) => ONE_ACCOUNT,
            Self::Browser(..) => AT_HOME,
            Self::Address(_) | Self::Turns(..) | Self::TurnsOfNetwork(..) => ONE_ADDRESS,
            Self::Network(_) => ONE_NETWORK,
        }
    }
}

#[derive(Clone, Copy)]
struct Failures {
    /// With those of which isn't known yet what becomes of them.
    count: u32,
    /// Those of which it isn't.
    under_way: u32,
    /// The last of which that is known.
    last: Instant,
    /// When somebody last took one of their network's turns.
    turn: Option<Instant>,
}

impl Failures {
    fn none(now: Instant) -> Self {
        Self { count: 0, under_way: 0, last: now, turn: None }
    }

    /// Those that aren't forgotten.
    fn count(&self, now: Instant) -> u32 {
        if now.duration_since(self.last) < FORGOTTEN_AFTER { self.count } else { 0 }
    }

    /// How long whoever they are the failures of has to wait.
    fn wait(&self, rule: Rule, now: Instant) -> Option<Duration> {
        let delay = delay(self.count(now), rule);
        let due = self.last + delay;
        let wait = due.checked_duration_since(now).filter(|wait| !wait.is_zero());
        let isnt_alone = !delay.is_zero() && self.under_way > 0;
        wait.max(isnt_alone.then_some(ONE_AT_A_TIME))
    }

    /// It is known what became of one of them.
    fn is_known(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
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

/// From where, and whether they have signed in from there before.
#[derive(Clone, Copy)]
struct Place {
    from: Origin,
    is_home: bool,
}

/// An attempt to sign in, until it is known what became of it.
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    account: &'a Name,
    from: Place,
    at: Instant,
    counts: bool,
}

impl Attempt<'_> {
    /// The password was wrong.
    pub fn was_wrong(mut self) {
        self.counts = true;
        self.throttle.was_wrong(self.account, self.from, self.at);
    }

    /// The password was right.
    pub fn was_right(self) {
        self.throttle.succeeded(self.account, self.from);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.counts {
            self.throttle.take_back(self.account, self.from, self.at);
        }
    }
}

/// Who has failed how often.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
    /// Tokens, cookies and links that don't work: an old page sends one again and again.
    tokens: Mutex<HashMap<IpAddr, Failures>>,
    /// From where each account has signed in.
    homes: Mutex<HashMap<Name, VecDeque<IpAddr>>>,
}

impl Throttle {
    /// How long they have to wait before they may try again; nothing: they may.
    pub fn wait(&self, account: &Name, from: Origin, now: Instant) -> Option<Duration> {
        let known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place(account, from);
        let turn = turn(&known, account, from.address, now);
        let of = |key: Key| {
            // What others get wrong: elsewhere with this name, or here with another one.
            if key.counts_turns() || (place.is_home && matches!(key, Key::Account(_))) {
                return None;
            }
            let failures = known.get(&key)?;
            // Somebody beside them keeps whoever is at home out for a minute at most.
            let rule = if place.is_home { AT_HOME } else { key.rule() };
            let wait = failures.wait(rule, now)?;
            if let (Key::Account(_), Some(turn)) = (&key, turn) {
                let due = failures.turn.map_or(turn, |last| turn.max(last + ONE_TURN_IN));
                let due = due.checked_duration_since(now).filter(|wait| !wait.is_zero());
                return due.map(|due| due.min(wait));
            }
            Some(wait)
        };
        keys(account, place).filter_map(of).max()
    }

    /// They try. It counts as wrong until it is known, so that many at once don't pass as one; if it never is
    /// (the host is busy, or they hang up), it doesn't count for the name, and does for where it came from: what is
    /// remembered of each is room that others need.
    pub fn attempt<'a>(&'a self, account: &'a Name, from: Origin, now: Instant) -> Attempt<'a> {
        let from = self.place(account, from);
        self.note(account, from, now);
        Attempt { throttle: self, account, from, at: now, counts: false }
    }

    fn place(&self, account: &Name, from: Origin) -> Place {
        Place { from, is_home: self.is_at_home(account, from.address) }
    }

    fn was_wrong(&self, account: &Name, from: Place, at: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(account, from) {
            if let Some(known) = failures.get_mut(&key) {
                known.last = known.last.max(at);
                known.is_known();
            }
        }
    }

    fn take_back(&self, account: &Name, from: Place, at: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(account, from).filter(|key| !key.counts_turns()) {
            let Entry::Occupied(mut known) = failures.entry(key) else { continue };
            let is_place = known.key().is_place();
            known.get_mut().is_known();
            if is_place {
                known.get_mut().last = known.get().last.max(at);
                continue;
            }
            let left = known.get().count.saturating_sub(1);
            known.get_mut().count = left;
            if left == 0 && known.get().turn.is_none() {
                known.remove();
            }
        }
    }

    fn note(&self, account: &Name, place: Place, now: Instant) {
        let mut known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let has_turn = turn(&known, account, place.from.address, now).is_some();
        for key in keys(account, place) {
            // Beyond its own turns an address uses up nothing of its neighbours'.
            if matches!(key, Key::TurnsOfNetwork(..)) && !has_turn {
                continue;
            }
            let is_account = matches!(key, Key::Account(_));
            let counts_at_once = key.counts_turns();
            let failures = known.entry(key).or_insert(Failures::none(now));
            let count = failures.count(now);
            if count == 0 || counts_at_once {
                // Nothing is left of those before.
                failures.last = now;
            }
            failures.count = count.saturating_add(1);
            failures.under_way = failures.under_way.saturating_add(1);
            if is_account && has_turn {
                failures.turn = Some(now);
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
    fn succeeded(&self, account: &Name, place: Place) {
        let from = place.from;
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(browser) = from.browser {
            failures.remove(&Key::Browser(account.clone(), browser));
        }
        let Some(address) = from.address else { return };
        // What this one had counted there, and nothing of others'.
        for key in keys(account, place).filter(Key::is_place) {
            if let Some(known) = failures.get_mut(&key) {
                known.count = known.count.saturating_sub(1);
                known.is_known();
            }
        }
        failures.remove(&Key::Both(account.clone(), address));
        failures.remove(&Key::Turns(account.clone(), address));
        // Whoever is of their network hasn't guessed that often: it is theirs, too.
        failures.remove(&Key::TurnsOfNetwork(account.clone(), network(address)));
        drop(failures);
        self.is_home(account.clone(), address);
    }

    /// They have signed in from there before, in an earlier run.
    pub fn remember(&self, agent: &str, address: IpAddr) {
        self.is_home(Name::new(agent, true), address);
    }

    fn is_home(&self, account: Name, address: IpAddr) {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_them = homes.entry(account).or_default();
        of_them.retain(|known| *known != address);
        of_them.push_back(address);
        if of_them.len() > MOST_HOMES {
            of_them.pop_front();
        }
    }

    /// Whether they have signed in from there before.
    pub fn is_at_home(&self, account: &Name, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        let homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.get(account).is_some_and(|of_them| of_them.contains(&address))
    }

    /// How long somebody waits whose token, cookie or link doesn't work.
    pub fn wait_of_tokens(&self, address: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&address?)?.wait(ONE_ADDRESS, now)
    }

    /// A token, cookie or link didn't work.
    pub fn token_failed(&self, address: Option<IpAddr>, now: Instant) {
        let Some(address) = address else { return };
        let mut known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = known.entry(address).or_insert(Failures::none(now));
        (failures.count, failures.last) = (failures.count(now).saturating_add(1), now);
        if known.len() > MOST_TOKENS {
            forget_older_half(&mut known, |_| true);
        }
    }
}

/// When somebody from their network may try next whatever others do elsewhere; none: its turns are over.
fn turn(
    known: &HashMap<Key, Failures>,
    account: &Name,
    address: Option<IpAddr>,
    now: Instant,
) -> Option<Instant> {
    let address = address?;
    let of_network = known.get(&Key::TurnsOfNetwork(account.clone(), network(address)));
    if of_network.is_some_and(|tried| tried.count(now) >= TURNS_OF_A_NETWORK) {
        return None;
    }
    let tried = known.get(&Key::Turns(account.clone(), address));
    match tried.map_or(0, |tried| tried.count(now)) {
        0 => Some(now),
        count if count < TURNS_OF_AN_ADDRESS => {
            tried.map(|tried| tried.last + Duration::from_secs(1 << (count - 1)))
        }
        _ => None,
    }
}

/// What is given to one customer of a provider as a whole: the first 24 bits, or 48.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::from((u32::from(address) & !0xff).to_be_bytes()),
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & !(u128::MAX >> 48)).to_be_bytes())
        }
    }
}

/// What an attempt counts for. Whoever is at home uses up nothing of what their neighbours have.
fn keys(account: &Name, Place { from, is_home }: Place) -> impl Iterator<Item = Key> {
    let browser = from.browser.map(|browser| Key::Browser(account.clone(), browser));
    let elsewhere = browser.is_none().then(|| {
        let of_address = |address| {
            let both = Key::Both(account.clone(), address);
            let turns = Key::Turns(account.clone(), address);
            let of_network = Key::TurnsOfNetwork(account.clone(), network(address));
            let places = [Key::Address(address), Key::Network(network(address))];
            let places = places.into_iter().filter(move |_| !is_home);
            places.chain([both, turns, of_network])
        };
        let of_address = from.address.map(of_address).into_iter().flatten();
        of_address.chain([Key::Account(account.clone())])
    });
    browser.into_iter().chain(elsewhere.into_iter().flatten())
}

/// Of those that are worth little.
fn forget_older_half<K: Eq + Hash>(
    known: &mut HashMap<K, Failures>,
    is_little: impl Fn(&K) -> bool,
) {
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
mod tests;
