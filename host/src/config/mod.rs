//! Configuration: one RON tree, split over files, validated whole.

mod files;
mod host;
mod load;
mod locate;
mod model;
mod permissions;
mod ranges;
mod resolve;
mod retention;
mod routing;
mod routing_tree;
mod rules;
mod tree;

pub use files::{folders, read_whole};
pub use host::{HostConfig, HostLimits, SignIns, Swaps, TlsFiles};
pub use load::{ConfigErrors, is_name, load, place_in_file};
pub(crate) use model::those_that_differ;
pub use model::{
    AgentConfig, ChannelConfig, Config, Fields, LabelConfig, Location, PluginConfig, PluginKind,
    QueueConfig, SecretSource, StrategyConfig,
};
pub use permissions::{Permission, Role};
pub use retention::{HostRetention, Retention, changes as retention_changes};
pub use routing::revision;
pub use tree::{Duration, Problem};
