//! Answers in the name of queues and agents that aren't there: configured no longer, or never were.
//! What is for them must not end in silence, or a conversation would wait for good.

use crate::agent;
use crate::conversation::{Input, NotTaken};
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::offer::Refusal;
use crate::queue;

/// What a conversation hears in the name of a queue that isn't there: the item is given back, and finds
/// another queue, as rules and settings name only those that are there. `None`: nobody waits for a word.
pub fn for_queue(queue: &QueueId, input: &queue::Input) -> Option<(ConversationId, Input)> {
    match input {
        queue::Input::Enqueue(item) | queue::Input::Recover(item) => {
            Some((item.conversation, Input::Bounced { queue: queue.clone() }))
        }
        _ => None,
    }
}

/// What a conversation hears in the name of an agent who isn't there: no. A customer who returns to them
/// is routed anew. `None`: nobody waits for a word.
pub fn for_agent(agent: &AgentId, input: &agent::Input) -> Option<(ConversationId, Input)> {
    let agent = agent.clone();
    match input {
        agent::Input::Reoccupy { conversation, question, .. } => {
            let question = *question;
            Some((*conversation, Input::ResumeRefused { agent, question, is_absent: false }))
        }
        agent::Input::Reserve(reserve) => {
            let why = NotTaken::Refused(Refusal::TakesNoWork);
            let offer = reserve.offer.clone();
            Some((reserve.conversation, Input::NotTaken { agent, offer, why }))
        }
        _ => None,
    }
}
