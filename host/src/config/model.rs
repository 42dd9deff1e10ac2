//! The configuration as the host uses it: resolved, checked, immutable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use cordboard_core::agent::Settings;
use cordboard_core::ids::{AgentId, ChannelId, HoursId, QueueId, SkillId, WorkstreamId};
use cordboard_core::presence::BaseStatus;
use cordboard_core::queue::Settings as QueueSettings;
use cordboard_core::time::Span;
use cordboard_core::workstream::Workstream;
use serde::{Deserialize, Serialize};

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
}

impl Config {
    /// The agent of that name.
    pub fn agent(&self, id: &AgentId) -> Option<&AgentConfig> {
        self.agents.iter().find(|agent| agent.id == *id)
    }

    /// Whether the role has the permission.
    pub fn permits(&self, role: Role, permission: Permission) -> bool {
        self.permissions.get(&role).is_some_and(|list| list.contains(&permission))
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

/// A strategy plugin.
#[derive(Clone, PartialEq, Debug)]
pub struct StrategyConfig {
    /// The name that queues refer to.
    pub id: String,
    /// The plugin's library.
    pub library: PathBuf,
    /// The only content that may be loaded (PLUG-07), in hexadecimal.
    pub sha256: Option<String>,
    /// The plugin's own settings.
    pub config: serde_json::Value,
    /// Where it stands.
    pub place: Place,
}

impl StrategyConfig {
    /// As the loader takes it: like a channel that nobody writes to.
    pub fn as_plugin(&self) -> ChannelConfig {
        ChannelConfig {
            id: ChannelId::from(self.id.as_str()),
            library: self.library.clone(),
            sha256: self.sha256.clone(),
            workstream: WorkstreamId::from(""),
            config: self.config.clone(),
            secrets: BTreeMap::new(),
            allow_hosts: Vec::new(),
            language: String::new(),
            hours: None,
            max_text: None,
            place: self.place.clone(),
        }
    }
}

/// Something that a role may do beside its own work.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Take waiting work by hand beyond one's capacity (ROUTE-10).
    SelfAssign,
    /// Take a conversation over from a colleague.
    TakeOver,
    /// End anybody's conversation (CONV-07).
    #[serde(rename = "conversation.end")]
    EndConversation,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SelfAssign, Self::TakeOver, Self::EndConversation];

    /// As it is written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SelfAssign => "self_assign",
            Self::TakeOver => "take_over",
            Self::EndConversation => "conversation.end",
        }
    }
}

/// Addresses and folders; paths are absolute or relative to the working folder.
#[derive(Clone, PartialEq, Debug)]
pub struct HostConfig {
    /// Where to listen.
    pub listen: String,
    /// Where providers and browsers reach us, without a slash at the end.
    pub public_url: String,
    /// Journal, plugin cache.
    pub data: PathBuf,
    /// Where plugins are looked for by name.
    pub plugins: PathBuf,
    /// Hours of everything that has none of its own.
    pub hours: Option<String>,
    /// How long the journal keeps what routing was told, from the end of a run (OPS-08); 0: not at
    /// all.
    pub keep_routing_log: Span,
}

/// One channel.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelConfig {
    /// Its name.
    pub id: ChannelId,
    /// The plugin's library.
    pub library: PathBuf,
    /// The only content that may be loaded (PLUG-07), in hexadecimal.
    pub sha256: Option<String>,
    /// Its workstream.
    pub workstream: WorkstreamId,
    /// The plugin's own settings.
    pub config: serde_json::Value,
    /// Where its secrets come from.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Hosts beside those of the manifest, as `name` or `name:port`.
    pub allow_hosts: Vec<String>,
    /// Of customers who haven't said theirs, as `de`.
    pub language: String,
    /// Hours that count where a queue has none of its own.
    pub hours: Option<HoursId>,
    /// The most characters of a text, where it is to be less than the plugin takes (CH-11).
    pub max_text: Option<u32>,
    /// File and path of the setting, for errors that only the plugin finds.
    pub place: Place,
}

/// Where a part of the configuration stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
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

/// What somebody may do (SEC-01). Each role may do what the ones before it may.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Own conversations.
    #[default]
    Agent,
    /// Everybody's conversations, agents and queues.
    Supervisor,
    /// Channels and accounts.
    Administrator,
}

impl Role {
    /// As it is written in configuration and API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Supervisor => "supervisor",
            Self::Administrator => "administrator",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Agent, Self::Supervisor, Self::Administrator]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}
