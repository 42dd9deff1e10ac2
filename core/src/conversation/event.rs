//! What happened to a conversation: the journal's words, and how each changes the state.

use serde::{Deserialize, Serialize};

use crate::classification::{Attributes, Classification};
use crate::conversation::{Conversation, HandOver, InTransit, State, WrapUpTask};
use crate::decision::OverflowReason;
use crate::ids::{Address, AgentId, ChannelId, MessageNo, OfferId, QueueId, WorkstreamId};
use crate::message::{Author, Delivery, Message};
use crate::queue::{Declined, OverflowAction, Preference};
use crate::time::{Span, Timestamp};

/// One journaled fact. New variants and optional fields may be added; none may change meaning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Opened {
        /// Where.
        channel: ChannelId,
        /// With whom.
        customer: Address,
        /// At which address of ours.
        own: Address,
        /// Classified into.
        workstream: WorkstreamId,
        /// Known opt-out.
        opted_out: bool,
        /// The customer's country, two letters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country: Option<String>,
        /// Whom the customer had in their last conversation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_agent: Option<AgentId>,
    },
    /// More became known about the customer.
    AttributesChanged {
        /// All that is known now.
        attributes: Attributes,
    },
    /// Rules were applied (ROUTE-01).
    Classified {
        /// With this result.
        classification: Classification,
    },
    /// An overflow rule of a queue was applied (ROUTE-11).
    Overflowed {
        /// Whose.
        queue: QueueId,
        /// Why.
        reason: OverflowReason,
        /// What was done.
        then: OverflowAction,
    },
    /// The customer wrote.
    MessageReceived {
        /// The entry.
        message: Message,
        /// The provider's id of it.
        provider_id: String,
    },
    /// The customer's consent changed.
    ConsentChanged {
        /// True: no further messages.
        opted_out: bool,
    },
    /// It waits for an agent; the age counts from `since`.
    Queued {
        /// Where.
        queue: QueueId,
        /// Since when.
        since: Timestamp,
        /// Whom it would rather have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefer: Option<Preference>,
    },
    /// An agent refused it (ROUTE-04).
    Declined {
        /// Who, and in which of their sign-ins.
        declined: Declined,
    },
    /// It has a primary agent.
    Assigned {
        /// Who.
        agent: AgentId,
        /// Through which offer.
        offer: OfferId,
    },
    /// The agent was asked to take up a waiting conversation again.
    ReturnAsked,
    /// The agent has taken it up again.
    Resumed,
    /// It lost its agent and goes back to the queue.
    Unassigned {
        /// Who had it.
        agent: AgentId,
    },
    /// The agent who holds it went offline (ROUTE-18).
    AgentWentAway,
    /// The agent is away from their desk (ROUTE-19).
    AgentSteppedAway {
        /// Since when; that may be before anybody noticed.
        since: Timestamp,
    },
    /// The agent is back, from wherever they were.
    AgentCameBack,
    /// A colleague was asked to take it over or to advise.
    HandedOver {
        /// Under which name.
        offer: OfferId,
        /// To whom; `None`: anybody of the queue.
        to: Option<AgentId>,
        /// Advice, not a transfer.
        consult: bool,
        /// The request ends by itself then.
        until: Timestamp,
    },
    /// The colleague doesn't.
    HandOverEnded {
        /// Which request.
        offer: OfferId,
    },
    /// The colleague is the primary now (CONV-03).
    Transferred {
        /// From whom.
        from: AgentId,
        /// To whom.
        to: AgentId,
        /// Through which offer.
        offer: OfferId,
    },
    /// A colleague advises, unseen by the customer (CONV-03).
    ConsultJoined {
        /// Who.
        agent: AgentId,
        /// Through which offer.
        offer: OfferId,
    },
    /// And no longer does.
    ConsultLeft {
        /// Who.
        agent: AgentId,
    },
    /// Taken over by hand.
    TakenOver {
        /// From whom.
        from: AgentId,
        /// By whom.
        to: AgentId,
    },
    /// The agent said how it ended (CONV-08).
    Disposed {
        /// The wrap-up code.
        #[serde(default)]
        disposition: Option<String>,
        /// What it was about.
        #[serde(default)]
        summary: Option<String>,
        /// It is about an earlier part, whose wrap-up the customer had cut short (CAP-02).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        of_before: bool,
    },
    /// A reply is to be sent.
    ReplyQueued {
        /// The entry.
        message: Message,
    },
    /// An internal note.
    NoteAdded {
        /// The entry.
        message: Message,
    },
    /// A reply has come further.
    DeliveryChanged {
        /// Which.
        message: MessageNo,
        /// How far.
        delivery: Delivery,
    },
    /// The customer has been silent; capacity is freed (ROUTE-09).
    WentIdle,
    /// The agent left for now (CONV-02).
    Left,
    /// Ended; the agent finishes up.
    WrapUpStarted {
        /// Who ended it; `None`: a rule (and, in older journals, a supervisor).
        by: Option<AgentId>,
    },
    /// Wrap-up no longer takes capacity (CAP-02).
    WrapUpReleased,
    /// A wrap-up that the customer's next message had cut short is done.
    WrapUpFinished {
        /// Whose.
        agent: AgentId,
    },
    /// Nobody has finished it in time.
    WrapUpLapsed {
        /// Whose.
        agent: AgentId,
    },
    /// The clock stood ahead when it was last dealt with, and was set right since.
    ClockSetBack {
        /// By how much.
        by: Span,
    },
    /// Resolved.
    Closed,
    /// The customer wrote again after the end.
    Reopened,
}

impl Event {
    /// The variant's name, as the journal's column has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::MessageReceived { .. } => "message_received",
            Self::ConsentChanged { .. } => "consent_changed",
            Self::Queued { .. } => "queued",
            Self::Declined { .. } => "declined",
            Self::Assigned { .. } => "assigned",
            Self::ReturnAsked => "return_asked",
            Self::Resumed => "resumed",
            Self::Unassigned { .. } => "unassigned",
            Self::AttributesChanged { .. } => "attributes_changed",
            Self::Classified { .. } => "classified",
            Self::Overflowed { .. } => "overflowed",
            Self::AgentWentAway => "agent_went_away",
            Self::AgentSteppedAway { .. } => "agent_stepped_away",
            Self::AgentCameBack => "agent_came_back",
            Self::HandedOver { .. } => "handed_over",
            Self::HandOverEnded { .. } => "hand_over_ended",
            Self::Transferred { .. } => "transferred",
            Self::ConsultJoined { .. } => "consult_joined",
            Self::ConsultLeft { .. } => "consult_left",
            Self::TakenOver { .. } => "taken_over",
            Self::Disposed { .. } => "disposed",
            Self::ReplyQueued { .. } => "reply_queued",
            Self::NoteAdded { .. } => "note_added",
            Self::DeliveryChanged { .. } => "delivery_changed",
            Self::WentIdle => "went_idle",
            Self::Left => "left",
            Self::WrapUpStarted { .. } => "wrap_up_started",
            Self::WrapUpReleased => "wrap_up_released",
            Self::WrapUpFinished { .. } => "wrap_up_finished",
            Self::WrapUpLapsed { .. } => "wrap_up_lapsed",
            Self::ClockSetBack { .. } => "clock_set_back",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
        }
    }
}

impl Event {
    /// Whether the conversation decided here where it goes (OPS-08).
    pub fn routes(&self) -> bool {
        matches!(self, Self::Classified { .. } | Self::Queued { .. })
    }

    /// What it means for the way to an agent, in a sentence; `None` for what has nothing to do with
    /// that (ROUTE-15).
    pub fn sentence(&self) -> Option<String> {
        Some(match self {
            Self::Opened { channel, workstream, .. } => {
                format!("it began on {channel}, in the workstream {workstream}")
            }
            Self::Classified { classification } => classified(classification),
            Self::AttributesChanged { .. } => "more became known about the customer".to_owned(),
            Self::ClockSetBack { by } => {
                let seconds = by.0 / 1000;
                format!(
                    "the clock had stood {seconds} s ahead: what counted from then counts from here"
                )
            }
            Self::Queued { queue, prefer: Some(prefer), .. } => {
                format!("it waits in {queue}; {} is preferred, whom the customer had", prefer.agent)
            }
            Self::Queued { queue, .. } => format!("it waits in {queue}"),
            Self::Overflowed { queue, reason, then } => {
                let what = match then {
                    OverflowAction::Queue(to) => format!("it went on to {to}"),
                    OverflowAction::Message(_) => "the customer was told".to_owned(),
                    OverflowAction::End(_) => "it was ended".to_owned(),
                };
                format!("overflow rule of {queue} ({reason}): {what}")
            }
            Self::Declined { declined } => format!("{} refused it", declined.agent),
            Self::Assigned { agent, offer } if offer.is_direct() => {
                format!("{agent} took it by hand")
            }
            Self::Assigned { agent, .. } => format!("{agent} accepted it"),
            Self::ReturnAsked => "the customer is back; the agent was asked for a place".to_owned(),
            Self::Resumed => "the agent took it up again".to_owned(),
            Self::Unassigned { agent } => format!("{agent} doesn't have it any more"),
            Self::AgentWentAway => "its agent went offline".to_owned(),
            Self::AgentSteppedAway { .. } => "its agent is away".to_owned(),
            Self::AgentCameBack => "its agent came back".to_owned(),
            Self::HandedOver { to: Some(to), consult: true, .. } => {
                format!("{to} was asked for advice")
            }
            Self::HandedOver { to: Some(to), .. } => format!("it was offered to {to} by its agent"),
            Self::HandedOver { to: None, .. } => {
                "its queue looks for somebody to advise".to_owned()
            }
            Self::HandOverEnded { .. } => "the colleague doesn't".to_owned(),
            Self::Transferred { from, to, .. } => format!("{from} handed it over to {to}"),
            Self::ConsultJoined { agent, .. } => format!("{agent} advises"),
            Self::ConsultLeft { agent } => format!("{agent} advises no longer"),
            Self::TakenOver { from, to } => format!("{to} took it over from {from}"),
            Self::WentIdle => "the customer was silent; it takes no capacity any more".to_owned(),
            Self::Left => "its agent left it for now".to_owned(),
            Self::WrapUpStarted { by: Some(by) } => format!("{by} ended it"),
            Self::WrapUpStarted { by: None } => "a rule ended it".to_owned(),
            Self::Disposed { disposition, summary, .. } => disposed(disposition, summary),
            Self::Closed => "it closed".to_owned(),
            Self::Reopened => "the customer wrote again".to_owned(),
            Self::MessageReceived { .. }
            | Self::ConsentChanged { .. }
            | Self::ReplyQueued { .. }
            | Self::NoteAdded { .. }
            | Self::DeliveryChanged { .. }
            | Self::WrapUpReleased
            | Self::WrapUpFinished { .. }
            | Self::WrapUpLapsed { .. } => return None,
        })
    }
}

fn disposed(disposition: &Option<String>, summary: &Option<String>) -> String {
    let code = disposition.as_ref().map(|code| format!(" as \"{code}\"")).unwrap_or_default();
    let summary = summary.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    format!("it was wrapped up{code}{summary}")
}

fn classified(class: &Classification) -> String {
    let by = match class.rules.as_slice() {
        [] => "no rule matched; the workstream's own settings count".to_owned(),
        [rule] => format!("the rule \"{rule}\" matched"),
        rules => format!("the rules \"{}\" matched", rules.join("\", \"")),
    };
    let queue = class.queue.as_ref().map(|queue| format!("queue {queue}")).unwrap_or_default();
    let skills: Vec<String> =
        class.skills.iter().map(|need| format!("{} {}", need.skill, need.level)).collect();
    let skills = match skills.is_empty() {
        true => String::new(),
        false => format!(", skills {}", skills.join(" and ")),
    };
    format!("{by}: {queue}, priority {}{skills}", class.priority)
}

impl Conversation {
    /// How each event changes the state. Total: an event that was journaled is never refused.
    pub(super) fn apply(&mut self, event: &Event, now: Timestamp) {
        self.version += 1;
        match event {
            Event::Opened { opted_out, .. } => self.opted_out = *opted_out,
            Event::MessageReceived { message, .. } => {
                self.messages = message.no.0;
                self.last_customer_at = now;
                // Keywords are for the opt-out machinery and want no answer (CH-12).
                if message.consent.is_none() {
                    self.asked_at = now;
                }
                if message.no.0 == 1 || self.state == State::Closed {
                    self.set_subject(&message.text);
                }
            }
            Event::ConsentChanged { opted_out } => self.opted_out = *opted_out,
            Event::AttributesChanged { attributes } => {
                self.attributes = Some(Box::new(attributes.clone()));
            }
            Event::Classified { classification } => self.class = classification.clone(),
            Event::Overflowed { queue, reason, then } => {
                if matches!(then, OverflowAction::Queue(_)) {
                    self.visited.push(queue.clone());
                }
                self.overflowed.push((queue.clone(), *reason));
            }
            Event::Queued { queue, since, prefer } => {
                self.state = State::Open;
                self.prefer.clone_from(prefer);
                self.queue = Some(queue.clone());
                self.queued_at = *since;
            }
            Event::Declined { declined } => self.declined.push(declined.clone()),
            Event::Assigned { agent, .. } => {
                self.state = State::Active;
                self.take_primary(agent, now);
                self.declined.clear();
                self.visited.clear();
                self.overflowed.clear();
            }
            Event::ReturnAsked => {
                self.returning = true;
                self.questions = self.questions.wrapping_add(1);
            }
            Event::Resumed => {
                self.state = State::Active;
                self.occupies = true;
                self.returning = false;
                self.engaged_at = now;
                self.forget_attendance();
            }
            Event::Unassigned { .. } => {
                self.state = State::Open;
                self.primary = None;
                self.occupies = false;
                self.returning = false;
                self.forget_attendance();
                self.consultants.clear();
                self.handed.clear();
            }
            Event::AgentWentAway => {
                self.agent_gone_at = Some(now);
                self.agent_away_since = None;
            }
            Event::AgentSteppedAway { since } => {
                self.agent_gone_at = None;
                self.agent_away_since = Some(*since);
            }
            Event::AgentCameBack => self.forget_attendance(),
            Event::HandedOver { offer, to, consult, until } => self.handed.push(HandOver {
                offer: offer.clone(),
                to: to.clone(),
                consult: *consult,
                until: *until,
            }),
            Event::HandOverEnded { offer } => self.handed.retain(|h| h.offer != *offer),
            Event::Transferred { to, offer, .. } => {
                self.state = State::Active;
                self.handed.retain(|h| h.offer != *offer);
                self.consultants.retain(|agent| agent != to);
                self.take_primary(to, now);
            }
            Event::ConsultJoined { agent, .. } => {
                self.handed.retain(|h| !h.consult);
                self.consultants.push(agent.clone());
            }
            Event::ConsultLeft { agent } => self.consultants.retain(|known| known != agent),
            Event::TakenOver { to, .. } => {
                self.state = State::Active;
                self.handed.clear();
                self.consultants.retain(|agent| agent != to);
                self.take_primary(to, now);
            }
            // What came of a later part is said already, and counts.
            Event::Disposed { of_before: true, .. }
                if self.disposition.is_some() || self.outcome.is_some() => {}
            Event::Disposed { disposition, summary, .. } => {
                self.disposition.clone_from(disposition);
                self.outcome.clone_from(summary);
            }
            Event::ReplyQueued { message } => {
                self.messages = message.no.0;
                if message.author != Author::System {
                    self.last_agent_at = now;
                }
                if self.in_transit.len() >= Self::MOST_IN_TRANSIT {
                    // What waits to be sent has its end before it, and somebody wants to hear of it.
                    let is_out = |known: &InTransit| known.1 != Delivery::Queued;
                    if let Some(oldest) = self.in_transit.iter().position(is_out) {
                        self.in_transit.remove(oldest);
                    }
                }
                self.in_transit.push(InTransit(message.no, Delivery::Queued, message.at));
            }
            Event::NoteAdded { message } => self.messages = message.no.0,
            Event::DeliveryChanged { message, delivery } => {
                self.in_transit.retain(|known| known.0 != *message || !delivery.is_final());
                for InTransit(no, known, _) in &mut self.in_transit {
                    if no == message {
                        *known = delivery.clone();
                    }
                }
            }
            Event::WentIdle | Event::Left => {
                self.state = State::Waiting;
                self.occupies = false;
                self.forget_attendance();
            }
            Event::WrapUpStarted { .. } => {
                self.state = State::WrapUp;
                self.ended_at = now;
                self.timer_from = now;
                self.returning = false;
                self.handed.clear();
                self.consultants.clear();
            }
            Event::ClockSetBack { by } => self.set_clock_back(*by, now),
            Event::WrapUpReleased => self.occupies = false,
            Event::WrapUpFinished { agent } | Event::WrapUpLapsed { agent } => {
                self.wrap_ups.retain(|task| task.agent != *agent);
            }
            Event::Closed => {
                self.state = State::Closed;
                self.occupies = false;
                self.returning = false;
                self.forget_attendance();
                self.ended_at = now;
                self.handed.clear();
                self.consultants.clear();
                // Whoever has finished now has finished what went before as well.
                self.wrap_ups.retain(|task| Some(&task.agent) != self.primary.as_ref());
            }
            // With its agent still in wrap-up it is theirs again; else nobody's.
            Event::Reopened => {
                if let (State::WrapUp, Some(agent)) = (self.state, &self.primary) {
                    let (agent, since) = (agent.clone(), self.ended_at);
                    self.wrap_ups.retain(|task| task.agent != agent);
                    self.wrap_ups.push(WrapUpTask { agent, since });
                }
                self.state = match (self.state, self.occupies) {
                    (State::WrapUp, true) => State::Active,
                    (State::WrapUp, false) => State::Waiting,
                    _ => State::Open,
                };
                self.timer_from = now;
                self.begun_at = now;
                self.disposition = None;
                self.outcome = None;
                self.visited.clear();
                self.overflowed.clear();
                self.declined.clear();
                if self.state == State::Open {
                    self.primary = None;
                    self.queued_at = now;
                }
            }
        }
    }

    /// What rules look at: the message that began it, or began it again.
    pub(super) fn set_subject(&mut self, text: &str) {
        let end = text.char_indices().nth(Self::MOST_SUBJECT).map_or(text.len(), |(at, _)| at);
        text[..end].clone_into(&mut self.subject);
    }

    fn take_primary(&mut self, agent: &AgentId, now: Timestamp) {
        self.primary = Some(agent.clone());
        self.last_agent = Some(agent.clone());
        self.occupies = true;
        self.returning = false;
        self.forget_attendance();
        self.engaged_at = now;
        self.timer_from = now;
    }

    /// Whoever has it now is taken to be there until their machine says otherwise, and it does.
    fn forget_attendance(&mut self) {
        self.agent_gone_at = None;
        self.agent_away_since = None;
    }
}
