//! The trait that a channel plugin implements.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::host::Host;
use crate::http::WebhookRequest;
use crate::manifest::Manifest;
use crate::messages::{
    Health, OpenError, Outbound, Receipt, Received, Rejection, SendError, VerifyReport,
    VerifyRequest,
};

/// One configured channel of a provider. Implement it with plain `async fn`s.
///
/// Calls overlap, and any of them may be polled on another thread than before; the host keeps order where order matters (one
/// conversation sends one message at a time). They run on threads that belong to this instance: one, and another for each
/// that a call keeps to itself for a quarter of a second, up to four. So a call that blocks (a lock, a file, a long computation)
/// makes the instance's other calls wait, and nobody else's; it is logged. A call that hasn't answered after 30 s
/// is given up: a send may have happened then. If all four threads stand still for five seconds, the instance is
/// opened anew. Threads that a plugin starts are its own matter: end them in [`Channel::close`].
///
/// There may be two instances of one channel at a time: after a change of its settings, its secrets or its library the new
/// one is opened beside the old one and takes its calls; the old one ends those that it has, and is closed a while later.
/// For that while it is given webhooks that the new one doesn't take for authentic, or doesn't understand: a provider that
/// signs with other credentials by now has had some on their way.
pub trait Channel: Sized + Send + Sync + 'static {
    /// The channel's settings, as they stand in the operator's RON file.
    type Config: DeserializeOwned + JsonSchema + Send;

    /// What the plugin says of itself.
    const MANIFEST: Manifest;

    /// Checks settings and gets ready. Called for every configuration check, so it sends nothing.
    fn open(
        config: Self::Config,
        host: Host,
    ) -> impl Future<Output = Result<Self, OpenError>> + Send;

    /// Understands a webhook: its signature before anything else.
    fn receive(
        &self,
        request: WebhookRequest,
    ) -> impl Future<Output = Result<Received, Rejection>> + Send;

    /// Hands a message to the provider.
    fn send(&self, message: Outbound) -> impl Future<Output = Result<Receipt, SendError>> + Send;

    /// Sends a test message and reports whether the credentials work.
    fn verify(&self, request: VerifyRequest) -> impl Future<Output = VerifyReport> + Send;

    /// Whether the channel can do its work; called after opening. Good unless it says otherwise.
    fn health(&self) -> impl Future<Output = Health> + Send {
        async { Health { ok: true, message: "ready".to_owned() } }
    }

    /// Ends what it has begun: another instance has taken its place, or its channel is gone. No call is in flight, and none
    /// comes after this; it has five seconds.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
