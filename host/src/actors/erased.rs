//! What erased customers wrote is told from what is new by its key (SEC-02, SEC-04): whether one may be among those
//! keys, without a look at the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use cordboard_core::switchboard::Key;
use rustc_hash::FxHashSet;

use crate::journal::{Journal, JournalError};

/// The keys, as far as they are known.
#[derive(Debug, Default)]
pub struct Erased {
    /// None: they are being read, or are too many to be kept. Then any may be one of them.
    keys: RwLock<Option<FxHashSet<Key>>>,
    erasures: AtomicU64,
}

impl Erased {
    /// So many are kept in memory; with more, each text of a customer costs a look at the disk.
    pub const MOST: usize = 500_000;

    /// Whether it may be one of them. False: it isn't.
    pub fn may_have(&self, key: Key) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.as_ref().is_none_or(|keys| keys.contains(&key))
    }

    /// Somebody is erased meanwhile: until the keys were read again, any may be one of them.
    pub async fn while_some_are<T>(&self, journal: &Journal, erases: impl Future<Output = T>) -> T {
        self.erasures.fetch_add(1, Ordering::AcqRel);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = None;
        let erased = erases.await;
        // Readiness says why the journal can't be read; each text costs a look until the next erasure.
        let _ = self.read(journal).await;
        erased
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`JournalError`]: they can't be read, and any may be one of them.
    pub async fn read(&self, journal: &Journal) -> Result<(), JournalError> {
        let erasures = self.erasures.load(Ordering::Acquire);
        let keys = journal.read(|reader| reader.spent_keys(Self::MOST)).await?;
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // What is erased meanwhile may not be among them.
        if self.erasures.load(Ordering::Acquire) == erasures {
            *known = keys;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-04
    #[tokio::test]
    async fn while_somebody_is_erased_any_may_be_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let erased = Erased::default();
        assert!(erased.may_have(7), "nobody has looked");
        erased.read(&journal).await.unwrap();
        assert!(!erased.may_have(7));
        let erases = async {
            assert!(erased.may_have(7));
            // What somebody reads meanwhile may not have it yet.
            erased.read(&journal).await.unwrap();
        };
        let two = async {
            let one = erased.while_some_are(&journal, erases);
            let other = erased.while_some_are(&journal, async { assert!(erased.may_have(7)) });
            tokio::join!(one, other)
        };
        two.await;
        assert!(!erased.may_have(7));
        journal.stop();
    }
}
