//! The few facts about a conversation from which queues and ledgers are rebuilt (CAP-04).

use crate::agent;
use crate::capacity::Load;
use crate::conversation::State;
use crate::effect::Effect;
use crate::ids::{AgentId, ConversationId};
use crate::queue;
use crate::time::Timestamp;
use crate::workstream::Workstream;

/// What the journal keeps in columns, so that a start with a million open conversations reads no
/// snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Which conversation.
    pub id: ConversationId,
    /// Its state.
    pub state: State,
    /// Its primary agent.
    pub agent: Option<AgentId>,
    /// Whether the agent's capacity is taken.
    pub occupies: bool,
    /// Whether the agent has been asked to take it up again.
    pub returning: bool,
    /// The age that counts in the queue.
    pub queued_at: Timestamp,
}

impl Standing {
    /// What has to be said to queue or agent so that they know of it.
    pub fn recover(&self, policy: &Workstream) -> Option<Effect> {
        let conversation = self.id;
        let load = Load { kind: policy.kind, units: policy.units };
        match (self.state, &self.agent) {
            (State::Open, _) => {
                let item = queue::Item::new(conversation, self.queued_at, policy);
                Some(Effect::Queue(policy.queue.clone(), queue::Input::Enqueue(item)))
            }
            (State::Waiting, Some(agent)) if self.returning => {
                let allowed = policy.allowed;
                let ask = agent::Input::Reoccupy { conversation, load, allowed };
                Some(Effect::Agent(agent.clone(), ask))
            }
            (_, Some(agent)) if self.occupies => {
                let restore = agent::Input::Restore { conversation, load };
                Some(Effect::Agent(agent.clone(), restore))
            }
            _ => None,
        }
    }
}
