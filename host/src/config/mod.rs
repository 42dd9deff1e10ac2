//! Configuration: one RON tree, split over files, validated whole.

mod load;
mod locate;
mod model;
mod tree;

pub use load::{ConfigErrors, is_name, load, place_in_file};
pub use model::{
    AgentConfig, ChannelConfig, Config, HostConfig, Place, QueueConfig, Role, SecretSource,
};
pub use tree::Problem;
