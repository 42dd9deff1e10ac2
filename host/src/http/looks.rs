//! Who has looked at whose conversation lately: each look is noted once (SEC-03).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cordboard_core::ids::{AgentId, ConversationId};

/// Looks within this time are one.
const ONE_LOOK: Duration = Duration::from_secs(5 * 60);
/// Remembered at most; with more, some are noted twice.
const MOST: usize = 10_000;

/// Looks of a while.
#[derive(Default)]
pub struct Looks(Mutex<HashMap<(AgentId, ConversationId), Instant>>);

impl Looks {
    /// Whether this agent hasn't looked at it lately, as far as that is written down.
    pub fn is_new(&self, agent: &AgentId, conversation: ConversationId, now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&(agent.clone(), conversation));
        before.is_none_or(|at| now.duration_since(*at) >= ONE_LOOK)
    }

    /// It is written down.
    pub fn remember(&self, agent: &AgentId, conversation: ConversationId, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, at| now.duration_since(*at) < ONE_LOOK);
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((agent.clone(), conversation), now);
    }
}
