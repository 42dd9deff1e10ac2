//! What is read: tables that are fed from the log, and know how far they have come.

mod applier;
mod behind_gap;
mod index;
mod step;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use crate::grief::{Part, contained};

use super::entry::{Entry, Position};
use super::error::{JournalError, Trouble};
use super::log::{Log, LogId, SqliteLog};
use super::outbox::{self, OutboxRow};
use super::record::Outcome;
use super::recovery::{self, Lineage, RunId};
use super::texts::{self, Indexed};
use super::{schema, wal};

pub use applier::Written;
pub(super) use applier::{Batch, Done, run, tell};
pub use behind_gap::BehindGaps;
pub(super) use step::{apply_beside_events, state_number, state_of};

type Result<T> = std::result::Result<T, JournalError>;

/// Takes batches from the log, in order, each once. What is read of them stands in [`super::Reader`].
///
/// PostgreSQL will implement it as well.
pub trait Views: Send {
    /// How far they have come.
    fn position(&self) -> Result<Position>;

    /// Applies batches as one: all of them can be seen, or none. Gives the outcomes of those entries that
    /// somebody waits for, in order.
    fn apply(&mut self, batches: &[Batch]) -> Result<Vec<Written>>;

    /// So far they are safe whatever becomes of the log.
    fn is_kept(&mut self, up_to: Position);

    /// How far the index of texts has come.
    fn indexed(&mut self) -> Result<Indexed>;

    /// Takes up so many events that are missing in the index of texts; or none, if it fails.
    fn index(&mut self, most: u32) -> Result<Indexed>;

    /// The newest outbox row there ever was.
    fn newest_outbox_row(&self) -> Result<i64>;

    /// Gives memory back.
    fn forget_cache(&self);

    /// Nothing follows: they are left as whoever opens them next likes them best.
    fn close(self: Box<Self>);
}

/// Tables of SQLite's.
pub struct SqliteViews {
    connection: Connection,
    file: PathBuf,
    kept: Position,
}

/// How the views stand to a log.
pub struct Mark {
    /// Which log they belong to; none yet.
    pub log: Option<LogId>,
    /// Whoever used them last has stopped in order: everything was applied, and is on disk.
    pub was_stopped: bool,
    /// How far they have come.
    pub applied: Position,
    /// So far, at least, the file itself has it, whatever lies beside it: one that hasn't is of an earlier time than that.
    pub kept: Position,
    /// The lesser of the two, where it is said again and not the same: one of those two pages is of before, as the disk
    /// has lost a write that it said was done. 0: that can't be read.
    pub differs: Option<Position>,
}

/// A position as a column has it.
///
/// # Errors
/// SQLite's own; what can't be one is out of range.
fn position_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Position> {
    let number = row.get(column)?;
    Position::read(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// When what lies beside a file was written, as that doesn't belong to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherTime {
    /// It would take the file back.
    Earlier,
    /// The file has never had what it follows on.
    Later,
}

impl Mark {
    /// Of the tables that a connection looks at.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be read.
    pub fn of(connection: &Connection) -> Result<Self> {
        // Tables of before didn't say what is kept.
        let says = "SELECT 1 FROM pragma_table_info('position') WHERE name = 'kept'";
        let row = match connection.prepare(says)?.exists([])? {
            true => Self::in_table(connection, "position", "kept, indexed"),
            false => Self::in_table(connection, "position", "0, 0"),
        };
        let (applied, kept, differs) = Default::default();
        let unused = Self { log: None, was_stopped: true, applied, kept, differs };
        let again = Self::again_in(connection, "position_again");
        let mut mark = match (row.optional(), again) {
            // What is left of it is enough to go on with. (Whoever writes one writes both.)
            (Err(_) | Ok(None), Some(applied)) => {
                let differs = Some(Position::default());
                return Ok(Self { was_stopped: false, applied, differs, ..unused });
            }
            (row, _) => row?.unwrap_or(unused),
        };
        if let Some(again) = again.filter(|again| *again != mark.applied) {
            mark.differs = Some(again.min(mark.applied));
            mark.applied = again.max(mark.applied);
        }
        Ok(mark)
    }

    /// The row of `position` by itself.
    ///
    /// # Errors
    /// SQLite's own. A row that is damaged anywhere isn't gone by.
    fn in_table(connection: &Connection, table: &str, columns: &str) -> rusqlite::Result<Self> {
        let query =
            format!("SELECT log, was_stopped, applied, {columns} FROM {table} WHERE one = 1");
        connection.query_row(&query, [], |row| {
            let (applied, kept) = (position_at(row, 2)?, position_at(row, 3)?);
            let indexed: i64 = row.get(4)?;
            // Nothing is kept that wasn't applied.
            if kept > applied || indexed < 0 {
                return Err(rusqlite::Error::IntegralValueOutOfRange(3, kept.0.cast_signed()));
            }
            Ok(Self { log: row.get(0)?, was_stopped: row.get(1)?, applied, kept, differs: None })
        })
    }

    /// How far they have come as the other table repeats it. Where that can't be read, it is found by whoever looks at all
    /// of it.
    pub fn again_in(connection: &Connection, table: &str) -> Option<Position> {
        let again = format!("SELECT applied FROM {table} WHERE one = 1");
        connection.query_row(&again, [], |row| position_at(row, 0)).ok()
    }

    /// Whether a table of this version holds a row that can be one.
    pub fn is_in(connection: &Connection, table: &str) -> bool {
        Self::in_table(connection, table, "kept, indexed").is_ok()
    }

    /// In words, if a write was lost.
    pub fn says_of_a_lost_write(&self) -> Option<String> {
        let (file, applied, lesser) = (schema::FILE, self.applied.0, self.differs?);
        Some(match lesser {
            Position(0) => format!(
                "{file} says in one place only that it has batch {applied}: the other can't be read"
            ),
            Position(lesser) => format!(
                "{file} says in one place that it has batch {applied} and in another that it ends at {lesser}: the disk has lost a write"
            ),
        })
    }

    /// Where this is said by a file with what lies beside it: whether that is of another time than the file, which says
    /// `alone` by itself.
    pub fn is_of_another_time(&self, alone: &Self) -> Option<OtherTime> {
        let is_earlier = (self.applied < alone.applied).then_some(OtherTime::Earlier);
        is_earlier.or((self.kept > alone.applied).then_some(OtherTime::Later))
    }

    /// How many batches a folder's log has beyond these views; none, if it can't be read, isn't theirs, or doesn't go
    /// on where they end.
    pub fn goes_on_in(&self, data: &Path) -> Option<u64> {
        if !SqliteLog::path(data).exists() {
            return None;
        }
        let log = SqliteLog::open_to_read(data).ok()?;
        let (id, (first, last)) = (log.id().ok()?, log.ends().ok()??);
        let goes_on = self.log == Some(id) && first <= self.applied.next() && last >= self.applied;
        goes_on.then(|| last.0 - self.applied.0)
    }
}

impl SqliteViews {
    /// Opens the tables of a folder. What is applied is on disk after [`SqliteViews::keep`], not at once:
    /// until then it is in the log.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong with the file.
    pub fn open(data: &Path) -> Result<Self> {
        Self::open_file(data.join(schema::FILE))
    }

    /// The same of a file that isn't a folder's journal yet.
    ///
    /// # Errors
    /// As above.
    pub fn open_file(file: PathBuf) -> Result<Self> {
        let connection = schema::open(&file)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self { connection, file, kept: Position::default() })
    }

    /// How they stand to a log.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be read.
    pub fn marked(&self) -> Result<Mark> {
        Mark::of(&self.connection)
    }

    /// From now on they follow this log, in another run.
    ///
    /// # Errors
    /// [`JournalError`]: it couldn't be written.
    pub fn follow(&mut self, log: LogId, run: RunId) -> Result<()> {
        self.write_back("FULL")?;
        self.mark(|tables| {
            let follow = "UPDATE position SET log = ?1, was_stopped = 0";
            tables.execute(follow, [log])?;
            recovery::begins(tables, run)
        })?;
        // In the file itself: it must be known whatever becomes of what lies beside it.
        self.write_back("FULL")
    }

    /// Moves what lies beside the file into it; from then on whoever writes beside it says that it has to be there.
    fn write_back(&mut self, how: &str) -> Result<()> {
        let checkpoint = format!("PRAGMA wal_checkpoint({how})");
        let is_whole = self.connection.query_row(&checkpoint, [], |row| {
            Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
        })?;
        if is_whole {
            self.is_kept(self.marked()?.applied);
        }
        Ok(())
    }

    /// Changes how they stand to a log, as a whole and on disk.
    fn mark(&mut self, what: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("INSERT OR IGNORE INTO position (one, applied) VALUES (1, 0)", [])?;
        let kept = "UPDATE position SET kept = max(kept, ?1)";
        transaction.execute(kept, [self.kept.0.cast_signed()])?;
        what(&transaction)?;
        transaction.commit()?;
        keep(&self.file)
    }

    /// Along which logs they have come.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be read.
    pub fn lineage(&self) -> Result<Lineage> {
        Lineage::of(&self.connection, &self.marked()?)
    }

    /// Where they say in two places how far they have come, and not the same, the further one holds.
    ///
    /// # Errors
    /// [`JournalError`]: it couldn't be written.
    pub fn agree_how_far(&mut self) -> Result<()> {
        let marked = self.marked()?;
        if marked.differs.is_none() {
            return Ok(());
        }
        let is_readable = Mark::is_in(&self.connection, "position");
        self.mark(|tables| {
            if !is_readable {
                // Of what else it says nothing is gone by, either.
                tables.execute("DELETE FROM position", [])?;
                let anew = "INSERT INTO position (one, applied, was_stopped) VALUES (1, 0, 0)";
                tables.execute(anew, [])?;
            }
            let applied = "UPDATE position SET applied = ?1";
            tables.execute(applied, [marked.applied.0.cast_signed()])?;
            // How far the index of texts has come stands beside it.
            tables.execute_batch(texts::BEGIN_ANEW)
        })
    }

    /// From now on each batch is on disk once it is applied.
    ///
    /// # Errors
    /// [`JournalError`]: SQLite's own.
    pub fn keep_each(&self) -> Result<()> {
        Ok(self.connection.pragma_update(None, "synchronous", "FULL")?)
    }

    /// They follow no log from here on, until a start makes them one: nothing of what they have followed joins them any
    /// more. `forks`: what that has from here on was given up on purpose. `doubts`: something may be missing, so nobody
    /// knows what has become of replies that weren't confirmed; their number.
    ///
    /// # Errors
    /// [`JournalError`]: nothing of it was written.
    pub fn part(&mut self, forks: bool, doubts: bool) -> Result<usize> {
        let mut replies = 0;
        self.mark(|tables| {
            if forks {
                recovery::begins(tables, recovery::new_run())?;
            }
            if doubts {
                let doubt = "UPDATE outbox SET attempting = 1 WHERE done = 0";
                replies = tables.execute(doubt, [])?;
            }
            recovery::forgets_ahead(tables)?;
            tables.execute("UPDATE position SET log = NULL, was_stopped = 1", []).map(drop)
        })?;
        Ok(replies)
    }

    /// What is to be done yet, and of which nobody knows whether it is done.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be read.
    pub fn in_doubt(&self) -> Result<Vec<OutboxRow>> {
        let mut open = outbox::open(&self.connection)?;
        open.retain(|row| row.attempting);
        Ok(open)
    }

    /// From here on so many batches are lost, and they come to be without these.
    ///
    /// # Errors
    /// [`JournalError`]: it couldn't be written.
    pub fn has_gap(&mut self, lost: u64) -> Result<()> {
        self.mark(|tables| recovery::begins(tables, recovery::new_gap(lost)))
    }

    /// They take over the runs of a log that goes on from where they are; its batches come next.
    ///
    /// # Errors
    /// [`JournalError`]: it couldn't be written.
    pub fn take_over(&mut self, log: &Lineage) -> Result<()> {
        let lineage = self.lineage()?.joined_by(log);
        self.mark(|tables| recovery::takes_over(tables, &lineage))
    }

    fn apply_as_one(&mut self, batches: &[Batch]) -> Result<Vec<Written>> {
        // Immediate: a deferred one fails at once where somebody else holds the file; this one waits for its
        // turn.
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut outcomes = Vec::new();
        for batch in batches {
            let mut waited_for = batch.told.iter().map(|(index, _)| *index).peekable();
            for (index, entry) in batch.entries.iter().enumerate() {
                let outcome = match entry {
                    Entry::Append(append) => {
                        step::apply(&transaction, append)?;
                        Ok(Outcome::default())
                    }
                    Entry::Record(record) => {
                        in_savepoint(&transaction, || record.apply(&transaction))?
                    }
                };
                if let Err(error) = &outcome {
                    tracing::error!(%error, "a record can't be applied and is left out");
                }
                if waited_for.next_if_eq(&index).is_some() {
                    outcomes.push(outcome);
                }
            }
        }
        if let Some(last) = batches.last() {
            come_to(&transaction, last.position, self.kept)?;
        }
        transaction.commit()?;
        Ok(outcomes)
    }
}

impl Views for SqliteViews {
    fn position(&self) -> Result<Position> {
        Ok(self.marked()?.applied)
    }

    fn apply(&mut self, batches: &[Batch]) -> Result<Vec<Written>> {
        // A panic undoes the transaction as it is dropped.
        contained(Part::Views, || self.apply_as_one(batches)).unwrap_or_else(|why| {
            Err(JournalError::new(Trouble::Grief, format!("it came to grief: {why}")))
        })
    }

    fn is_kept(&mut self, up_to: Position) {
        self.kept = self.kept.max(up_to);
    }

    fn indexed(&mut self) -> Result<Indexed> {
        Ok(texts::indexed(&self.connection.transaction()?)?)
    }

    fn index(&mut self, most: u32) -> Result<Indexed> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let indexed = texts::go_on(&transaction, most)?;
        // Whoever writes first beside the file says what has to be in that.
        transaction
            .prepare_cached("UPDATE position SET kept = max(kept, ?1)")?
            .execute([self.kept.0.cast_signed()])?;
        transaction.commit()?;
        Ok(indexed)
    }

    fn newest_outbox_row(&self) -> Result<i64> {
        let query = "SELECT coalesce(max(id), 0) FROM outbox";
        Ok(self.connection.query_row(query, [], |row| row.get(0))?)
    }

    fn forget_cache(&self) {
        // It is an advice.
        let _ = self.connection.execute_batch("PRAGMA shrink_memory");
    }

    // One tidy file is left behind. What is in the WAL is safe either way.
    fn close(mut self: Box<Self>) {
        if !wal::is_sound(&self.connection, &self.file) {
            tracing::error!(
                "{}-wal was cut or has a hole: the next start does without it",
                schema::FILE
            );
            return;
        }
        let _ = self.write_back("TRUNCATE");
        let stopped = |tables: &Connection| {
            tables.execute("UPDATE position SET was_stopped = 1", []).map(drop)
        };
        if let Err(error) = self.mark(stopped) {
            tracing::warn!(%error, "the journal couldn't be closed in order; the next start looks at its log");
        }
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// Puts on disk what was committed to a file of SQLite's in WAL mode without a sync: it lies in the WAL,
/// or was moved to the file from there.
fn keep(file: &Path) -> Result<()> {
    let disk = |error: std::io::Error| {
        JournalError::new(Trouble::Disk, format!("{}: {error}", file.display()))
    };
    let wal = wal::path(file);
    // The file itself isn't opened: SQLite's locks on it would end as it is closed. Whoever moves something
    // there syncs it.
    match File::open(&wal) {
        Ok(wal) => wal.sync_data().map_err(disk),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(disk(error)),
    }
}

/// They have come so far, and the file itself as far as `kept`.
fn come_to(transaction: &Transaction<'_>, at: Position, kept: Position) -> Result<()> {
    transaction
        .prepare_cached("UPDATE position SET applied = ?1, kept = max(kept, ?2)")?
        .execute([at, kept].map(|at| at.0.cast_signed()))?;
    Ok(())
}

/// The outcome of an entry, which is its own: the rest of the batch stands. An error of the disk is
/// everybody's, and is tried again.
fn in_savepoint<T>(
    transaction: &Transaction<'_>,
    applies: impl FnOnce() -> rusqlite::Result<T>,
) -> Result<Result<T>> {
    transaction.execute_batch("SAVEPOINT work")?;
    let result = applies().map_err(JournalError::from);
    if let Err(error) = &result {
        // Some errors (a full disk is one) undo the whole transaction, and not just what met them.
        if transaction.is_autocommit() || error.is_of_the_disk() {
            return Err(error.clone());
        }
        transaction.execute_batch("ROLLBACK TO work")?;
    }
    transaction.execute_batch("RELEASE work")?;
    Ok(result)
}
