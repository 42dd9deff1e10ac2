//! The one writer: collects what arrives and commits it to the log as one batch.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Instant;

use cordboard_core::ids::ConversationId;

use crate::grief::{Part, contained, provoked_error};

use super::append::{Append, AppendError};
use super::entry::{self, Entry, Position};
use super::error::{JournalError, Trouble};
use super::health::{JournalHealth, Stage};
use super::log::Log;
use super::outbox::{OutboxOp, OutboxRow};
use super::progress::Progress;
use super::reader::Reader;
use super::record::{Outcome, Record};
use super::versions::Versions;
use super::views::{Batch, Done, tell};

/// Told what has become of a step, and which rows of the outbox it has added.
pub(super) type Committed = Box<dyn FnOnce(Result<Vec<OutboxRow>, AppendError>) + Send>;
/// What those of one home are told of a commit, in order.
pub type Answers = Vec<Box<dyn FnOnce() + Send>>;
/// Takes it to the thread where it has to be dealt with: one message per commit and
/// home, as waking a thread costs more than most of what is done there.
type Home = Box<dyn Fn(Answers) + Send + Sync>;
/// Where each home is.
pub(super) type Homes = Arc<RwLock<HashMap<usize, Home>>>;

/// What the writer is given.
pub(super) enum Write {
    Append(Box<Append>, Committed),
    Record(Record, Done),
    /// Batches up to this position are in the views for good.
    Trim(Position),
    /// The same, and nothing of them may be left anywhere in the log.
    Scrub(Position, mpsc::Sender<Result<(), JournalError>>),
    ForgetCache,
    Stop,
}

/// Who is told once a batch is committed, and what, unless it isn't.
enum Fate {
    Append(usize, Committed, Result<Vec<OutboxRow>, AppendError>),
    Record(Done),
}

/// Commits what comes, until it is told to stop.
pub(super) struct Writer {
    pub log: Box<dyn Log>,
    pub inbox: mpsc::Receiver<Write>,
    pub applier: mpsc::SyncSender<Batch>,
    pub progress: Arc<Progress>,
    pub health: Arc<JournalHealth>,
    pub homes: Homes,
    pub versions: Versions,
    /// Looks at conversations that nobody has written to lately.
    pub reader: Reader,
    /// The newest row of the outbox.
    pub newest_row: i64,
}

impl Writer {
    /// The most writes of one batch: enough to make a sync cheap, few enough to keep the
    /// first one waiting for milliseconds only.
    const MOST_PER_COMMIT: usize = 512;
    /// Batches that the views may lie behind by: with more the writer waits for them, and where they are
    /// stuck nothing more is taken.
    pub const MOST_BEHIND: usize = 2048;

    /// Runs until it is told to stop, or nobody is left who could.
    pub fn run(mut self) {
        let mut stopping = false;
        let mut company = Company::default();
        while !stopping {
            let Ok(first) = self.inbox.recv() else { return };
            if provoked_error("journal_thread") {
                return;
            }
            let mut batch = vec![first];
            company.join(&mut batch, &self.inbox);
            let is_write = |write: &&Write| matches!(write, Write::Append(..) | Write::Record(..));
            let count = batch.iter().filter(is_write).count();
            stopping = batch.iter().any(|write| matches!(write, Write::Stop));
            self.commit(batch);
            self.health.taken(count);
        }
        // As with the views.
        if self.progress.halted().is_none() {
            self.log.close();
        }
    }

    /// Either all of it is on disk when anybody is told, or none of it is.
    fn commit(&mut self, writes: Vec<Write>) {
        let mut entries = Vec::with_capacity(writes.len());
        let mut fates = Vec::with_capacity(writes.len());
        let mut told = Vec::new();
        let mut forgets = false;
        let mut removed = HashSet::new();
        let mut scrubs = Vec::new();
        for write in writes {
            match write {
                Write::Append(append, committed) => {
                    let home = append.home;
                    let result = match removed.contains(&append.conversation) {
                        true => Err(AppendError::Conflict),
                        false => self.take(append, &mut entries),
                    };
                    fates.push(Fate::Append(home, committed, result));
                }
                Write::Record(record, done) => {
                    // Whoever goes on with one of them looks it up first.
                    for id in record.removes() {
                        self.versions.forget(*id);
                        removed.insert(*id);
                    }
                    if record.is_told_once_applied() {
                        told.push((entries.len(), done));
                    } else {
                        fates.push(Fate::Record(done));
                    }
                    entries.push(Entry::Record(record));
                }
                Write::Trim(up_to) => self.log.trim(up_to),
                Write::Scrub(up_to, done) => scrubs.push((up_to, done)),
                Write::ForgetCache => forgets = true,
                Write::Stop => {}
            }
        }
        if !entries.is_empty() || forgets {
            self.commit_entries(entries, fates, told, forgets);
        } else {
            self.tell(fates, None);
        }
        for (up_to, done) in scrubs {
            // Whoever asked may have gone.
            let _ = done.send(self.log.scrub(up_to));
        }
    }

    fn commit_entries(
        &mut self,
        entries: Vec<Entry>,
        fates: Vec<Fate>,
        told: Vec<(usize, Done)>,
        forgets: bool,
    ) {
        match self.put_in_log(&entries) {
            Ok(position) => {
                let since = Instant::now();
                let batch = Batch { position, entries, told, since, forgets };
                // Before anybody is told: who looks then must know whether they have to wait.
                self.progress.commit(position, batch.steps());
                self.health.committed(fates.len() as u64 + batch.told.len() as u64);
                let is_waited_for = batch.is_waited_for();
                // With much before it, it waits here, and so does whoever brings more.
                let applied = self.applier.send(batch);
                if is_waited_for {
                    self.progress.want(position);
                }
                self.tell(fates, None);
                if applied.is_err() {
                    tracing::error!(
                        "what is committed can't be made visible: its thread has ended"
                    );
                }
            }
            Err(error) => {
                for entry in &entries {
                    if let Entry::Append(append) = entry {
                        self.versions.forget(append.conversation);
                    }
                }
                self.tell(fates, Some(&error));
                for (_, done) in told {
                    tell(|| done(Err(error.clone())));
                }
            }
        }
    }

    /// Puts a step into the batch, if it follows on what is there.
    fn take(
        &mut self,
        mut append: Box<Append>,
        entries: &mut Vec<Entry>,
    ) -> Result<Vec<OutboxRow>, AppendError> {
        let id = append.conversation;
        let version = self.version_of(id).map_err(|error| {
            self.health.read_failed(&error);
            AppendError::Unavailable(error.to_string())
        })?;
        if version != append.base_version {
            return Err(AppendError::Conflict);
        }
        let mut added = Vec::new();
        for op in &mut append.outbox {
            if let OutboxOp::Queue(row) = op {
                self.newest_row += 1;
                row.id = self.newest_row;
                // To whoever sends it now, it is about to be tried; to whoever reads it later, nobody knows how
                // that ended.
                added.push(OutboxRow {
                    is_marked: row.attempting,
                    attempting: false,
                    attempts: 0,
                    ..row.as_ref().clone()
                });
            }
        }
        self.versions.set(id, append.version_after());
        if !append.is_nothing() {
            entries.push(Entry::Append(append));
        }
        Ok(added)
    }

    /// What the log holds of a conversation.
    fn version_of(&mut self, id: ConversationId) -> Result<u64, JournalError> {
        if let Some(version) = self.versions.get(id) {
            return Ok(version);
        }
        // In this order: what isn't behind is in the views.
        match self.progress.behind(id) {
            Some(version) => Ok(version),
            None => self.reader.version_of(id),
        }
    }

    fn put_in_log(&mut self, entries: &[Entry]) -> Result<Position, JournalError> {
        let at = self.progress.committed();
        if entries.is_empty() {
            return Ok(at);
        }
        if let Some(why) = self.progress.halted() {
            return Err(JournalError::new(Trouble::Other, why));
        }
        let behind = at.0 - self.progress.applied().0;
        if behind >= Self::MOST_BEHIND as u64
            && let Some(problem) = self.health.problem()
        {
            return Err(JournalError::new(Trouble::Held, problem));
        }
        let position = at.next();
        let put = contained(Part::Journal, || {
            let batch = entry::encoded(entries)?;
            self.log.append(position, &batch)
        });
        let put = put.unwrap_or_else(|why| {
            self.health.panicked("a write of the log", &entry::in_short(entries), &why);
            Err(JournalError::new(Trouble::Grief, format!("a write came to grief: {why}")))
        });
        self.health.set(Stage::Log, put.as_ref().err());
        put.map(|()| position)
    }

    /// Tells everybody what became of their writes, home by home.
    fn tell(&self, fates: Vec<Fate>, failure: Option<&JournalError>) {
        let mut answers: HashMap<usize, Answers> = HashMap::new();
        for fate in fates {
            match fate {
                Fate::Append(home, committed, result) => {
                    let result = match failure {
                        None => result,
                        Some(error) => Err(AppendError::Unavailable(error.to_string())),
                    };
                    answers.entry(home).or_default().push(Box::new(move || committed(result)));
                }
                Fate::Record(done) => tell(|| {
                    done(
                        failure.map_or_else(|| Ok(Outcome::default()), |error| Err(error.clone())),
                    );
                }),
            }
        }
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        for (home, answers) in answers {
            match homes.get(&home) {
                Some(take) => tell(|| take(answers)),
                None => answers.into_iter().for_each(tell),
            }
        }
    }
}

/// A commit costs about the same for one write as for sixty, so those that are on their way come along: where there
/// were several lately, the other threads are given way, once. On a busy machine that takes a slice of time, in which as
/// many come as are worth it; a write that is alone doesn't wait for others.
#[derive(Default)]
struct Company {
    /// Writes of the batch before.
    before: usize,
}

impl Company {
    fn join(&mut self, batch: &mut Vec<Write>, inbox: &mpsc::Receiver<Write>) {
        let come = |batch: &mut Vec<Write>| {
            let room = Writer::MOST_PER_COMMIT - batch.len();
            batch.extend(inbox.try_iter().take(room));
        };
        come(batch);
        if batch.len() > 1 || self.before > 1 {
            std::thread::yield_now();
            come(batch);
        }
        self.before = batch.len();
    }
}
