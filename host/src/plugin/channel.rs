//! A loaded channel, as the rest of the host calls it.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cordboard_core::ids::ChannelId;
use cordboard_sdk::abi::ChannelObject;
use cordboard_sdk::{
    Health, ManifestInfo, Operation, Outbound, PluginFailure, RankRequest, Receipt, Received,
    Rejection, SendError, SendErrorKind, VerifyReport, VerifyRequest, decode, encode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A call that didn't come to an answer of the plugin's own.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallFailed {
    /// It panicked or didn't understand.
    #[error("plugin {plugin} {failure}")]
    Plugin {
        /// Which plugin.
        plugin: String,
        /// What it said.
        failure: PluginFailure,
    },
    /// It took too long.
    #[error("plugin {plugin} didn't answer within {seconds} s")]
    TimedOut {
        /// Which plugin.
        plugin: String,
        /// The limit.
        seconds: u64,
    },
}

/// A webhook as it came, in the form of [`cordboard_sdk::WebhookRequest`]: it is copied once, on its way to the plugin.
#[derive(Serialize)]
pub struct Webhook<'a> {
    /// Upper case.
    pub method: &'a str,
    /// The public URL that the provider called.
    pub url: &'a str,
    /// The query, without `?`.
    pub query: &'a str,
    /// Those that the plugin looks at.
    pub headers: Vec<(&'a str, &'a str)>,
    /// As it came.
    #[serde(with = "serde_bytes")]
    pub body: &'a [u8],
}

/// One channel, or strategy, with its instance of a plugin.
pub struct ChannelHandle {
    id: ChannelId,
    manifest: ManifestInfo,
    object: ChannelObject,
    panics: AtomicU64,
    calls: AtomicU64,
    rejected: AtomicU64,
}

impl ChannelHandle {
    const TIME_LIMIT: Duration = Duration::from_secs(30);
    /// It shares its thread with everybody's requests.
    const MOST_OF_A_THREAD: Duration = Duration::from_millis(250);

    /// Wraps an opened instance.
    pub fn new(id: ChannelId, manifest: ManifestInfo, object: ChannelObject) -> Self {
        let zero = || AtomicU64::new(0);
        Self { id, manifest, object, panics: zero(), calls: zero(), rejected: zero() }
    }

    /// Its name.
    pub fn id(&self) -> &ChannelId {
        &self.id
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &ManifestInfo {
        &self.manifest
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Webhooks that were not authentic.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Whether the plugin wants to see a header of webhooks.
    pub fn looks_at(&self, header: &str) -> bool {
        let wanted = self.manifest.headers.as_ref();
        wanted.is_none_or(|wanted| wanted.iter().any(|name| name.eq_ignore_ascii_case(header)))
    }

    /// Understands a webhook.
    pub async fn receive(
        &self,
        request: &Webhook<'_>,
    ) -> Result<Result<Received, Rejection>, CallFailed> {
        let answer: Result<Received, Rejection> = self.call(Operation::Receive, request).await?;
        if matches!(answer, Err(Rejection::NotAuthentic(_))) {
            self.rejected.fetch_add(1, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Hands a message to the provider. A call that failed is a send whose fate nobody knows.
    pub async fn send(&self, message: &Outbound) -> Result<Receipt, SendError> {
        let answer: Result<Result<Receipt, SendError>, CallFailed> =
            self.call(Operation::Send, message).await;
        answer.unwrap_or_else(|failed| {
            Err(SendError::new(SendErrorKind::Uncertain, "plugin", failed.to_string()))
        })
    }

    /// Sends a test message.
    pub async fn verify(&self, request: &VerifyRequest) -> Result<VerifyReport, CallFailed> {
        self.call(Operation::Verify, request).await
    }

    /// Asks a strategy who goes first.
    pub async fn rank(&self, request: &RankRequest) -> Result<Vec<String>, CallFailed> {
        self.call(Operation::Rank, request).await
    }

    /// Asks whether it can work.
    pub async fn health(&self) -> Result<Health, CallFailed> {
        self.call(Operation::Health, &()).await
    }

    async fn call<I: Serialize, O: DeserializeOwned>(
        &self,
        operation: Operation,
        input: &I,
    ) -> Result<O, CallFailed> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let future = self.object.call(operation.as_str().into(), encode(input).into());
        let plugin = || self.manifest.name.clone();
        let mut future = std::pin::pin!(future);
        let mut longest = Duration::ZERO;
        let watched = std::future::poll_fn(|context| {
            let began = Instant::now();
            let polled = future.as_mut().poll(context);
            longest = longest.max(began.elapsed());
            polled
        });
        let answered = tokio::time::timeout(Self::TIME_LIMIT, watched).await;
        if longest > Self::MOST_OF_A_THREAD {
            let (channel, operation) = (self.id.as_str(), operation.as_str());
            let ms = longest.as_millis();
            tracing::warn!(
                channel,
                operation,
                ms,
                "the plugin kept a thread to itself that others wait for"
            );
        }
        let bytes = answered.map_err(|_| CallFailed::TimedOut {
            plugin: plugin(),
            seconds: Self::TIME_LIMIT.as_secs(),
        })?;
        let answer: Result<O, PluginFailure> =
            decode(&bytes).unwrap_or_else(|message| Err(PluginFailure::NotUnderstood(message)));
        answer.map_err(|failure| {
            if let PluginFailure::Panicked { message, place } = &failure {
                self.panics.fetch_add(1, Ordering::Relaxed);
                let channel = self.id.as_str();
                tracing::error!(channel, message, place, "plugin panicked");
            }
            CallFailed::Plugin { plugin: plugin(), failure }
        })
    }
}
