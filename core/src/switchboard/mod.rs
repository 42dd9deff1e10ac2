//! What lies between the machines, and none of them decides: which conversation takes a customer's message,
//! what has been said before, who answers for queues and agents that aren't there, who may take work up by
//! hand, and how queues and agents are made anew from what is on disk.
//!
//! Host, simulator and faults go by these same decisions. What is left to whoever runs them is how
//! messages travel, where things are kept, and what time it is.

mod by_hand;
mod carry_out;
mod dialogue;
mod nobody;
mod recovery;
mod thread;

pub use by_hand::{Denied, TakeUp, Taker, take_up};
pub use carry_out::{Ways, carry_out, tell_agent, tell_queue};
pub use dialogue::{Dialogue, Told};
use nobody::{for_agent, for_queue};
pub use recovery::{Recovered, Recovery, Witness};
pub use thread::{Before, taker};

/// What tells one message, or one command, from another: the hash of its name at whoever says it.
pub type Key = i64;
