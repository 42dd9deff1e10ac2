//! Write a channel plugin for Cordboard: a config struct, one trait impl, one export line.
//!
//! ```no_run
//! use cordboard_sdk::prelude::*;
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Config {
//!     /// Where the provider lives.
//!     base_url: String,
//! }
//!
//! /// What the provider posts.
//! #[derive(Deserialize)]
//! struct Page {
//!     id: String,
//!     from: String,
//!     to: String,
//!     text: String,
//! }
//!
//! /// What it answers.
//! #[derive(Deserialize)]
//! struct Sent {
//!     id: String,
//! }
//!
//! struct Pager {
//!     host: Host,
//!     base_url: String,
//! }
//!
//! impl Channel for Pager {
//!     type Config = Config;
//!
//!     const MANIFEST: Manifest = Manifest {
//!         name: "pager",
//!         version: "0.1.0",
//!         description: "Pages through example.com",
//!         channel_kind: "messaging",
//!         hosts: &["api.example.com"],
//!         secrets: &[],
//!         // Of webhooks: a signature's, say. Others aren't handed over.
//!         headers: &[],
//!         offers: &[Offer::Inbound, Offer::Outbound],
//!         max_text: 160,
//!         idempotent_sends: false,
//!     };
//!
//!     async fn open(config: Config, host: Host) -> Result<Self, OpenError> {
//!         Ok(Self { host, base_url: config.base_url })
//!     }
//!
//!     async fn receive(&self, request: WebhookRequest) -> Result<Received, Rejection> {
//!         // What is missing is refused with its name: a message needs an id that stays the same.
//!         let Page { id, from, to, text } = request.json()?;
//!         Ok(Received::events([Event::Message(Inbound::text(id, from, to, text))]))
//!     }
//!
//!     async fn send(&self, message: Outbound) -> Result<Receipt, SendError> {
//!         let body = serde_json::json!({ "to": message.to, "text": message.text });
//!         let request = HttpRequest::post(format!("{}/pages", self.base_url)).json(&body);
//!         let answer = self.host.http(request).await?;
//!         match answer.status {
//!             200..=299 => Ok(Receipt::sent(answer.json::<Sent>()?.id)),
//!             _ => Err(SendError::from_status(&answer)),
//!         }
//!     }
//!
//!     async fn verify(&self, request: VerifyRequest) -> VerifyReport {
//!         VerifyReport::failed("this provider has no test message")
//!     }
//! }
//!
//! cordboard_sdk::export_channel!(Pager);
//! # fn main() {}
//! ```
//!
//! The host owns sockets, TLS, timeouts and secrets: a plugin calls [`Host::http`] and never opens a
//! connection of its own. Whatever a plugin does, the host goes on: a panic in a call or in a poll
//! of its future comes back as a typed error with its message and place.
//!
//! With the feature `testkit`, [`testkit::FakeHost`] lets a plugin be tested without a host.

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

#[allow(non_local_definitions, reason = "what `sabi_trait` expands to")]
pub mod abi;
mod channel;
mod date;
mod host;
mod http;
mod manifest;
mod messages;
mod panic;
pub mod signature;
pub mod sms;
mod strategy;
#[cfg(feature = "testkit")]
pub mod testkit;
mod wire;

pub use channel::Channel;
pub use date::http_date;
pub use host::{Host, HostApi, Level, LogLine, QueuePlace, Secret};
pub use http::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, WebhookRequest};
pub use manifest::{Manifest, ManifestInfo, Offer};
pub use messages::{
    Consent, DeliveryReport, DeliveryStatus, Event, Health, Inbound, Media, OpenError, Outbound,
    Receipt, Received, Rejection, SendError, SendErrorKind, VerifyReport, VerifyRequest,
    WebhookResponse,
};
pub use strategy::{Candidate, RankRequest, SkillLevel, Strategy, StrategyManifest, WorkItem};
pub use wire::{Operation, PluginFailure, decode, encode};

/// Everything that a plugin's file usually needs.
pub mod prelude {
    pub use crate::{
        Candidate, Channel, Consent, DeliveryReport, DeliveryStatus, Event, Health, Host,
        HttpError, HttpErrorKind, HttpRequest, HttpResponse, Inbound, Level, Manifest, Media,
        Offer, OpenError, Outbound, QueuePlace, RankRequest, Receipt, Received, Rejection, Secret,
        SendError, SendErrorKind, SkillLevel, Strategy, StrategyManifest, VerifyReport,
        VerifyRequest, WebhookRequest, WebhookResponse, WorkItem,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}

#[doc(hidden)]
pub mod __private {
    pub use crate::abi::export;
    pub use crate::abi::{HostObject, PluginModule, PluginModuleRef};
    pub use crate::manifest::{MANIFEST_CAPACITY, encode_manifest, encode_strategy_manifest};
    pub use abi_stable;
}
