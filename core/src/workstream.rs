//! The distribution settings of a workstream, as the machines need them.

use serde::{Deserialize, Serialize};

use crate::capacity::{ChannelKind, Units};
use crate::classification::Rule;
use crate::conversation::State;
use crate::ids::{HoursId, QueueId, WorkstreamId};
use crate::presence::{BaseStatus, StatusSet};
use crate::time::Span;

/// How long wrap-up goes on occupying the agent's capacity (CAP-02).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WrapUpHold {
    /// Released as soon as the conversation ends.
    Never,
    /// Held until the agent has finished wrap-up.
    Always,
    /// Held for this long at most.
    For(Span),
}

/// Who moves work to agents (ROUTE-14).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Mode {
    /// The queue offers it.
    #[default]
    Push,
    /// Agents pick it.
    Pull,
}

/// What becomes of an agent's open work once they are offline (ROUTE-18).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum OnOffline {
    /// It stays theirs; a customer who writes again is routed anew (ROUTE-19).
    #[default]
    Keep,
    /// It goes back to the queue unless they return within this time.
    ReturnAfter(Span),
    /// It goes back to the queue at once.
    Return,
}

/// How many rules count (ROUTE-01).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// The first rule that matches.
    #[default]
    First,
    /// All that match: later ones override queue, priority, units; skills and tags add up.
    All,
}

/// One workstream's settings. Numbers are in milliseconds and characters.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Workstream {
    /// Its name.
    pub id: WorkstreamId,
    /// Names these settings in the record of routing: the same number, the same settings. Whoever
    /// keeps such a record numbers them.
    #[serde(default)]
    pub revision: u64,
    /// What sort of work it brings.
    pub kind: ChannelKind,
    /// Where its items wait unless a rule says otherwise.
    pub queue: QueueId,
    /// Higher goes first (ROUTE-03), unless a rule says otherwise.
    pub priority: i32,
    /// Weight of an item, unless a rule says otherwise.
    pub units: Units,
    /// Classification, in order (ROUTE-01).
    pub rules: Vec<Rule>,
    /// How many rules count.
    pub matching: Matching,
    /// Base statuses that receive work (ROUTE-06).
    pub allowed: StatusSet,
    /// Push or pull (ROUTE-14).
    pub mode: Mode,
    /// How long an offer stands (ROUTE-07).
    pub offer_timeout: Span,
    /// Whether an expired offer goes to somebody else (ROUTE-07).
    pub reassign: bool,
    /// How long a returning customer waits for the agent they had (ROUTE-13); 0: only if that agent
    /// is free at once. `None`: anybody.
    pub affinity: Option<Span>,
    /// ROUTE-18.
    pub on_offline: OnOffline,
    /// No customer reply for this long: capacity is freed (ROUTE-09).
    pub inactivity: Span,
    /// CAP-02.
    pub wrap_up: WrapUpHold,
    /// Wrap-up nobody finished ends by itself after this long.
    pub wrap_up_limit: Span,
    /// Wrap-up codes that an agent can choose from (CONV-08).
    pub dispositions: Vec<String>,
    /// Whether wrap-up can't be finished without one.
    pub disposition_required: bool,
    /// A message within this time re-opens an ended conversation (CONV-01).
    pub reopen_within: Span,
    /// A conversation open for longer is ended by rule (CONV-07).
    pub end_after: Option<Span>,
    /// How long a queue looks for a colleague who can advise (CONV-03).
    #[serde(default = "Workstream::two_minutes")]
    pub consult_search: Span,
    /// The most characters a message may have on these channels (CH-11).
    pub max_text: u32,
    /// Language of customers who haven't said theirs (CH-14): of the channel.
    pub language: String,
    /// Hours of the channel, or of all; a queue's own hours go first (HOURS-01).
    pub hours: Option<HoursId>,
}

impl Workstream {
    /// Whether a conversation in this state takes no place of its agent's and still goes elsewhere when
    /// they go (ROUTE-18).
    pub fn follows_agent(&self, state: State) -> bool {
        state == State::Waiting && self.on_offline != OnOffline::Keep
    }

    const fn two_minutes() -> Span {
        Span::seconds(120)
    }

    /// What conversations go by whose settings aren't known any more: they can be looked at, ended and erased, and
    /// an end leaves nothing to be waited for.
    pub fn retired(id: WorkstreamId) -> Self {
        let nowhere = QueueId::from("");
        let defaults = Self::with_defaults(id, ChannelKind::Messaging, nowhere);
        Self { revision: Self::RETIRED, wrap_up: WrapUpHold::Never, ..defaults }
    }

    /// The revision of settings that aren't known any more: there is nothing else to be known of them.
    pub const RETIRED: u64 = u64::MAX;

    /// Whether it stands for settings that aren't known any more.
    pub fn is_retired(&self) -> bool {
        self.revision == Self::RETIRED
    }

    /// The defaults of features.md for a kind.
    pub fn with_defaults(id: WorkstreamId, kind: ChannelKind, queue: QueueId) -> Self {
        let allowed = match kind {
            ChannelKind::Email => [BaseStatus::Online, BaseStatus::Away].into_iter().collect(),
            _ => [BaseStatus::Online].into_iter().collect(),
        };
        Self {
            id,
            revision: 0,
            kind,
            queue,
            priority: 0,
            units: Units(1),
            rules: Vec::new(),
            matching: Matching::First,
            allowed,
            mode: Mode::Push,
            offer_timeout: Span::seconds(30),
            reassign: true,
            affinity: None,
            on_offline: OnOffline::Keep,
            inactivity: Span::seconds(600),
            wrap_up: WrapUpHold::Always,
            wrap_up_limit: Span::seconds(900),
            dispositions: Vec::new(),
            disposition_required: false,
            reopen_within: Span::seconds(24 * 3600),
            end_after: None,
            consult_search: Self::two_minutes(),
            max_text: 1600,
            language: "en".to_owned(),
            hours: None,
        }
    }
}
