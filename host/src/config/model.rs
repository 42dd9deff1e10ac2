//! The configuration as the host uses it: resolved, checked, immutable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use cordboard_core::agent::Settings;
use cordboard_core::ids::{AgentId, ChannelId, HoursId, QueueId, SkillId, WorkstreamId};
use cordboard_core::presence::BaseStatus;
use cordboard_core::queue::Settings as QueueSettings;
use cordboard_core::workstream::Workstream;
use serde::{Deserialize, Serialize};

use super::host::HostConfig;
use super::permissions::{Permission, Role};
use super::retention::Retention;

/// All of it.
#[derive(Debug)]
pub struct Config {
    /// The folder it was read from.
    pub root: PathBuf,
    /// Addresses and folders.
    pub host: HostConfig,
    /// In the order of the files.
    pub channels: Vec<ChannelConfig>,
    /// By name.
    pub workstreams: HashMap<WorkstreamId, Arc<Workstream>>,
    /// How long each workstream's conversations are kept (SEC-04).
    pub retention: BTreeMap<WorkstreamId, Retention>,
    /// In the order of the files.
    pub queues: Vec<QueueConfig>,
    /// In the order of the files.
    pub agents: Vec<AgentConfig>,
    /// Labels that agents can choose (PRES-01).
    pub labels: Vec<LabelConfig>,
    /// What each role may do beside its own work.
    pub permissions: BTreeMap<Role, BTreeSet<Permission>>,
    /// Strategy plugins (ROUTE-05).
    pub strategies: Vec<StrategyConfig>,
    /// Every skill.
    pub skills: Vec<SkillId>,
    /// Attributes of customers that may be told.
    pub fields: Fields,
}

/// Names of attributes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields {
    /// Of contacts.
    pub contact: BTreeSet<String>,
    /// Of accounts.
    pub account: BTreeSet<String>,
    /// Of the page, the bot, the call.
    pub context: BTreeSet<String>,
}

impl Config {
    /// The agent of that name.
    pub fn agent(&self, id: &AgentId) -> Option<&AgentConfig> {
        self.agents.iter().find(|agent| agent.id == *id)
    }

    /// Whether the role has the permission.
    pub fn permits(&self, role: &Role, permission: Permission) -> bool {
        self.permissions.get(role).is_some_and(|list| list.contains(&permission))
    }
}

/// A label that agents can choose, mapped on a base status (PRES-01).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct LabelConfig {
    /// Its name in the configuration.
    pub id: String,
    /// What people see.
    pub name: String,
    /// What routing goes by.
    pub status: BaseStatus,
}

/// What a plugin can be (PLUG-01): each has its own part of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginKind {
    /// Messages come and go through it.
    Channel,
    /// It says whom a queue offers something first (ROUTE-05).
    Strategy,
}

impl PluginKind {
    /// As a manifest says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Strategy => "strategy",
        }
    }
}

/// What a plugin is opened with, whatever kind it is of.
#[derive(Clone, PartialEq, Debug)]
pub struct PluginConfig {
    /// What it has to be.
    pub kind: PluginKind,
    /// Of the channel, or whatever it is.
    pub id: String,
    /// The plugin's name, if it is looked for by that.
    pub plugin: Option<String>,
    /// The plugin's library.
    pub library: PathBuf,
    /// The only content that may be loaded (PLUG-07), in hexadecimal.
    pub sha256: Option<String>,
    /// The plugin's own settings.
    pub config: serde_json::Value,
    /// Where its secrets come from.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Hosts beside those of the manifest, as `name` or `name:port`.
    pub allow_hosts: Vec<String>,
    /// The longest text that it is to take, where somebody relies on that (CH-11).
    pub max_text: Option<u32>,
    /// File and path of the setting, for errors that only the plugin finds.
    pub place: Location,
}

/// The names of those that differ.
pub(crate) fn those_that_differ<const N: usize>(
    settings: [(&'static str, bool); N],
) -> Vec<&'static str> {
    let differ = settings.into_iter().filter(|(_, differs)| *differs);
    differ.map(|(name, _)| name).collect()
}

impl PluginConfig {
    /// What it is of, in words: `channel sms-twilio`.
    pub fn name(&self) -> String {
        format!("{} {}", self.kind.as_str(), self.id)
    }

    /// The settings in which it differs from another, by their names; none: what was opened for the one does for the other.
    pub fn differs_from(&self, other: &Self) -> Vec<&'static str> {
        those_that_differ([
            ("plugin", self.plugin != other.plugin || self.library != other.library),
            ("sha256", self.sha256 != other.sha256),
            ("config", self.config != other.config),
            ("secrets", self.secrets != other.secrets),
            ("allow_hosts", self.allow_hosts != other.allow_hosts),
        ])
    }
}

/// A strategy plugin.
#[derive(Clone, PartialEq, Debug)]
pub struct StrategyConfig {
    /// The name that queues refer to.
    pub id: String,
    /// The plugin.
    pub opens: PluginConfig,
}

/// One channel.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelConfig {
    /// Its name.
    pub id: ChannelId,
    /// Its plugin.
    pub opens: PluginConfig,
    /// Its workstream.
    pub workstream: WorkstreamId,
    /// Of customers who haven't said theirs, as `de`.
    pub language: String,
    /// Hours that count where a queue has none of its own.
    pub hours: Option<HoursId>,
    /// The most characters of a text, where it is to be less than the plugin takes (CH-11).
    pub max_text: Option<u32>,
}

impl Config {
    /// All plugins that it names.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginConfig> {
        let channels = self.channels.iter().map(|channel| &channel.opens);
        channels.chain(self.strategies.iter().map(|strategy| &strategy.opens))
    }

    /// What providers and operators know a channel by (CH-15).
    pub fn callback_url(&self, channel: &str) -> String {
        format!("{}/hooks/{channel}", self.host.public_url)
    }
}

/// Where a part of the configuration stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// The path, as `channels[0]`.
    pub path: String,
}

/// Where a secret comes from (OPS-02).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// An environment variable.
    #[serde(alias = "Env")]
    Env(String),
    /// A file; white space at the end is cut. Relative paths are relative to the configuration.
    #[serde(alias = "File")]
    File(PathBuf),
    /// A credential that systemd passes on (`LoadCredential=` in the unit), by its name there; white
    /// space at the end is cut.
    Credential(String),
}

/// One queue.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueConfig {
    /// Its name in the configuration.
    pub id: QueueId,
    /// For people.
    pub name: String,
    /// For its machine.
    pub settings: Arc<QueueSettings>,
}

/// One agent.
#[derive(Clone, PartialEq, Debug)]
pub struct AgentConfig {
    /// The name they sign in with.
    pub id: AgentId,
    /// For people.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// For their machine.
    pub settings: Arc<Settings>,
}
