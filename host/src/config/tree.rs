//! The RON tree as it is written, before anything refers to anything.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use cordboard_core::capacity::ChannelKind;
use cordboard_core::presence::BaseStatus;
use cordboard_core::time::Span;
use serde::{Deserialize, Deserializer};

use super::model::SecretSource;
use super::permissions::Role;

/// Something wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// The setting, as `queues[0].order`; empty: the file as a whole.
    pub path: String,
    /// What was found and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "{file}:{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename = "channel", deny_unknown_fields)]
pub(super) struct ChannelTree {
    pub id: String,
    /// A plugin's name, looked for in `host.plugins`, or a path to its library.
    pub plugin: String,
    #[serde(default)]
    pub sha256: Option<String>,
    pub workstream: String,
    #[serde(default)]
    pub config: serde_json::Value,
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    #[serde(default)]
    pub allow_hosts: Vec<String>,
    /// Of customers who haven't said theirs, as `de`.
    #[serde(default)]
    pub language: Option<String>,
    /// Hours that count where a queue has none of its own.
    #[serde(default)]
    pub hours: Option<String>,
    /// The most characters of a text, where it is to be less than the plugin takes (CH-11).
    #[serde(default)]
    pub max_text: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "agent", deny_unknown_fields)]
pub(super) struct AgentTree {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub role: Role,
    #[serde(default)]
    pub queues: Vec<String>,
    #[serde(default)]
    pub capacity: CapacityTree,
    #[serde(default)]
    pub skills: BTreeMap<String, u8>,
    /// Takes no work (PRES-08).
    #[serde(default)]
    pub light: bool,
    #[serde(default)]
    pub default_presence: Option<BaseStatus>,
    #[serde(default)]
    pub grace: Option<Duration>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename = "capacity", deny_unknown_fields, default)]
pub(super) struct CapacityTree {
    pub voice: Option<u16>,
    pub chat: Option<u16>,
    pub messaging: Option<u16>,
    pub email: Option<u16>,
    pub units: Option<u32>,
    /// Kinds that get nothing while one of this kind is under way (CAP-03).
    pub blocking: Option<BTreeMap<ChannelKind, Vec<ChannelKind>>>,
}

/// Presence for everybody.
#[derive(Debug, Default, Deserialize)]
#[serde(rename = "presence", deny_unknown_fields, default)]
pub(super) struct PresenceTree {
    pub labels: Vec<LabelTree>,
    /// So many labels there may be; 100 if it isn't given.
    pub most_labels: Option<u32>,
    /// Set at sign-in unless the agent's own `default_presence` says otherwise (PRES-05).
    pub default: Option<BaseStatus>,
    pub grace: Option<Duration>,
    pub idle: Option<IdleTree>,
    pub missed_offers: Option<MissedTree>,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "label", deny_unknown_fields)]
pub(super) struct LabelTree {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    pub status: BaseStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "idle", deny_unknown_fields)]
pub(super) struct IdleTree {
    pub after: Duration,
    #[serde(default = "away")]
    pub status: BaseStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename = "missed_offers", deny_unknown_fields)]
pub(super) struct MissedTree {
    pub limit: u32,
    #[serde(default = "away")]
    pub status: BaseStatus,
}

fn away() -> BaseStatus {
    BaseStatus::Away
}

/// A length of time as people write it: `"30s"`, `"10m"`, `"24h"`, `"500ms"`, `"2d"`.
#[derive(Clone, Copy, Debug)]
pub struct Duration(pub Span);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Duration).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "\"{text}\" isn't a length of time; write a number and a unit, such as \"30s\", \"10m\" or \"24h\""
            ))
        })
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_millis(u64::try_from(duration.0.0).unwrap_or(0))
    }
}

impl Duration {
    /// Reads `30s`, `10m`, `24h`.
    pub fn parse(text: &str) -> Option<Self> {
        parse_duration(text).map(Self)
    }
}

fn parse_duration(text: &str) -> Option<Span> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit).map(Span)
}
