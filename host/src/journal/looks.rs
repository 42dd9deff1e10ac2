//! Looks into the tables that are short and asked for often: who is signed in, which conversation takes a message.
//! They have threads of their own, each with a reader, so they stand behind no page of an export, and no HTTP
//! worker, shard or actor waits for a disk.

use std::path::Path;

use crossbeam_channel::{Sender, unbounded};
use tokio::sync::oneshot;

use crate::grief::{Part, contained};

use super::error::{JournalError, Trouble};
use super::reader::Reader;

/// Threads. More than processors, for some wait for the disk.
const THREADS: usize = 4;

type Look = Box<dyn FnOnce(&Reader) + Send>;

/// The way to the threads; they end when nobody has it any more.
#[derive(Clone)]
pub(super) struct Looks(Sender<Look>);

impl Looks {
    /// Opens the readers and starts the threads.
    ///
    /// # Errors
    /// [`JournalError`]: the tables can't be opened.
    pub fn start(data: &Path) -> Result<Self, JournalError> {
        let (sender, inbox) = unbounded::<Look>();
        for _ in 0..THREADS {
            let (reader, inbox) = (Reader::open_small(data)?, inbox.clone());
            let run = move || {
                while let Ok(look) = inbox.recv() {
                    look(&reader);
                }
            };
            let thread = std::thread::Builder::new().name("looks".to_owned());
            thread.spawn(run).expect("a host that can't start a thread can't start");
        }
        Ok(Self(sender))
    }

    /// Looks.
    ///
    /// # Errors
    /// [`JournalError`], or whatever the look says.
    pub async fn look<T, E>(
        &self,
        look: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let (found, waiting) = oneshot::channel();
        let look: Look = Box::new(move |reader| {
            let seen = contained(Part::Task, || look(reader)).unwrap_or_else(|why| {
                tracing::error!(why, "a look into the journal came to grief");
                let text = "the read came to grief; the log says more";
                Err(JournalError::new(Trouble::Grief, text).into())
            });
            // Whoever asked may have gone.
            let _ = found.send(seen);
        });
        self.0.send(look).map_err(|_| JournalError::ended())?;
        waiting.await.unwrap_or_else(|_| Err(JournalError::ended().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    // OPS-09
    #[tokio::test]
    async fn a_look_that_comes_to_grief_is_an_error_and_its_thread_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        for _ in 0..2 * THREADS {
            let grief = journal.look(|_| -> Result<(), JournalError> { panic!("no") }).await;
            assert_eq!(grief.unwrap_err().trouble, Trouble::Grief);
        }
        let found = journal.look(|reader| reader.alive_at()).await;
        assert!(found.unwrap().is_none(), "somebody is there who looks");
        journal.stop();
    }
}
