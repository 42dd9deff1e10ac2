//! HTTP: webhooks for providers, REST and a live WebSocket for agents, health and metrics for
//! operators, the console for everybody.

mod about;
mod access;
mod accounts;
mod api;
pub mod audit;
mod caller;
mod channels;
mod collaboration;
mod commands;
mod console;
pub(crate) mod content;
mod conversations;
mod credentials;
mod customers;
mod device;
mod door;
mod error;
mod export;
mod floor;
mod headers;
mod live;
mod looks;
mod me;
mod operations;
mod origin;
mod passwords;
mod query;
mod reads;
mod refusals;
mod routing;
mod search;
mod server;
mod throttle;
mod webhook;

pub use accounts::{
    NewToken, NoToken, end_access, end_sessions, new_link, new_token, revoke_tokens, set_password,
};
pub use api::ApiDoc;
pub use credentials::Credentials;
pub use door::{Door, Listeners, check_tls, make_room};
pub use looks::Looks;
pub use passwords::{Passwords, stored as stored_password};
pub use reads::{Reach, Reads};
pub use refusals::Refusals;
pub use server::{Web, serve};
pub use throttle::Throttle;
