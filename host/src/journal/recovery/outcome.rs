//! What somebody who recovers says, and what they are told.

use super::super::error::JournalError;
use super::super::views::BehindGaps;

/// Why a journal isn't gone on with.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotDone {
    /// Before anything was changed.
    #[error("nothing was changed: {0}")]
    Refused(JournalError),
    /// In its midst: all that there was is there still.
    #[error("it was broken off, and nothing is lost by that: {0}; run the same command again")]
    BrokenOff(JournalError),
}

// Not as its source: whoever prints that, too, would say it twice.
impl From<JournalError> for NotDone {
    fn from(error: JournalError) -> Self {
        Self::Refused(error)
    }
}

/// What an operator says that they want.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// What was acknowledged and is in none of it is lost.
    pub accepts_loss: bool,
    /// A backup as it is: what the log has since is left out.
    pub without_log: bool,
}

/// What a command to recover has come to.
#[derive(Clone, Debug)]
pub enum Recovery {
    /// Nothing was changed: the next start goes on with all that there is, and that lacks what was given up earlier.
    Needless(GivenUp),
    /// This was put in its place.
    Done(Recovered),
}

/// What an earlier command has given up, if nobody has gone on since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GivenUp {
    /// Batches that were acknowledged.
    pub batches: u64,
    /// There may have been more.
    pub may_be_more: bool,
}

/// What the next start goes on with.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// In words: which tables, which log, how far.
    pub way: String,
    /// Batches that were acknowledged and are lost.
    pub lost: u64,
    /// What has become of what stood behind some of them.
    pub behind: BehindGaps,
    /// Nobody has noted how far it went, or not to the last moment: there may have been more.
    pub may_lack: bool,
    /// Replies that weren't confirmed: nobody knows whether they have gone out since.
    pub replies: usize,
    /// What was there has this in its name.
    pub kept: String,
}
