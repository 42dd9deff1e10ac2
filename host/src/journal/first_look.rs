//! A look at all pages of the tables, once, beside a host that has just started: damage that a start doesn't meet is
//! said before somebody needs what stands there.
//!
//! What indices hold is compared with their tables by `cordboard journal verify`, which takes longer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle};

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

    /// Begins.
    ///
    /// # Errors
    /// [`JournalError`]: the tables can't be opened.
    pub fn start(data: &Path, health: Arc<JournalHealth>) -> Result<Self, JournalError> {
        let connection = verify::look_only(&data.join(schema::FILE))?;
        let interrupt = connection.get_interrupt_handle();
        let is_over = Arc::new(AtomicBool::new(false));
        let (stops, (done, is_done)) = (is_over.clone(), mpsc::channel());
        let look = move || {
            match first_damage(&connection, &stops) {
                Ok(None) => {}
                Ok(Some(damage)) => health.set_damaged(&damage),
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {}
                Err(error) => match JournalError::from(error) {
                    error if error.trouble == Trouble::Damaged => {
                        health.set_damaged(&error.to_string());
                    }
                    error => tracing::warn!(%error, "not all of the journal could be looked at"),
                },
            }
            // Whoever waits for it may not any more.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("look".to_owned());
        let thread = thread.spawn(look).expect("a host that can't start a thread can't start");
        wait(&is_done);
        Ok(Self { thread, is_over, interrupt })
    }

    /// Returns once it has ended.
    pub fn stop(self) {
        self.is_over.store(true, Ordering::Release);
        while !self.thread.is_finished() {
            // It may be between two looks, which nothing interrupts.
            self.interrupt.interrupt();
            std::thread::sleep(Duration::from_millis(1));
        }
        // One that came to grief has said so.
        let _ = self.thread.join();
    }
}

fn wait(is_done: &Receiver<()>) {
    // In time or not.
    let _ = is_done.recv_timeout(FirstLook::MOMENT);
}

/// Table by table: each look keeps what is written meanwhile from being moved into the file.
fn first_damage(connection: &Connection, is_over: &AtomicBool) -> rusqlite::Result<Option<String>> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0";
    let mut tables = connection.prepare(tables)?;
    let tables = tables.query_map([], |row| row.get::<_, String>(0))?;
    for table in tables.collect::<rusqlite::Result<Vec<_>>>()? {
        if is_over.load(Ordering::Acquire) {
            return Ok(None);
        }
        let look = format!("PRAGMA quick_check('{table}')");
        let said: String = connection.query_row(&look, [], |row| row.get(0))?;
        if said != "ok" {
            let first = said.lines().find(|line| !line.starts_with("***")).unwrap_or(&said);
            return Ok(Some(format!("{table}: {first}")));
        }
    }
    Ok(None)
}
