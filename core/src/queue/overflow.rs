//! What time does to waiting items: requirements relax (ROUTE-12), preferences end (ROUTE-13), hours
//! begin and end (HOURS-01), overflow rules apply (ROUTE-11).

use rustc_hash::FxHashSet;

use crate::conversation;
use crate::decision::{Choice, OverflowReason};
use crate::effect::{Effect, Effects};
use crate::ids::ConversationId;
use crate::queue::{Overflow, OverflowAction, Queue};
use crate::time::Timestamp;

impl Queue {
    pub(super) fn on_wake(&mut self, now: Timestamp, fx: &mut Effects) {
        if self.hours_change.is_some_and(|at| at <= now) {
            self.on_hours(now, fx);
        }
        while let Some((at, conversation)) = self.steps.first().copied() {
            if at > now {
                return;
            }
            self.steps.pop_first();
            self.on_step(conversation, now, fx);
        }
    }

    /// Makes sure that the item is looked at when something happens to it.
    pub(super) fn set_step(&mut self, conversation: ConversationId, now: Timestamp) {
        let Some(entry) = self.backlog.entry(conversation) else { return };
        let by_age = self.settings.next_step(entry.since, now);
        let story = entry.story.as_ref();
        let preference = story.and_then(|story| story.prefer.as_ref()).map(|prefer| prefer.until);
        let settled = story.filter(|story| story.recovered).map(|_| self.settling_until);
        let next = [by_age, preference, settled].into_iter().flatten().filter(|at| *at > now).min();
        if let Some(at) = next {
            self.steps.insert((at, conversation));
        }
    }

    fn on_step(&mut self, conversation: ConversationId, now: Timestamp, fx: &mut Effects) {
        let Some(entry) = self.backlog.entry(conversation) else { return };
        let (since, priority) = (entry.since, entry.priority);
        let class = self.backlog.class(entry.class);
        let stage = self.settings.stage(since, now);
        if stage != class.stage {
            let demand = class.demand.clone();
            let class = self.class_for(&demand, stage, now);
            self.backlog.move_to(conversation, class, priority);
        }
        self.set_step(conversation, now);
        if !self.place(conversation, now, fx) {
            self.overflow(conversation, now, fx);
        }
    }

    fn on_hours(&mut self, now: Timestamp, fx: &mut Effects) {
        self.hours_change = None;
        let mut changed = Vec::new();
        for (number, class) in self.backlog.classes() {
            let Some(hours) = self.settings.hours.of(&class.demand) else { continue };
            let is_open = hours.is_open(now);
            if is_open != class.is_open {
                changed.push((number, is_open));
            }
            let next = hours.next_change(now);
            self.hours_change = [self.hours_change, next].into_iter().flatten().min();
        }
        for (number, is_open) in &changed {
            self.backlog.set_open(*number, *is_open);
        }
        if !changed.is_empty() {
            self.overflow_all(now, fx);
        }
    }

    /// Everything in line is tried once more, best first.
    pub(super) fn overflow_all(&mut self, now: Timestamp, fx: &mut Effects) {
        let line = self.backlog.line();
        self.try_all(line, now, fx);
    }

    /// Tries items in this order. Of those that ask for the same and have nothing else to tell, each gets
    /// what the first got: where there was nobody for it, nobody is looked for again, and one decision
    /// tells of all. (Of twenty thousand that wait, a change of settings would otherwise write as many.)
    pub(super) fn try_all(&mut self, line: Vec<ConversationId>, now: Timestamp, fx: &mut Effects) {
        let mut hopeless = FxHashSet::default();
        for conversation in line {
            let Some(entry) = self.backlog.waiting_entry(conversation) else { continue };
            let (class, is_plain) = (entry.class, entry.story.is_none());
            let is_known = is_plain && hopeless.contains(&class);
            if !is_known && self.place(conversation, now, fx) {
                continue;
            }
            if is_plain {
                hopeless.insert(class);
            }
            self.overflow(conversation, now, fx);
        }
    }

    /// Applies the first overflow rule that the waiting item falls under and hasn't been through.
    pub(super) fn overflow(
        &mut self,
        conversation: ConversationId,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        self.overflow_if(|_| true, conversation, now, fx);
    }

    /// It was offered and nobody took it. Where its wait has ended meanwhile it isn't offered once
    /// more, or it would go round for ever among agents who are free and don't want it (ROUTE-08).
    pub(super) fn overflow_by_age(
        &mut self,
        conversation: ConversationId,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let by_age = |reason| matches!(reason, OverflowReason::Wait(_));
        self.overflow_if(by_age, conversation, now, fx);
    }

    fn overflow_if(
        &mut self,
        counts: impl Fn(OverflowReason) -> bool,
        conversation: ConversationId,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.held || self.settings.overflow.is_empty() {
            return;
        }
        let settings = self.settings.clone();
        for (index, rule) in settings.overflow.iter().enumerate() {
            let Some(entry) = self.backlog.waiting_entry(conversation) else { return };
            let story = entry.story.as_deref();
            let is_message = |rule: &Overflow| matches!(rule.then, OverflowAction::Message(_));
            let told = is_message(rule).then(|| {
                let before = settings.overflow[..index].iter();
                let same = before.filter(|other| other.when == rule.when && is_message(other));
                (rule.when, same.count())
            });
            let is_told =
                story.is_some_and(|story| told.is_some_and(|told| story.told.contains(&told)));
            let is_there = match &rule.then {
                OverflowAction::Queue(to) => {
                    *to == self.id || story.is_some_and(|story| story.visited.contains(to))
                }
                OverflowAction::Message(_) | OverflowAction::End(_) => false,
            };
            // Advice for a colleague is nobody's wait.
            let is_consult = story.is_some_and(|story| story.consult.is_some());
            let applies = counts(rule.when) && self.applies(rule.when, conversation, now);
            if is_told || is_there || is_consult || !applies {
                continue;
            }
            if let (Some(told), Some(entry)) = (told, self.backlog.entry_mut(conversation)) {
                entry.story_mut().told.push(told);
            }
            self.apply(rule.when, &rule.then, conversation, now, fx);
            if !is_message(rule) {
                return;
            }
        }
    }

    fn apply(
        &mut self,
        reason: OverflowReason,
        action: &OverflowAction,
        conversation: ConversationId,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let place = self.place_in_line(conversation);
        let mut refused = Vec::new();
        if !matches!(action, OverflowAction::Message(_)) {
            self.explain(conversation, Choice::Overflowed { reason }, Vec::new(), now, fx);
            let story = self.backlog.remove(conversation).and_then(|entry| entry.story);
            refused = story.map(|story| story.refused).unwrap_or_default();
        }
        let overflow = conversation::Overflow {
            queue: self.id.clone(),
            reason,
            then: action.clone(),
            position: place.and_then(|place| place.position),
            estimate: place.and_then(|place| place.estimate),
            refused,
        };
        let input = conversation::Input::Overflow(Box::new(overflow));
        fx.push(Effect::Conversation(conversation, input));
    }

    fn applies(
        &self,
        reason: OverflowReason,
        conversation: ConversationId,
        now: Timestamp,
    ) -> bool {
        let Some(entry) = self.backlog.entry(conversation) else { return false };
        match reason {
            OverflowReason::Length(limit) => self.backlog.waiting() > limit as usize,
            OverflowReason::Wait(ms) => now.0 >= entry.since.0 + ms,
            OverflowReason::NobodySignedIn => {
                self.members.signed_in() == 0 && now >= self.settling_until
            }
            OverflowReason::OutOfHours => !self.backlog.class(entry.class).is_open,
        }
    }
}
