//! What one kind of row means. All else is the same for all of them: order, marks, repetitions, waits, limits.

use std::time::Duration;

use cordboard_sdk::SendError;

use crate::actors::{Answer, Directory};
use crate::journal::{Begins, JournalError, OutboxRow, Repeater};

/// Something that is to be done outside, as its row says it.
pub(super) trait Errand {
    /// Whoever takes it.
    type With;

    /// Who takes it now.
    fn taker(&self, directory: &Directory) -> Taker<Self::With>;

    /// Whether it mustn't be done any more. It is asked before each attempt.
    ///
    /// # Errors
    /// [`JournalError`]: nobody knows; it is asked once more.
    async fn is_unwanted(
        &self,
        row: &OutboxRow,
        directory: &Directory,
    ) -> Result<Option<Unwanted>, JournalError>;

    /// Tries. What it is called there, if it is called anything.
    ///
    /// # Errors
    /// [`SendError`] says whether it may be tried again.
    async fn attempt(
        &self,
        row: &OutboxRow,
        with: &Self::With,
    ) -> Result<Option<String>, SendError>;

    /// Counts an attempt: `sent`, `retried`, `undelivered` or `unconfirmed`.
    fn count(&self, outcome: &str, directory: &Directory);

    /// Tells the conversation what has become of it; the row is settled in the same transaction, in which the next one
    /// may begin.
    async fn tell(
        &self,
        row: &OutboxRow,
        fate: &Fate,
        next: Option<Begins>,
        directory: &Directory,
    ) -> Answer;

    /// That is on disk, and whoever took it says that the customer wants nothing any more.
    async fn opted_out(&self, directory: &Directory);
}

/// Who takes something.
pub(super) enum Taker<T> {
    /// They are there.
    There {
        /// They.
        with: T,
        /// Who is asked if it is to be sent once more: nobody, if they don't know by its key what comes again.
        repeats: Repeater,
    },
    /// They are known, and don't work now: an operator is at it.
    Away,
    /// Nobody knows them.
    Unknown {
        /// For so long.
        since: Duration,
        /// What that means, if it stays so.
        unwanted: Unwanted,
    },
}

/// Why something isn't done any more.
pub(super) struct Unwanted {
    /// As a program reads it.
    pub code: &'static str,
    /// As a person does.
    pub why: String,
}

/// What has become of something.
#[derive(Clone)]
pub(super) enum Fate {
    /// It is done.
    Done {
        /// What it is called there.
        provider_id: Option<String>,
    },
    /// It isn't, and won't be.
    Failed {
        /// As a program reads it.
        code: String,
        /// As a person does.
        reason: String,
    },
    /// Nobody knows.
    Unconfirmed,
}
