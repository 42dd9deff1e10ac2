//! One conversation's step, ready to be written.

use std::borrow::Cow;

use cordboard_core::Conversation;
use cordboard_core::conversation::{Standing, State};
use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::outbox::OutboxOp;
use super::sessions::SessionOp;

/// What became of an append.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    /// It doesn't follow on what is on disk: the conversation must be read again.
    #[error("doesn't follow on the journal")]
    Conflict,
    /// The journal couldn't commit; nothing was written.
    #[error("the journal can't commit: {0}")]
    Unavailable(String),
}

/// The columns of `conversations`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// Where.
    pub channel: String,
    /// With whom.
    pub customer: String,
    /// Under which settings.
    pub workstream: String,
    /// State.
    pub state: State,
    /// Primary agent.
    pub agent: Option<AgentId>,
    /// Whether capacity is taken.
    pub occupies: bool,
    /// Whether the agent has been asked to come back.
    pub returning: bool,
    /// Age in the queue.
    pub queued_at: Timestamp,
    /// Next deadline.
    pub wake_at: Option<Timestamp>,
    /// How it was classified, encoded.
    #[serde(with = "serde_bytes")]
    pub ticket: Vec<u8>,
    /// Where it waits or waited last.
    pub queue: String,
}

impl Row {
    /// The columns of a conversation as it is now; `standing` is its own.
    pub fn of(conversation: &Conversation, standing: &Standing) -> Self {
        Self {
            channel: conversation.channel().to_string(),
            customer: conversation.customer().to_string(),
            workstream: conversation.workstream().to_string(),
            state: standing.state,
            agent: standing.agent.clone(),
            occupies: standing.occupies,
            returning: standing.returning,
            queued_at: standing.queued_at,
            wake_at: conversation.wake_at(),
            ticket: rmp_serde::to_vec_named(&*standing.ticket).expect("a ticket can be encoded"),
            queue: conversation.queue().to_string(),
        }
    }
}

/// An event as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its kind.
    pub kind: Cow<'static, str>,
    /// Encoded.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// A step.
#[derive(Debug, Serialize, Deserialize)]
pub struct Append {
    /// Whose.
    pub conversation: ConversationId,
    /// Where its outcome is dealt with.
    #[serde(skip)]
    pub home: usize,
    /// Events before the step; the journal must agree.
    pub base_version: u64,
    /// The key of the first event, if it must happen once.
    pub dedup: Option<i64>,
    /// When.
    pub at: Timestamp,
    /// What has happened.
    pub events: Vec<StoredEvent>,
    /// The row after it; `None`, the cheap and common case, if it can stay as it is: no column that
    /// lists and recovery read has changed, and the snapshot doesn't lie far behind.
    pub row: Option<Box<Row>>,
    /// Encoded machine after it, if there is a row.
    #[serde(with = "serde_bytes")]
    pub snapshot: Vec<u8>,
    /// Version after it.
    pub version: u64,
    /// Replies to be sent, and what became of others.
    pub outbox: Vec<OutboxOp>,
    /// A change of consent: channel, customer, opted out.
    pub consent: Option<(String, String, bool)>,
    /// What becomes of agents' sessions in it.
    pub sessions: Vec<SessionOp>,
    /// Who still has a wrap-up to finish, if that has changed.
    pub wrap_ups: Option<Vec<AgentId>>,
}

impl Append {
    /// A step that changes nothing.
    pub fn nothing(conversation: ConversationId, at: Timestamp) -> Self {
        Self {
            conversation,
            home: 0,
            base_version: 0,
            dedup: None,
            at,
            events: Vec::new(),
            row: None,
            snapshot: Vec::new(),
            version: 0,
            outbox: Vec::new(),
            consent: None,
            sessions: Vec::new(),
            wrap_ups: None,
        }
    }

    /// The conversation's version once it is written.
    pub(super) fn version_after(&self) -> u64 {
        self.base_version + self.events.len() as u64
    }

    /// It only waits for what it follows on.
    pub(super) fn is_nothing(&self) -> bool {
        self.events.is_empty()
            && self.row.is_none()
            && self.outbox.is_empty()
            && self.consent.is_none()
            && self.sessions.is_empty()
            && self.wrap_ups.is_none()
    }
}
