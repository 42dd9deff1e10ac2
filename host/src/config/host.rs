//! The section `host`: addresses, folders, and the limits of what may come in from outside.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use cordboard_core::time::Span;
use ipnet::IpNet;
use serde::Deserialize;

use super::load::Reader;
use super::ranges::{
    BODY, CONNECTIONS, CONNECTIONS_PER_ADDRESS, JOURNAL_BACKLOG, KEEP_ROUTING_LOG, SCREEN_BACKLOG,
    SCREEN_PATIENCE, SIGN_IN_IDLE, SIGN_IN_LAST, SIGN_IN_REMOVED, SWAP_LEAST_FAILURES,
    SWAP_MOST_FAILING, SWAP_WATCH,
};
use super::retention::{HostRetention, HostRetentionTree};
use super::routing::Known;
use super::tree::Duration;

/// Addresses and folders; paths are absolute or relative to the working folder.
#[derive(Clone, PartialEq, Debug)]
pub struct HostConfig {
    /// Where to listen.
    pub listen: String,
    /// Where providers and browsers reach us, without a slash at the end.
    pub public_url: String,
    /// Speaks TLS itself, with these.
    pub tls: Option<TlsFiles>,
    /// Where `/metrics` and `/health` are asked for, if that isn't to be the address for everybody.
    pub operations: Option<String>,
    /// Reverse proxies: whoever they speak for is named in `X-Forwarded-For`.
    pub proxies: Vec<IpNet>,
    /// How long people stay signed in.
    pub sign_ins: SignIns,
    /// What one sender may take of us (OPS-11).
    pub limits: HostLimits,
    /// How long a plugin that is new in its place is looked at, and what it may do wrong (PLUG-03).
    pub swaps: Swaps,
    /// Journal, plugin cache.
    pub data: PathBuf,
    /// Where plugins are looked for by name.
    pub plugins: PathBuf,
    /// Hours of everything that has none of its own.
    pub hours: Option<String>,
    /// How long the journal keeps what routing was told, from the end of a run (OPS-08); 0: not at
    /// all.
    pub keep_routing_log: Span,
    /// How long the rest is kept that isn't of a workstream (SEC-04).
    pub retention: HostRetention,
}

impl HostConfig {
    /// Whether browsers reach us by TLS, of our own or a proxy's.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The host's own certificate first.
    pub certificate: PathBuf,
    /// Of that certificate.
    pub key: PathBuf,
}

/// How long a session lasts (SEC-06).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignIns {
    /// From the sign-in.
    pub last: Span,
    /// From the last thing that was done with it.
    pub idle: Span,
    /// So long after an agent was taken out of the configuration their password and tokens end.
    pub removed: Span,
}

/// When a plugin that has taken another's place is taken back (PLUG-03).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swaps {
    /// For so long the one of before is kept, and the new one is looked at.
    pub watch: StdDuration,
    /// Fewer calls that fail say nothing.
    pub least_failures: u32,
    /// Of a hundred calls that many fail.
    pub most_failing: u32,
}

/// How much may come in, how long it may take, and how much may wait to go out (OPS-11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostLimits {
    /// Connections in all.
    pub connections: u32,
    /// Connections from one address (IPv6: from one /64).
    pub connections_per_address: u32,
    /// From a request's head to the end of its body.
    pub body: StdDuration,
    /// How long a connection may take nothing of what is sent to it.
    pub screen_patience: StdDuration,
    /// Bytes that may wait for one screen.
    pub screen_backlog: usize,
    /// Writes that may wait for the journal before webhooks are put off.
    pub journal_backlog: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "host", deny_unknown_fields)]
pub(super) struct HostTree {
    #[serde(default = "default_listen")]
    listen: String,
    /// Where providers and browsers reach us; the listen address if it isn't given.
    #[serde(default)]
    public_url: Option<String>,
    #[serde(default)]
    tls: Option<TlsTree>,
    #[serde(default)]
    operations: Option<String>,
    /// Addresses or networks, such as `10.0.0.0/8`.
    #[serde(default)]
    proxies: Vec<String>,
    #[serde(default)]
    sign_ins: SignInsTree,
    #[serde(default)]
    limits: LimitsTree,
    #[serde(default)]
    swaps: SwapsTree,
    #[serde(default = "default_data")]
    data: PathBuf,
    #[serde(default = "default_plugins")]
    plugins: PathBuf,
    /// Of everything that has no hours of its own.
    #[serde(default)]
    hours: Option<String>,
    /// How long the journal keeps what routing was told, for `cordboard replay` (OPS-08); "0s": it
    /// doesn't.
    #[serde(default = "a_month")]
    keep_routing_log: Duration,
    #[serde(default)]
    retention: HostRetentionTree,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "tls", deny_unknown_fields)]
struct TlsTree {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename = "sign_ins", deny_unknown_fields, default)]
struct SignInsTree {
    last: Duration,
    idle: Duration,
    removed: Duration,
}

impl Default for SignInsTree {
    fn default() -> Self {
        Self {
            last: Duration(Span::seconds(12 * 3600)),
            idle: Duration(Span::seconds(2 * 3600)),
            removed: Duration(Span::seconds(600)),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename = "swaps", deny_unknown_fields, default)]
struct SwapsTree {
    watch: Duration,
    least_failures: u32,
    most_failing: u32,
}

impl Default for SwapsTree {
    fn default() -> Self {
        Self { watch: Duration(Span::seconds(30)), least_failures: 5, most_failing: 50 }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename = "limits", deny_unknown_fields, default)]
struct LimitsTree {
    connections: u32,
    connections_per_address: u32,
    body: Duration,
    screen_patience: Duration,
    screen_backlog: u32,
    journal_backlog: u32,
}

impl Default for LimitsTree {
    fn default() -> Self {
        Self {
            connections: 8192,
            connections_per_address: 512,
            body: Duration(Span::seconds(20)),
            screen_patience: Duration(Span::seconds(20)),
            screen_backlog: 4 * 1024 * 1024,
            journal_backlog: 20_000,
        }
    }
}

fn a_month() -> Duration {
    Duration(Span::seconds(30 * 24 * 3600))
}

impl Default for HostTree {
    fn default() -> Self {
        Self {
            listen: default_listen(),
            public_url: None,
            tls: None,
            operations: None,
            proxies: Vec::new(),
            sign_ins: SignInsTree::default(),
            limits: LimitsTree::default(),
            swaps: SwapsTree::default(),
            data: default_data(),
            plugins: default_plugins(),
            hours: None,
            keep_routing_log: a_month(),
            retention: HostRetentionTree::default(),
        }
    }
}

fn default_listen() -> String {
    "127.0.0.1:8080".to_owned()
}

fn default_data() -> PathBuf {
    "data".into()
}

fn default_plugins() -> PathBuf {
    "plugins".into()
}

impl Reader {
    pub(super) fn resolve_host(&mut self, root: &Path, known: &Known) -> HostConfig {
        let placed = self.host.take();
        let (tree, source) = match placed {
            Some(placed) => (placed.value, Some(placed.source)),
            None => (HostTree::default(), None),
        };
        if let Some(source) = source {
            self.check_host(source, &tree, known);
        }
        let limits = tree.limits;
        let scheme = if tree.tls.is_some() { "https" } else { "http" };
        let public_url = tree.public_url.unwrap_or_else(|| format!("{scheme}://{}", tree.listen));
        HostConfig {
            public_url: public_url.trim_end_matches('/').to_owned(),
            tls: tree.tls.map(|tls| TlsFiles {
                certificate: root.join(tls.certificate),
                key: root.join(tls.key),
            }),
            operations: tree.operations,
            proxies: tree.proxies.iter().filter_map(|proxy| network(proxy)).collect(),
            sign_ins: SignIns {
                last: tree.sign_ins.last.0,
                idle: tree.sign_ins.idle.0,
                removed: tree.sign_ins.removed.0,
            },
            limits: HostLimits {
                connections: limits.connections,
                connections_per_address: limits.connections_per_address,
                body: limits.body.into(),
                screen_patience: limits.screen_patience.into(),
                screen_backlog: limits.screen_backlog as usize,
                journal_backlog: limits.journal_backlog as usize,
            },
            swaps: Swaps {
                watch: tree.swaps.watch.into(),
                least_failures: tree.swaps.least_failures,
                most_failing: tree.swaps.most_failing,
            },
            data: root.join(&tree.data),
            plugins: root.join(&tree.plugins),
            hours: tree.hours,
            keep_routing_log: tree.keep_routing_log.0,
            retention: tree.retention.into(),
            listen: tree.listen,
        }
    }

    fn check_host(&mut self, source: usize, tree: &HostTree, known: &Known) {
        self.hours_id(source, "host.hours", tree.hours.as_ref(), known);
        self.check_time(
            source,
            "host.keep_routing_log",
            Some(tree.keep_routing_log),
            KEEP_ROUTING_LOG,
        );
        self.check_host_retention(source, tree.retention);
        let limits = tree.limits;
        for (name, value, range) in [
            ("connections", limits.connections, CONNECTIONS),
            ("connections_per_address", limits.connections_per_address, CONNECTIONS_PER_ADDRESS),
            ("screen_backlog", limits.screen_backlog, SCREEN_BACKLOG),
            ("journal_backlog", limits.journal_backlog, JOURNAL_BACKLOG),
        ] {
            self.check_number(source, &format!("host.limits.{name}"), value, range);
        }
        for (name, value, range) in [
            ("least_failures", tree.swaps.least_failures, SWAP_LEAST_FAILURES),
            ("most_failing", tree.swaps.most_failing, SWAP_MOST_FAILING),
        ] {
            self.check_number(source, &format!("host.swaps.{name}"), value, range);
        }
        for (name, value, range) in [
            ("limits.body", limits.body, BODY),
            ("limits.screen_patience", limits.screen_patience, SCREEN_PATIENCE),
            ("sign_ins.last", tree.sign_ins.last, SIGN_IN_LAST),
            ("sign_ins.idle", tree.sign_ins.idle, SIGN_IN_IDLE),
            ("sign_ins.removed", tree.sign_ins.removed, SIGN_IN_REMOVED),
            ("swaps.watch", tree.swaps.watch, SWAP_WATCH),
        ] {
            self.check_time(source, &format!("host.{name}"), Some(value), range);
        }
        for (name, address) in
            [("listen", Some(&tree.listen)), ("operations", tree.operations.as_ref())]
        {
            if let Some(address) = address.filter(|text| text.parse::<SocketAddr>().is_err()) {
                let message = format!(
                    "\"{address}\" isn't an address to listen on, such as \"127.0.0.1:8080\""
                );
                self.problem(source, &format!("host.{name}"), message);
            }
        }
        if tree.operations.as_ref() == Some(&tree.listen) {
            let message = "that is `listen`: leave it out, or give it an address of its own";
            self.problem(source, "host.operations", message.to_owned());
        }
        for (index, proxy) in tree.proxies.iter().enumerate() {
            let message = match network(proxy) {
                None => format!("\"{proxy}\" isn't an address or network, such as \"10.0.0.0/8\""),
                // Everybody could say that they are somebody else.
                Some(all) if all.prefix_len() == 0 => format!(
                    "\"{proxy}\" is everybody: only proxies of yours, which set X-Forwarded-For, are to be believed"
                ),
                Some(_) => continue,
            };
            self.problem(source, &format!("host.proxies[{index}]"), message);
        }
        if let (Some(_), Some(url)) = (&tree.tls, &tree.public_url)
            && url.starts_with("http://")
        {
            let message = format!("with `tls` the host is reached by https://, not \"{url}\"");
            self.problem(source, "host.public_url", message);
        }
        let is_url = |url: &String| url::Url::parse(url).is_ok_and(|url| url.has_host());
        if let Some(url) = tree.public_url.as_ref().filter(|url| !is_url(url)) {
            let message = format!("\"{url}\" isn't a URL such as \"https://desk.example.com\"");
            self.problem(source, "host.public_url", message);
        }
    }
}

/// `10.0.0.0/8`, or one address.
fn network(text: &str) -> Option<IpNet> {
    let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-11
    #[test]
    fn proxies_are_addresses_or_networks() {
        let inside = |net: &str, address: &str| {
            network(net).unwrap().contains(&address.parse::<IpAddr>().unwrap())
        };
        assert!(inside("10.0.0.0/8", "10.1.2.3"));
        assert!(inside("::1", "::1"));
        assert!(!inside("127.0.0.1", "127.0.0.2"));
        assert_eq!(network("localhost"), None);
    }
}
