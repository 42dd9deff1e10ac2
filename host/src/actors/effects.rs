//! What a commit has brought about is carried out: told to conversations, queues, agents, screens and alarms.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use cordboard_core::agent;
use cordboard_core::conversation::Input;
use cordboard_core::decision::Decision;
use cordboard_core::effect::{Effect, Judgement};
use cordboard_core::ids::{AgentId, ConversationId, QueueId};
use cordboard_core::notice::{Alert, Notice};
use cordboard_core::queue;
use cordboard_core::switchboard::{self, Ways};
use cordboard_core::time::Timestamp;

use crate::actors::agent::Show;
use crate::actors::deliver::{Deliver, To};
use crate::actors::directory::Directory;
use crate::actors::screen::Frame;
use crate::config::Permission;

/// What screens are shown, by agent, in order.
#[derive(Default)]
pub(super) struct Notices(HashMap<AgentId, Vec<Frame>>);

impl Notices {
    fn add(&mut self, to: AgentId, notice: Frame) {
        self.0.entry(to).or_default().push(notice);
    }
}

/// A conversation whose effects are carried out.
pub(super) struct Origin {
    /// Whose deadlines they may name.
    pub conversation: ConversationId,
    /// What it looks like, written out, if somebody looked before it was committed.
    pub view: Option<Frame>,
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
        let mut carrying = Carrying { directory: self, from, notices };
        for effect in effects {
            switchboard::carry_out(from.map(|from| from.conversation), effect, &mut carrying);
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
        let mut notices = Notices::default();
        let mut carrying = Carrying { directory: self, from: None, notices: &mut notices };
        switchboard::tell_queue(to, input, &mut carrying);
    }

    /// Supervisors are told.
    fn alert(&self, alert: &Alert) {
        tracing::warn!(?alert, "for supervisors");
        let config = self.config();
        let frame = Frame::later(Notice::Alert(alert.clone()));
        let is_told = |role| config.permits(role, Permission::Alerts);
        for agent in config.agents.iter().filter(|agent| is_told(&agent.role)) {
            self.show_frame(&agent.id, frame.clone());
        }
    }

    /// A notice on all screens of an agent.
    pub fn show_notice(&self, to: &AgentId, notice: Notice) {
        self.show_frame(to, Frame::later(notice));
    }

    pub(super) fn show_frame(&self, to: &AgentId, notice: Frame) {
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

/// What a commit has brought about on its way.
struct Carrying<'a> {
    directory: &'a Directory,
    from: Option<&'a Origin>,
    notices: &'a mut Notices,
}

impl Ways for Carrying<'_> {
    fn to_conversation(&mut self, to: ConversationId, input: Input) {
        self.directory.deliver(Deliver::new(To::Id(to), input));
    }

    fn to_queue(&mut self, to: &QueueId, input: queue::Input) -> Result<(), queue::Input> {
        let Some(actor) = self.directory.queues.get(to) else { return Err(input) };
        self.directory.pass(&actor, self.directory.for_queue(input));
        Ok(())
    }

    fn to_agent(&mut self, to: &AgentId, input: agent::Input) -> Result<(), agent::Input> {
        let Some(entry) = self.directory.agents.get(to) else { return Err(input) };
        self.directory.pass(&entry.actor, self.directory.for_agent(input, None));
        Ok(())
    }

    fn show(&mut self, to: &[AgentId], notice: Notice) {
        // For nobody it is nothing; and routing leaves it to others to write it out.
        let mut seen = to.iter().filter(|agent| self.directory.looks(agent)).peekable();
        if seen.peek().is_none() {
            return;
        }
        let frame = match self.from {
            Some(_) => Frame::now(&notice),
            None => Frame::later(notice),
        };
        seen.for_each(|agent| self.notices.add(agent.clone(), frame.clone()));
    }

    fn show_changed(&mut self, conversation: ConversationId, to: Vec<AgentId>) {
        let view = self.from.and_then(|from| from.view.as_ref());
        for agent in to.into_iter().filter(|agent| self.directory.looks(agent)) {
            match view {
                Some(view) => self.notices.add(agent, view.clone()),
                // Whoever came since may have read what was on disk before.
                None => self.directory.show_once_more(conversation, agent),
            }
        }
    }

    fn wake_at(&mut self, conversation: ConversationId, at: Timestamp) {
        self.directory.alarms.set(at, conversation);
    }

    fn keep(&mut self, decision: Box<Decision>) {
        self.directory.metrics.decisions.inc();
        self.directory.recorder.decided(&decision);
    }

    fn judge(&mut self, judgement: Box<Judgement>) {
        self.directory.plugins.judge(self.directory, *judgement);
    }

    fn alert(&mut self, alert: Alert) {
        self.directory.alert(&alert);
    }
}
