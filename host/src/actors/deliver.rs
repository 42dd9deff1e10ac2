//! An input on its way to a conversation, and what becomes of it.

use cordboard_core::conversation::Input;
use cordboard_core::ids::{Address, ChannelId, ConversationId};
use cordboard_core::notice::ThreadKey;
use tokio::sync::oneshot;

use crate::actors::waiting::Counted;
use crate::journal::Settles;

/// Where an input goes.
#[derive(Clone)]
pub enum To {
    /// A conversation that exists.
    Id(ConversationId),
    /// The conversation with this customer, begun if need be.
    Thread {
        /// Channel and customer.
        key: ThreadKey,
        /// Our address.
        own: Address,
        /// This one takes no message any more: go to a newer one, or begin one.
        not: Option<ConversationId>,
    },
}

impl To {
    /// Whether both lead to the same place.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Id(one), Self::Id(other)) => one == other,
            (Self::Thread { key: one, .. }, Self::Thread { key: other, .. }) => one == other,
            (Self::Id(_), Self::Thread { .. }) | (Self::Thread { .. }, Self::Id(_)) => false,
        }
    }
}

/// An input on its way to a conversation.
pub struct Deliver {
    /// Where.
    pub to: To,
    /// What.
    pub input: Input,
    /// It is of this channel: a conversation of another one isn't there for it.
    pub only_of: Option<ChannelId>,
    /// Must not have happened before.
    pub dedup: Option<i64>,
    /// The outbox row that this settles.
    pub settles: Option<Settles>,
    /// Who waits. Without anybody, it is tried until the journal commits.
    pub answer: Option<oneshot::Sender<Answer>>,
    /// How often it met a conversation that had to be read again.
    pub attempts: u8,
    /// It is on its way.
    pub waits: Option<Counted>,
}

impl Deliver {
    /// Something that nobody waits for.
    pub fn new(to: To, input: Input) -> Self {
        Self {
            to,
            input,
            only_of: None,
            dedup: None,
            settles: None,
            answer: None,
            attempts: 0,
            waits: None,
        }
    }

    /// To whoever waits, if anybody does.
    pub fn give(&mut self, answer: Answer) {
        if let Some(waiting) = self.answer.take() {
            // They may be gone. A webhook's provider will ask again.
            let _ = waiting.send(answer);
        }
    }

    /// It can't be done now: whoever waits is told why; what nobody waits for comes back, to be tried again.
    pub fn unavailable(mut self, why: String) -> Option<Self> {
        if self.answer.is_none() {
            return Some(self);
        }
        self.give(Answer::Unavailable(why));
        None
    }
}

/// What became of an input.
#[derive(Clone, Debug)]
pub enum Answer {
    /// On disk.
    Done(ConversationId),
    /// It had happened before; nothing changed.
    Duplicate,
    /// Refused, with a sentence.
    Refused(cordboard_core::conversation::Refused),
    /// No such conversation.
    NotFound,
    /// The journal can't commit; nothing changed.
    Unavailable(String),
}
