//! A change of settings while items wait (ROUTE-17).

use std::sync::Arc;

use crate::agent;
use crate::conversation;
use crate::effect::{Effect, Effects};
use crate::queue::{Queue, Settings};
use crate::time::Timestamp;

impl Queue {
    pub(super) fn on_configure(
        &mut self,
        settings: Arc<Settings>,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        self.closed = false;
        if *self.settings == *settings {
            return;
        }
        self.members.set_strategy(&settings.strategy);
        let entries = self.backlog.drain(settings.order);
        self.settings = settings;
        self.steps.clear();
        self.hours_change = None;
        let mut waiting = Vec::new();
        for (conversation, entry, demand) in entries {
            let stage = self.settings.stage(entry.since, now);
            let class = self.class_for(&demand, stage, now);
            let place = (std::cmp::Reverse(entry.priority), entry.since, conversation);
            waiting.push(place);
            self.backlog.restore(conversation, entry, class);
        }
        waiting.sort_unstable();
        let line: Vec<_> = waiting.into_iter().map(|(.., conversation)| conversation).collect();
        for conversation in &line {
            self.set_step(*conversation, now);
            self.recheck_offer(*conversation, now, fx);
        }
        self.try_all(line, now, fx);
    }

    pub(super) fn on_close(&mut self, fx: &mut Effects) {
        self.closed = true;
        self.held = false;
        let settings = self.settings.clone();
        let mut numbers: Vec<u64> = self.offers.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            let Some(out) = self.offers.remove(&number) else { continue };
            let (agent, offer) = (self.members.get(out.slot).agent.clone(), self.offer_id(number));
            fx.push(Effect::Agent(agent, agent::Input::Withdraw { offer }));
        }
        for (conversation, ..) in self.backlog.drain(settings.order) {
            fx.push(Effect::Conversation(
                conversation,
                conversation::Input::Bounced { queue: self.id.clone() },
            ));
        }
        self.steps.clear();
        self.hours_change = None;
    }
}
