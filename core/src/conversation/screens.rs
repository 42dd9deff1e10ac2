//! Who has it open, and what they are told as it changes.

use crate::conversation::{Conversation, State};
use crate::effect::{Effect, Effects};
use crate::ids::AgentId;
use crate::notice::Notice;

/// What screens show of a conversation beside its messages, as far as it changes with who has it.
#[derive(PartialEq, Eq)]
pub(super) struct OnScreens {
    who: Vec<AgentId>,
    state: State,
    primary: Option<AgentId>,
    advised_by: usize,
    asked: usize,
    to_finish: usize,
}

impl Conversation {
    /// Something about it is different, and those who have it open see it once this step is done.
    pub(super) fn show(&self, fx: &mut Effects) {
        fx.changed = true;
    }

    pub(super) fn on_screens(&self) -> OnScreens {
        OnScreens {
            who: self.who_has_it_open(),
            state: self.state,
            primary: self.primary.clone(),
            advised_by: self.consultants.len(),
            asked: self.handed.len(),
            to_finish: self.wrap_ups.len(),
        }
    }

    /// Whoever has it open sees what has become of it, and whoever has not any more, that they haven't: by what it was
    /// before a step and is after it, so no step forgets anybody.
    pub(super) fn tell_screens(&self, before: OnScreens, fx: &mut Effects) {
        let after = self.on_screens();
        let is_changed = std::mem::take(&mut fx.changed) || before != after;
        for agent in before.who.iter().filter(|agent| !after.who.contains(agent)) {
            let whose = after.primary.clone().filter(|primary| primary != agent);
            let notice = Notice::ConversationGone {
                conversation: self.id,
                state: after.state,
                agent: whose,
            };
            fx.push(Effect::Screen(agent.clone(), notice));
        }
        if is_changed && !after.who.is_empty() {
            fx.push(Effect::Changed(after.who));
        }
    }

    /// Who takes part, while it goes on, and who still has a wrap-up to finish.
    pub fn who_has_it_open(&self) -> Vec<AgentId> {
        let goes_on = self.state != State::Closed;
        let take_part = self.primary.iter().chain(&self.consultants).filter(|_| goes_on);
        let with_wrap_ups = self.wrap_ups.iter().map(|task| &task.agent);
        let others = with_wrap_ups.filter(|agent| !goes_on || !self.takes_part(agent));
        take_part.chain(others).cloned().collect()
    }
}
