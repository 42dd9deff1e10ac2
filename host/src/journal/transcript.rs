//! A page of a transcript. It is told by a conversation's events: messages, and how far replies have come.
//! Conversations have no end, so nobody ever gets all of one at once.

use std::collections::HashMap;

use cordboard_core::conversation::Event;
use cordboard_core::ids::MessageNo;
use cordboard_core::message::{Delivery, Message};

/// How much fits onto a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fits {
    /// Messages.
    pub messages: usize,
    /// Bytes of them, as they are stored.
    pub bytes: usize,
}

/// A page that is filled from its end.
pub(super) struct TranscriptPage {
    before: Option<MessageNo>,
    fits: Fits,
    /// The newest first.
    messages: Vec<Message>,
    bytes: usize,
    /// How far replies have come that haven't been met yet.
    deliveries: HashMap<MessageNo, Delivery>,
}

impl TranscriptPage {
    pub fn new(before: Option<MessageNo>, fits: Fits) -> Self {
        Self { before, fits, messages: Vec::new(), bytes: 0, deliveries: HashMap::new() }
    }

    /// Takes the event before those that it has taken, of so many bytes; false: it is full.
    pub fn take(&mut self, event: Event, length: usize) -> bool {
        let mut message = match event {
            Event::MessageReceived { message, .. }
            | Event::ReplyQueued { message }
            | Event::NoteAdded { message } => message,
            Event::DeliveryChanged { message, delivery } => {
                // The last one counts.
                self.deliveries.entry(message).or_insert(delivery);
                return true;
            }
            _ => return true,
        };
        if self.before.is_some_and(|before| message.no >= before) {
            return true;
        }
        self.bytes += length;
        let is_full = self.messages.len() >= self.fits.messages || self.bytes > self.fits.bytes;
        if is_full && !self.messages.is_empty() {
            return false;
        }
        if let Some(delivery) = self.deliveries.remove(&message.no) {
            message.delivery = Some(delivery);
        }
        self.messages.push(message);
        true
    }

    /// The oldest first.
    pub fn finish(mut self) -> Vec<Message> {
        self.messages.reverse();
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use cordboard_core::message::Author;
    use cordboard_core::time::Timestamp;

    use super::*;

    fn reply(no: u32, text: &str) -> Event {
        let message = Message {
            no: MessageNo(no),
            author: Author::System,
            text: text.to_owned(),
            media: Vec::new(),
            at: Timestamp(0),
            internal: false,
            delivery: None,
            over_length: false,
            consent: None,
        };
        Event::ReplyQueued { message }
    }

    fn page(before: Option<u32>, messages: usize, bytes: usize) -> Vec<(u32, Option<Delivery>)> {
        let mut page = TranscriptPage::new(before.map(MessageNo), Fits { messages, bytes });
        let delivered = |no, delivery| Event::DeliveryChanged { message: MessageNo(no), delivery };
        let events = [
            reply(1, "one"),
            delivered(1, Delivery::Sent),
            reply(2, "two"),
            delivered(1, Delivery::Delivered),
            reply(3, "three"),
        ];
        for event in events.into_iter().rev() {
            if !page.take(event, 10) {
                break;
            }
        }
        page.finish().into_iter().map(|message| (message.no.0, message.delivery)).collect()
    }

    // CONV-06 OPS-11
    #[test]
    fn pages_hold_what_fits_and_the_last_word_of_each_reply() {
        let all = [(1, Some(Delivery::Delivered)), (2, None), (3, None)];
        assert_eq!(page(None, 10, 1000), all);
        assert_eq!(page(None, 2, 1000), all[1..]);
        assert_eq!(page(None, 10, 25), all[1..]);
        assert_eq!(page(None, 10, 1), all[2..], "one fits always");
        assert_eq!(page(Some(3), 1, 1000), all[1..2]);
        assert_eq!(page(Some(2), 10, 1000), all[..1]);
    }
}
