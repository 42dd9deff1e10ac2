//! What can be wrong with the journal, whatever keeps it.

use rusqlite::ErrorCode;
use serde::{Deserialize, Serialize};

/// What is wrong, as far as somebody can do something about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Trouble {
    /// What is there isn't what was written.
    Damaged,
    /// The host may not write there.
    NotWritable,
    /// There is no room left.
    Full,
    /// Another program holds it.
    Held,
    /// The disk fails.
    Disk,
    /// A newer host has written it.
    Newer,
    /// It was there, and isn't any more.
    Missing,
    /// The host made a mistake with it.
    Grief,
    /// Something else.
    Other,
}

/// The journal couldn't be read or written.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct JournalError {
    /// What is wrong.
    pub trouble: Trouble,
    text: String,
}

impl JournalError {
    /// With a sentence.
    pub fn new(trouble: Trouble, text: impl Into<String>) -> Self {
        Self { trouble, text: text.into() }
    }

    /// It is the disk's, not what was written: it may succeed later.
    pub fn is_of_the_disk(&self) -> bool {
        let of_the_disk =
            [Trouble::Damaged, Trouble::NotWritable, Trouble::Full, Trouble::Held, Trouble::Disk];
        of_the_disk.contains(&self.trouble)
    }

    /// It says nothing of what was to be looked at: there was no room to.
    pub fn keeps_from_looking(&self) -> bool {
        matches!(self.trouble, Trouble::Full | Trouble::NotWritable | Trouble::Disk)
    }

    /// Nobody writes any more.
    pub fn ended() -> Self {
        Self::new(Trouble::Other, "the journal's writer has ended")
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        let trouble = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Trouble::Damaged,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Trouble::NotWritable
            }
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Held,
            Some(ErrorCode::SystemIoFailure) => Trouble::Disk,
            // What stands there isn't what anybody has written.
            None if is_of_what_is_there(&error) => Trouble::Damaged,
            _ => Trouble::Other,
        };
        Self::new(trouble, error.to_string())
    }
}

fn is_of_what_is_there(error: &rusqlite::Error) -> bool {
    use rusqlite::Error;
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
    )
}

/// An error of which one can tell whether the journal is to blame.
pub trait Failed: From<JournalError> {
    /// Its complaint.
    fn of_the_journal(&self) -> Option<&JournalError>;
}

impl Failed for JournalError {
    fn of_the_journal(&self) -> Option<&JournalError> {
        Some(self)
    }
}

impl From<rusqlite::types::FromSqlError> for JournalError {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::new(Trouble::Damaged, error.to_string())
    }
}
