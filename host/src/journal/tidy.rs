//! What is done beside the writer, which would have to stop for it: what was applied is put on disk for
//! good, the log is told how much of it that makes needless, and the files stay small.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::entry::Position;
use super::error::{JournalError, Trouble};
use super::progress::Progress;
use super::recovery::Noting;
use super::writer::Write;
use super::{log, schema, wal};

/// The connections that tidy.
pub(super) struct Tidier {
    views: Wal,
    log: Wal,
    noting: Arc<Mutex<Noting>>,
}

/// A tidier at work.
pub(super) struct Tidying {
    thread: JoinHandle<()>,
    stop: mpsc::Sender<()>,
}

/// A file in WAL mode.
struct Wal {
    connection: Connection,
    file: PathBuf,
    tidied: Cell<Instant>,
}

const EVERY: Duration = Duration::from_millis(500);
/// How far what was acknowledged goes is noted as often: what is missing of it after that can't be told.
const NOTED_EVERY: Duration = Duration::from_millis(50);
/// What is said of a WAL.
const CUT: &str = "its -wal was cut or has a hole";

impl Tidier {
    /// Opens what it needs.
    pub fn open(data: &Path, noting: Arc<Mutex<Noting>>) -> Result<Self, JournalError> {
        let views = Wal::open(data.join(schema::FILE))?;
        let log = Wal::open(data.join(log::FILE))?;
        Ok(Self { views, log, noting })
    }

    /// Tidies until it is stopped.
    pub fn start(self, progress: Arc<Progress>, writer: mpsc::Sender<Write>) -> Tidying {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("tidy".to_owned())
            .spawn(move || {
                let mut kept = Kept::default();
                let mut tidied = Instant::now();
                while stopped.recv_timeout(NOTED_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let mut noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
                    noting.reached(progress.committed());
                    drop(noting);
                    if tidied.elapsed() < EVERY {
                        continue;
                    }
                    tidied = Instant::now();
                    // What somebody has destroyed isn't moved to where it would destroy more.
                    if progress.halted().is_some() {
                        continue;
                    }
                    let applied = progress.applied();
                    if self.views.is_due() {
                        progress.write_back();
                        if self.views.tidy() {
                            progress.keep(applied);
                            kept.note(applied);
                        }
                        progress.write_back();
                    }
                    kept.trim(&writer);
                    if self.log.is_due() {
                        self.log.tidy();
                    }
                }
            })
            .expect("a host that can't start a thread can't start");
        Tidying { thread, stop }
    }
}

impl Tidying {
    /// Returns once it has ended.
    pub fn stop(self) {
        drop(self.stop);
        // One that came to grief has said so.
        let _ = self.thread.join();
    }
}

/// What stands in the views' own file, on disk, whatever becomes of the WAL beside it; and since when.
#[derive(Default)]
struct Kept(VecDeque<(Instant, Position)>);

impl Kept {
    /// The log keeps what the views have for so long.
    const LONGER: Duration = Duration::from_secs(60);

    fn note(&mut self, applied: Position) {
        if self.0.back().is_none_or(|(_, kept)| applied > *kept) {
            self.0.push_back((Instant::now(), applied));
        }
    }

    fn trim(&mut self, writer: &mpsc::Sender<Write>) {
        while let Some((at, position)) = self.0.front()
            && at.elapsed() > Self::LONGER
        {
            // A writer that has ended trims nothing.
            let _ = writer.send(Write::Trim(*position));
            self.0.pop_front();
        }
    }
}

/// Moves everything from a WAL to its file, and leaves nothing in it.
///
/// # Errors
/// [`JournalError`]: [`Trouble::Held`], if somebody reads an older state just now; or the disk's.
pub(super) fn write_back(file: &Path) -> Result<(), JournalError> {
    let wal = Wal::open(file.to_owned())?;
    if !wal::is_sound(&wal.connection, file) {
        return Err(JournalError::new(Trouble::Damaged, CUT));
    }
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: bool = wal.connection.query_row(checkpoint, [], |row| row.get(0))?;
    match is_busy {
        false => Ok(()),
        true => Err(JournalError::new(Trouble::Held, "somebody reads the journal just now")),
    }
}

impl Wal {
    /// Moving pages to the file spares nothing if they are written again soon, so it is done seldom: once
    /// so many pages wait (64 MB), or after [`Wal::SELDOM`].
    const MANY: i64 = 16_384;
    const SELDOM: Duration = Duration::from_secs(20);

    fn open(file: PathBuf) -> Result<Self, JournalError> {
        let connection = Connection::open(&file)?;
        // Whoever writes or reads isn't kept waiting: it is tried again.
        connection.busy_timeout(Duration::from_millis(20))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(Self { connection, file, tidied: Cell::new(Instant::now()) })
    }

    fn is_due(&self) -> bool {
        self.pages() > Self::MANY || self.tidied.get().elapsed() > Self::SELDOM
    }

    /// How many pages wait in it. (Its length says nothing: it begins anew and keeps that.)
    fn pages(&self) -> i64 {
        let look = "PRAGMA wal_checkpoint(NOOP)";
        let pages = self
            .connection
            .query_row(look, [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?));
        // Who can't look tidies when it is due by time, and says what is wrong then.
        pages.unwrap_or(0)
    }

    /// Moves pages from the WAL to the file. While somebody writes there is always a rest; that is moved while
    /// nobody does, a moment, and the WAL begins anew.
    ///
    /// Whether all that was in the WAL is in the file now.
    fn tidy(&self) -> bool {
        self.tidied.set(Instant::now());
        let file = self.file.display();
        if !wal::is_sound(&self.connection, &self.file) {
            tracing::error!("{file}: {CUT}; nothing of it is written back");
            return false;
        }
        let moved = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok(row.get::<_, i64>(0)? == 0 && row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
        });
        if !wal::is_sound(&self.connection, &self.file) {
            tracing::error!("{file}: {CUT}; what was moved to the file may be torn");
            return false;
        }
        let done = moved.and_then(|moved| {
            self.connection.execute_batch("PRAGMA wal_checkpoint(RESTART)").map(|()| moved).or_else(
                |error| match error.sqlite_error_code() {
                    Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(moved),
                    _ => Err(error),
                },
            )
        });
        done.unwrap_or_else(|error| {
            tracing::warn!(%error, "{file}: its WAL can't be written back; it grows until it can");
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-10
    #[test]
    fn what_somebody_keeps_from_the_file_isnt_taken_to_be_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.sqlite");
        let open = || Connection::open(&file).unwrap();
        let writing = open();
        writing.pragma_update(None, "journal_mode", "WAL").unwrap();
        writing.execute_batch("CREATE TABLE a (b INTEGER)").unwrap();
        let add = || writing.execute("INSERT INTO a VALUES (1)", []).unwrap();
        add();
        let wal = Wal::open(file.clone()).unwrap();
        assert!(wal.tidy());
        let reading = open();
        reading.execute_batch("BEGIN").unwrap();
        reading.query_row("SELECT count(*) FROM a", [], |row| row.get::<_, i64>(0)).unwrap();
        add();
        assert!(!wal.tidy(), "the reader doesn't know of the second one");
        drop(reading);
        assert!(wal.tidy());
    }
}
