//! The record of routing: what queues and agents were told, in the order in which they dealt with
//! it, and what queues chose (ROUTE-15, OPS-08). It is written in bulk, some milliseconds later, and
//! nothing waits for it: a crash costs the last moment of the record, never a work item.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cordboard_core::decision::Decision;
use cordboard_core::ids::{AgentId, ConversationId, QueueId};
use cordboard_core::presence::Attendance;
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::Workstream;
use cordboard_core::{Agent, Queue, agent, queue};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::journal::{Journal, Record, RoutingEntries};

/// One entry of the routing log.
#[derive(Debug, Serialize, Deserialize)]
pub enum Entry {
    /// A host started with these machines.
    Start {
        /// Numbers of offers begin here.
        first_offer: u64,
        /// Settings of every queue.
        queues: Vec<(QueueId, Arc<queue::Settings>)>,
        /// Settings of every agent.
        agents: Vec<(AgentId, Arc<agent::Settings>)>,
    },
    /// These workstreams were in force from then on.
    Workstreams(Vec<Arc<Workstream>>),
    /// A conversation was classified or sent to a queue.
    Routed(Routed),
    /// A queue that wasn't there before.
    NewQueue(QueueId, Arc<queue::Settings>, u64),
    /// An agent who wasn't there before.
    NewAgent(AgentId, Arc<agent::Settings>),
    /// A queue was told this.
    Queue(Timestamp, QueueId, queue::Input),
    /// An agent was told this.
    Agent(Timestamp, AgentId, agent::Input),
    /// An agent was told, at the start, what they hold: conversations, with the position of their
    /// kind and their units. There may be a million. (What else they were told at a start stands by
    /// itself: it is rarer.)
    Restored(Timestamp, AgentId, Vec<(ConversationId, u8, u32)>),
    /// The same with what those conversations believe.
    RestoredAs(Timestamp, AgentId, Option<Attendance>, Vec<(ConversationId, u8, u32)>),
    /// The run goes on from another one's, with this queue as it was.
    QueueIs(Box<Queue>),
    /// The same of an agent.
    AgentIs(Box<Agent>),
}

/// A step of a conversation that decided where it goes. What it decided by is in its events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Routed {
    /// Which.
    pub conversation: ConversationId,
    /// Its version before the step.
    pub after: u64,
    /// And after it.
    pub version: u64,
    /// The revision of the workstream's settings by which it decided.
    pub revision: u64,
}

/// A decision with whose it is, and when.
type Decided = (ConversationId, Timestamp, ByteBuf);

/// Conversations of an agent with what they take, kind and units.
type Held = Vec<(ConversationId, u8, u32)>;

/// Collects what agents are told to restore, so that a million entries stay small.
pub(super) struct Restoring<'a> {
    recorder: &'a Recorder,
    at: Timestamp,
    /// What an agent's conversations believe, and those that do.
    pending: FxHashMap<AgentId, (Option<Attendance>, Held)>,
    ahead: usize,
}

impl<'a> Restoring<'a> {
    const MOST_PENDING: usize = 1000;
    /// After so many writes it waits for the journal, or a million entries would pile up before it.
    const MOST_AHEAD: usize = 64;

    pub fn new(recorder: &'a Recorder, at: Timestamp) -> Self {
        Self { recorder, at, pending: FxHashMap::default(), ahead: 0 }
    }

    /// Notes what an agent is about to be told; each agent's entries keep their order.
    pub fn agent(&mut self, id: &AgentId, input: &agent::Input) {
        let agent::Input::Restore { conversation, load: Some(load), attendance } = input else {
            self.write(id);
            self.recorder.agent(id, self.at, input);
            return;
        };
        if self.pending.get(id).is_some_and(|(others, _)| others != attendance) {
            self.write(id);
        }
        let (believe, pending) = self.pending.entry(id.clone()).or_default();
        *believe = *attendance;
        let kind = u8::try_from(load.kind.index()).expect("there are four kinds");
        pending.push((*conversation, kind, load.units.0));
        if pending.len() >= Self::MOST_PENDING {
            self.write(id);
        }
    }

    /// Writes what is left.
    pub fn finish(mut self) {
        let mut agents: Vec<AgentId> = self.pending.keys().cloned().collect();
        agents.sort_unstable();
        agents.iter().for_each(|id| self.write(id));
        self.recorder.wait_for_the_journal();
        self.recorder.forget_what_was_written();
    }

    fn write(&mut self, id: &AgentId) {
        let Some((believe, held)) = self.pending.remove(id) else { return };
        self.recorder.note(&Entry::RestoredAs(self.at, id.clone(), believe, held));
        self.ahead += 1;
        if self.ahead == Self::MOST_AHEAD {
            self.ahead = 0;
            self.recorder.wait_for_the_journal();
        }
    }
}

/// An [`Entry`] of what is at hand: it is written the same way.
#[derive(Serialize)]
enum Told<'a> {
    Queue(Timestamp, &'a QueueId, &'a queue::Input),
    Agent(Timestamp, &'a AgentId, &'a agent::Input),
    QueueIs(&'a Queue),
    AgentIs(&'a Agent),
}

/// What has been collected, and whether a part of it is on its way: one at a time, so that they are written
/// in their order, and one that couldn't be written comes before those behind it.
struct Collected {
    /// Names what began with certain machines: a start of the host, or what the machines were when the record of the
    /// run before had become long.
    run: i64,
    /// Whole entries in each with their run, the oldest first: what is written at once is never much, but for what a queue
    /// with very many items is as a run begins.
    log: VecDeque<(i64, Vec<u8>)>,
    decisions: VecDeque<(i64, Decided)>,
    is_under_way: bool,
    /// The last write failed: the next one is small, and not before this time.
    retry_at: Option<Instant>,
    /// So much couldn't be written that the log of this run was given up.
    is_given_up: bool,
}

impl Collected {
    fn is_empty(&self) -> bool {
        self.log.is_empty() && self.decisions.is_empty()
    }

    /// What is written next, and of which run.
    fn take(&mut self) -> (i64, RoutingEntries) {
        let (chunks, decisions) = match self.retry_at {
            None => (4, self.decisions.len()),
            Some(_) => (1, self.decisions.len().min(500)),
        };
        let first =
            (self.log.front().map(|(run, _)| *run), self.decisions.front().map(|(run, _)| *run));
        let run = match first {
            (Some(log), Some(decided)) => log.min(decided),
            (log, decided) => log.or(decided).unwrap_or(self.run),
        };
        let of_run = self.log.iter().take(chunks).take_while(|(of, _)| *of == run).count();
        let decided =
            self.decisions.iter().take(decisions).take_while(|(of, _)| *of == run).count();
        let entries = RoutingEntries {
            log: self.log.drain(..of_run).flat_map(|(_, chunk)| chunk).collect(),
            decisions: self.decisions.drain(..decided).map(|(_, decided)| decided).collect(),
        };
        (run, entries)
    }

    /// What couldn't be written comes first, the next time.
    fn put_back(&mut self, run: i64, entries: Arc<RoutingEntries>) {
        let before = Arc::unwrap_or_clone(entries);
        if !before.log.is_empty() {
            self.log.push_front((run, before.log));
        }
        before
            .decisions
            .into_iter()
            .rev()
            .for_each(|decided| self.decisions.push_front((run, decided)));
        // The newest go, and the log ends with them: whoever plays it compares one decision after another.
        let is_cut = self.decisions.len() > Recorder::MOST_DECISIONS_WAITING;
        self.decisions.truncate(Recorder::MOST_DECISIONS_WAITING);
        self.retry_at = Some(Instant::now() + Recorder::PAUSE);
        let bytes: usize = self.log.iter().map(|(_, chunk)| chunk.len()).sum();
        if is_cut || bytes > Recorder::MOST_WAITING {
            tracing::error!(
                "the record of routing couldn't be written for so long that it ends here"
            );
            self.is_given_up = true;
            self.log.clear();
        }
    }

    /// Adds a whole entry; whether there is much to be written.
    fn add(&mut self, entry: &impl Serialize) -> bool {
        let run = self.run;
        if self
            .log
            .back()
            .is_none_or(|(of, chunk)| *of != run || chunk.len() >= Recorder::MOST_BYTES)
        {
            self.log.push_back((run, Vec::new()));
        }
        let (_, chunk) = self.log.back_mut().expect("it was made just now");
        rmp_serde::encode::write_named(chunk, entry).expect("entries can be encoded");
        chunk.len() >= Recorder::MOST_BYTES
    }
}

/// Collects entries; [`Recorder::flush`] writes them.
pub struct Recorder {
    journal: Journal,
    collected: Arc<Mutex<Collected>>,
    /// Whether the log is kept; decisions always are.
    keeps_log: bool,
    flush_is_due: Arc<AtomicBool>,
}

impl Recorder {
    /// Written at the latest when so much has been collected.
    const MOST_BYTES: usize = 256 * 1024;
    /// Kept at most while the journal can't write.
    const MOST_WAITING: usize = 16 * 1024 * 1024;
    const MOST_DECISIONS_WAITING: usize = 20_000;
    /// After a write that failed: what customers write comes first.
    const PAUSE: Duration = Duration::from_secs(1);

    /// For a start of the host.
    pub fn new(journal: Journal, run: i64, keeps_log: bool) -> Self {
        let collected = Collected {
            run,
            log: VecDeque::new(),
            decisions: VecDeque::new(),
            is_under_way: false,
            retry_at: None,
            is_given_up: false,
        };
        let collected = Arc::new(Mutex::new(collected));
        Self { journal, collected, keeps_log, flush_is_due: Arc::default() }
    }

    /// When the run began, if there is a log of it.
    pub fn run_since(&self) -> Option<Timestamp> {
        self.keeps_log.then(|| Timestamp(self.collected().run))
    }

    /// What is noted from now on is another run's, in which these settings are in force. What machines are has to be
    /// noted anew, and none of them may be told anything before it is.
    pub(super) fn begin_run(&self, now: Timestamp, settings: Vec<Arc<Workstream>>) {
        let mut collected = self.collected();
        collected.run = now.0.max(collected.run + 1);
        collected.is_given_up = false;
        if self.keeps_log {
            // Conversations may decide something in the next moment, by these.
            collected.add(&Entry::Workstreams(settings));
        }
    }

    /// Notes what a queue is as a run begins.
    pub(super) fn queue_is(&self, queue: &Queue) {
        self.note(&Told::QueueIs(queue));
    }

    /// Notes what an agent is as a run begins.
    pub(super) fn agent_is(&self, agent: &Agent) {
        self.note(&Told::AgentIs(agent));
    }

    /// Notes an [`Entry`].
    pub fn note(&self, entry: &impl Serialize) {
        if !self.keeps_log {
            return;
        }
        let mut collected = self.collected();
        if collected.is_given_up {
            return;
        }
        let is_much = collected.add(entry);
        self.flush_is_due.store(true, Ordering::Relaxed);
        drop(collected);
        if is_much {
            self.flush();
        }
    }

    /// Notes what a queue is about to be told.
    pub fn queue(&self, id: &QueueId, now: Timestamp, input: &queue::Input) {
        self.note(&Told::Queue(now, id, input));
    }

    /// Notes what an agent is about to be told.
    pub fn agent(&self, id: &AgentId, now: Timestamp, input: &agent::Input) {
        self.note(&Told::Agent(now, id, input));
    }

    /// Notes that a conversation has decided where it goes; before the queue hears of it.
    pub fn routed(&self, routed: Routed) {
        self.note(&Entry::Routed(routed));
    }

    /// Notes a decision.
    pub fn decided(&self, decision: &Decision) {
        let body = rmp_serde::to_vec_named(decision).expect("decisions can be encoded");
        let body = ByteBuf::from(body);
        let decided = (decision.conversation, decision.at, body);
        let mut collected = self.collected();
        let run = collected.run;
        collected.decisions.push_back((run, decided));
        drop(collected);
        self.flush_is_due.store(true, Ordering::Relaxed);
    }

    /// Writes what has been collected, unless a part is still on its way.
    pub fn flush(&self) {
        if !self.flush_is_due.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut collected = self.collected();
        let pauses = collected.retry_at.is_some_and(|at| at > Instant::now());
        if collected.is_under_way || pauses || collected.is_empty() {
            let waits = collected.is_under_way || pauses;
            self.flush_is_due.store(waits, Ordering::Relaxed);
            return;
        }
        collected.is_under_way = true;
        let (run, entries) = collected.take();
        let entries = Arc::new(entries);
        self.flush_is_due.store(!collected.is_empty(), Ordering::Relaxed);
        // A journal that has ended answers at once, and wants the lock for it.
        drop(collected);
        let record = Record::Routing { run, at: crate::clock::now(), entries: entries.clone() };
        let (known, flush_is_due) = (self.collected.clone(), self.flush_is_due.clone());
        self.journal.write(record, move |result| {
            let mut collected = known.lock().unwrap_or_else(PoisonError::into_inner);
            collected.is_under_way = false;
            match result {
                Ok(_) => collected.retry_at = None,
                Err(error) => {
                    tracing::warn!(%error, "the record of routing couldn't be written yet");
                    collected.put_back(run, entries);
                    flush_is_due.store(true, Ordering::Relaxed);
                }
            }
        });
    }

    /// Whether all of it has been written.
    fn is_written(&self) -> bool {
        let collected = self.collected();
        !collected.is_under_way && collected.is_empty()
    }

    /// Writes what has been collected, and returns once it is on disk. Blocks the thread: for the
    /// start, when nobody needs it yet.
    fn wait_for_the_journal(&self) {
        for _ in 0..Self::MOST_ROUNDS {
            self.flush();
            let (done, written) = std::sync::mpsc::channel();
            // Whatever came of it, it has been dealt with.
            let tell = move |_| done.send(()).unwrap_or_default();
            self.journal.write(Record::Barrier, tell);
            let _ = written.recv();
            if self.is_written() {
                return;
            }
        }
    }

    /// One for what is on its way, one for what came since; and a journal that can't write is no reason to
    /// wait for ever.
    const MOST_ROUNDS: usize = 4;

    /// The journal's cache is full of what a start has written, and nobody reads it.
    fn forget_what_was_written(&self) {
        self.journal.forget_cache();
    }

    /// The same, waited for: whoever reads afterwards finds everything.
    pub async fn flushed(&self) {
        for _ in 0..Self::MOST_ROUNDS {
            self.flush();
            self.journal.all_written().await;
            if self.is_written() {
                return;
            }
        }
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Whoever plays a log compares the first decision with the first that was noted, and so on.
    // OPS-08
    #[test]
    fn what_is_too_much_goes_from_the_end_and_the_log_with_it() {
        let mut collected = Collected {
            run: 1,
            log: VecDeque::from([(1, vec![7])]),
            decisions: VecDeque::new(),
            is_under_way: false,
            retry_at: None,
            is_given_up: false,
        };
        let of = |n: usize| {
            let id = ConversationId(Uuid::from_u128(n as u128));
            (id, Timestamp(0), ByteBuf::new())
        };
        let most = Recorder::MOST_DECISIONS_WAITING;
        collected.decisions.extend((500..most).map(|n| (1, of(n))));
        let entries =
            |from, to| RoutingEntries { log: vec![1], decisions: (from..to).map(of).collect() };
        collected.put_back(1, Arc::new(entries(0, 500)));
        assert_eq!((collected.decisions.len(), collected.log.len()), (most, 2));
        assert!(!collected.is_given_up);
        collected.decisions.extend((most..most + 300).map(|n| (1, of(n))));
        let (run, taken) = collected.take();
        collected.put_back(run, Arc::new(taken));
        assert_eq!(collected.decisions.len(), most);
        assert!(collected.decisions.iter().enumerate().all(|(n, (_, known))| *known == of(n)));
        assert!(collected.is_given_up && collected.log.is_empty(), "it ends there");
    }
}
