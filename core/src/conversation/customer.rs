//! What the customer does: writes, writes again after the end, opts out and in.

use crate::agent;
use crate::conversation::{Conversation, CustomerMessage, Event, State};
use crate::effect::{Effect, Effects};
use crate::ids::MessageNo;
use crate::message::{Author, Consent, Message};
use crate::time::Timestamp;

impl Conversation {
    pub(super) fn on_customer(
        &mut self,
        received: CustomerMessage,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        let is_first = self.messages == 0;
        let consent = received.consent;
        let message = Message {
            no: MessageNo(self.messages + 1),
            author: Author::Customer,
            over_length: self.is_too_long(&received.text),
            text: received.text,
            media: received.media,
            at: now,
            internal: false,
            consent,
            delivery: None,
        };
        let place = fx.events.len();
        self.record(Event::MessageReceived { message, provider_id: received.provider_id }, now, fx);
        match consent {
            Some(Consent::OptOut) => self.on_consent(true, now, fx),
            Some(Consent::OptIn) => self.on_consent(false, now, fx),
            // Someone who has opted out and then writes plain text hasn't opted in (CH-12).
            Some(Consent::Help) | None => {}
        }

        // STOP, START and HELP are for the opt-out machinery, not a matter for an agent: they never
        // open or re-open work. In a conversation under way the agent sees them like any message.
        let wants_agent = consent.is_none();
        match self.state {
            State::Open if is_first && wants_agent => self.route(now, fx),
            State::Open if is_first => self.record(Event::Closed, now, fx),
            State::Closed if wants_agent => {
                self.record(Event::Reopened, now, fx);
                self.route(now, fx);
            }
            State::Active if wants_agent => self.leave_the_absent(now, fx),
            State::WrapUp if wants_agent => {
                self.record(Event::Reopened, now, fx);
                self.leave_the_absent(now, fx);
                if self.follows_agent() {
                    let primary = self.primary.clone().expect("a waiting one has an agent");
                    let follow = agent::Input::Follow { conversation: self.id, follows: true };
                    fx.push(Effect::Agent(primary, follow));
                }
                self.ask_back(now, fx);
            }
            State::Waiting if wants_agent => self.ask_back(now, fx),
            _ => {}
        }
        self.show_what_was_said(place, fx);
        self.show(fx);
    }

    pub(super) fn on_consent(&mut self, opted_out: bool, now: Timestamp, fx: &mut Effects) {
        if self.opted_out != opted_out {
            self.record(Event::ConsentChanged { opted_out }, now, fx);
            self.show(fx);
        }
    }

    /// The customer is back: the agent's machine is asked for the place it gave up (ROUTE-09).
    fn ask_back(&mut self, now: Timestamp, fx: &mut Effects) {
        if self.state != State::Waiting || self.returning {
            return;
        }
        self.record(Event::ReturnAsked, now, fx);
        let agent = self.primary.clone().expect("a waiting conversation has an agent");
        let allowed = self.goes_by().allowed;
        let load = self.load();
        fx.push(Effect::Agent(
            agent,
            agent::Input::Reoccupy {
                conversation: self.id,
                load,
                allowed,
                question: self.questions,
            },
        ));
    }

    /// CH-11: characters as people count them (Unicode scalar values), not bytes.
    pub(super) fn is_too_long(&self, text: &str) -> bool {
        text.chars().count() > self.goes_by().max_text as usize
    }
}
