//! Names of things: cheap to clone, impossible to mix up.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
        pub struct $type(Arc<str>);

        impl $type {
            /// Wraps a name that the configuration has checked.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as it stands in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }
    };
}

name! {
    /// A person, or a bot acting as one.
    AgentId
}
name! {
    /// A backlog of work items with its member agents.
    QueueId
}
name! {
    /// One configured instance of a channel plugin.
    ChannelId
}
name! {
    /// A set of channels with their distribution settings.
    WorkstreamId
}
name! {
    /// Something an agent can do and an item can ask for: a language, a product.
    SkillId
}
name! {
    /// A set of operating hours.
    HoursId
}
name! {
    /// The customer's or our own address on a channel; for SMS the E.164 number with `+`.
    Address
}

/// Everything exchanged with one customer on one matter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConversationId(pub Uuid);

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message's place in its conversation: 1, 2, 3, ... in the order of the journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MessageNo(pub u32);

/// Names one reservation, once and for all: the queue that made it and a number that grows across
/// restarts, so that an answer to an offer of the last run can't be taken for one of this run. Where
/// no queue made it (an agent took the work by hand, a colleague handed it over), the place of the
/// queue's name is taken by one that no queue can have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct OfferId {
    /// The queue that made the offer.
    pub queue: QueueId,
    /// Its number there.
    pub number: u64,
}

impl OfferId {
    /// A name for an offer that a conversation makes to a colleague.
    pub fn of_conversation(conversation: ConversationId, number: u64) -> Self {
        Self { queue: QueueId::new(format!("@{conversation}")), number }
    }

    /// A name for work that an agent takes by hand.
    pub fn by_hand(agent: &AgentId, number: u64) -> Self {
        Self { queue: QueueId::new(format!("@{agent}")), number }
    }

    /// Whether no queue made it: it is answered to the conversation.
    pub fn is_direct(&self) -> bool {
        self.queue.as_str().starts_with('@')
    }
}

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.queue, self.number)
    }
}

impl fmt::Debug for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<OfferId> for String {
    fn from(offer: OfferId) -> Self {
        offer.to_string()
    }
}

impl TryFrom<String> for OfferId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let malformed = || format!("`{text}` is no offer id; it looks like `queue.17`");
        let (queue, number) = text.rsplit_once('.').ok_or_else(malformed)?;
        let number = number.parse().map_err(|_| malformed())?;
        Ok(Self { queue: QueueId::from(queue), number })
    }
}
