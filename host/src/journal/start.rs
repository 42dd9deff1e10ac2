//! What a start looks at: whether tables, what lies beside them, and log fit together; and what the log has beyond them.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use crate::clock;

use super::entry::{self, Entry, Position};
use super::error::{JournalError, Trouble};
use super::log::{self, Log, SqliteLog};
use super::record::Record;
use super::recovery::{self, Lineage, RECOVER};
use super::views::{Batch, Mark, OtherTime, SqliteViews, Views};
use super::wal::{self, Pages, Wal};
use super::{folder, schema, verify};

/// The log that belongs to the views, which then have all of it.
pub(super) fn open_log(data: &Path, views: &mut SqliteViews) -> Result<SqliteLog, JournalError> {
    let mark = views.marked()?;
    fits(data, &mark, &views.lineage()?)?;
    let mut log = SqliteLog::open(data).map_err(of_the_log)?;
    if mark.log.is_some() && mark.log != Some(log.id()?) {
        tracing::warn!(
            "{} was gone or empty: nothing is missing, but a new one doesn't go on behind the backups of before",
            super::log::FILE
        );
    }
    if mark.log == Some(log.id()?) {
        views.take_over(&log.lineage()?)?;
    }
    replay(&log, views, mark.applied)?;
    // First where something could be written to in this run.
    let run = recovery::new_run();
    let lineage = views.lineage()?.with(run, views.position()?);
    log.goes_on_in(&lineage)?;
    views.follow(log.id()?, run)?;
    keeps_doubts(&mut log, views)?;
    Ok(log)
}

/// What tables say of replies of which nobody knows whether they have gone out, a log that begins has to say as well: it is
/// gone on with behind backups that don't.
fn keeps_doubts(log: &mut SqliteLog, views: &mut SqliteViews) -> Result<(), JournalError> {
    if log.ends()?.is_some() {
        return Ok(());
    }
    let in_doubt = views.in_doubt()?;
    if in_doubt.is_empty() {
        return Ok(());
    }
    let begins = in_doubt.into_iter().map(|row| {
        let first_attempt_at = row.first_attempt_at.unwrap_or_else(clock::now);
        let repeatable_by = row.repeatable_by;
        Entry::Record(Record::SendBegins { row: row.id, first_attempt_at, repeatable_by })
    });
    let entries: Vec<Entry> = begins.collect();
    let position = views.position()?.next();
    log.append(position, &entry::encoded(&entries)?)?;
    apply_entries(views, position, entries).map(drop)
}

/// How what lies beside the tables' file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beside {
    /// It belongs there, or there is nothing.
    Fine,
    /// It isn't whole, or of another time than the file; the log goes on where the file ends.
    Needless,
    /// The same, and the log doesn't.
    Foreign,
}

/// What lies beside the tables' file is needed only as long as the log hasn't got it: one that isn't whole, or is of
/// another time than the file itself, as it or the file was cut or put there by somebody, is put aside.
///
/// # Errors
/// [`JournalError`]: it can't be done without, and can't be gone on with.
pub(super) fn put_torn_wal_aside(data: &Path) -> Result<(), JournalError> {
    match beside(data) {
        Beside::Fine => Ok(()),
        Beside::Needless => {
            tracing::warn!(
                "{}-wal isn't whole, or of another time: it is put aside, and what it had is taken from the log",
                schema::FILE
            );
            folder::put_beside_aside(data, clock::now().0)
        }
        Beside::Foreign => Err(of_two_times()),
    }
}

/// Nothing that is new is written over what is there. Nobody may have the tables open.
///
/// # Errors
/// [`JournalError`]: the tables' list of free pages isn't right.
pub(super) fn must_list_what_is_free(data: &Path) -> Result<(), JournalError> {
    let file = data.join(schema::FILE);
    let pages = Pages::of(&file, false);
    let (fits, written) = pages.lists_what_is_free();
    drop(pages);
    // What is freed is overwritten, but not by the hosts of before.
    if fits && (written.is_empty() || !leads_to_one_of(&file, &written)?) {
        return Ok(());
    }
    let text =
        "its list of free pages is damaged, and what is new would be written over what is there";
    Err(JournalError::new(Trouble::Damaged, text))
}

/// Whether a table or an index leads to one of these pages: a look at all of them.
fn leads_to_one_of(file: &Path, pages: &[u32]) -> Result<bool, JournalError> {
    let connection = verify::look_only(file)?;
    let pages: HashSet<u32> = pages.iter().copied().collect();
    let mut all = connection.prepare("SELECT pageno FROM dbstat")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        if pages.contains(&row.get(0)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The file and what lies beside it can't be gone on with together.
pub(super) fn of_two_times() -> JournalError {
    let file = schema::FILE;
    let text = format!("{file} and {file}-wal are of different times: {RECOVER}");
    JournalError::new(Trouble::Missing, text)
}

/// How what lies beside the tables' file is. Nobody may be writing.
pub(super) fn beside(data: &Path) -> Beside {
    let file = data.join(schema::FILE);
    let beside = wal::beside(&file);
    if beside == Wal::Missing {
        return Beside::Fine;
    }
    // Where the file can't be read by itself, whoever opens it says what is wrong.
    let Ok(alone) = wal::without_wal(&file).map_err(JournalError::from).and_then(|c| Mark::of(&c))
    else {
        return Beside::Fine;
    };
    let both = verify::look_only(&file).and_then(|connection| Mark::of(&connection));
    let (time, is_damaged) = match &both {
        Ok(both) => (both.is_of_another_time(&alone), false),
        Err(error) => (None, error.trouble == Trouble::Damaged),
    };
    if beside != Wal::Broken && time.is_none() && !is_damaged {
        return Beside::Fine;
    }
    match alone.goes_on_in(data).is_some() {
        true => Beside::Needless,
        false if time == Some(OtherTime::Later) => Beside::Foreign,
        // The log says what is missing.
        false => Beside::Fine,
    }
}

/// Whether nothing is missing between a folder's log and the views: that it is there, whole, theirs, goes on where they
/// end, and leads as far as what was acknowledged. Nobody may be writing.
///
/// # Errors
/// [`JournalError`] says what is missing, and what helps.
pub(super) fn fits(data: &Path, mark: &Mark, lineage: &Lineage) -> Result<(), JournalError> {
    let missing = |text: String| JournalError::new(Trouble::Missing, format!("{text}: {RECOVER}"));
    let (journal, file, applied) = (schema::FILE, log::FILE, mark.applied);
    if let Some(lost) = mark.says_of_a_lost_write() {
        return Err(missing(lost));
    }
    SqliteLog::check(data).map_err(of_the_log)?;
    let (id, ends, runs) = match SqliteLog::path(data).exists() {
        false => (None, None, None),
        true => {
            let log = SqliteLog::open_to_read(data);
            let looked = log.and_then(|log| Ok((log.id()?, log.ends()?, log.lineage()?)));
            match looked {
                Ok((id, ends, runs)) => {
                    let is_theirs = mark.log != Some(id) || runs.extends(lineage, applied);
                    if ends.is_some_and(|(_, last)| last >= applied) && !is_theirs {
                        let text = format!("{file} is of another history than {journal}");
                        return Err(missing(text));
                    }
                    (Some(id), ends, Some(runs))
                }
                // One that was emptied is as good as gone.
                Err(error) if error.is_of_the_disk() || applied == Position(0) => {
                    return Err(of_the_log(error));
                }
                Err(_) => (None, None, None),
            }
        }
    };
    // One that begins has nothing in it, before anything was applied or since they follow it: what had come to it
    // would lie in it or beside it, and nothing is missing there.
    let begins = id.is_some() && (applied == Position(0) || id == mark.log);
    let is_as_good_as_gone = ends.is_none() && !begins;
    if is_as_good_as_gone && !mark.was_stopped {
        if let Some(saved) = folder::newest_rescued(data) {
            let text = format!(
                "its log, {file}, is gone or empty; {} was written when something was lost before: {RECOVER}",
                saved.display()
            );
            return Err(JournalError::new(Trouble::Missing, text));
        }
        return Err(missing(format!(
            "its log, {file}, is gone or empty, and with it what {journal} hadn't got yet"
        )));
    }
    let Some((first, last)) = ends else { return reaches(data, lineage, applied) };
    // Also those that nobody reads, and the next append writes to.
    SqliteLog::open_to_read(data).and_then(|log| log.check_pages()).map_err(of_the_log)?;
    if mark.log != id {
        return Err(missing(format!("{file} belongs to another {journal}")));
    }
    if first > applied.next() {
        return Err(missing(format!(
            "{journal} ends at {}, and {file} begins at {}: what lies between is in neither",
            applied.0, first.0
        )));
    }
    if last < applied {
        return Err(missing(format!(
            "{file} ends at {}, before {journal}, which is at {}: it is an older one, or has lost its -wal",
            last.0, applied.0
        )));
    }
    let lineage = runs.map_or(lineage.clone(), |runs| lineage.clone().joined_by(&runs));
    reaches(data, &lineage, last)
}

fn reaches(data: &Path, lineage: &Lineage, leads_to: Position) -> Result<(), JournalError> {
    recovery::must_reach(data, lineage, leads_to)
        .map_err(|error| JournalError::new(error.trouble, format!("{error}: {RECOVER}")))
}

/// It isn't the tables that are damaged, and they may have all of it.
fn of_the_log(error: JournalError) -> JournalError {
    match error.trouble {
        Trouble::Damaged => JournalError::new(
            Trouble::Missing,
            format!("its log, {}, is damaged ({error}): {RECOVER}", log::FILE),
        ),
        _ => error,
    }
}

/// Applies what is in the log and not in the views: the last moments of a host that was killed.
fn replay(log: &SqliteLog, views: &mut SqliteViews, applied: Position) -> Result<(), JournalError> {
    let mut count = 0;
    let mut isnt_applied = None;
    let read = log.each_after(applied, &mut |position, bytes| {
        let entries = entry::decoded(position, bytes)?;
        count += apply_entries(views, position, entries).inspect_err(|error| {
            isnt_applied = Some(error.clone());
        })?;
        Ok(())
    });
    // What is wrong with the tables is another matter than what is wrong with the log.
    read.map_err(|error| isnt_applied.unwrap_or_else(|| of_the_log(error)))?;
    if count > 0 {
        tracing::info!(writes = count, "what the last host had committed was taken from its log");
    }
    Ok(())
}

/// Applies a batch of the log; how many writes were in it.
pub(super) fn apply_batch(
    views: &mut SqliteViews,
    position: Position,
    bytes: &[u8],
) -> Result<usize, JournalError> {
    apply_entries(views, position, entry::decoded(position, bytes)?)
}

fn apply_entries(
    views: &mut SqliteViews,
    position: Position,
    entries: Vec<Entry>,
) -> Result<usize, JournalError> {
    let count = entries.len();
    let (told, since) = (Vec::new(), Instant::now());
    views.apply(&[Batch { position, entries, told, since, forgets: false }])?;
    Ok(count)
}
