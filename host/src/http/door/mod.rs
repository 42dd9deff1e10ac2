//! The door: who may come in, how much one sender may take of us, and how long anything may take
//! (OPS-11). What stands behind it never sees a connection that broke these rules.
//!
//! - So many connections in all, and so many from one address, which has at most a quarter of all. The last ones of both are
//!   kept back: a connection that gets one of those is only good for health, metrics and whoever is signed in.
//! - Where it is crowded, whoever has more than a share of what others leave gets no more, and a connection that
//!   asks for nothing is let go of after two seconds.
//! - TLS, if the host has a certificate.
//! - A request's head has ten seconds; its body is there by a deadline, and not drop by drop.
//! - A connection that takes nothing of what is sent to it, or hardly anything, is cut off.

mod body;
mod connection;
mod descriptors;
mod listen;
mod tls;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpRequest;

use crate::actors::Directory;
use crate::config::HostConfig;

pub use body::{Shape, in_time};
pub use descriptors::make_room;
pub use listen::{Listeners, Service, serve};
pub use tls::{Tls, check as check_tls};

/// Counts who is inside.
pub struct Door {
    directory: Arc<Directory>,
    /// The most connections that the process' descriptors allow.
    room: usize,
    inside: AtomicUsize,
    /// Bytes of bodies that are being read, in all.
    bodies: AtomicUsize,
    /// The same by address.
    bodies_of: Mutex<HashMap<IpAddr, usize>>,
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

/// Where it is crowded, one address may have one of so many parts of what others leave; or a quarter of what one
/// may have otherwise, if that is more.
const SHARES: usize = 16;

/// Why somebody has to stay outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Full {
    InAll,
    OfOneAddress,
}

/// A place inside, until it is dropped.
struct Place {
    door: Arc<Door>,
    address: Option<IpAddr>,
    is_kept_back: bool,
}

/// What a request can know of the connection that it came through.
#[derive(Clone)]
struct Arrival {
    is_kept_back: bool,
    /// Its answer is the last: what comes after it isn't read.
    is_over: Arc<AtomicBool>,
    stage: Arc<AtomicU8>,
}

/// What a connection is used for just now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum Stage {
    /// What comes is a request's head.
    Asking,
    /// A request is being dealt with.
    Served,
    /// It is a socket from now on, with rules of its own.
    Socket,
}

impl Arrival {
    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }
}

impl Door {
    /// For a host whose descriptors allow so many connections.
    pub fn new(directory: Arc<Directory>, room: usize) -> Self {
        Self {
            directory,
            room,
            inside: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            bodies_of: Mutex::default(),
            by_address: Mutex::default(),
        }
    }

    /// Connections that are open now.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    /// The most connections, and how many of them are kept back.
    fn most(&self, host: &HostConfig) -> (usize, usize) {
        let most = self.room.min(host.limits.connections as usize);
        (most, (most / 10).max(16).min(most / 2))
    }

    /// What one address may have: however few connections a host has, one of them doesn't have most of them.
    fn limit_of_one(host: &HostConfig, most: usize) -> usize {
        let limit = host.limits.connections_per_address as usize;
        limit.min(most / 4)
    }

    /// Whether three quarters are taken of those that aren't kept back.
    fn is_crowded(&self) -> bool {
        let (most, kept_back) = self.most(&self.directory.config().host);
        self.inside() > Self::crowded_at(most, kept_back)
    }

    const fn crowded_at(most: usize, kept_back: usize) -> usize {
        (most - kept_back) / 4 * 3
    }

    fn admit(self: &Arc<Self>, peer: Option<SocketAddr>) -> Result<Place, Full> {
        let config = self.directory.config();
        let (most, kept_back) = self.most(&config.host);
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let mut place =
            Place { door: self.clone(), address: None, is_kept_back: before + kept_back >= most };
        if before >= most {
            return Err(Full::InAll);
        }
        let is_counted = |ip: &IpAddr| !config.host.proxies.iter().any(|proxy| proxy.contains(ip));
        if let Some(address) = peer.map(|peer| peer.ip()).filter(is_counted).map(neighbourhood) {
            let mut known = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = known.entry(address).or_default();
            let limit = Self::limit_of_one(&config.host, most);
            // Behind one address there may be an office: its people, and whoever looks after the host there,
            // aren't kept out by one of its machines.
            if *count as usize >= limit + (limit / 10).max(8) {
                return Err(Full::OfOneAddress);
            }
            let left = most - before + *count as usize;
            let share = (left / SHARES).max(limit / 4);
            if before > Self::crowded_at(most, kept_back) && *count as usize >= share {
                return Err(Full::OfOneAddress);
            }
            *count += 1;
            place.is_kept_back |= *count as usize > limit;
            place.address = Some(address);
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.inside.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut known = self.door.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = known.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                known.remove(&address);
            }
        }
    }
}

/// One subscriber has a whole /64 of IPv6 to choose addresses from.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::from(u64::MAX) << 64);
            Ipv6Addr::from_bits(prefix).into()
        }
    }
}

/// Whose request this is, by address: the connection's, or, behind a proxy of ours, the last one in
/// `X-Forwarded-For` that isn't a proxy of ours. What stands before that could be made up.
pub fn address_of(request: &HttpRequest, host: &HostConfig) -> Option<IpAddr> {
    let is_proxy = |ip: &IpAddr| host.proxies.iter().any(|proxy| proxy.contains(ip));
    let peer = request.peer_addr()?.ip().to_canonical();
    if !is_proxy(&peer) {
        return Some(neighbourhood(peer));
    }
    let lists = request.headers().get_all("x-forwarded-for").map(|value| value.as_bytes());
    Some(neighbourhood(named_last(lists, is_proxy).unwrap_or(peer)))
}

/// The last one named that isn't a proxy of ours. What was made up before it may hold anything: it is split
/// as bytes, and what no proxy writes (nothing between two commas) is passed over.
fn named_last<'a>(
    lists: impl Iterator<Item = &'a [u8]>,
    is_proxy: impl Fn(&IpAddr) -> bool,
) -> Option<IpAddr> {
    let lists: Vec<&[u8]> = lists.collect();
    let names = lists.iter().rev().flat_map(|list| list.rsplit(|byte| *byte == b','));
    let mut names = names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    let client =
        names.find_map(|name| match std::str::from_utf8(name).ok().and_then(named_address) {
            Some(ip) if is_proxy(&ip) => None,
            client => Some(client),
        });
    client.flatten()
}

/// `203.0.113.9`, `2001:db8::1`, and with a port, as some proxies write it: `203.0.113.9:443`,
/// `[2001:db8::1]:443`.
fn named_address(text: &str) -> Option<IpAddr> {
    let plain = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain().or_else(with_port).or_else(bracketed).map(|ip| ip.to_canonical())
}

/// For how long a thread stood still that should have looked at a time: what others sent meanwhile isn't late because
/// of that.
fn stood_still(should_have: tokio::time::Instant) -> Option<Duration> {
    const USUAL: Duration = Duration::from_millis(500);
    let late = should_have.elapsed();
    (late > USUAL).then_some(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-11
    #[test]
    fn proxies_name_addresses_in_several_ways() {
        let of = |text: &str| named_address(text).map(|ip| ip.to_string());
        for text in ["203.0.113.9", "203.0.113.9:4401", "::ffff:203.0.113.9"] {
            assert_eq!(of(text).as_deref(), Some("203.0.113.9"), "{text}");
        }
        for text in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"] {
            assert_eq!(of(text).as_deref(), Some("2001:db8::1"), "{text}");
        }
        assert_eq!(of("unknown"), None);
        let is_proxy = |ip: &IpAddr| ip.to_string() == "10.0.0.1";
        let last =
            |lists: &[&[u8]]| named_last(lists.iter().copied(), is_proxy).map(|ip| ip.to_string());
        for lists in [
            &[b"\xe9, 9.9.9.7".as_slice()] as &[&[u8]],
            &[b"9.9.9.7,"],
            &[b"9.9.9.7, 10.0.0.1 ,"],
            &[b"1.1.1.1", b"2.2.2.2,\xff\xfe, 9.9.9.7", b"10.0.0.1"],
        ] {
            assert_eq!(last(lists).as_deref(), Some("9.9.9.7"), "{lists:?}");
        }
        assert_eq!(last(&[b"9.9.9.7, unknown"]), None);
        assert_eq!(last(&[]), None);
    }

    // OPS-11
    #[test]
    fn a_network_of_ipv6_counts_as_one_sender() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
