//! Plugins: found, checked, tried out in a child process, loaded, called.
//!
//! The order matters: nothing of a file runs in the host before its bounds and manifest have been
//! read (`manifest`), a copy stands under its hash (`cache`), and a child process has opened it
//! with the real configuration (`probe`).

mod access;
mod cache;
mod channel;
mod library;
mod load;
mod manager;
mod manifest;
pub mod probe;
mod services;
mod strategy;

pub use channel::{CallFailed, ChannelHandle, Webhook};
pub use load::{Inspected, LoadError, Loader, inspect};
pub use manager::{ChannelSlot, Plugins, ask, load_all};
pub use services::{Answer, HostAccess, Secrets, Services};
