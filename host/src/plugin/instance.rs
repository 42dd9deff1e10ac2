//! A plugin that was opened, as the rest of the host calls it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cordboard_sdk::abi::ChannelObject;
use cordboard_sdk::{
    Health, ManifestInfo, Operation, Outbound, PluginFailure, RankRequest, Receipt, Received,
    Rejection, SendError, SendErrorKind, VerifyReport, VerifyRequest, decode, encode,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::origin::Origin;
use super::services::Secrets;
use super::tally::{Counters, Tally};
use super::threads::Threads;
use crate::journal::Repeater;

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
    /// It had to wait for too long, and didn't begin: nothing of it has happened.
    #[error("plugin {plugin} keeps its threads to itself: the call was given up before it began")]
    NotBegun {
        /// Which plugin.
        plugin: String,
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

/// All that an instance is made of: from it another one like it can be.
#[derive(Clone)]
pub struct Recipe {
    /// What it is opened with.
    pub origin: Origin,
    /// What the plugin says of itself.
    pub manifest: ManifestInfo,
    /// What it is loaded from, whatever becomes of the library.
    pub copy: PathBuf,
    /// As they were when they were read.
    pub secrets: Secrets,
    /// Of all instances under its name, one after the other.
    pub counters: Arc<Counters>,
    /// Of this one alone, and those that were opened anew in its place.
    pub tally: Arc<Tally>,
}

/// A library that was opened with a configuration: for one channel, or one strategy.
pub struct Instance {
    recipe: Recipe,
    object: ChannelObject,
    threads: Threads,
    repeats: Repeater,
    is_said_to_be_stuck: AtomicBool,
    /// Another one that was opened with the same has taken its place.
    is_given_up: AtomicBool,
}

impl Instance {
    /// A call is given up after so long.
    pub const TIME_LIMIT: Duration = Duration::from_secs(30);
    /// So often a call that waits looks whether it is to wait any longer.
    const LOOKS_EVERY: Duration = Duration::from_millis(250);
    /// A call that doesn't let go of its thread for so long stands still.
    pub const MOVES_WITHIN: Duration = Duration::from_secs(1);
    /// Its other calls share its threads.
    const MOST_OF_A_THREAD: Duration = Duration::from_millis(250);

    /// Wraps what was opened.
    pub(super) fn new(recipe: Recipe, object: ChannelObject, threads: Threads) -> Self {
        let (is_said_to_be_stuck, is_given_up) = Default::default();
        let repeats = match recipe.manifest.idempotent_sends {
            true => Repeater::of(&recipe.manifest.name, &recipe.origin.config.config),
            false => Repeater::NOBODY,
        };
        Self { recipe, object, threads, repeats, is_said_to_be_stuck, is_given_up }
    }

    /// What it was opened with.
    pub fn origin(&self) -> &Origin {
        &self.recipe.origin
    }

    /// All of it.
    pub(super) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Of the channel, or whatever it is.
    pub fn id(&self) -> &str {
        &self.recipe.origin.config.id
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &ManifestInfo {
        &self.recipe.manifest
    }

    /// What is counted under its name.
    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.recipe.counters
    }

    /// How it has done so far.
    pub fn tally(&self) -> &Tally {
        &self.recipe.tally
    }

    /// Calls that have kept one of its threads to themselves for so long.
    pub fn stuck_for(&self, time: Duration) -> Vec<Operation> {
        self.threads.stuck_for(time)
    }

    /// Whether any call of it stands still.
    pub fn is_stuck(&self) -> bool {
        !self.stuck_for(Self::MOVES_WITHIN).is_empty()
    }

    /// Whether each of as many threads as it may have is kept.
    pub fn stands_still(&self) -> bool {
        self.stuck_for(Self::MOVES_WITHIN).len() >= Threads::MOST
    }

    /// Calls that haven't begun here are to begin elsewhere.
    pub(super) fn gives_up_what_waits(&self) {
        self.is_given_up.store(true, Ordering::Release);
    }

    /// Whether that has to be said: once.
    pub(super) fn has_to_say_that_it_is_stuck(&self) -> bool {
        !self.is_said_to_be_stuck.swap(true, Ordering::Relaxed)
    }

    /// If all its threads are kept, it gets another one; `false`: it has as many as it may, and all of them have been kept for
    /// long.
    pub(super) fn moves(&self) -> bool {
        const STANDS_STILL_AFTER: Duration = Duration::from_secs(5);
        self.threads.grows_if_stuck_for(Self::MOST_OF_A_THREAD)
            || self.stuck_for(STANDS_STILL_AFTER).len() < Threads::MOST
    }

    /// Who is asked if something is to be sent once more: nobody, if it doesn't recognise that.
    pub fn repeats(&self) -> Repeater {
        self.repeats
    }

    /// Whether the plugin wants to see a header of webhooks.
    pub fn looks_at(&self, header: &str) -> bool {
        let wanted = self.recipe.manifest.headers.as_ref();
        wanted.is_none_or(|wanted| wanted.iter().any(|name| name.eq_ignore_ascii_case(header)))
    }

    /// Understands a webhook.
    pub async fn receive(
        &self,
        request: &Webhook<'_>,
    ) -> Result<Result<Received, Rejection>, CallFailed> {
        let answer: Result<Result<Received, Rejection>, CallFailed> =
            self.call(Operation::Receive, request).await;
        match &answer {
            Ok(Ok(_)) => self.recipe.tally.took_webhook(),
            Ok(Err(_)) => {}
            Err(_) => self.recipe.tally.failed(),
        }
        match answer {
            Err(failed @ CallFailed::NotBegun { .. }) => {
                Ok(Err(Rejection::TryAgain(failed.to_string())))
            }
            answer => answer,
        }
    }

    /// Hands a message to the provider. A call that failed is a send whose fate nobody knows.
    pub async fn send(&self, message: &Outbound) -> Result<Receipt, SendError> {
        let answer: Result<Result<Receipt, SendError>, CallFailed> =
            self.call(Operation::Send, message).await;
        let answer = answer.unwrap_or_else(|failed| {
            let kind = match failed {
                CallFailed::NotBegun { .. } => SendErrorKind::Retryable { after_ms: None },
                CallFailed::Plugin { .. } | CallFailed::TimedOut { .. } => SendErrorKind::Uncertain,
            };
            Err(SendError::new(kind, "plugin", failed.to_string()))
        });
        match answer.as_ref().map_err(|error| error.kind) {
            Err(SendErrorKind::Permanent | SendErrorKind::Uncertain) => self.recipe.tally.failed(),
            // Who is there to take it hasn't got the time, or its customer doesn't want it: no version sends that.
            Err(SendErrorKind::Retryable { .. } | SendErrorKind::OptedOut) => {}
            Ok(_) => self.recipe.tally.done(),
        }
        answer
    }

    /// Sends a test message.
    pub async fn verify(&self, request: &VerifyRequest) -> Result<VerifyReport, CallFailed> {
        self.call(Operation::Verify, request).await
    }

    /// Asks a strategy who goes first.
    pub async fn rank(&self, request: &RankRequest) -> Result<Vec<String>, CallFailed> {
        let answer = self.call(Operation::Rank, request).await;
        match answer.is_ok() {
            true => self.recipe.tally.done(),
            false => self.recipe.tally.failed(),
        }
        answer
    }

    /// Asks whether it can work.
    pub async fn health(&self) -> Result<Health, CallFailed> {
        self.call(Operation::Health, &()).await
    }

    /// It isn't called any more after this. What was built before there was such a call does without.
    pub async fn close(&self) -> Result<(), CallFailed> {
        match self.call(Operation::Close, &()).await {
            Err(CallFailed::Plugin { failure: PluginFailure::NotUnderstood(_), .. }) => Ok(()),
            closed => closed,
        }
    }

    async fn call<I: Serialize, O: DeserializeOwned>(
        &self,
        operation: Operation,
        input: &I,
    ) -> Result<O, CallFailed> {
        self.recipe.counters.calls.fetch_add(1, Ordering::Relaxed);
        let call = self.object.call(operation.as_str().into(), encode(input).into());
        let (mut calling, beginning) = self.threads.call(operation, call);
        let plugin = || self.recipe.manifest.name.clone();
        let until = Instant::now() + Self::TIME_LIMIT;
        let (bytes, longest) = loop {
            if let Ok(answered) = tokio::time::timeout(Self::LOOKS_EVERY, &mut calling).await {
                break answered;
            }
            let is_late = Instant::now() >= until;
            if (is_late || self.is_given_up.load(Ordering::Acquire)) && beginning.gives_up() {
                return Err(CallFailed::NotBegun { plugin: plugin() });
            }
            if is_late {
                let seconds = Self::TIME_LIMIT.as_secs();
                return Err(CallFailed::TimedOut { plugin: plugin(), seconds });
            }
        };
        if longest > Self::MOST_OF_A_THREAD {
            let (channel, operation) = (self.id(), operation.as_str());
            let ms = longest.as_millis();
            tracing::warn!(
                channel,
                operation,
                ms,
                "the plugin kept a thread to itself that other calls of it wait for"
            );
        }
        let answer: Result<O, PluginFailure> =
            decode(&bytes).unwrap_or_else(|message| Err(PluginFailure::NotUnderstood(message)));
        answer.map_err(|failure| {
            if let PluginFailure::Panicked { message, place } = &failure {
                self.recipe.counters.panics.fetch_add(1, Ordering::Relaxed);
                let channel = self.id();
                tracing::error!(channel, message, place, "plugin panicked");
            }
            CallFailed::Plugin { plugin: plugin(), failure }
        })
    }
}
