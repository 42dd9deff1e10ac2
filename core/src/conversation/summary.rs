//! A conversation in one line, for lists and screens.

use serde::{Deserialize, Serialize};

use crate::capacity::ChannelKind;
use crate::classification::Flags;
use crate::conversation::{Conversation, State};
use crate::ids::{Address, AgentId, ChannelId, ConversationId, QueueId};
use crate::time::Timestamp;

/// What lists and screens show of a conversation. Times are milliseconds since the epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Summary {
    /// Its name.
    pub id: ConversationId,
    /// Where it is in its life.
    pub state: State,
    /// Where the customer wrote.
    pub channel: ChannelId,
    /// What sort of work it is.
    pub kind: ChannelKind,
    /// Where it waits, or waited last.
    pub queue: QueueId,
    /// The customer's address.
    pub customer: Address,
    /// Our address.
    pub own: Address,
    /// The primary agent.
    pub agent: Option<AgentId>,
    /// Colleagues who advise, unseen by the customer.
    pub consultants: Vec<AgentId>,
    /// A colleague who was asked and hasn't answered yet.
    pub handed_to: Option<HandedTo>,
    /// Higher goes first.
    pub priority: i32,
    /// From the rules that matched.
    pub tags: Vec<String>,
    /// Reserved flags (ID-05).
    pub flags: Flags,
    /// The customer wants no messages (CH-12).
    pub opted_out: bool,
    /// When it began.
    pub opened_at: Timestamp,
    /// Since when it waits, or waited, for an agent.
    pub queued_at: Timestamp,
    /// The session timer counts from here (CONV-05).
    pub timer_from: Timestamp,
    /// When the customer last wrote.
    pub last_customer_at: Timestamp,
    /// Entries in the transcript.
    pub messages: u32,
    /// The most characters that a reply may have (CH-11).
    pub max_text: u32,
    /// Wrap-up codes to choose from (CONV-08).
    pub dispositions: Vec<String>,
    /// The one that was chosen.
    pub disposition: Option<String>,
    /// What it was about, in the words of whoever finished it (CONV-08).
    pub summary: Option<String>,
    /// Who still has to say how an earlier part of it ended: its customer wrote during wrap-up
    /// (CAP-02).
    pub wrap_ups: Vec<AgentId>,
}

/// A request to a colleague (CONV-03).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HandedTo {
    /// Whom; `None`: anybody of the queue.
    pub agent: Option<AgentId>,
    /// Advice, not a transfer.
    pub consult: bool,
}

impl Conversation {
    /// What lists and screens show.
    pub fn summary(&self) -> Summary {
        Summary {
            id: self.id,
            state: self.state,
            channel: self.channel.clone(),
            kind: self.goes_by().kind,
            queue: self.queue().clone(),
            customer: self.customer.clone(),
            own: self.own.clone(),
            agent: self.primary.clone(),
            consultants: self.consultants.clone(),
            handed_to: self
                .handed
                .first()
                .map(|handed| HandedTo { agent: handed.to.clone(), consult: handed.consult }),
            priority: self.class.priority,
            tags: self.class.tags.clone(),
            flags: self.attributes.as_ref().map(|known| known.flags).unwrap_or_default(),
            opted_out: self.opted_out,
            opened_at: self.opened_at,
            queued_at: self.queued_at,
            timer_from: self.timer_from,
            last_customer_at: self.last_customer_at,
            messages: self.messages,
            max_text: self.goes_by().max_text,
            dispositions: self.goes_by().dispositions.clone(),
            disposition: self.disposition.clone(),
            summary: self.outcome.clone(),
            wrap_ups: self.owners_of_wrap_ups(),
        }
    }
}
