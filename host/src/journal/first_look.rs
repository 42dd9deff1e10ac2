//! A look at the tables, once, beside a host that has just started: damage that a start doesn't meet is said before
//! somebody needs what stands there. Small ones are looked through as `cordboard journal verify` does it; of large ones
//! all pages, as that takes longer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, InterruptHandle};

use super::error::{JournalError, Trouble};
use super::health::JournalHealth;
use super::{schema, verify};

/// The one who looks.
pub(super) struct FirstLook {
    thread: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
    interrupt: InterruptHandle,
}

impl FirstLook {
    /// A small journal is looked through before this returns, and one in whose midst a start would have to wait for the
    /// disk isn't.
    const MOMENT: Duration = Duration::from_millis(250);
    /// Some seconds beside a host that works.
    const SMALL: u64 = 128 * 1024 * 1024;
    /// A larger one is looked through once the host is there: a start has enough to read.
    const LATER: Duration = Duration::from_secs(20);

    /// Begins.
    ///
    /// # Errors
    /// [`JournalError`]: the tables can't be opened.
    pub fn start(data: &Path, health: Arc<JournalHealth>) -> Result<Self, JournalError> {
        let file = data.join(schema::FILE);
        let is_small = std::fs::metadata(&file).is_ok_and(|about| about.len() <= Self::SMALL);
        let connection = verify::look_only(&file)?;
        let interrupt = connection.get_interrupt_handle();
        let is_over = Arc::new(AtomicBool::new(false));
        let (stops, (done, is_done)) = (is_over.clone(), mpsc::channel());
        let look = move || {
            // Others come first, but not for ever: as long as it looks, nothing that is erased leaves the file on a machine
            // that has no time for it. Where that isn't allowed, it is one of many.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 5);
            let begins = Instant::now() + if is_small { Duration::ZERO } else { Self::LATER };
            while let Some(rest) = begins.checked_duration_since(Instant::now()) {
                if stops.load(Ordering::Acquire) {
                    return;
                }
                std::thread::park_timeout(rest);
            }
            let looked = match is_small {
                true => verify::form(&connection),
                false => pages(&connection, &stops),
            };
            match looked {
                Err(error) if error.trouble == Trouble::Damaged => {
                    health.set_damaged(&error.to_string());
                }
                Err(error) if !stops.load(Ordering::Acquire) => {
                    tracing::warn!(%error, "not all of the journal could be looked at");
                }
                Ok(()) | Err(_) => {}
            }
            // Whoever waits for it may not any more.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("look".to_owned());
        let thread = thread.spawn(look).expect("a host that can't start a thread can't start");
        if is_small {
            // In time or not.
            let _ = is_done.recv_timeout(Self::MOMENT);
        }
        Ok(Self { thread, is_over, interrupt })
    }

    /// Returns once it has ended.
    pub fn stop(self) {
        self.is_over.store(true, Ordering::Release);
        self.thread.thread().unpark();
        while !self.thread.is_finished() {
            // It may be between two looks, which nothing interrupts.
            self.interrupt.interrupt();
            std::thread::sleep(Duration::from_millis(1));
        }
        // One that came to grief has said so.
        let _ = self.thread.join();
    }
}

/// Table by table: each look keeps what is written meanwhile from being moved into the file.
fn pages(connection: &Connection, is_over: &AtomicBool) -> Result<(), JournalError> {
    for table in schema::tables(connection)? {
        if is_over.load(Ordering::Acquire) {
            return Ok(());
        }
        let look = format!("PRAGMA quick_check('{table}')");
        let said: String = connection.query_row(&look, [], |row| row.get(0))?;
        if said != "ok" {
            let first = said.lines().find(|line| !line.starts_with("***")).unwrap_or(&said);
            let text = format!("{table}: {first}");
            return Err(JournalError::new(Trouble::Damaged, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    // OPS-03
    #[test]
    fn damage_is_found_in_small_journals_and_in_large_ones() {
        let folder = tempfile::tempdir().unwrap();
        Journal::open(folder.path()).unwrap().stop();
        let file = folder.path().join(schema::FILE);
        let connection = Connection::open(&file).unwrap();
        let goes_on = AtomicBool::new(false);
        pages(&connection, &goes_on).unwrap();
        let query = "SELECT rootpage FROM sqlite_schema WHERE name = 'events'";
        let root: u32 = connection.query_row(query, [], |row| row.get(0)).unwrap();
        drop(connection);
        let mut bytes = std::fs::read(&file).unwrap();
        // Bytes that its head doesn't know of.
        bytes[(root as usize - 1) * 4096 + 7] = 9;
        std::fs::write(&file, bytes).unwrap();
        let connection = Connection::open(&file).unwrap();
        let found = pages(&connection, &goes_on).unwrap_err().to_string();
        assert!(found.starts_with("events: "), "{found}");
        pages(&connection, &AtomicBool::new(true)).unwrap();
        let health = Arc::new(JournalHealth::default());
        FirstLook::start(folder.path(), health.clone()).unwrap().stop();
        assert!(health.damaged().is_some_and(|damage| !damage.is_empty()));
    }
}
