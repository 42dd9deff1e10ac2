//! The trait that a strategy plugin implements: who of those who may have an item gets it.

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::messages::OpenError;

/// A strategy plugin's manifest.
#[derive(Clone, Copy, Debug)]
pub struct StrategyManifest {
    /// Short name: lower case letters, digits and `-`.
    pub name: &'static str,
    /// The plugin's own version; `env!("CARGO_PKG_VERSION")` is a good choice.
    pub version: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Hosts it sends requests to. A strategy that asks somebody else makes customers wait for it.
    pub hosts: &'static [&'static str],
}

/// A work item that waits for an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkItem {
    /// The conversation's name.
    pub conversation: String,
    /// The queue where it waits.
    pub queue: String,
    /// `messaging`, `chat`, `voice` or `email`.
    pub kind: String,
    /// Higher goes first.
    pub priority: i32,
    /// How long it has waited, in milliseconds.
    pub waited_ms: i64,
    /// The customer's language, as `de`.
    pub language: String,
    /// What the agent must know, with the least level (1 to 10).
    #[serde(default)]
    pub skills: Vec<SkillLevel>,
}

/// A skill and a level.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SkillLevel {
    /// Which skill.
    pub skill: String,
    /// 1 to 10.
    pub level: u8,
}

/// An agent who may have the item: member of the queue, available, skilled, with a place left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// The agent's name.
    pub agent: String,
    /// Places left for the item's kind.
    pub spare: u16,
    /// Conversations in hand.
    pub active: u16,
    /// Milliseconds since they last got work; `None`: not since the host started.
    #[serde(default)]
    pub since_assigned_ms: Option<i64>,
    /// Everything they know.
    #[serde(default)]
    pub skills: Vec<SkillLevel>,
}

/// A question to a strategy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RankRequest {
    /// What is to be given out.
    pub item: WorkItem,
    /// To whom it may go; 2 to 32, in the order of the default strategy.
    pub candidates: Vec<Candidate>,
}

/// A way to choose among agents.
///
/// It is asked once per item that could go to several agents, and has half a second. If it takes
/// longer, panics or names nobody who can still have the item, the default order counts: a strategy
/// can make a choice worse, but it can't stop one.
pub trait Strategy: Sized + Send + Sync + 'static {
    /// The strategy's settings, as they stand in the operator's RON file.
    type Config: DeserializeOwned + JsonSchema + Send;

    /// What the plugin says of itself.
    const MANIFEST: StrategyManifest;

    /// Checks settings and gets ready. Called for every configuration check, so it sends nothing.
    fn open(
        config: Self::Config,
        host: Host,
    ) -> impl Future<Output = Result<Self, OpenError>> + Send;

    /// The names of candidates, best first. Those that are left out get the item only if none of
    /// the named can have it.
    fn rank(&self, request: RankRequest) -> impl Future<Output = Vec<String>> + Send;

    /// Ends what it has begun: another instance has taken its place, or it isn't configured any more. No call is in flight,
    /// and none comes after this; it has five seconds.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
