//! The one writer: collects what arrives and commits it as one transaction.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cordboard_core::conversation::State;
use cordboard_core::ids::AgentId;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::grief::{Part, contained, provoked_error};

use super::append::{Append, AppendError, OutboxOp, OutboxRow, Row};
use super::error::{JournalError, Trouble};
use super::record::{Outcome, Record};
use super::sessions::{SessionOp, part_number};
use super::{place, schema};

type Committed = Box<dyn FnOnce(Result<Vec<OutboxRow>, AppendError>) + Send>;
/// What one commit has settled for one home, in order.
pub type Settled = Vec<Box<dyn FnOnce() + Send>>;
/// Takes what is settled to the thread where it has to be dealt with: one message per commit and
/// home, as waking a thread costs more than most of what is done there.
type Home = Box<dyn Fn(Settled) + Send + Sync>;
type Homes = Arc<RwLock<HashMap<usize, Home>>>;
/// What has become of a record.
pub type Written = Result<Outcome, JournalError>;
type Done = Box<dyn FnOnce(Written) + Send>;

enum Write {
    Append(Box<Append>, Committed),
    Record(Record, Done),
    ForgetCache,
    Stop,
}

/// What has become of one write of a batch.
enum Fate {
    Append(usize, Committed, Result<Vec<OutboxRow>, AppendError>),
    Record(Done, Written),
}

/// Whether the journal can commit, and how much it has.
#[derive(Debug, Default)]
pub struct JournalHealth {
    failing: AtomicBool,
    commits: AtomicU64,
    appends: AtomicU64,
    has_ended: AtomicBool,
    waiting: AtomicUsize,
    panics: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// The last read that failed.
    unread: Mutex<Option<(Instant, String)>>,
}

impl JournalHealth {
    /// Why the last commit failed; `None` while all is well.
    pub fn problem(&self) -> Option<String> {
        let error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        self.failing.load(Ordering::Relaxed).then(|| error.clone().unwrap_or_default())
    }

    /// A read failed.
    pub fn read_failed(&self, error: &JournalError) {
        let failed = Some((Instant::now(), error.to_string()));
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Why a read failed within the last half minute.
    pub fn unreadable(&self) -> Option<String> {
        const LATELY: Duration = Duration::from_secs(30);
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        unread.as_ref().filter(|(at, _)| at.elapsed() < LATELY).map(|(_, why)| why.clone())
    }

    /// Writes that were given to it and aren't settled.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Panics in writes that were contained.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Whether the writer's thread has ended, in order or not.
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Transactions and appends so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.commits.load(Ordering::Relaxed), self.appends.load(Ordering::Relaxed))
    }

    fn set(&self, result: Result<u64, String>) {
        let failing = result.is_err();
        if failing != self.failing.swap(failing, Ordering::Relaxed) {
            match &result {
                Err(error) => tracing::error!(error, "the journal can't commit"),
                Ok(_) => tracing::info!("the journal commits again"),
            }
        }
        match result {
            Ok(appends) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                self.appends.fetch_add(appends, Ordering::Relaxed);
            }
            Err(error) => {
                *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    }
}

/// The writer, the checkpointer, and how the latter is told to stop.
type Threads = (JoinHandle<()>, JoinHandle<()>, mpsc::Sender<()>);

/// The way to the writer. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    queue: mpsc::Sender<Write>,
    health: Arc<JournalHealth>,
    homes: Homes,
    threads: Arc<Mutex<Option<Threads>>>,
}

impl Journal {
    /// The most writes of one transaction: enough to make a sync cheap, few enough to keep the
    /// first one waiting for milliseconds only.
    const MOST_PER_COMMIT: usize = 512;

    /// Opens the file in the data folder and starts the writer.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong with the file.
    pub fn open(data: &Path) -> Result<Self, JournalError> {
        let mut connection = schema::open(&data.join(schema::FILE))?;
        place::mark(data);
        let (queue, inbox) = mpsc::channel();
        let health = Arc::new(JournalHealth::default());
        let shared = health.clone();
        let homes = Homes::default();
        let known = homes.clone();
        let tidy = schema::open(&data.join(schema::FILE))?;
        let (stop_tidying, stopped) = mpsc::channel();
        let tidier = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || checkpoint(&tidy, &stopped))
            .expect("a host that can't start a thread can't start");
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                // However it ends.
                let _end = End(&shared);
                run(&mut connection, &inbox, &shared, &known);
            })
            .expect("a host that can't start a thread can't start");
        Ok(Self {
            queue,
            health,
            homes,
            threads: Arc::new(Mutex::new(Some((thread, tidier, stop_tidying)))),
        })
    }

    /// Says how the appends of a home learn that they are settled. Without it they do on the
    /// writer's own thread.
    pub fn set_home(&self, home: usize, take: impl Fn(Settled) + Send + Sync + 'static) {
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        homes.insert(home, Box::new(take));
    }

    /// Writes a step. `committed` is called at the append's home once it is on disk, or once it is
    /// clear that it won't be. It gets the outbox rows that were added.
    pub fn append(
        &self,
        append: Append,
        committed: impl FnOnce(Result<Vec<OutboxRow>, AppendError>) + Send + 'static,
    ) {
        let write = Write::Append(Box::new(append), Box::new(committed));
        self.health.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(mpsc::SendError(Write::Append(_, committed))) = self.queue.send(write) {
            committed(Err(AppendError::Unavailable("the host is stopping".to_owned())));
        }
    }

    /// Writes a record with what is written next.
    pub fn write(&self, record: Record, done: impl FnOnce(Written) + Send + 'static) {
        let write = Write::Record(record, Box::new(done));
        self.health.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(mpsc::SendError(Write::Record(_, done))) = self.queue.send(write) {
            done(Err(JournalError::new(Trouble::Other, "the host is stopping")));
        }
    }

    /// The same, waited for.
    ///
    /// # Errors
    /// [`JournalError`]: nothing was written.
    pub async fn write_now(&self, record: Record) -> Written {
        let (done, result) = tokio::sync::oneshot::channel();
        self.write(record, move |outcome| {
            // Whoever asked may have gone away; the write stands.
            let _ = done.send(outcome);
        });
        result.await.unwrap_or_else(|_| Err(JournalError::ended()))
    }

    /// Returns once everything that was given before is settled.
    pub async fn settled(&self) {
        // Whatever came of it, it has been dealt with.
        let _ = self.write_now(Record::Barrier).await;
    }

    /// What a start has written is in memory, and nobody reads it.
    pub fn forget_cache(&self) {
        self.health.waiting.fetch_add(1, Ordering::Relaxed);
        // It is an advice, and a writer that has ended has forgotten everything.
        let _ = self.queue.send(Write::ForgetCache);
    }

    /// How it is.
    pub fn health(&self) -> &JournalHealth {
        &self.health
    }

    /// Commits what has been given so far and ends the writer.
    pub fn stop(&self) {
        // A writer that has ended already has nothing left to commit.
        let _ = self.queue.send(Write::Stop);
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((writer, tidier, stop_tidying)) = threads {
            drop(stop_tidying);
            let _ = tidier.join();
            let _ = writer.join();
        }
    }
}

/// Says that the thread has ended when it is dropped.
struct End<'a>(&'a JournalHealth);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}

/// Moves pages from the WAL to the file beside the writer, which would have to stop for it if it did
/// so itself.
fn checkpoint(connection: &Connection, stopped: &mpsc::Receiver<()>) {
    const EVERY: Duration = Duration::from_millis(500);
    while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
        if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
            tracing::warn!(%error, "the journal's WAL can't be written back; it grows until it can");
        }
    }
}

fn run(
    connection: &mut Connection,
    inbox: &mpsc::Receiver<Write>,
    health: &JournalHealth,
    homes: &Homes,
) {
    let mut stopping = false;
    let mut company = Company::default();
    while !stopping {
        let Ok(first) = inbox.recv() else { return };
        if provoked_error("journal_thread") {
            return;
        }
        let mut batch = vec![first];
        loop {
            let gave_way = company.give_way();
            let before = batch.len();
            batch.extend(inbox.try_iter().take(Journal::MOST_PER_COMMIT - before));
            if !gave_way || batch.len() == before || batch.len() == Journal::MOST_PER_COMMIT {
                break;
            }
        }
        let stops = batch.iter().filter(|write| matches!(write, Write::Stop)).count();
        stopping = stops > 0;
        let count = batch.len() - stops;
        let forgets = batch.iter().any(|write| matches!(write, Write::ForgetCache));
        commit(connection, batch, health, homes);
        if forgets {
            let _ = connection.execute_batch("PRAGMA shrink_memory");
        }
        health.waiting.fetch_sub(count, Ordering::Relaxed);
    }
    // Leave one tidy file behind; what is in the WAL is safe either way.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// A commit costs about the same for one write as for thirty, so those that are on their way come
/// along: as long as giving way to the other threads brings more, it is given again. That costs
/// microseconds on a machine of one's own, and a time slice of somebody else's program on a busy
/// one; after that it isn't done for a while.
#[derive(Default)]
struct Company {
    /// So many commits are made without.
    alone: u16,
}

impl Company {
    const DEAR: Duration = Duration::from_micros(500);
    const ALONE_FOR: u16 = 200;

    /// Whether it was given.
    fn give_way(&mut self) -> bool {
        if self.alone > 0 {
            self.alone -= 1;
            return false;
        }
        let began = Instant::now();
        std::thread::yield_now();
        if began.elapsed() > Self::DEAR {
            self.alone = Self::ALONE_FOR;
        }
        true
    }
}

/// One transaction. Either all of it is on disk when the outcomes are told, or none of it is.
fn commit(connection: &mut Connection, batch: Vec<Write>, health: &JournalHealth, homes: &Homes) {
    let mut outcomes = Vec::with_capacity(batch.len());
    let result = write_all(connection, batch, &mut outcomes, health);
    let failure = result.err();
    health.set(match &failure {
        None => Ok(outcomes.len() as u64),
        Some(error) => Err(error.to_string()),
    });
    let mut settled: HashMap<usize, Settled> = HashMap::new();
    for outcome in outcomes {
        match outcome {
            Fate::Append(home, committed, result) => {
                let result = match &failure {
                    None => result,
                    Some(error) => Err(AppendError::Unavailable(error.to_string())),
                };
                settled.entry(home).or_default().push(Box::new(move || committed(result)));
            }
            Fate::Record(done, result) => tell(|| {
                done(match &failure {
                    None => result,
                    Some(error) => Err(error.clone()),
                });
            }),
        }
    }
    let homes = homes.read().unwrap_or_else(PoisonError::into_inner);
    for (home, settled) in settled {
        match homes.get(&home) {
            Some(take) => tell(|| take(settled)),
            None => settled.into_iter().for_each(tell),
        }
    }
}

fn write_all(
    connection: &mut Connection,
    batch: Vec<Write>,
    outcomes: &mut Vec<Fate>,
    health: &JournalHealth,
) -> Result<(), JournalError> {
    // Immediate: a deferred one fails at once where another process (`cordboard agent token`) has
    // written since its first read; this one waits for its turn.
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            outcomes.extend(batch.into_iter().filter_map(undone));
            return Err(error.into());
        }
    };
    let mut failure = None;
    for write in batch {
        if failure.is_some() {
            outcomes.extend(undone(write));
            continue;
        }
        match write {
            Write::Append(append, committed) => {
                let written = contained(Part::Journal, || write_append(&transaction, &append));
                // A write that came to grief may have written half: none of the batch stands.
                let result =
                    written.unwrap_or_else(|why| Err(grief(why, health))).unwrap_or_else(|error| {
                        failure = Some(JournalError::from(error));
                        Err(AppendError::Conflict)
                    });
                outcomes.push(Fate::Append(append.home, committed, result));
            }
            // Its own failure is its own: the rest of the batch stands.
            Write::Record(record, done) => {
                let result = in_savepoint(&transaction, &record, health);
                let result = result.map_err(JournalError::from);
                // Some errors (a full disk is one) undo the whole transaction, and not just what met them:
                // what came before is gone, and what follows would be written without one, bit by bit.
                if transaction.is_autocommit() {
                    let lost = || JournalError::new(Trouble::Other, "the transaction was lost");
                    failure = Some(result.as_ref().err().cloned().unwrap_or_else(lost));
                }
                outcomes.push(Fate::Record(done, result));
            }
            Write::ForgetCache | Write::Stop => {}
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(transaction.commit()?),
    }
}

/// A write of a batch that came to nothing; the caller puts in the reason.
fn undone(write: Write) -> Option<Fate> {
    match write {
        Write::Append(append, committed) => {
            Some(Fate::Append(append.home, committed, Err(AppendError::Conflict)))
        }
        Write::Record(_, done) => Some(Fate::Record(done, Ok(Outcome::default()))),
        Write::ForgetCache | Write::Stop => None,
    }
}

/// A panic, as an error like SQLite's.
fn grief(why: String, health: &JournalHealth) -> rusqlite::Error {
    health.panics.fetch_add(1, Ordering::Relaxed);
    tracing::error!(why, "a panic in a write of the journal was contained");
    rusqlite::Error::UserFunctionError(format!("a write came to grief: {why}").into())
}

/// Tells whoever waits; what they do with it is no business of the journal's.
fn tell(told: impl FnOnce()) {
    if let Err(why) = contained(Part::Task, told) {
        tracing::error!(why, "a panic in what a commit had settled was contained");
    }
}

fn in_savepoint(
    transaction: &Transaction<'_>,
    record: &Record,
    health: &JournalHealth,
) -> rusqlite::Result<Outcome> {
    transaction.execute_batch("SAVEPOINT work")?;
    let result = contained(Part::Journal, || record.apply(transaction));
    let result = result.unwrap_or_else(|why| Err(grief(why, health)));
    if transaction.is_autocommit() {
        return result;
    }
    if result.is_err() {
        transaction.execute_batch("ROLLBACK TO work")?;
    }
    transaction.execute_batch("RELEASE work")?;
    result
}

/// The checks come first and write nothing, so a step that is refused leaves no trace.
fn write_append(
    transaction: &Transaction<'_>,
    append: &Append,
) -> rusqlite::Result<Result<Vec<OutboxRow>, AppendError>> {
    let id = append.conversation.0.as_bytes().as_slice();
    if append.base_version > 0 && !has_event(transaction, id, append.base_version)? {
        return Ok(Err(AppendError::Conflict));
    }
    let mut dedup = append.dedup;
    for (version, (kind, body)) in (append.base_version + 1..).zip(&append.events) {
        let written = transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO events (conversation, version, at, kind, dedup, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![id, version as i64, append.at.0, kind, dedup.take(), body])?;
        // Only the first can be there already, so nothing has been written yet.
        if written == 0 {
            return Ok(Err(AppendError::Conflict));
        }
    }
    if let Some(row) = &append.row {
        write_row(transaction, append, row, id)?;
    }
    if let Some((channel, customer, opted_out)) = &append.consent {
        let statement = if *opted_out {
            "INSERT OR REPLACE INTO opt_outs (channel, customer, at) VALUES (?1, ?2, ?3)"
        } else {
            "DELETE FROM opt_outs WHERE channel = ?1 AND customer = ?2 AND ?3 IS NOT NULL"
        };
        transaction.prepare_cached(statement)?.execute(params![channel, customer, append.at.0])?;
    }
    for op in &append.sessions {
        write_session(transaction, op, id, append.at.0)?;
    }
    if let Some(wrap_ups) = &append.wrap_ups {
        transaction
            .prepare_cached("DELETE FROM wrap_ups WHERE conversation = ?1")?
            .execute([id])?;
        for agent in wrap_ups {
            transaction
                .prepare_cached("INSERT INTO wrap_ups (conversation, agent) VALUES (?1, ?2)")?
                .execute(params![id, agent.as_str()])?;
        }
    }
    let mut added = Vec::new();
    for op in &append.outbox {
        added.extend(write_outbox(transaction, op, id)?);
    }
    Ok(Ok(added))
}

fn has_event(transaction: &Transaction<'_>, id: &[u8], version: u64) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT 1 FROM events WHERE conversation = ?1 AND version = ?2")?
        .exists(params![id, version as i64])
}

fn write_row(
    transaction: &Transaction<'_>,
    append: &Append,
    row: &Row,
    id: &[u8],
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO conversations (id, channel, customer, workstream, state, agent, occupies,
             asked_back, queued_at, wake_at, version, snapshot, ticket, queue)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (id) DO UPDATE SET state = ?5, agent = ?6, occupies = ?7, asked_back = ?8,
             queued_at = ?9, wake_at = ?10, version = ?11, snapshot = ?12, ticket = ?13,
             queue = ?14",
        )?
        .execute(params![
            id,
            row.channel,
            row.customer,
            row.workstream,
            state_number(row.state),
            row.agent.as_ref().map(AgentId::as_str),
            row.occupies,
            row.returning,
            row.queued_at.0,
            row.wake_at.map(|at| at.0),
            append.version as i64,
            append.snapshot,
            row.ticket,
            row.queue
        ])?;
    Ok(())
}

fn write_session(
    transaction: &Transaction<'_>,
    op: &SessionOp,
    id: &[u8],
    at: i64,
) -> rusqlite::Result<()> {
    let (statement, part, agent) = match op {
        SessionOp::Begin(agent, part) => (
            "INSERT INTO engagements (conversation, part, agent, began_at) VALUES (?1, ?2, ?3, ?4)",
            part,
            Some(agent),
        ),
        SessionOp::End(part, agent) => (
            "UPDATE engagements SET ended_at = ?4 WHERE conversation = ?1 AND part = ?2
             AND (?3 IS NULL OR agent = ?3) AND ended_at IS NULL",
            part,
            agent.as_ref(),
        ),
    };
    let agent = agent.map(AgentId::as_str);
    transaction.prepare_cached(statement)?.execute(params![id, part_number(*part), agent, at])?;
    Ok(())
}

fn write_outbox(
    transaction: &Transaction<'_>,
    op: &OutboxOp,
    id: &[u8],
) -> rusqlite::Result<Option<OutboxRow>> {
    match op {
        OutboxOp::Add(row) => {
            let body = rmp_serde::to_vec_named(&row.body).expect("text and links can be encoded");
            transaction
                .prepare_cached(
                    "INSERT INTO outbox (conversation, message, channel, sender, recipient, body)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    id,
                    row.message.0,
                    row.channel,
                    row.sender,
                    row.recipient,
                    body
                ])?;
            let mut added = row.as_ref().clone();
            added.id = transaction.last_insert_rowid();
            Ok(Some(added))
        }
        OutboxOp::Done { id, provider_id } => {
            transaction
                .prepare_cached(
                    "UPDATE outbox SET done = 1, attempting = 0, provider_id = ?2 WHERE id = ?1",
                )?
                .execute(params![id, provider_id])?;
            Ok(None)
        }
    }
}

/// States as the column has them; below 4 is open work.
pub(super) fn state_number(state: State) -> i64 {
    match state {
        State::Open => 0,
        State::Active => 1,
        State::Waiting => 2,
        State::WrapUp => 3,
        State::Closed => 4,
    }
}

pub(super) fn state_of(number: i64) -> State {
    match number {
        0 => State::Open,
        1 => State::Active,
        2 => State::Waiting,
        3 => State::WrapUp,
        _ => State::Closed,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use cordboard_core::time::Timestamp;

    use super::*;

    fn audit(actor: &str) -> Record {
        Record::Audit {
            at: Timestamp(0),
            actor: actor.to_owned(),
            action: "test",
            subject: "x".to_owned(),
            address: None,
            details: None,
        }
    }

    // OPS-03: a statement on a full disk undoes the whole transaction; so does this trigger.
    #[test]
    fn what_undoes_the_transaction_fails_the_whole_batch_and_leaves_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let other = Connection::open(folder.path().join(schema::FILE)).unwrap();
        other.busy_timeout(Duration::from_secs(5)).unwrap();
        other
            .execute_batch(
                "CREATE TRIGGER tears BEFORE INSERT ON audit WHEN NEW.actor = 'torn'
                 BEGIN SELECT RAISE(ROLLBACK, 'torn'); END",
            )
            .unwrap();
        let (sender, results) = channel();
        // One batch: all of them wait for the same commit.
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        for actor in ["first", "before", "torn", "behind", "last"] {
            let sender = sender.clone();
            journal.write(audit(actor), move |written| {
                sender.send((actor, written.is_ok())).unwrap();
            });
        }
        std::thread::sleep(Duration::from_millis(200));
        other.execute_batch("ROLLBACK").unwrap();
        let results: HashMap<&str, bool> = (0..5).map(|_| results.recv().unwrap()).collect();
        let count = "SELECT count(*) FROM audit WHERE actor = ?1";
        for (actor, is_written) in &results {
            let there: i64 = other.query_row(count, [actor], |row| row.get(0)).unwrap();
            assert_eq!(there == 1, *is_written, "{actor}: told {is_written}, {there} on disk");
        }
        assert!(!results["torn"] && !results["before"] && !results["behind"], "{results:?}");
        // The next one is written as if nothing had been.
        let (sender, result) = channel();
        journal.write(audit("afterwards"), move |written| sender.send(written).unwrap());
        assert!(result.recv().unwrap().is_ok());
        journal.stop();
    }
}
