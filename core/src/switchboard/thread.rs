//! A thread: all conversations with one customer on one channel, one after the other.

use std::collections::HashSet;

use crate::conversation::{Conversation, Opening};
use crate::ids::{Address, AgentId, ConversationId};
use crate::notice::ThreadKey;
use crate::switchboard::Key;

/// Which conversation a thread's next message is given to: the newest there is, unless that has sent it
/// back as its time is over (`not`). `None`: it begins a new one.
pub fn taker(
    newest: Option<ConversationId>,
    not: Option<ConversationId>,
) -> Option<ConversationId> {
    newest.filter(|id| Some(*id) != not)
}

/// What a new conversation takes along from those before it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Before {
    /// Keys of what was said in them: a provider may repeat it late.
    pub keys: HashSet<Key>,
    /// Whom the customer had last (ROUTE-13, ROUTE-19).
    pub last_agent: Option<AgentId>,
    /// The customer wants no messages (CH-12).
    pub opted_out: bool,
}

impl Before {
    /// After this one. `keys` are its and earlier ones'.
    pub fn after(last: &Conversation, keys: HashSet<Key>) -> Self {
        Self { keys, last_agent: last.last_agent().cloned(), opted_out: last.opted_out() }
    }

    /// How the next conversation of a thread begins. `country`: two letters, from the customer's number.
    pub fn opening(&self, thread: &ThreadKey, own: &Address, country: Option<String>) -> Opening {
        Opening {
            channel: thread.channel.clone(),
            customer: thread.customer.clone(),
            own: own.clone(),
            opted_out: self.opted_out,
            country,
            last_agent: self.last_agent.clone(),
        }
    }
}
