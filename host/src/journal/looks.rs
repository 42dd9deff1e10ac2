//! Looks into the tables that are short and asked for often: who is signed in, which conversation takes a message.
//! They have threads of their own, each with a reader, so they stand behind no page of an export, and no HTTP
//! worker, shard or actor waits for a disk.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::grief::{Part, contained};

use super::error::{JournalError, Trouble};
use super::reader::Reader;

/// Threads. More than processors, for some wait for the disk.
const THREADS: usize = 4;

type Look = Box<dyn FnOnce(&Reader) + Send>;

/// The way to the threads; they end when nobody has it any more.
#[derive(Clone)]
pub(super) struct Looks(Arc<Way>);

/// The last of those who have a way to the threads ends them.
struct Way(Arc<Queue>);

impl Drop for Way {
    fn drop(&mut self) {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
        self.0.comes.notify_all();
    }
}

/// Looks that wait for a thread. (A thread of a channel's looks again and again before it sleeps, which took the host a
/// twentieth of its time: there are few looks, and they needn't be taken within a microsecond.)
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    comes: Condvar,
}

#[derive(Default)]
struct Waiting {
    looks: VecDeque<Look>,
    is_over: bool,
}

impl Queue {
    /// Nothing, once there will be none.
    fn next(&self) -> Option<Look> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(look) = waiting.looks.pop_front() {
                return Some(look);
            }
            if waiting.is_over {
                return None;
            }
            waiting = self.comes.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Looks {
    /// Opens the readers and starts the threads.
    ///
    /// # Errors
    /// [`JournalError`]: the tables can't be opened.
    pub fn start(data: &Path) -> Result<Self, JournalError> {
        let looks = Self(Arc::new(Way(Arc::default())));
        for _ in 0..THREADS {
            let (reader, queue) = (Reader::open_small(data)?, looks.0.0.clone());
            let run = move || {
                while let Some(look) = queue.next() {
                    look(&reader);
                }
            };
            let thread = std::thread::Builder::new().name("looks".to_owned());
            thread.spawn(run).expect("a host that can't start a thread can't start");
        }
        Ok(looks)
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
        let queue = &self.0.0;
        queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).looks.push_back(look);
        queue.comes.notify_one();
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
