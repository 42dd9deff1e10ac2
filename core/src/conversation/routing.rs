//! The way to an agent: classification, the queue, overflow, and back to the queue (ROUTE-01, 11,
//! 13, 17).

use crate::agent;
use crate::classification::{Attributes, Classification, Facts, classify};
use crate::conversation::{Conversation, Event, Overflow, State};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, QueueId};
use crate::queue::{self, Declined, OverflowAction, Preference};
use crate::time::{Span, Timestamp};

impl Conversation {
    /// What the rules say of it now, and the texts that they want sent.
    pub fn by_the_rules(&self, now: Timestamp) -> (Classification, Vec<String>) {
        let settings = self.goes_by();
        let none = Attributes::default();
        let attributes = self.attributes.as_deref().unwrap_or(&none);
        let facts = Facts {
            channel: Some(&self.channel),
            kind: settings.kind,
            language: attributes.language.as_deref().unwrap_or(&settings.language),
            country: self.country.as_deref(),
            attributes,
            text: &self.subject,
            now,
        };
        classify(settings, &facts)
    }

    /// Applies the rules. With none, it is what its workstream says, and nothing is recorded.
    pub(super) fn classify(&mut self, now: Timestamp, fx: &mut Effects) -> Vec<String> {
        let (classification, messages) = self.by_the_rules(now);
        if classification != self.class || !self.goes_by().rules.is_empty() {
            self.record(Event::Classified { classification }, now, fx);
        }
        messages
    }

    /// Classifies it and puts it in line; its age is that of `queued_at`.
    pub(super) fn route(&mut self, now: Timestamp, fx: &mut Effects) {
        let messages = self.classify(now, fx);
        let queue = self.class.queue.clone().unwrap_or_else(|| self.goes_by().queue.clone());
        // ROUTE-13: whom they had before, if the workstream wants that.
        let prefer = self.goes_by().affinity.and_then(|wait| self.preference(wait, now));
        self.enqueue(queue, prefer, Vec::new(), now, fx);
        for text in messages {
            self.send_automatically(text, now, fx);
        }
    }

    pub(super) fn enqueue(
        &mut self,
        queue: QueueId,
        prefer: Option<Preference>,
        refused: Vec<Declined>,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let since = self.queued_at;
        self.record(Event::Queued { queue: queue.clone(), since, prefer }, now, fx);
        let mut item = self.standing().item(self.goes_by());
        item.refused.extend(refused);
        fx.push(Effect::Queue(queue, queue::Input::Enqueue(Box::new(item))));
    }

    fn preference(&self, wait: Span, now: Timestamp) -> Option<Preference> {
        let agent = self.last_agent.clone()?;
        Some(Preference { agent, until: now + wait })
    }

    /// The agent doesn't have it any more: it waits for one, the earlier one preferred for so long.
    pub(super) fn give_back(
        &mut self,
        since: Timestamp,
        wait: Span,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let agent = self.unassign(now, fx);
        self.queued_at = since;
        let prefer = Some(Preference { agent, until: now + wait });
        let queue = self.queue().clone();
        self.enqueue(queue, prefer, Vec::new(), now, fx);
    }

    /// Nobody has it from now on; says who had it.
    pub(super) fn unassign(&mut self, now: Timestamp, fx: &mut Effects) -> AgentId {
        let agent = self.primary.clone().expect("somebody has it");
        self.dismiss_all(fx);
        self.record(Event::Unassigned { agent: agent.clone() }, now, fx);
        self.release(&agent, fx);
        agent
    }

    pub(super) fn on_attributes(
        &mut self,
        attributes: Attributes,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.attributes.as_deref() == Some(&attributes) {
            return;
        }
        self.record(Event::AttributesChanged { attributes }, now, fx);
        self.on_reroute(None, now, fx);
        self.show(fx);
    }

    /// While it waits, new facts and new rules count at once (ROUTE-17). Its age is kept. What is
    /// somebody's follows new deadlines (see [`Conversation::handle`]), and its agent if it has to.
    /// `gone` is the queue that it was sent to and that isn't there.
    pub(super) fn on_reroute(&mut self, gone: Option<&QueueId>, now: Timestamp, fx: &mut Effects) {
        if let (State::Waiting, Some(agent)) = (self.state, &self.primary) {
            let follows = self.follows_agent();
            let follow = agent::Input::Follow { conversation: self.id, follows };
            fx.push(Effect::Agent(agent.clone(), follow));
        }
        self.leave_whoever_counts_as_absent_now(now, fx);
        // Where it should go isn't known any more: it stays where it is until that is.
        if self.state != State::Open || self.messages == 0 || self.goes_by().is_retired() {
            return;
        }
        let before = self.queue().clone();
        let by_rules = self.class.queue.clone();
        // A rule's message was sent when it began.
        self.classify(now, fx);
        // Where an overflow rule or an agent has put it, it stays, unless the rules now say something
        // else, or that queue is gone.
        let wanted = self.class.queue.clone().unwrap_or_else(|| self.goes_by().queue.clone());
        let is_gone = gone == Some(&before);
        let queue = match is_gone || Some(&wanted) != by_rules.as_ref() {
            true => wanted,
            false => before.clone(),
        };
        if queue != before {
            let remove = queue::Input::Remove { conversation: self.id };
            fx.push(Effect::Queue(before, remove));
        }
        let prefer = self.prefer.clone();
        self.enqueue(queue, prefer, Vec::new(), now, fx);
    }

    /// A restart must not ask again whoever has said no.
    pub(super) fn on_declined(&mut self, declined: Declined, now: Timestamp, fx: &mut Effects) {
        if self.state == State::Open && !self.declined.contains(&declined) {
            self.record(Event::Declined { declined }, now, fx);
        }
    }

    /// ROUTE-11. What comes too late is ignored: it has an agent.
    pub(super) fn on_overflow(&mut self, overflow: Overflow, now: Timestamp, fx: &mut Effects) {
        let Overflow { queue, reason, then, position, estimate, refused } = overflow;
        if self.state != State::Open || *self.queue() != queue {
            return;
        }
        let is_repeated = self.overflowed.contains(&(queue.clone(), reason));
        if is_repeated && matches!(then, OverflowAction::Message(_)) {
            return;
        }
        let overflowed = Event::Overflowed { queue: queue.clone(), reason, then: then.clone() };
        self.record(overflowed, now, fx);
        if !matches!(then, OverflowAction::Message(_)) {
            // It has left already, unless something sent it there again in the meantime.
            let remove = queue::Input::Remove { conversation: self.id };
            fx.push(Effect::Queue(queue, remove));
        }
        match then {
            OverflowAction::Queue(to) => {
                let prefer = self.prefer.clone();
                self.enqueue(to, prefer, refused, now, fx);
            }
            OverflowAction::Message(text) => {
                let text = filled_in(&text, position, estimate);
                self.send_automatically(text, now, fx);
            }
            OverflowAction::End(text) => {
                if let Some(text) = text {
                    let text = filled_in(&text, position, estimate);
                    self.send_automatically(text, now, fx);
                }
                self.record(Event::Closed, now, fx);
            }
        }
    }
}

/// Fills `{position}` and `{wait}` (minutes, at least 1) into an automated message (ROUTE-16). What
/// isn't known is left out.
fn filled_in(text: &str, position: Option<usize>, estimate: Option<Span>) -> String {
    let position = position.map(|position| position.to_string()).unwrap_or_default();
    let minutes = estimate.map(|wait| (wait.0 + 59_999) / 60_000).map(|wait| wait.max(1));
    let wait = minutes.map(|minutes| minutes.to_string()).unwrap_or_default();
    text.replace("{position}", &position).replace("{wait}", &wait)
}
