//! What a commit has brought about is carried out: told to conversations, queues, agents, screens and alarms.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use cordboard_core::agent;
use cordboard_core::conversation::Input;
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, ConversationId, QueueId};
use cordboard_core::notice::{Alert, Notice};
use cordboard_core::queue;
use cordboard_core::switchboard;

use crate::actors::agent::Show;
use crate::actors::deliver::{Deliver, To};
use crate::actors::directory::Directory;
use crate::config::Permission;

/// Notices by agent, in order.
#[derive(Default)]
pub(super) struct Notices(HashMap<AgentId, Vec<Notice>>);

impl Directory {
    /// Carries out effects in order. `from` is the conversation whose deadlines they may name.
    pub fn carry_out(&self, from: Option<ConversationId>, effects: Vec<Effect>) {
        let mut notices = Notices::default();
        self.carry_out_with(from, effects, &mut notices);
        self.show(notices);
    }

    /// The same, but what is for screens is collected, to be shown with one message per agent.
    pub(super) fn carry_out_with(
        &self,
        from: Option<ConversationId>,
        effects: Vec<Effect>,
        notices: &mut Notices,
    ) {
        for effect in effects {
            match effect {
                Effect::Conversation(to, input) => self.deliver(Deliver::new(To::Id(to), input)),
                Effect::Queue(to, input) => self.tell_queue(&to, input),
                Effect::Agent(to, input) => self.tell_agent(&to, input),
                // A screen that connects reads the journal after it is counted, so what isn't sent
                // because nobody is there yet is in what it reads.
                Effect::Screen(to, notice) => {
                    let entry = self.agents.get(&to);
                    if entry.is_some_and(|entry| entry.screens.load(Ordering::SeqCst) > 0) {
                        notices.0.entry(to).or_default().push(notice);
                    }
                }
                Effect::WakeAt(at) => {
                    if let Some(conversation) = from {
                        self.alarms.set(at, conversation);
                    }
                }
                Effect::Decided(decision) => {
                    self.metrics.decisions.inc();
                    self.recorder.decided(&decision);
                }
                Effect::Judge(judgement) => self.plugins.strategies.judge(self, *judgement),
                Effect::Alert(alert) => self.alert(&alert),
            }
        }
    }

    /// Tells a queue something; one that isn't there has its answer given for it.
    pub fn tell_queue(&self, to: &QueueId, input: queue::Input) {
        match self.queues.get(to) {
            Some(actor) => self.pass(&actor, self.for_queue(input)),
            None => self.answer_for_nobody(switchboard::for_queue(to, &input)),
        }
    }

    /// Tells an agent something; somebody who isn't configured any more, and has held nothing since the
    /// start, has their answer given for them.
    fn tell_agent(&self, to: &AgentId, input: agent::Input) {
        match self.agents.get(to) {
            Some(entry) => self.pass(&entry.actor, self.for_agent(input, None)),
            None => self.answer_for_nobody(switchboard::for_agent(to, &input)),
        }
    }

    fn answer_for_nobody(&self, answer: Option<(ConversationId, Input)>) {
        if let Some((conversation, input)) = answer {
            self.deliver(Deliver::new(To::Id(conversation), input));
        }
    }

    /// Supervisors are told.
    fn alert(&self, alert: &Alert) {
        tracing::warn!(?alert, "for supervisors");
        let config = self.config();
        let is_told = |role| config.permits(role, Permission::Alerts);
        for agent in config.agents.iter().filter(|agent| is_told(&agent.role)) {
            if let Some(entry) = self.agents.get(&agent.id) {
                self.pass(&entry.actor, Show(vec![Notice::Alert(alert.clone())]));
            }
        }
    }

    /// Shows what was collected.
    pub(super) fn show(&self, notices: Notices) {
        for (agent, notices) in notices.0 {
            if let Some(entry) = self.agents.get(&agent) {
                self.pass(&entry.actor, Show(notices));
            }
        }
    }
}
