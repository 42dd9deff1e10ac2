//! Traffic as a journal recorded it: when customers came, what they wrote, how long they took.

use std::path::Path;
use std::time::Duration;

use cordboard_core::conversation::Event;
use cordboard_core::time::{Span, Timestamp};

use crate::journal::{Filter, JournalError, Reader};

/// A customer who came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub channel: String,
    /// What they wrote first.
    pub text: String,
    /// Two letters.
    pub country: Option<String>,
    /// How long an agent was busy with them; `None`: nobody was.
    pub handling: Option<Span>,
}

/// Every conversation of a journal, in the order in which they came.
pub fn read(data: &Path) -> Result<Vec<Recorded>, JournalError> {
    const PAGE: u32 = 500;
    const WHILE: Duration = Duration::from_secs(10);
    let reader = Reader::open(data)?;
    let mut arrivals = Vec::new();
    let mut cursor = None;
    loop {
        let page = reader.search(&Filter::default(), cursor, PAGE, WHILE)?;
        for machine in &page.found {
            arrivals.extend(told(&reader.events(machine.id())?));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    Ok(arrivals)
}

fn told(events: &[(Timestamp, Event)]) -> Option<Recorded> {
    let (at, Event::Opened { channel, country, .. }) = events.first()? else { return None };
    let text = events.iter().find_map(|(_, event)| match event {
        Event::MessageReceived { message, .. } => Some(message.text.clone()),
        _ => None,
    });
    let began = events.iter().find(|(_, event)| matches!(event, Event::Assigned { .. }));
    let ended = events
        .iter()
        .find(|(_, event)| matches!(event, Event::WrapUpStarted { .. } | Event::Closed));
    let handling = match (began, ended) {
        (Some((began, _)), Some((ended, _))) if ended >= began => Some(Span(ended.0 - began.0)),
        _ => None,
    };
    Some(Recorded {
        at: *at,
        channel: channel.to_string(),
        text: text.unwrap_or_default(),
        country: country.clone(),
        handling,
    })
}
