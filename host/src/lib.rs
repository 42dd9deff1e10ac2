//! The Cordboard host.

#![deny(unsafe_code)]

pub mod actors;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod errands;
pub mod grief;
pub mod http;
pub mod ingest;
pub mod journal;
pub mod keeping;
pub mod leavers;
pub mod letters;
pub mod lock;
pub mod metrics;
pub mod outbox;
pub mod plugin;
pub mod reload;
pub mod replay;
pub mod simulate;
pub mod watch;
