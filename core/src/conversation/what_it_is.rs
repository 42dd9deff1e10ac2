//! What it says of itself.

use crate::classification::{Attributes, Classification};
use crate::conversation::{Conversation, State};
use crate::ids::{Address, AgentId, ChannelId, ConversationId, QueueId, WorkstreamId};
use crate::notice::ThreadKey;
use crate::time::Timestamp;

impl Conversation {
    /// Whether the customer's next message belongs here, or begins a new conversation (CONV-01).
    pub fn takes_message(&self, now: Timestamp) -> bool {
        self.state != State::Closed || now <= self.ended_at + self.goes_by().reopen_within
    }

    /// Its name.
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// The primary agent.
    pub fn primary(&self) -> Option<&AgentId> {
        self.primary.as_ref()
    }

    /// Whether the primary's capacity is taken.
    pub fn occupies(&self) -> bool {
        self.occupies
    }

    /// Events so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The channel.
    pub fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// The workstream it was classified into.
    pub fn workstream(&self) -> &WorkstreamId {
        &self.workstream
    }

    /// The customer's address.
    pub fn customer(&self) -> &Address {
        &self.customer
    }

    /// Channel and customer.
    pub fn thread(&self) -> ThreadKey {
        ThreadKey { channel: self.channel.clone(), customer: self.customer.clone() }
    }

    /// Our own address.
    pub fn own(&self) -> &Address {
        &self.own
    }

    /// Whether the customer wants no messages (CH-12).
    pub fn opted_out(&self) -> bool {
        self.opted_out
    }

    /// How it is classified.
    pub fn classification(&self) -> &Classification {
        &self.class
    }

    /// What is known of the customer.
    pub fn attributes(&self) -> Option<&Attributes> {
        self.attributes.as_deref()
    }

    /// The queue where it waits, or waited last.
    pub fn queue(&self) -> &QueueId {
        self.queue.as_ref().or(self.class.queue.as_ref()).unwrap_or(&self.goes_by().queue)
    }

    /// Whom the customer had or has.
    pub fn last_agent(&self) -> Option<&AgentId> {
        self.last_agent.as_ref()
    }

    /// Colleagues who advise.
    pub fn consultants(&self) -> &[AgentId] {
        &self.consultants
    }

    /// Whether the agent is the primary or advises.
    pub fn takes_part(&self, agent: &AgentId) -> bool {
        self.primary.as_ref() == Some(agent) || self.consultants.contains(agent)
    }
}
