//! A journal played into fresh machines gives the same decisions, byte for byte (OPS-08).
//!
//! The routing log holds what queues and agents were told, in the order in which they dealt with it.
//! Each gets it again; what queues then decide is compared with what was written at the time. Of
//! conversations it holds which of their steps decided where they go, and by which settings: that is
//! worked out anew from their events. A crash may have cost the log's last moment, or that of the
//! decisions: either may be the shorter.

mod conversations;

use std::collections::HashMap;
use std::io::Cursor;

use cordboard_core::capacity::{ChannelKind, Load, Units};
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, QueueId};
use cordboard_core::presence::Attendance;
use cordboard_core::{Agent, Effects, Queue, agent, queue};
use serde::Deserialize;

use crate::actors::Entry;
use crate::journal::{JournalError, Reader};

use conversations::Conversations;

/// What came of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Entries of the log.
    pub entries: u64,
    /// Decisions of queues that were compared.
    pub decisions: u64,
    /// Classifications, and items sent to queues, that were compared.
    pub routed: u64,
    /// The first difference, in a sentence; none: all are the same.
    pub difference: Option<String>,
}

/// Why a log can't be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal can't be read.
    #[error("the journal can't be read: {0}")]
    Unreadable(#[from] JournalError),
    /// An entry can't be understood: it is of another version.
    #[error("entry {entry} of the log can't be understood: {cause}")]
    NotUnderstood {
        /// Which, from 1.
        entry: u64,
        /// The decoder's complaint.
        cause: String,
    },
}

#[derive(Default)]
struct Floor {
    agents: HashMap<AgentId, Agent>,
    queues: HashMap<QueueId, Queue>,
    conversations: Conversations,
    /// The first, in a sentence.
    difference: Option<String>,
    decided: Vec<Vec<u8>>,
}

/// Plays one run of the host.
///
/// # Errors
/// [`ReplayError`].
pub fn run(reader: &Reader, run: i64) -> Result<Verdict, ReplayError> {
    let mut floor = Floor::default();
    let mut entries = 0;
    let mut failure = None;
    reader.routing_log(run, |chunk| {
        let mut cursor = Cursor::new(chunk);
        while failure.is_none() && cursor.position() < chunk.len() as u64 {
            entries += 1;
            let mut decoder = rmp_serde::Deserializer::new(&mut cursor);
            match Entry::deserialize(&mut decoder) {
                Ok(entry) => {
                    failure = floor.play(reader, entry).err().map(ReplayError::Unreadable);
                }
                Err(cause) => {
                    let cause = cause.to_string();
                    failure = Some(ReplayError::NotUnderstood { entry: entries, cause });
                }
            }
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let routed = floor.conversations.compared;
    let mut written = Vec::new();
    reader.decisions_of_run(run, |body| written.push(body.to_vec()))?;
    let decisions = written.len().min(floor.decided.len());
    let differs = |(then, now): (&Vec<u8>, &Vec<u8>)| !then.is_empty() && then != now;
    let difference = written.iter().zip(&floor.decided).position(differs);
    let difference = floor.difference.take().or(difference.map(|index| {
        let words = |bytes: &[u8]| {
            rmp_serde::from_slice::<cordboard_core::decision::Decision>(bytes)
                .map_or_else(|error| error.to_string(), |decision| format!("{decision:?}"))
        };
        let (then, now) = (words(&written[index]), words(&floor.decided[index]));
        format!("decision {} differs: it was {then}, it is {now}", index + 1)
    }));
    Ok(Verdict { entries, decisions: decisions as u64, routed, difference })
}

impl Floor {
    fn play(&mut self, reader: &Reader, entry: Entry) -> Result<(), JournalError> {
        let mut fx = Effects::new();
        match entry {
            Entry::Start { first_offer, queues, agents } => {
                for (id, settings) in queues {
                    self.queues.insert(id.clone(), Queue::new(id, settings, first_offer));
                }
                for (id, settings) in agents {
                    self.agents.insert(id.clone(), Agent::new(id, settings));
                }
            }
            Entry::Workstreams(settings) => self.conversations.settings(settings),
            Entry::Routed(routed) => {
                let difference = self.conversations.routed(reader, routed)?;
                self.difference = self.difference.take().or(difference);
            }
            Entry::NewQueue(id, settings, first_offer) => {
                self.queues.insert(id.clone(), Queue::new(id, settings, first_offer));
            }
            Entry::NewAgent(id, settings) => {
                self.agents.insert(id.clone(), Agent::new(id, settings));
            }
            Entry::Queue(at, id, input) => {
                if let queue::Input::Enqueue(item) = &input {
                    let difference = self.conversations.enqueued(&id, item);
                    self.difference = self.difference.take().or(difference);
                }
                if let Some(queue) = self.queues.get_mut(&id) {
                    queue.handle(input, at, &mut fx);
                }
            }
            Entry::Agent(at, id, input) => {
                if let Some(agent) = self.agents.get_mut(&id) {
                    // What was refused then is refused now.
                    let _ = agent.handle(input, at, &mut fx);
                }
            }
            Entry::QueueIs(queue) => {
                self.queues.insert(queue.id().clone(), *queue);
            }
            Entry::AgentIs(agent) => {
                self.agents.insert(agent.id().clone(), *agent);
            }
            Entry::Restored(at, id, held) => {
                let believe = Some(Attendance::Here);
                return self.play(reader, Entry::RestoredAs(at, id, believe, held));
            }
            Entry::RestoredAs(at, id, attendance, held) => {
                let Some(agent) = self.agents.get_mut(&id) else { return Ok(()) };
                for (conversation, kind, units) in held {
                    let kind = ChannelKind::ALL[usize::from(kind) % ChannelKind::ALL.len()];
                    let load = Load { kind, units: Units(units) };
                    let load = Some(load);
                    let restore = agent::Input::Restore { conversation, load, attendance };
                    let _ = agent.handle(restore, at, &mut fx);
                }
            }
        }
        for effect in fx.then {
            if let Effect::Decided(decision) = effect {
                let body = rmp_serde::to_vec_named(&decision).expect("decisions can be encoded");
                self.decided.push(body);
            }
        }
        Ok(())
    }
}
