//! Plugins: found, checked, tried out in a child process, loaded, called, and put in each other's place while they are
//! called.
//!
//! The order matters: nothing of a file runs in the host before its bounds and manifest have been
//! read (`manifest`), a copy stands under its hash (`cache`), and a child process has opened it
//! with the real configuration (`probe`). Nothing is called before it has said that it is healthy (`load`). What is
//! called stands in a `slot`; `swaps` puts another there, and takes it back if it fails.

mod access;
mod cache;
mod instance;
mod library;
mod load;
mod manifest;
mod origin;
pub mod probe;
mod replaced;
mod services;
mod set;
mod slot;
mod standstill;
mod strategy;
mod swaps;
mod tally;
mod threads;

pub use instance::{CallFailed, Instance, Webhook};
pub use library::loaded as loaded_libraries;
pub use load::{Inspected, LoadError, Loader, inspect};
pub use replaced::Kept;
pub use services::{Answer, HostAccess, Secrets, Services};
pub use set::{Plugins, Prepared};
pub use slot::Slot;
pub use swaps::{Swaps, ask};
pub use tally::Counters;
