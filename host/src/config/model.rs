//! The configuration as the host uses it: resolved, checked, immutable.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use cordboard_core::agent::Settings;
use cordboard_core::ids::{AgentId, ChannelId, QueueId, WorkstreamId};
use cordboard_core::queue::Order;
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
}

/// Addresses and folders; paths are absolute or relative to the working folder.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Where to listen.
    pub listen: String,
    /// Where providers and browsers reach us, without a slash at the end.
    pub public_url: String,
    /// Journal, plugin cache.
    pub data: PathBuf,
    /// Where plugins are looked for by name.
    pub plugins: PathBuf,
}

/// One channel.
#[derive(Clone, Debug)]
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
    /// File and path of the setting, for errors that only the plugin finds.
    pub place: Place,
}

/// Where a part of the configuration stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The path, as `channels[0]`.
    pub path: String,
}

/// Where a secret comes from (OPS-02).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file; white space at the end is cut. Relative paths are relative to the configuration.
    File(PathBuf),
}

/// One queue.
#[derive(Clone, Debug)]
pub struct QueueConfig {
    /// Its name in the configuration.
    pub id: QueueId,
    /// For people.
    pub name: String,
    /// In which order it gives out work.
    pub order: Order,
}

/// One agent.
#[derive(Clone, Debug)]
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
