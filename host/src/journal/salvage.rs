//! Going on with what is left: the tables as they are, with what of the log can be read.

use std::path::Path;

use super::error::{JournalError, Trouble};
use super::handle::{apply_batch, put_torn_wal_aside};
use super::log::{self, Log, SqliteLog};
use super::views::{Mark, SqliteViews};
use super::{place, schema, verify};

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
/// is. The log is put aside, and kept. One that has something, but doesn't go on where the tables end, is left out only
/// `without_log`.
///
/// # Errors
/// [`JournalError`]: the tables can't be used, or the log isn't theirs; nothing was changed.
pub fn salvage(data: &Path, now_ms: i64, without_log: bool) -> Result<Salvaged, JournalError> {
    if !without_log {
        must_be_theirs(data)?;
    }
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

/// Tables of an earlier time, or of another folder, are no reason to leave out what the log has.
fn must_be_theirs(data: &Path) -> Result<(), JournalError> {
    if !SqliteLog::path(data).exists() {
        return Ok(());
    }
    let log = SqliteLog::open_to_read(data).and_then(|log| Ok((log.id()?, log.ends()?)));
    // What can't be read isn't left out by this.
    let Ok((id, Some((first, last)))) = log else { return Ok(()) };
    let mark = Mark::of(&verify::look_only(&data.join(schema::FILE))?)?;
    let (tables, log) = (schema::FILE, log::FILE);
    let why = if mark.log != Some(id) {
        format!("{log} belongs to other tables than {tables}")
    } else if first > mark.applied.next() {
        format!("{tables} ends at batch {}, before {log} begins", mark.applied.0)
    } else {
        return Ok(());
    };
    let text = format!(
        "{why}, and has batches {} to {}: put back the tables that belong to it, or a backup that it goes on from (cordboard journal restore says whether it does); to go on without it all the same, add --without-log",
        first.0, last.0
    );
    Err(JournalError::new(Trouble::Other, text))
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
