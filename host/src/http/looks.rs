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
    /// A look that has to be written down, and then said to be; nothing, where this agent has looked at it
    /// lately, and that is.
    pub fn begin<'a>(
        &'a self,
        agent: &'a AgentId,
        conversation: ConversationId,
    ) -> Option<Look<'a>> {
        let now = Instant::now();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&(agent.clone(), conversation));
        let is_new = before.is_none_or(|at| now.duration_since(*at) >= ONE_LOOK);
        is_new.then_some(Look { looks: self, agent, conversation, now })
    }
}

/// One that isn't written down yet.
pub struct Look<'a> {
    looks: &'a Looks,
    agent: &'a AgentId,
    conversation: ConversationId,
    now: Instant,
}

impl Look<'_> {
    /// It is.
    pub fn noted(self) {
        let mut known = self.looks.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, at| self.now.duration_since(*at) < ONE_LOOK);
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((self.agent.clone(), self.conversation), self.now);
    }
}
