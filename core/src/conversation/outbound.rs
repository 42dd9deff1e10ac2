//! What goes out: replies and their delivery; and notes, which never do.

use crate::conversation::{Conversation, Event, InTransit, Refused, Reply, State};
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, MessageNo};
use crate::message::{Author, Delivery, Message};
use crate::notice::Notice;
use crate::time::Timestamp;

impl Conversation {
    pub(super) fn on_reply(
        &mut self,
        reply: Reply,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        self.must_be_primary(&reply.agent)?;
        if !matches!(self.state, State::Active | State::Waiting) {
            return Err(Refused::WrongState { action: "reply in", state: self.state });
        }
        if reply.text.trim().is_empty() && reply.media.is_empty() {
            return Err(Refused::Empty);
        }
        if self.opted_out {
            return Err(Refused::OptedOut { customer: self.customer.clone() });
        }
        if self.is_too_long(&reply.text) {
            let count = u32::try_from(reply.text.chars().count()).unwrap_or(u32::MAX);
            return Err(Refused::TooLong { count, limit: self.goes_by().max_text });
        }
        // Whoever answers comes back first, and that takes a place (CONV-02, ROUTE-10).
        if self.state == State::Waiting {
            return Err(Refused::Left);
        }
        if self.are_too_many_waiting() {
            return Err(Refused::TooManyWaiting { most: Self::MOST_IN_TRANSIT });
        }
        let message = self.entry(Author::Agent(reply.agent), reply.text, now, |message| {
            message.media = reply.media;
            message.delivery = Some(Delivery::Queued);
        });
        self.say(Event::ReplyQueued { message }, now, fx);
        Ok(())
    }

    /// An automated message (CH-17): cut to what the channel takes, and not sent at all to somebody
    /// who has opted out.
    pub(super) fn send_automatically(&mut self, text: String, now: Timestamp, fx: &mut Effects) {
        if self.opted_out || text.trim().is_empty() || self.are_too_many_waiting() {
            return;
        }
        let text = text.chars().take(self.goes_by().max_text as usize).collect();
        let message = self.entry(Author::System, text, now, |message| {
            message.delivery = Some(Delivery::Queued);
        });
        self.say(Event::ReplyQueued { message }, now, fx);
    }

    pub(super) fn on_note(
        &mut self,
        agent: AgentId,
        text: String,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Result<(), Refused> {
        if text.trim().is_empty() {
            return Err(Refused::Empty);
        }
        let message =
            self.entry(Author::Agent(agent), text, now, |message| message.internal = true);
        self.say(Event::NoteAdded { message }, now, fx);
        Ok(())
    }

    fn are_too_many_waiting(&self) -> bool {
        let waits = |known: &&InTransit| known.1 == Delivery::Queued;
        self.in_transit.len() >= Self::MOST_IN_TRANSIT
            && self.in_transit.iter().filter(waits).count() >= Self::MOST_IN_TRANSIT
    }

    pub(super) fn on_delivery(
        &mut self,
        message: MessageNo,
        said_at: Option<Timestamp>,
        delivery: Delivery,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        // Where nobody says, or nobody knows any more, the number has to do.
        let is_it = |InTransit(no, _, at): &&InTransit| {
            *no == message && said_at.is_none_or(|said_at| *at == said_at || *at == Timestamp(0))
        };
        let known = self.in_transit.iter().find(is_it);
        let is_news = known.is_some_and(|known| delivery.rank() > known.1.rank());
        if !is_news {
            return;
        }
        self.say(Event::DeliveryChanged { message, delivery }, now, fx);
    }

    fn entry(
        &self,
        author: Author,
        text: String,
        now: Timestamp,
        set: impl FnOnce(&mut Message),
    ) -> Message {
        let mut message = Message {
            no: MessageNo(self.messages + 1),
            author,
            text,
            media: Vec::new(),
            at: now,
            internal: false,
            over_length: false,
            consent: None,
            delivery: None,
        };
        set(&mut message);
        message
    }

    /// Records it, and shows it to those who have it open.
    fn say(&mut self, event: Event, now: Timestamp, fx: &mut Effects) {
        let place = fx.events.len();
        self.record(event, now, fx);
        self.show_what_was_said(place, fx);
    }

    /// To those who have it open: the event at this place, of what was said or became of it. For nobody nothing is copied.
    pub(super) fn show_what_was_said(&self, place: usize, fx: &mut Effects) {
        let all = self.who_has_it_open();
        if all.is_empty() {
            return;
        }
        let conversation = self.id;
        let notice = match &fx.events[place] {
            Event::MessageReceived { message, .. }
            | Event::ReplyQueued { message }
            | Event::NoteAdded { message } => {
                Notice::Message { conversation, message: Box::new(message.clone()) }
            }
            Event::DeliveryChanged { message, delivery } => {
                Notice::Delivery { conversation, message: *message, delivery: delivery.clone() }
            }
            other => unreachable!("{} isn't what somebody says", other.kind()),
        };
        fx.push(Effect::Screens(all, Box::new(notice)));
    }
}
