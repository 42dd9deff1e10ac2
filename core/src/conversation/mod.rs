//! The conversation: it owns its messages and its assignment.

mod absence;
mod customer;
mod deadlines;
mod engagement;
mod event;
mod hand_over;
mod input;
mod outbound;
mod routing;
mod screens;
mod set_back;
mod standing;
mod summary;
#[cfg(test)]
mod tests;
mod what_it_is;
mod wrap_up;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::capacity::Load;
use crate::classification::{Attributes, Classification};
use crate::decision::OverflowReason;
use crate::effect::Effects;
use crate::ids::{
    Address, AgentId, ChannelId, ConversationId, MessageNo, OfferId, QueueId, WorkstreamId,
};
use crate::message::Delivery;
use crate::offer::ByHand;
use crate::queue::{Declined, Preference};
use crate::time::Timestamp;
use crate::workstream::Workstream;

pub use event::Event;
pub use input::{CustomerMessage, Input, NotTaken, Opening, Overflow, Refused, Reply, Target};
pub use standing::{Standing, Ticket, Tickets, Written};
pub use summary::{HandedTo, Summary};
pub use wrap_up::WrapUpTask;

/// Where a conversation is in its life (CONV-01).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum State {
    /// New or re-opened; no agent.
    Open,
    /// An agent is engaged.
    Active,
    /// The agent waits for the customer; no capacity is taken.
    Waiting,
    /// Ended for the customer; the agent finishes up.
    WrapUp,
    /// Resolved.
    Closed,
}

impl State {
    /// As it is written in API and journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::WrapUp => "wrap_up",
            Self::Closed => "closed",
        }
    }
}

/// A request to a colleague that hasn't been answered (CONV-03).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct HandOver {
    offer: OfferId,
    /// `None`: anybody of the queue.
    to: Option<AgentId>,
    /// Advice, not a transfer.
    consult: bool,
    until: Timestamp,
}

/// A reply whose end isn't known: its number, how far it has come, and when it was said.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct InTransit(MessageNo, Delivery, #[serde(default)] Timestamp);

/// The machine. Its serialised form is the snapshot that the journal keeps beside the events, so
/// that a passivated conversation comes back with one read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conversation {
    id: ConversationId,
    channel: ChannelId,
    workstream: WorkstreamId,
    /// The customer's address.
    customer: Address,
    /// Our own address that the customer wrote to.
    own: Address,
    state: State,
    /// The primary agent; `None` while it is open or after it closed without one.
    primary: Option<AgentId>,
    /// Whether the primary's capacity is taken.
    occupies: bool,
    /// The customer wrote while the agent waited; the agent has been asked to take it up again.
    returning: bool,
    opted_out: bool,
    opened_at: Timestamp,
    /// Since when it waits for an agent; kept when it goes back to the queue.
    queued_at: Timestamp,
    last_customer_at: Timestamp,
    last_agent_at: Timestamp,
    /// Start of wrap-up, or of being closed.
    ended_at: Timestamp,
    messages: u32,
    /// Events so far; the journal refuses an append that doesn't follow on it.
    version: u64,
    /// Replies without a final report yet, newest last.
    in_transit: Vec<InTransit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// The text that rules look at.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<Box<Attributes>>,
    #[serde(default)]
    class: Classification,
    /// Where it waits or waited last; `None`: nowhere yet.
    #[serde(default)]
    queue: Option<QueueId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefer: Option<Preference>,
    /// Queues that it has left by an overflow rule during this wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    visited: Vec<QueueId>,
    /// Overflow rules that were applied during this wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overflowed: Vec<(QueueId, OverflowReason)>,
    /// The primary, or the one before (ROUTE-13).
    #[serde(default)]
    last_agent: Option<AgentId>,
    /// Since when the primary is offline while it is theirs (ROUTE-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_gone_at: Option<Timestamp>,
    /// Since when the primary is away from their desk (ROUTE-19).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_away_since: Option<Timestamp>,
    /// When the customer last wrote something that wants an agent.
    #[serde(default)]
    asked_at: Timestamp,
    /// When somebody last took it up (ROUTE-09).
    #[serde(default)]
    engaged_at: Timestamp,
    /// Who has refused it during this wait (ROUTE-04).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    declined: Vec<Declined>,
    /// Wrap-ups that the customer's next message cut short (CAP-02).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrap_ups: Vec<WrapUpTask>,
    /// Requests to colleagues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    handed: Vec<HandOver>,
    /// Colleagues who advise, unseen by the customer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    consultants: Vec<AgentId>,
    /// Numbers the questions to agents' machines: only the answer to the last one counts.
    #[serde(default)]
    questions: u32,
    /// When it began, or began again.
    #[serde(default)]
    begun_at: Timestamp,
    /// CONV-05: reset on assignment, at wrap-up, on re-opening.
    #[serde(default)]
    timer_from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disposition: Option<String>,
    /// What it was about (CONV-08).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// The earliest alarm that was asked for and hasn't rung; an alarm clock is no part of a snapshot.
    #[serde(skip)]
    armed: Option<Timestamp>,
    /// Set when loaded; follows the configuration.
    #[serde(skip)]
    settings: Option<Arc<Workstream>>,
}

impl Conversation {
    /// So many replies may wait to be sent; and of those that providers have, reports on more than so many
    /// undecided ones are taken as late for the oldest.
    pub const MOST_IN_TRANSIT: usize = 256;
    /// Rules look at this many characters of the message that began it.
    pub const MOST_SUBJECT: usize = 1600;

    /// Opens a conversation; the first customer message follows as an input of its own.
    pub fn open(
        id: ConversationId,
        opening: Opening,
        settings: Arc<Workstream>,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Self {
        let mut conversation = Self {
            id,
            channel: opening.channel.clone(),
            workstream: settings.id.clone(),
            customer: opening.customer.clone(),
            own: opening.own.clone(),
            state: State::Open,
            primary: None,
            occupies: false,
            returning: false,
            opted_out: false,
            opened_at: now,
            queued_at: now,
            last_customer_at: now,
            last_agent_at: Timestamp(0),
            ended_at: Timestamp(0),
            messages: 0,
            version: 0,
            in_transit: Vec::new(),
            country: opening.country.clone(),
            subject: String::new(),
            attributes: None,
            class: plain_class(&settings),
            queue: None,
            prefer: None,
            visited: Vec::new(),
            overflowed: Vec::new(),
            last_agent: opening.last_agent.clone(),
            agent_gone_at: None,
            agent_away_since: None,
            asked_at: Timestamp(0),
            engaged_at: Timestamp(0),
            declined: Vec::new(),
            wrap_ups: Vec::new(),
            handed: Vec::new(),
            consultants: Vec::new(),
            questions: 0,
            begun_at: now,
            timer_from: now,
            disposition: None,
            outcome: None,
            armed: None,
            settings: Some(settings),
        };
        conversation.record(
            Event::Opened {
                channel: opening.channel,
                customer: opening.customer,
                own: opening.own,
                workstream: conversation.workstream.clone(),
                opted_out: opening.opted_out,
                country: opening.country,
                last_agent: opening.last_agent,
            },
            now,
            fx,
        );
        conversation.arm(false, now, fx);
        conversation
    }

    /// Gives a conversation that was read from the journal its present settings.
    pub fn with_settings(mut self, settings: Arc<Workstream>) -> Self {
        self.set_settings(settings);
        self
    }

    /// The same where there may be none any more.
    pub fn with_known_settings(self, settings: Option<Arc<Workstream>>) -> Self {
        let retired = || Arc::new(Workstream::retired(self.workstream.clone()));
        let settings = settings.unwrap_or_else(retired);
        self.with_settings(settings)
    }

    /// The configuration has changed (ROUTE-17).
    pub fn set_settings(&mut self, settings: Arc<Workstream>) {
        // Stored before there were classes: it is what its workstream says.
        if self.class.queue.is_none() {
            self.class = plain_class(&settings);
            self.begun_at = self.begun_at.max(self.opened_at);
            self.timer_from = self.timer_from.max(self.opened_at);
        }
        // Stored before keywords were told from questions.
        if self.asked_at == Timestamp(0) {
            self.asked_at = self.last_customer_at;
        }
        self.settings = Some(settings);
    }

    /// Its settings.
    pub fn settings(&self) -> Option<&Arc<Workstream>> {
        self.settings.as_ref()
    }

    /// The one entry. A refused command changes nothing and has no effects. Whatever comes of an input,
    /// an alarm is set for the earliest deadline afterwards.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        let has_rung = matches!(input, Input::Wake);
        // Neither can be refused, and after a restart nothing else comes before them.
        if has_rung || matches!(input, Input::Customer(_)) {
            self.notice_the_clock(now, fx);
        }
        let before = self.on_screens();
        let dealt_with = self.deal_with(input, now, fx);
        self.tell_screens(before, fx);
        dealt_with?;
        self.arm(has_rung, now, fx);
        self.assert_invariants();
        Ok(())
    }

    fn deal_with(&mut self, input: Input, now: Timestamp, fx: &mut Effects) -> Result<(), Refused> {
        match input {
            Input::Customer(message) => self.on_customer(message, now, fx),
            Input::OptedOut { opted_out } => self.on_consent(opted_out, now, fx),
            Input::Attributes(attributes) => self.on_attributes(*attributes, now, fx),
            Input::Accept { agent, offer, acceptance } => {
                self.on_accept(agent, offer, acceptance, now, fx);
            }
            Input::Confirm { agent, or_advises } => match or_advises {
                true => self.must_take_part(&agent)?,
                false => self.must_be_primary(&agent)?,
            },
            Input::Resumed { agent, question } => self.on_resumed(agent, question, now, fx),
            Input::ResumeRefused { agent, question, is_absent } => {
                self.on_resume_refused(agent, question, is_absent, now, fx);
            }
            Input::Reply(reply) => self.on_reply(reply, now, fx)?,
            Input::Note { agent, text, as_supervisor } => {
                if !as_supervisor {
                    self.must_take_part(&agent)?;
                }
                self.on_note(agent, text, now, fx)?;
            }
            Input::Delivery { message, said_at, delivery } => {
                self.on_delivery(message, said_at, delivery, now, fx);
            }
            Input::Leave { agent } => self.on_leave(agent, now, fx)?,
            Input::Transfer { agent, to } => self.on_transfer(agent, to, now, fx)?,
            Input::Consult { agent, with } => self.on_consult(agent, with, now, fx)?,
            Input::EndConsult { agent } => self.on_end_consult(agent, now, fx)?,
            Input::NotTaken { agent, offer, why } => self.on_not_taken(&agent, offer, why, now, fx),
            Input::Overflow(overflow) => self.on_overflow(*overflow, now, fx),
            Input::Reroute => self.on_reroute(None, now, fx),
            Input::Bounced { queue } => self.on_reroute(Some(&queue), now, fx),
            Input::Declined(declined) => self.on_declined(declined, now, fx),
            Input::AgentAbsent { agent, attendance, since } => {
                self.on_agent_absent(agent, attendance, since, now, fx);
            }
            Input::AgentBack { agent } => self.on_agent_back(&agent, now, fx),
            Input::AgentRetired { agent } => self.on_agent_retired(agent, now, fx),
            Input::End { agent, supervises } => self.on_end(agent, supervises, now, fx)?,
            Input::FinishWrapUp { agent, disposition, summary } => {
                self.on_finish_wrap_up(agent, disposition, summary, now, fx)?;
            }
            Input::Wake => self.on_wake(now, fx),
        }
        Ok(())
    }

    /// Whether somebody may take it up by hand in this way, and what that takes of them (ROUTE-10).
    ///
    /// # Errors
    /// Why not.
    pub fn may_be_taken_up(&self, agent: &AgentId, by_hand: ByHand) -> Result<Load, Refused> {
        match by_hand {
            ByHand::Take => self.must_be(State::Open, "take")?,
            ByHand::TakeOver if self.primary.as_ref() == Some(agent) => {
                return Err(Refused::Yourself);
            }
            ByHand::TakeOver => {
                if !matches!(self.state, State::Active | State::Waiting) {
                    return Err(Refused::WrongState { action: "take over", state: self.state });
                }
            }
            ByHand::ComeBack => {
                self.must_be_primary(agent)?;
                self.must_be(State::Waiting, "come back to")?;
            }
        }
        Ok(self.load())
    }

    /// Applies an event of the journal that the snapshot doesn't hold yet.
    pub fn replay(&mut self, event: &Event, at: Timestamp) {
        self.apply(event, at);
    }

    /// So many of its events are lost: it counts those that are there.
    pub fn lacks_events(&mut self, lost: u64) {
        self.version = self.version.saturating_sub(lost);
    }

    fn goes_by(&self) -> &Workstream {
        self.settings.as_deref().expect("whoever loads a conversation gives it its workstream")
    }

    fn load(&self) -> Load {
        Load { kind: self.goes_by().kind, units: self.class.units }
    }

    /// Applies an event and puts it on the list for the journal: the only way state changes.
    fn record(&mut self, event: Event, now: Timestamp, fx: &mut Effects) {
        self.apply(&event, now);
        fx.events.push(event);
    }

    fn assert_invariants(&self) {
        debug_assert!(
            !self.occupies || self.primary.is_some(),
            "{}: occupies nobody's capacity",
            self.id
        );
        debug_assert!(
            matches!(self.state, State::Open | State::Closed) || self.primary.is_some(),
            "{}: {:?} without an agent",
            self.id,
            self.state
        );
        debug_assert!(
            self.state != State::Open || self.primary.is_none(),
            "{}: open with an agent",
            self.id
        );
        debug_assert!(
            self.consultants.is_empty() || self.state == State::Active,
            "{}: advice in a conversation that is {:?}",
            self.id,
            self.state
        );
        debug_assert!(
            self.state != State::Active || self.occupies,
            "{}: active without capacity",
            self.id
        );
    }
}

/// What an item of the workstream is without any rule.
fn plain_class(settings: &Workstream) -> Classification {
    Classification {
        queue: Some(settings.queue.clone()),
        priority: settings.priority,
        units: settings.units,
        ..Classification::default()
    }
}
