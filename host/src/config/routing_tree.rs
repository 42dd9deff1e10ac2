//! The parts of the tree that routing is made of, as they are written.

use std::collections::BTreeMap;

use cordboard_core::capacity::ChannelKind;
use cordboard_core::classification::{Flag, Test};
use cordboard_core::presence::BaseStatus;
use cordboard_core::queue::{Order, StrategyName};
use cordboard_core::workstream::{Matching, Mode};
use serde::Deserialize;

use super::retention::RetentionTree;
use super::tree::Duration;

#[derive(Debug, Deserialize)]
#[serde(rename = "workstream", deny_unknown_fields)]
pub(super) struct WorkstreamTree {
    pub id: String,
    pub kind: ChannelKind,
    pub queue: String,
    #[serde(default)]
    pub priority: i32,
    #[serde(default)]
    pub units: Option<u32>,
    #[serde(default)]
    pub rules: Vec<RuleTree>,
    #[serde(default)]
    pub matching: Matching,
    #[serde(default)]
    pub allowed: Option<Vec<BaseStatus>>,
    #[serde(default)]
    pub mode: Mode,
    #[serde(default)]
    pub offer_timeout: Option<Duration>,
    #[serde(default)]
    pub reassign: Option<bool>,
    #[serde(default)]
    pub affinity: Option<Duration>,
    #[serde(default)]
    pub on_offline: Option<OnOfflineTree>,
    #[serde(default)]
    pub inactivity: Option<Duration>,
    #[serde(default)]
    pub wrap_up: Option<WrapUpTree>,
    #[serde(default)]
    pub wrap_up_limit: Option<Duration>,
    #[serde(default)]
    pub dispositions: Vec<String>,
    #[serde(default)]
    pub disposition_required: bool,
    #[serde(default)]
    pub reopen_within: Option<Duration>,
    #[serde(default)]
    pub end_after: Option<Duration>,
    /// How long a queue looks for a colleague who can advise (CONV-03).
    #[serde(default)]
    pub consult_search: Option<Duration>,
    /// How long what is written is kept (SEC-04).
    #[serde(default)]
    pub retention: RetentionTree,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WrapUpTree {
    #[serde(alias = "Never")]
    Never,
    #[serde(alias = "Always")]
    Always,
    #[serde(alias = "For")]
    For(Duration),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnOfflineTree {
    #[serde(alias = "Keep")]
    Keep,
    #[serde(alias = "Return")]
    Return,
    #[serde(alias = "ReturnAfter")]
    ReturnAfter(Duration),
}

/// A classification rule (ROUTE-01).
#[derive(Debug, Deserialize)]
#[serde(rename = "rule", deny_unknown_fields)]
pub(super) struct RuleTree {
    pub name: String,
    #[serde(default)]
    pub when: Vec<ConditionTree>,
    #[serde(default)]
    pub queue: Option<String>,
    #[serde(default)]
    pub priority: Option<i32>,
    #[serde(default)]
    pub skills: BTreeMap<String, u8>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub units: Option<u32>,
    #[serde(default)]
    pub message: Option<String>,
}

/// As in core, but with names instead of what they stand for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConditionTree {
    #[serde(alias = "Channel")]
    Channel(Vec<String>),
    #[serde(alias = "Kind")]
    Kind(Vec<ChannelKind>),
    #[serde(alias = "Language")]
    Language(Vec<String>),
    #[serde(alias = "Country")]
    Country(Vec<String>),
    #[serde(alias = "Contact")]
    Contact(String, Test),
    #[serde(alias = "Account")]
    Account(String, Test),
    #[serde(alias = "Context")]
    Context(String, Test),
    #[serde(alias = "Flag")]
    Flag(Flag),
    #[serde(alias = "Text")]
    Text(Test),
    #[serde(alias = "Within")]
    Within(String),
    #[serde(alias = "Not")]
    Not(Box<ConditionTree>),
    #[serde(alias = "Any")]
    Any(Vec<ConditionTree>),
    #[serde(alias = "All")]
    All(Vec<ConditionTree>),
}

#[derive(Debug, Deserialize)]
#[serde(rename = "queue", deny_unknown_fields)]
pub(super) struct QueueTree {
    pub id: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub order: Order,
    #[serde(default)]
    pub strategy: StrategyName,
    #[serde(default)]
    pub relax: Vec<RelaxTree>,
    #[serde(default)]
    pub overflow: Vec<OverflowTree>,
    #[serde(default)]
    pub hours: Option<String>,
    /// Customers of a language keep other hours, as `{"de": "office-berlin"}`.
    #[serde(default)]
    pub hours_by_language: BTreeMap<String, String>,
}

/// A step in which the queue asks for less (ROUTE-12).
#[derive(Debug, Deserialize)]
#[serde(rename = "relax", deny_unknown_fields)]
pub(super) struct RelaxTree {
    pub after: Duration,
    /// Every skill, if none is named.
    #[serde(default)]
    pub skill: Option<String>,
    /// The level that is enough from then on; 0 or left out: the skill isn't asked for any more.
    #[serde(default)]
    pub to: u8,
}

/// An overflow rule (ROUTE-11).
#[derive(Debug, Deserialize)]
#[serde(rename = "overflow", deny_unknown_fields)]
pub(super) struct OverflowTree {
    pub when: WhenTree,
    pub then: ThenTree,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhenTree {
    #[serde(alias = "LongerThan")]
    LongerThan(u32),
    #[serde(alias = "WaitedFor")]
    WaitedFor(Duration),
    #[serde(alias = "NobodySignedIn")]
    NobodySignedIn,
    #[serde(alias = "OutOfHours")]
    OutOfHours,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ThenTree {
    #[serde(alias = "Queue")]
    Queue(String),
    #[serde(alias = "Message")]
    Message(String),
    #[serde(alias = "End")]
    End(Option<String>),
}

#[derive(Debug, Deserialize)]
#[serde(rename = "skill", deny_unknown_fields)]
pub(super) struct SkillTree {
    pub id: String,
}

/// Operating hours (HOURS-01).
#[derive(Debug, Deserialize)]
#[serde(rename = "hours", deny_unknown_fields)]
pub(super) struct HoursTree {
    pub id: String,
    pub zone: String,
    pub week: WeekTree,
    /// Days that differ: `{"2026-12-25": [], "2026-12-24": ["09:00-12:00"]}`.
    #[serde(default)]
    pub days: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename = "week", deny_unknown_fields, default)]
pub(super) struct WeekTree {
    pub mon: Vec<String>,
    pub tue: Vec<String>,
    pub wed: Vec<String>,
    pub thu: Vec<String>,
    pub fri: Vec<String>,
    pub sat: Vec<String>,
    pub sun: Vec<String>,
}

/// Names of attributes that rules may ask for (ROUTE-02).
#[derive(Debug, Default, Deserialize)]
#[serde(rename = "field", deny_unknown_fields, default)]
pub(super) struct FieldsTree {
    pub contact: Vec<String>,
    pub account: Vec<String>,
    pub context: Vec<String>,
}

/// A strategy plugin (ROUTE-05).
#[derive(Debug, Deserialize)]
#[serde(rename = "strategy", deny_unknown_fields)]
pub(super) struct StrategyTree {
    pub id: String,
    /// A plugin's name, looked for in `host.plugins`, or a path to its library.
    pub plugin: String,
    #[serde(default)]
    pub sha256: Option<String>,
    #[serde(default)]
    pub config: serde_json::Value,
}
