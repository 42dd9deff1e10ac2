//! Going on with what is left: the tables as they are, with what of the log can be read.

use std::path::Path;

use super::error::{JournalError, Trouble};
use super::handle::{apply_batch, put_torn_wal_aside};
use super::log::{Log, SqliteLog};
use super::place;
use super::views::SqliteViews;

/// What was left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Salvaged {
    /// Batches that only the log had.
    pub batches: u64,
    /// Replies that weren't confirmed: nobody knows whether they have gone out since.
    pub replies: usize,
    /// Why it has no more than that; nothing: it could be read to its end.
    pub broke_off: Option<String>,
}

/// Takes what the tables have, and what goes on behind it in the log as far as that can be read, for all there
/// is. The log is put aside, and kept.
///
/// # Errors
/// [`JournalError`]: the tables can't be used; nothing was changed.
pub fn salvage(data: &Path, now_ms: i64) -> Result<Salvaged, JournalError> {
    put_torn_wal_aside(data)?;
    let mut views = SqliteViews::open(data)?;
    let mut salvaged = Salvaged { batches: 0, replies: 0, broke_off: None };
    if SqliteLog::path(data).exists() {
        let read = take(data, &mut views, &mut salvaged.batches);
        salvaged.broke_off = read.err().map(|error| error.to_string());
    }
    salvaged.replies = views.doubt_replies()?;
    views.close();
    place::put_log_aside(data, now_ms)?;
    Ok(salvaged)
}

fn take(data: &Path, views: &mut SqliteViews, batches: &mut u64) -> Result<(), JournalError> {
    let log = SqliteLog::open_to_read(data)?;
    let mark = views.marked()?;
    // Another journal's has nothing to say, and neither has one that begins later.
    let goes_on = log.ends()?.is_some_and(|(first, _)| first <= mark.applied.next());
    if mark.log != Some(log.id()?) || !goes_on {
        return Ok(());
    }
    let mut next = mark.applied.next();
    log.each_after(mark.applied, &mut |position, bytes| {
        if position != next {
            let text = format!("the log goes on at {} only", position.0);
            return Err(JournalError::new(Trouble::Missing, text));
        }
        apply_batch(views, position, bytes)?;
        next = position.next();
        *batches += 1;
        Ok(())
    })
}
