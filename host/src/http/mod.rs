//! HTTP: webhooks for providers, REST and a live WebSocket for agents, health and metrics for
//! operators, the console for everybody.

mod accounts;
mod api;
mod caller;
mod collaboration;
mod commands;
mod console;
mod error;
mod live;
mod operations;
mod routing;
mod search;
mod server;
mod webhook;

pub use accounts::{new_link, new_token, set_password};
pub use api::ApiDoc;
pub use server::{Web, serve};
