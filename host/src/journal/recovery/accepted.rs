//! What the last recovery knew of, until a host has gone on: until it has written something. A loss that was accepted is
//! one still for whoever recovers or restores once more: what is put in the journal's place then lacks it as well, or
//! brings it back.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::lineage::{Reached, belongs_to_the_folders_owner};

/// The name of the file in a data folder that says it.
pub const ACCEPTED: &str = "journal.accepted";

/// How far what was acknowledged went before anything was given up, as far as was known.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Accepted {
    /// So far.
    pub known: Reached,
    /// There may have been more.
    pub may_lack: bool,
}

impl Accepted {
    /// Nobody knows: the file is gone, or of another version.
    pub fn unknown() -> Self {
        Self { may_lack: true, ..Self::default() }
    }

    /// What a folder says; nothing, if somebody has gone on since.
    pub fn of(data: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(data.join(ACCEPTED)).ok()?;
        Some(serde_json::from_str(&text).unwrap_or_else(|_| Self::unknown()))
    }

    /// Says it.
    pub fn note(&self, data: &Path) {
        let file = data.join(ACCEPTED);
        let text = serde_json::to_string(self).expect("it becomes JSON");
        if std::fs::write(&file, text).is_err() {
            // One of before would know less.
            let _ = std::fs::remove_file(&file);
        }
        belongs_to_the_folders_owner(data, &file);
    }

    /// Somebody goes on: what is missing was accepted, and isn't asked for any more.
    pub fn forget(data: &Path) {
        let _ = std::fs::remove_file(data.join(ACCEPTED));
    }
}
