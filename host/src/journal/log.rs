//! The log: what is in it is durable. Batches in the order in which they were committed, kept until the
//! views have them for good.

use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::entry::Position;
use super::error::{JournalError, Trouble};
use super::folder;
use super::recovery::{Lineage, RECOVER};
use super::wal::{self, Wal};
use crate::clock;

type Result<T> = std::result::Result<T, JournalError>;

/// The file's name in the data folder.
pub const FILE: &str = "log.sqlite";

/// For whoever else has the file just then.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Which log it is: views belong to one.
pub type LogId = [u8; 16];

/// Append-only batches by position. One writer; positions are given by it and only grow.
///
/// PostgreSQL will implement it as well: a batch is a row there as it is here.
pub trait Log: Send {
    /// Adds a batch. It is on disk once this returns, and so is what was trimmed.
    fn append(&mut self, position: Position, batch: &[u8]) -> Result<()>;

    /// Batches up to a position aren't needed any more; the newest stays, so that one can see that the
    /// log is the one that was written. They go bit by bit, with the appends that follow.
    fn trim(&mut self, up_to: Position);

    /// The same at once, and nothing of them is left in the log's files when this returns (SEC-04).
    fn scrub(&mut self, up_to: Position) -> Result<()>;

    /// The positions of the oldest and the newest batch.
    fn ends(&self) -> Result<Option<(Position, Position)>>;

    /// Nothing follows: what lies beside the file is put into it.
    fn close(&mut self);

    /// Each batch behind a position, in order. One that isn't what was written is an error that names it.
    fn each_after(
        &self,
        position: Position,
        each: &mut dyn FnMut(Position, &[u8]) -> Result<()>,
    ) -> Result<()>;
}

/// A file of SQLite's with a row per batch. Measured beside a bare file, fjall, raft-engine and redb
/// (`ARCHITECTURE.md`): it is at the floor, which is the sync.
pub struct SqliteLog {
    connection: Connection,
    file: PathBuf,
    /// The oldest batch that is there, as far as is known, and the newest that may go.
    trimmed: (Position, Position),
    /// Where its old batches stand, the file is damaged.
    cant_be_trimmed: bool,
}

/// `closed`: nothing lies beside the file that isn't in it. While it is open that is 0, in the file itself. `runs`: those
/// in which its batches came to be, and those before it.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS about (
    one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, closed INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY, run BLOB NOT NULL, after INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS batches (
    position INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
";

impl SqliteLog {
    /// So many batches go with an append: none of them waits long for it.
    const TRIMMED_AT_ONCE: u64 = 64;

    /// Where it is.
    pub fn path(data: &Path) -> PathBuf {
        data.join(FILE)
    }

    /// That nothing of what a host had committed is missing beside the file: a host that was killed leaves its
    /// newest batches there. Nobody may be writing to it.
    ///
    /// # Errors
    /// [`JournalError`] says what is gone.
    pub fn check(data: &Path) -> Result<()> {
        let path = Self::path(data);
        let gone = match wal::beside(&path) {
            Wal::Whole => return Ok(()),
            Wal::Missing => {
                "is gone or empty, though a host was killed, and with it what that had acknowledged last"
            }
            Wal::Broken => "is damaged in the midst, and what stands behind that was acknowledged",
        };
        if !path.exists() || Self::open_to_read(data)?.is_closed()? {
            return Ok(());
        }
        Err(JournalError::new(Trouble::Missing, format!("{FILE}-wal {gone}: {RECOVER}")))
    }

    /// In order, or by a host that didn't say.
    fn is_closed(&self) -> Result<bool> {
        if !knows_closed(&self.connection)? {
            return Ok(true);
        }
        let query = "SELECT closed FROM about";
        Ok(self.connection.query_row(query, [], |row| row.get(0)).optional()?.unwrap_or(true))
    }

    /// Makes one of batches that were read elsewhere: whose they are, and in which runs they came to be.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be written.
    pub fn make(
        file: &Path,
        (id, lineage): (LogId, &Lineage),
        batches: impl Iterator<Item = (Position, Vec<u8>)>,
    ) -> Result<()> {
        wal::remove(file);
        let connection = writable(file)?;
        connection.execute("UPDATE about SET id = ?1", [id])?;
        let file = file.to_owned();
        let mut made =
            Self { connection, file, trimmed: Default::default(), cant_be_trimmed: false };
        made.goes_on_in(lineage)?;
        let transaction = made.connection.transaction()?;
        for (position, batch) in batches {
            insert(&transaction, position, &batch)?;
        }
        transaction.commit()?;
        made.end()?;
        Ok(())
    }

    /// From now on what is committed lies beside the file, which says so.
    fn begin(&mut self) -> Result<()> {
        self.connection.execute("UPDATE about SET closed = 0", [])?;
        Ok(self.connection.execute_batch("PRAGMA wal_checkpoint(FULL)")?)
    }

    /// Everything is in the file, and nothing beside it; whether nobody kept it from that.
    fn end(&mut self) -> Result<bool> {
        if !wal::is_sound(&self.connection, &self.file) {
            let text = format!("{FILE}-wal was cut or has a hole");
            return Err(JournalError::new(Trouble::Damaged, text));
        }
        self.connection.execute("UPDATE about SET closed = 1", [])?;
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy: bool = self.connection.query_row(checkpoint, [], |row| row.get(0))?;
        Ok(!is_busy)
    }

    /// Opens the log of a folder, or makes an empty one.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong with the file.
    pub fn open(data: &Path) -> Result<Self> {
        let file = Self::path(data);
        if !file.exists() {
            // What lies beside the name was another's.
            folder::put_log_aside(data, clock::now().0)?;
            // A new one is whole, or isn't there.
            let partial = data.join(format!("{FILE}.partial"));
            wal::remove(&partial);
            let made = writable(&partial)?;
            made.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
            drop(made);
            let placed = std::fs::rename(&partial, &file)
                .and_then(|()| std::fs::File::open(data)?.sync_all());
            wal::remove(&partial);
            placed.map_err(|error| {
                let text = format!("{}: {error}", file.display());
                JournalError::new(Trouble::NotWritable, text)
            })?;
        }
        let connection = writable(&file)?;
        let mut log =
            Self { connection, file, trimmed: Default::default(), cant_be_trimmed: false };
        log.begin()?;
        if let Some((first, _)) = log.ends()? {
            log.trimmed.0 = first;
        }
        Ok(log)
    }

    /// Opens the log of a folder, beside whoever writes it.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong with the file.
    pub fn open_to_read(data: &Path) -> Result<Self> {
        Self::file_to_read(Self::path(data))
    }

    /// The same of a file, which may be one that was put aside.
    ///
    /// # Errors
    /// As above.
    pub fn file_to_read(file: PathBuf) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(&file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(Self { connection, file, trimmed: Default::default(), cant_be_trimmed: false })
    }

    /// Which log it is.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be read.
    pub fn id(&self) -> Result<LogId> {
        Ok(self.connection.query_row("SELECT id FROM about", [], |row| row.get(0))?)
    }

    /// In which runs its batches came to be.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be read.
    pub fn lineage(&self) -> Result<Lineage> {
        let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'runs')";
        if self.connection.query_row(exists, [], |row| row.get(0))? {
            let runs = "SELECT run, after FROM runs ORDER BY number";
            let lineage = Lineage::read(&self.connection, runs)?;
            if !lineage.is_empty() {
                return Ok(lineage);
            }
        }
        // A log of before is of one run, as far as is known.
        Ok(Lineage::only(self.id()?))
    }

    /// What follows is of the newest of these. It stands in the file then, whatever becomes of what lies beside it: without
    /// that, none of what follows joins any tables.
    ///
    /// # Errors
    /// [`JournalError`]: it couldn't be written.
    pub fn goes_on_in(&mut self, lineage: &Lineage) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM runs", [])?;
        for (run, after) in lineage.runs() {
            let add = "INSERT INTO runs (run, after) VALUES (?1, ?2)";
            transaction.execute(add, params![run, after.cast_signed()])?;
        }
        transaction.commit()?;
        Ok(self.connection.execute_batch("PRAGMA wal_checkpoint(FULL)")?)
    }

    fn append_in(&mut self, position: Position, batch: &[u8]) -> rusqlite::Result<()> {
        let (first, up_to) = self.trimmed;
        let until = first.0 + Self::TRIMMED_AT_ONCE;
        // Many now and then: their pages are written once, and most appends write none but their own.
        if until > up_to.0 || self.cant_be_trimmed {
            return insert(&self.connection, position, batch);
        }
        let transaction = self.connection.transaction()?;
        let trimmed = transaction
            .prepare_cached("DELETE FROM batches WHERE position <= ?1")?
            .execute([until.cast_signed()]);
        match trimmed {
            Ok(_) => {
                insert(&transaction, position, batch)?;
                transaction.commit()?;
                self.trimmed.0 = Position(until);
                Ok(())
            }
            // What comes now stands elsewhere in the file; the next start looks at all of it.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                drop(transaction);
                self.cant_be_trimmed = true;
                tracing::error!(%error, "old batches can't be removed from the log, which grows from now on: {RECOVER} (the host has to be stopped for that)");
                insert(&self.connection, position, batch)
            }
            Err(error) => Err(error),
        }
    }
}

/// A connection to a log that can be written to; its tables and its name are made if they aren't there.
fn writable(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // What customers wrote is overwritten as it leaves the log (SEC-04).
    connection.pragma_update(None, "secure_delete", "FAST")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.execute_batch(TABLES)?;
    if !knows_closed(&connection)? {
        connection
            .execute_batch("ALTER TABLE about ADD COLUMN closed INTEGER NOT NULL DEFAULT 1")?;
    }
    connection.execute("INSERT OR IGNORE INTO about (one, id) VALUES (1, randomblob(16))", [])?;
    Ok(connection)
}

/// Logs of before know nothing of it.
fn knows_closed(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT 1 FROM pragma_table_info('about') WHERE name = 'closed'";
    connection.prepare(query)?.exists([])
}

impl SqliteLog {
    fn scrub_now(&mut self, up_to: Position) -> Result<()> {
        let Some((_, newest)) = self.ends()? else { return Ok(()) };
        let until = up_to.0.min(newest.0.saturating_sub(1));
        self.connection
            .execute("DELETE FROM batches WHERE position <= ?1", [until.cast_signed()])?;
        self.trimmed.0 = self.trimmed.0.max(Position(until));
        // Pages that were freed before hold what stood in them: a new file hasn't got them.
        self.connection.execute_batch("VACUUM")?;
        let is_alone = self.end();
        self.begin()?;
        match is_alone? {
            true => Ok(()),
            false => Err(JournalError::new(Trouble::Held, "somebody reads the log just now")),
        }
    }
}

fn insert(connection: &Connection, position: Position, batch: &[u8]) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO batches (position, checksum, body) VALUES (?1, ?2, ?3)")?;
    let checksum = i64::from(crc32fast::hash(batch));
    insert.execute(params![position.0.cast_signed(), checksum, batch])?;
    Ok(())
}

impl SqliteLog {
    /// The oldest batch (`min`) or the newest (`max`): asked for both, SQLite would read all of it.
    ///
    /// # Errors
    /// [`JournalError`]: where it stands can't be read.
    pub fn end_by(&self, which: &str) -> Result<Option<Position>> {
        let query = format!("SELECT {which}(position) FROM batches");
        let end: Option<i64> = self.connection.query_row(&query, [], |row| row.get(0))?;
        let Some(end) = end else { return Ok(None) };
        let no_position = || {
            let text = format!("the log has a batch {end}, which can't be one");
            JournalError::new(Trouble::Damaged, text)
        };
        Position::read(end).map(Some).ok_or_else(no_position)
    }

    /// That its pages are what they should be, also those that nobody reads and the next append writes to.
    ///
    /// # Errors
    /// [`JournalError`]: the first that is wrong.
    pub fn check_pages(&self) -> Result<()> {
        let check = "PRAGMA integrity_check(1)";
        let said: String = self.connection.query_row(check, [], |row| row.get(0))?;
        match said.as_str() {
            "ok" => Ok(()),
            wrong => Err(JournalError::new(Trouble::Damaged, format!("{FILE}: {wrong}"))),
        }
    }

    /// A batch by its position, if there is one that is what was written.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be read, or isn't.
    pub fn batch(&self, position: Position) -> Result<Option<Vec<u8>>> {
        let query = "SELECT checksum, body FROM batches WHERE position = ?1";
        let found = self
            .connection
            .prepare_cached(query)?
            .query_row([position.0.cast_signed()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })
            .optional()?;
        match found {
            Some((sum, body)) if sum != i64::from(crc32fast::hash(&body)) => {
                Err(wrong_checksum(position))
            }
            found => Ok(found.map(|(_, body)| body)),
        }
    }
}

/// It isn't what was written.
fn wrong_checksum(position: Position) -> JournalError {
    let text =
        format!("the log's batch {} isn't what was written: its checksum is another", position.0);
    JournalError::new(Trouble::Damaged, text)
}

impl Log for SqliteLog {
    fn append(&mut self, position: Position, batch: &[u8]) -> Result<()> {
        Ok(self.append_in(position, batch)?)
    }

    fn close(&mut self) {
        // What is in the WAL is safe there, too.
        let _ = self.end();
    }

    fn trim(&mut self, up_to: Position) {
        self.trimmed.1 = self.trimmed.1.max(up_to);
    }

    fn scrub(&mut self, up_to: Position) -> Result<()> {
        // Everybody's messages wait meanwhile: whoever reads isn't waited for, and it is tried again.
        self.connection.busy_timeout(std::time::Duration::from_millis(20))?;
        let scrubbed = self.scrub_now(up_to);
        self.connection.busy_timeout(PATIENCE)?;
        scrubbed
    }

    fn ends(&self) -> Result<Option<(Position, Position)>> {
        Ok(self.end_by("min")?.zip(self.end_by("max")?))
    }

    fn each_after(
        &self,
        position: Position,
        each: &mut dyn FnMut(Position, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let query =
            "SELECT position, checksum, body FROM batches WHERE position > ?1 ORDER BY position";
        let mut statement = self.connection.prepare(query)?;
        let mut rows = statement.query([position.0.cast_signed()])?;
        // From the beginning: whatever the oldest is.
        let mut expected = (position > Position(0)).then(|| position.next());
        while let Some(row) = rows.next()? {
            let at = Position(row.get::<_, i64>(0)?.cast_unsigned());
            let body = row.get_ref(2)?.as_blob()?;
            let damaged = |what: &str| {
                let text = format!("the log's batch {} {what}", at.0);
                JournalError::new(Trouble::Damaged, text)
            };
            if expected.is_some_and(|expected| expected != at) {
                return Err(damaged("doesn't follow on the one before it"));
            }
            if row.get::<_, i64>(1)? != i64::from(crc32fast::hash(body)) {
                return Err(wrong_checksum(at));
            }
            each(at, body)?;
            expected = Some(at.next());
        }
        Ok(())
    }
}
