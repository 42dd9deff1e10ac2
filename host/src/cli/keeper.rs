//! Who writes what a command wants written: the command itself, or the host that runs there.

use crate::config::Config;
use crate::errands::OfHost;
use crate::journal::{self, Journal, Record, Records, Written};
use crate::lock::{self, FolderLock};

/// The journal of a configuration's folder, or the host that has it.
///
/// # Errors
/// It can't be used; what helps.
pub fn open_journal(config: &Config) -> anyhow::Result<Keeper> {
    let data = &config.host.data;
    lock::make_folder(data)?;
    let unusable = |error| anyhow::Error::msg(journal::in_words(&error, data));
    journal::look(data).map_err(unusable)?;
    Ok(match lock::try_lock(data)? {
        Some(lock) => Keeper::Own { journal: Journal::open(data).map_err(unusable)?, _lock: lock },
        None => Keeper::Host(OfHost::new(data)),
    })
}

/// Who writes what a command wants written.
pub enum Keeper {
    /// Nobody has the folder: the command itself.
    Own {
        /// Its journal.
        journal: Journal,
        /// Until it is closed again.
        _lock: FolderLock,
    },
    /// The host that runs there.
    Host(OfHost),
}

impl Keeper {
    /// Closes what was opened.
    pub fn stop(&self) {
        if let Self::Own { journal, .. } = self {
            journal.stop();
        }
    }
}

impl Records for Keeper {
    async fn write_now(&self, record: Record) -> Written {
        match self {
            Self::Own { journal, .. } => journal.write_now(record).await,
            Self::Host(host) => host.write_now(record).await,
        }
    }
}
