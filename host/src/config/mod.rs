//! Configuration: one RON tree, split over files, validated whole.

mod load;
mod locate;
mod model;
mod ranges;
mod resolve;
mod routing;
mod routing_tree;
mod rules;
mod tree;

pub use load::{ConfigErrors, folders, is_name, load, place_in_file};
pub use model::{
    AgentConfig, ChannelConfig, Config, HostConfig, LabelConfig, Permission, Place, QueueConfig,
    Role, SecretSource, StrategyConfig,
};
pub use routing::revision;
pub use tree::{Duration, Problem};
