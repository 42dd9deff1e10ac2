//! Offers: asked of agents, granted or not, ended; and strategy plugins, which are asked whom to offer
//! an item to.

use crate::agent;
use crate::capacity::ChannelKind;
use crate::conversation;
use crate::decision::{Choice, PassedOver};
use crate::effect::{Effect, Effects, Judgement};
use crate::ids::{AgentId, ConversationId, OfferId};
use crate::offer::{Outcome, Purpose, Refusal, Reserve};
use crate::queue::members::Slot;
use crate::queue::{Declined, Out, Queue};
use crate::time::Timestamp;

impl Queue {
    pub(super) fn on_reserved(&mut self, offer: &OfferId, fx: &mut Effects) {
        let Some(number) = self.is_ours(offer) else { return };
        let Some(out) = self.offers.get_mut(&number) else { return };
        if out.granted {
            return;
        }
        out.granted = true;
        let (slot, load, conversation) = (out.slot, out.load, out.conversation);
        self.members.answered(slot, load, true);
        let is_wanted = self.offer_of(conversation) == Some(number);
        if !is_wanted {
            self.withdraw(number, fx);
        }
    }

    pub(super) fn on_not_reserved(
        &mut self,
        offer: &OfferId,
        reason: Refusal,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let Some(number) = self.is_ours(offer) else { return };
        let Some(out) = self.offers.remove(&number) else { return };
        self.members.answered(out.slot, out.load, false);
        match reason {
            // Who takes part already can't be asked to join.
            Refusal::AlreadyThere if self.is_consult(out.conversation) => {
                let agent = self.members.get(out.slot).agent.clone();
                self.exclude(out.conversation, agent.into());
            }
            // It has had the item until now, or was offered it by another queue, and hasn't heard
            // yet that it has it no more. It will, and then it speaks.
            Refusal::AlreadyThere => self.members.has_already(out.slot, out.conversation),
            reason => self.members.mark_stale_if_free(out.slot, out.load, reason),
        }
        self.put_back_if(out.conversation, number, now, fx);
        // The place that was kept for this answer is free for something else.
        self.give_work_to(out.slot, now, fx);
    }

    pub(super) fn on_offer_ended(
        &mut self,
        offer: &OfferId,
        outcome: Outcome,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let Some(number) = self.is_ours(offer) else { return };
        let Some(out) = self.offers.remove(&number) else { return };
        let conversation = out.conversation;
        if !out.granted {
            self.members.answered(out.slot, out.load, true);
        }
        if self.offer_of(conversation) != Some(number) {
            return;
        }
        let agent = self.members.get(out.slot).agent.clone();
        match outcome {
            // A refused call goes round the agents until its wait ends (ROUTE-08).
            Outcome::Refused if out.load.kind == ChannelKind::Voice => {
                self.missed(conversation, agent, true);
            }
            Outcome::Refused => {
                let declined = self.exclude(conversation, agent.into());
                let is_work = !self.is_consult(conversation);
                if let Some(declined) = declined.filter(|_| is_work) {
                    let input = conversation::Input::Declined(declined);
                    fx.push(Effect::Conversation(conversation, input));
                }
            }
            Outcome::Expired => self.missed(conversation, agent, false),
            Outcome::Accepted | Outcome::Withdrawn | Outcome::Gone => {}
        }
        self.put_back_if(conversation, number, now, fx);
    }

    pub(super) fn on_judged(
        &mut self,
        conversation: ConversationId,
        question: u64,
        order: &[AgentId],
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let asked = self.backlog.entry(conversation).and_then(|entry| entry.story.as_ref());
        if asked.and_then(|story| story.judging) != Some(question) {
            return;
        }
        self.backlog.put_back(conversation);
        if self.held {
            return;
        }
        // Those it names are asked in its order; whoever can't have it any more is passed over.
        let named = order.iter().find(|agent| self.why_not(agent, conversation, now).is_none());
        let first = named.and_then(|agent| self.members.slot(agent)).or_else(|| {
            // It failed, or named nobody who can: the default order counts.
            let mut ranked = self.members.ranked(self.kind_of(conversation)?);
            ranked.find(|slot| {
                self.why_not(&self.members.get(*slot).agent, conversation, now).is_none()
            })
        });
        match first {
            Some(slot) => self.offer_to(slot, conversation, Vec::new(), now, fx),
            None => drop(self.place(conversation, now, fx)),
        }
    }

    pub(super) fn offer_to(
        &mut self,
        slot: Slot,
        conversation: ConversationId,
        considered: Vec<(AgentId, PassedOver)>,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let Some(entry) = self.backlog.entry(conversation) else { return };
        let (purpose, class) = (entry.purpose(), entry.class);
        let demand = self.backlog.class(class).demand.clone();
        let number = self.next_number();
        let offer = self.offer_id(number);
        self.backlog.take(conversation, Some(number));
        self.members.asking(slot, demand.load);
        let agent = self.members.get(slot).agent.clone();
        self.offers.insert(number, Out { slot, conversation, load: demand.load, granted: false });
        let reserve = Reserve {
            offer: offer.clone(),
            conversation,
            load: demand.load,
            allowed: demand.allowed,
            timeout: demand.offer_timeout,
            purpose,
            member_of: None,
        };
        fx.push(Effect::Agent(agent.clone(), agent::Input::Reserve(reserve)));
        self.explain(conversation, Choice::Offered { agent, offer }, considered, now, fx);
    }

    pub(super) fn ask(
        &mut self,
        slots: Vec<Slot>,
        conversation: ConversationId,
        considered: Vec<(AgentId, PassedOver)>,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let question = self.next_number();
        self.backlog.take(conversation, None);
        let Some(entry) = self.backlog.entry_mut(conversation) else { return };
        entry.story_mut().judging = Some(question);
        let (since, priority, class) = (entry.since, entry.priority, entry.class);
        let demand = self.backlog.class(class).demand.clone();
        let candidates = slots.into_iter().map(|slot| {
            let member = self.members.get(slot);
            (member.agent.clone(), member.estimate(), member.skills())
        });
        let judgement = Judgement {
            queue: self.id.clone(),
            strategy: self.settings.strategy.as_str().to_owned(),
            conversation,
            question,
            since,
            priority,
            demand,
            candidates: candidates.collect(),
        };
        fx.push(Effect::Judge(Box::new(judgement)));
        self.explain(conversation, Choice::Judged, considered, now, fx);
    }

    /// Back into the line, and on to the next agent, if this offer was the item's.
    pub(super) fn put_back_if(
        &mut self,
        conversation: ConversationId,
        number: u64,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if self.offer_of(conversation) != Some(number) {
            return;
        }
        self.backlog.put_back(conversation);
        self.overflow_by_age(conversation, now, fx);
        if !self.place(conversation, now, fx) {
            self.overflow(conversation, now, fx);
        }
    }

    /// After a change of requirements or skills: is the one who is being offered it still right?
    pub(super) fn recheck_offer(
        &mut self,
        conversation: ConversationId,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let Some(number) = self.offer_of(conversation) else { return };
        let Some(out) = self.offers.get(&number) else { return };
        if self.may_keep(out.slot, conversation) {
            return;
        }
        self.withdraw(number, fx);
        self.put_back_if(conversation, number, now, fx);
    }

    pub(super) fn recheck_offers_of(&mut self, slot: Slot, now: Timestamp, fx: &mut Effects) {
        if self.offers.is_empty() {
            return;
        }
        for (_, conversation) in self.offers_of(slot) {
            self.recheck_offer(conversation, now, fx);
        }
    }

    pub(super) fn offers_of(&self, slot: Slot) -> Vec<(u64, ConversationId)> {
        let mut theirs: Vec<(u64, ConversationId)> = self
            .offers
            .iter()
            .filter(|(_, out)| out.slot == slot)
            .map(|(number, out)| (*number, out.conversation))
            .collect();
        theirs.sort_unstable();
        theirs
    }

    /// Takes back an offer.
    pub(super) fn withdraw(&mut self, number: u64, fx: &mut Effects) {
        if let Some(agent) = self.forget_offer(number) {
            let offer = self.offer_id(number);
            fx.push(Effect::Agent(agent, agent::Input::Withdraw { offer }));
        }
    }

    /// An offer is over. One that hasn't been answered yet is remembered until it is.
    pub(super) fn forget_offer(&mut self, number: u64) -> Option<AgentId> {
        let out = self.offers.get(&number)?;
        let (granted, agent) = (out.granted, self.members.get(out.slot).agent.clone());
        if granted {
            self.offers.remove(&number);
        }
        Some(agent)
    }

    fn is_consult(&self, conversation: ConversationId) -> bool {
        let entry = self.backlog.entry(conversation);
        entry.is_some_and(|entry| matches!(entry.purpose(), Purpose::Consult(_)))
    }

    pub(super) fn missed(&mut self, conversation: ConversationId, agent: AgentId, reassign: bool) {
        let Some(entry) = self.backlog.entry(conversation) else { return };
        let reassign = reassign || self.backlog.class(entry.class).demand.reassign;
        let Some(entry) = self.backlog.entry_mut(conversation) else { return };
        if reassign {
            entry.story_mut().tried.push(agent);
        } else {
            entry.story_mut().again = Some(agent);
        }
    }

    pub(super) fn exclude(
        &mut self,
        conversation: ConversationId,
        mut declined: Declined,
    ) -> Option<Declined> {
        if declined.sign_in.is_none() {
            let slot = self.members.slot(&declined.agent);
            declined.sign_in = slot.map(|slot| self.members.get(slot).sign_in());
        }
        let entry = self.backlog.entry_mut(conversation)?;
        entry.story_mut().refused.push(declined.clone());
        Some(declined)
    }
}
