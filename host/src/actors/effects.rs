//! What a commit has brought about is carried out: told to conversations, queues, agents, screens and alarms.

use std::collections::HashMap;
use std::sync::Arc;
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

/// What screens are shown, by agent, in order: written out where it comes from, not where routing works.
#[derive(Default)]
pub(super) struct Notices(HashMap<AgentId, Vec<Arc<str>>>);

impl Notices {
    fn add(&mut self, to: AgentId, notice: Arc<str>) {
        self.0.entry(to).or_default().push(notice);
    }
}

/// A conversation whose effects are carried out.
pub(super) struct Origin {
    /// Whose deadlines they may name.
    pub conversation: ConversationId,
    /// What it looks like, written out, if somebody looked before it was committed.
    pub view: Option<Arc<str>>,
}

impl Directory {
    /// Carries out effects in order.
    pub(super) fn carry_out(&self, from: Option<Origin>, effects: Vec<Effect>) {
        let mut notices = Notices::default();
        self.carry_out_with(from.as_ref(), effects, &mut notices);
        self.show(notices);
    }

    /// The same, but what is for screens is collected, to be shown with one message per agent.
    pub(super) fn carry_out_with(
        &self,
        from: Option<&Origin>,
        effects: Vec<Effect>,
        notices: &mut Notices,
    ) {
        for effect in effects {
            match effect {
                Effect::Conversation(to, input) => self.deliver(Deliver::new(To::Id(to), input)),
                Effect::Queue(to, input) => self.tell_queue(&to, input),
                Effect::Agent(to, input) => self.tell_agent(&to, input),
                Effect::Screen(to, notice) => {
                    if self.looks(&to) {
                        notices.add(to, written_out(&notice));
                    }
                }
                Effect::Screens(to, notice) => {
                    let mut written = None;
                    for agent in to.into_iter().filter(|agent| self.looks(agent)) {
                        let text = written.get_or_insert_with(|| written_out(&notice));
                        notices.add(agent, text.clone());
                    }
                }
                Effect::Changed(to) => {
                    let Some(Origin { conversation, view }) = from else { continue };
                    for agent in to.into_iter().filter(|agent| self.looks(agent)) {
                        match view {
                            Some(view) => notices.add(agent, view.clone()),
                            // Whoever came since may have read what was on disk before.
                            None => self.show_once_more(*conversation, agent),
                        }
                    }
                }
                Effect::WakeAt(at) => {
                    if let Some(Origin { conversation, .. }) = from {
                        self.alarms.set(at, *conversation);
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

    /// Whether an agent has a screen. One that connects reads the journal after it is counted, so what isn't shown
    /// because nobody is there yet is in what it reads.
    pub(super) fn looks(&self, agent: &AgentId) -> bool {
        let entry = self.agents.get(agent);
        entry.is_some_and(|entry| entry.screens.load(Ordering::SeqCst) > 0)
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
            self.show_notice(&agent.id, &Notice::Alert(alert.clone()));
        }
    }

    /// A notice on all screens of an agent.
    pub fn show_notice(&self, to: &AgentId, notice: &Notice) {
        self.show_written(to, written_out(notice));
    }

    pub(super) fn show_written(&self, to: &AgentId, notice: Arc<str>) {
        if let Some(entry) = self.agents.get(to) {
            self.pass(&entry.actor, Show(vec![notice]));
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

/// As screens get it.
pub(super) fn written_out(notice: &Notice) -> Arc<str> {
    serde_json::to_string(notice).expect("notices become JSON").into()
}
