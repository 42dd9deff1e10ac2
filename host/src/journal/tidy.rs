//! What is done beside the writer, which would have to stop for it: what was applied is put on disk for
//! good, the log is told how much of it that makes needless, and the files stay small.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::entry::Position;
use super::error::JournalError;
use super::progress::Progress;
use super::writer::Write;
use super::{log, schema, views};

/// The connections that tidy.
pub(super) struct Tidier {
    views: Wal,
    log: Wal,
}

/// A tidier at work.
pub(super) struct Tidying {
    thread: JoinHandle<()>,
    stop: mpsc::Sender<()>,
}

/// A file in WAL mode, and how large its WAL may become.
struct Wal {
    connection: Connection,
    file: PathBuf,
    most_bytes: u64,
}

const EVERY: Duration = Duration::from_millis(500);

impl Tidier {
    /// Opens what it needs.
    pub fn open(data: &Path) -> Result<Self, JournalError> {
        let views = Wal::open(data.join(schema::FILE), 64 * 1024 * 1024)?;
        let log = Wal::open(data.join(log::FILE), 16 * 1024 * 1024)?;
        Ok(Self { views, log })
    }

    /// Tidies until it is stopped.
    pub fn start(self, progress: Arc<Progress>, writer: mpsc::Sender<Write>) -> Tidying {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("tidy".to_owned())
            .spawn(move || {
                let mut kept = Kept::default();
                while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    kept.keep(&self.views, &progress, &writer);
                    self.views.tidy();
                    self.log.tidy();
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

/// What was put on disk for good, and when.
#[derive(Default)]
struct Kept(VecDeque<(Instant, Position)>);

impl Kept {
    /// The log keeps what the views have for so long: should somebody lose what lies beside them, as their
    /// `-wal` after a crash, it is applied once more.
    const LONGER: Duration = Duration::from_secs(30);

    fn keep(&mut self, views: &Wal, progress: &Progress, writer: &mpsc::Sender<Write>) {
        let applied = progress.applied();
        if self.0.back().is_none_or(|(_, kept)| applied > *kept) {
            match views::keep(&views.file) {
                Ok(()) => self.0.push_back((Instant::now(), applied)),
                Err(error) => {
                    tracing::warn!(%error, "what was applied can't be put on disk; the log keeps it until it can");
                }
            }
        }
        while let Some((at, position)) = self.0.front()
            && at.elapsed() > Self::LONGER
        {
            // A writer that has ended trims nothing.
            let _ = writer.send(Write::Trim(*position));
            self.0.pop_front();
        }
    }
}

impl Wal {
    fn open(file: PathBuf, most_bytes: u64) -> Result<Self, JournalError> {
        let connection = Connection::open(&file)?;
        // Whoever writes or reads isn't kept waiting: it is tried again.
        connection.busy_timeout(Duration::from_millis(20))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(Self { connection, file, most_bytes })
    }

    /// Moves pages from the WAL to the file. While somebody writes there is always a rest, and the WAL
    /// grows; once it is large the rest is moved while nobody writes, and the WAL begins anew.
    fn tidy(&self) {
        let passive = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
        let wal = PathBuf::from(format!("{}-wal", self.file.display()));
        let is_large = std::fs::metadata(wal).is_ok_and(|wal| wal.len() > self.most_bytes);
        let done = match is_large {
            true => passive
                .and_then(|()| self.connection.execute_batch("PRAGMA wal_checkpoint(RESTART)")),
            false => passive,
        };
        if let Err(error) = done
            && error.sqlite_error_code() != Some(rusqlite::ErrorCode::DatabaseBusy)
        {
            let file = self.file.display();
            tracing::warn!(%error, "{file}: its WAL can't be written back; it grows until it can");
        }
    }
}
