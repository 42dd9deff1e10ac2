//! What conversations decided, worked out once more: by the rules of the time, from the events of
//! the time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use cordboard_core::conversation::{Event, Opening};
use cordboard_core::ids::{ConversationId, QueueId};
use cordboard_core::offer::Purpose;
use cordboard_core::queue::Item;
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::Workstream;
use cordboard_core::{Conversation, Effects};
use serde::Serialize;

use crate::actors::Routed;
use crate::journal::{JournalError, Reader};

/// So many items may be under way to queues at once, or have gone to queues that weren't there.
const MOST_DUE: usize = 64;

/// The conversations of a run.
#[derive(Default)]
pub(super) struct Conversations {
    /// Settings by their revision.
    settings: HashMap<u64, Arc<Workstream>>,
    known: HashMap<ConversationId, Known>,
    /// Classifications and places in queues that were compared.
    pub compared: u64,
}

struct Known {
    machine: Conversation,
    /// How it is classified is certain: it began in this run, or was classified since.
    is_certain: bool,
    /// Items that a queue will be told of, with that queue.
    due: VecDeque<(QueueId, Item)>,
}

impl Conversations {
    pub fn settings(&mut self, workstreams: Vec<Arc<Workstream>>) {
        self.settings.extend(workstreams.into_iter().map(|settings| (settings.revision, settings)));
    }

    /// Plays a step; the difference in a sentence, if there is one.
    pub fn routed(
        &mut self,
        reader: &Reader,
        routed: Routed,
    ) -> Result<Option<String>, JournalError> {
        let id = routed.conversation;
        let settings = match routed.revision {
            Workstream::RETIRED => Some(Arc::new(Workstream::retired("".into()))),
            revision => self.settings.get(&revision).cloned(),
        };
        let Some(settings) = settings else {
            return Ok(Some(format!(
                "{id}: the log has no settings of revision {}",
                routed.revision
            )));
        };
        if reader.is_forgotten(id)? {
            self.known.remove(&id);
            return Ok(None);
        }
        let after = self.known.get(&id).map_or(0, |known| known.machine.version());
        for (at, event) in reader.events_between(id, after, routed.version)? {
            let Some(known) = self.known.get_mut(&id) else {
                let Some(mut known) = Known::opened(id, &event, settings.clone(), at) else {
                    return Ok(Some(format!("{id}: its first event isn't that it began")));
                };
                known.is_certain = routed.after == 0;
                self.known.insert(id, known);
                continue;
            };
            if known.machine.version() < routed.after {
                known.is_certain |= matches!(event, Event::Classified { .. });
                known.machine.replay(&event, at);
                continue;
            }
            known.machine.set_settings(settings.clone());
            if let Some(difference) = known.decide(&event, at, &settings) {
                return Ok(Some(format!("{id}, event {}: {difference}", known.machine.version())));
            }
            self.compared += u64::from(event.routes());
        }
        match self.known.get(&id).map_or(0, |known| known.machine.version()) {
            version if version == routed.version => Ok(None),
            version => Ok(Some(format!(
                "{id}: it had {} events, the journal has {version}",
                routed.version
            ))),
        }
    }

    /// A queue was told of an item: it must be what the conversation sent. The difference in a
    /// sentence, if there is one.
    pub fn enqueued(&mut self, queue: &QueueId, item: &Item) -> Option<String> {
        if item.purpose != Purpose::Work {
            return None;
        }
        let known = self.known.get_mut(&item.conversation)?;
        if !known.is_certain {
            return None;
        }
        // Whom it isn't to be offered to was the agent's word, not the conversation's choice. Two queues
        // deal with what they are told in their own time, so an earlier item may still be noted later;
        // what went to a queue that was gone never is.
        let told = Item { refused: Vec::new(), ..item.clone() };
        let found = known.due.iter().position(|(to, due)| to == queue && same(due, &told));
        let Some(found) = found else {
            let due = known.due.front();
            return Some(format!(
                "queue {queue} was told of {told:?}; it should have been {due:?}"
            ));
        };
        known.due.remove(found);
        while known.due.len() > MOST_DUE {
            known.due.pop_front();
        }
        None
    }
}

impl Known {
    fn opened(
        id: ConversationId,
        event: &Event,
        settings: Arc<Workstream>,
        at: Timestamp,
    ) -> Option<Self> {
        let (opening, _) = Opening::of(event)?;
        let machine = Conversation::open(id, opening, settings, at, &mut Effects::new());
        Some(Self { machine, is_certain: false, due: VecDeque::new() })
    }

    fn decide(&mut self, event: &Event, at: Timestamp, settings: &Workstream) -> Option<String> {
        if let Event::Classified { classification: then } = event {
            let (now, _) = self.machine.by_the_rules(at);
            if !same(then, &now) {
                return Some(format!("it was classified as {then:?}, now it is {now:?}"));
            }
            self.is_certain = true;
        }
        self.machine.replay(event, at);
        if let Event::Queued { queue, .. } = event {
            let item = self.machine.standing().item(settings);
            self.due.push_back((queue.clone(), Item { refused: Vec::new(), ..item }));
        }
        None
    }
}

/// Byte for byte.
fn same<T: Serialize>(one: &T, other: &T) -> bool {
    let encoded = |value| rmp_serde::to_vec_named(value).expect("what is logged can be encoded");
    encoded(one) == encoded(other)
}
