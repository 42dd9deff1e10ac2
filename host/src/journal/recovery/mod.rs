//! Going on with what is left. Whatever was damaged, lost or put back: what lies in the folder and in the backups that
//! are named is looked at, how far each way leads is compared with what was acknowledged, and the one that leads
//! furthest is taken. Nothing changes before it is known to lead there, and nothing is thrown away: so a way that turns
//! out to be the wrong one is one that can be gone back.

mod accepted;
mod base;
mod held;
mod lineage;
mod log_file;
mod looked;
mod mend;
mod outcome;
mod salvage;
#[cfg(test)]
mod tests;
mod ways;

use std::fs::File;
use std::path::{Path, PathBuf};

use super::entry::{self, Entry, Position};
use super::error::{JournalError, Trouble};
use super::log::SqliteLog;
use super::start::apply_batch;
pub use super::views::BehindGaps;
use super::views::SqliteViews;
use super::wal::{self, Wal};
use super::{folder, schema, tidy, verify};

use accepted::Accepted;
pub use base::{Form, Kind};
pub(super) use lineage::{
    Lineage, Noting, REACHED, Reached, RunId, begins, belongs_to_the_folders_owner, forgets_ahead,
    new_gap, new_run, takes_over,
};
use log_file::LogFile;
use looked::Looked;
pub use outcome::{GivenUp, NotDone, Recovered, Recovery, Terms};
use ways::Part;
pub use ways::{Outlook, Way};

type Result<T> = std::result::Result<T, JournalError>;

/// What to do about nearly all that can be wrong with a journal.
pub const RECOVER: &str = "cordboard journal recover goes on with what leads furthest, and keeps the rest (name your backups: --backup FILE)";

/// What lies in a folder that nobody uses, and how far each way of going on with it leads. Nothing is changed.
pub fn outlook(data: &Path) -> Outlook {
    Outlook::of(data, &[], &mut Looked::default())
}

/// Goes on with what leads furthest, if anything is wrong.
///
/// # Errors
/// [`NotDone`]: there is nothing to go on with, what there is lacks what was acknowledged and the terms don't accept
/// that, or it was broken off.
pub fn recover(
    data: &Path,
    backups: &[PathBuf],
    terms: Terms,
    now_ms: i64,
) -> std::result::Result<Recovery, NotDone> {
    folder::must_be_usable(data)?;
    for backup in backups {
        must_be_a_backup(backup)?;
    }
    let mut looked = Looked::default();
    let outlook = Outlook::of(data, backups, &mut looked);
    if let Some((file, why)) = outlook.unusable.iter().find(|(file, _)| backups.contains(file)) {
        let text = format!("the backup {} can't be used: {why}", file.display());
        return Err(JournalError::new(Trouble::Other, text).into());
    }
    for base in outlook.bases_of(backups) {
        let (more, file) = (outlook.has_beyond(base), base.file.display());
        if more > 0 {
            tracing::warn!(
                "{file} has {more} batches that were given up earlier: what has come since doesn't go on from them. Keep it if you want to look for them there"
            );
        }
    }
    let mut doesnt_lead = None;
    for way in &outlook.ways {
        if !looked.is_sound(&way.base) {
            continue;
        }
        may_have_looked(&looked, Some(way), &outlook)?;
        if folder::must_be_whole(data).is_ok() && is_all_right(data, way, &outlook) {
            let given_up = outlook.accepted.as_ref().map(|accepted| GivenUp {
                batches: way.lacks_ever,
                may_be_more: accepted.may_lack,
            });
            return Ok(Recovery::Needless(given_up.unwrap_or_default()));
        }
        let said = has_what_logs_say(&looked, &outlook, way).err().map(|lacks| lacks.to_string());
        if let Some(lacks) = said.as_ref().filter(|_| way.base.form == Form::Mended) {
            doesnt_lead.get_or_insert_with(|| JournalError::new(Trouble::Damaged, lacks.clone()));
            continue;
        }
        let doubt = said.or_else(|| looked.doubt_of(&way.base).map(str::to_owned));
        let doubt = doubt.as_deref();
        must_be_accepted(&outlook, way, doubt, terms)?;
        match go(data, &outlook, way, (&mut looked, doubt), false, now_ms) {
            // What looked as if it led there doesn't: the next one perhaps does.
            Err(NotDone::Refused(error)) if !error.keeps_from_looking() => {
                tracing::warn!("{way} doesn't lead there: {error}");
                doesnt_lead.get_or_insert(error);
            }
            gone => return gone.map(Recovery::Done),
        }
    }
    may_have_looked(&looked, None, &outlook)?;
    Err(doesnt_lead.unwrap_or_else(|| nothing_left(&outlook, &looked)).into())
}

/// Tables that were mended have all that logs say of what was applied to them: these keep it for a while.
fn has_what_logs_say(looked: &Looked, outlook: &Outlook, way: &Way) -> Result<()> {
    let Some(copy) = looked.copy_of(&way.base) else { return Ok(()) };
    let tables = verify::look_only(copy)?;
    let goes_on = |log: &&LogFile| log.lineage.extends(&way.base.lineage, way.base.applied);
    for log in outlook.logs.iter().filter(goes_on) {
        let file = SqliteLog::file_to_read(log.file.clone())?;
        for (first, last) in &log.readable {
            let applied = (first.0..=last.0.min(way.base.applied.0)).map(Position);
            for at in applied {
                let Some(batch) = file.batch(at)? else { continue };
                for entry in entry::decoded(at, &batch)? {
                    must_have(&tables, at, &entry)?;
                }
            }
        }
    }
    Ok(())
}

/// The last event of a step is there, or its conversation is forgotten.
fn must_have(tables: &rusqlite::Connection, at: Position, entry: &Entry) -> Result<()> {
    let Entry::Append(append) = entry else { return Ok(()) };
    let id = append.conversation.0.as_bytes().as_slice();
    let version = append.version_after().cast_signed();
    let has = "SELECT EXISTS (SELECT 1 FROM events WHERE conversation = ?1 AND version = ?2)
               OR EXISTS (SELECT 1 FROM forgotten WHERE conversation = ?1)";
    let mut has = tables.prepare_cached(has)?;
    match append.events.is_empty()
        || has.query_row(rusqlite::params![id, version], |row| row.get(0))?
    {
        true => Ok(()),
        false => {
            let text = format!(
                "the tables lack event {version} of conversation {}, which batch {} of the log has brought",
                append.conversation, at.0
            );
            Err(JournalError::new(Trouble::Damaged, text))
        }
    }
}

/// What couldn't be looked at, for want of room, say, may lead to what a way lacks.
fn may_have_looked(looked: &Looked, way: Option<&Way>, outlook: &Outlook) -> Result<()> {
    match looked.kept_from() {
        Some(error) if way.is_none_or(|way| way.lacks > 0 || outlook.may_lack(way).is_some()) => {
            let text = format!(
                "not all could be looked at ({error}), and that may lead further: is there room on the disk, and may this user read and write there?"
            );
            Err(JournalError::new(error.trouble, text))
        }
        _ => Ok(()),
    }
}

/// Puts a backup in the place of a folder's journal, with what its log has behind it.
///
/// # Errors
/// [`NotDone`]: it isn't a whole journal, something else leads further, or it was broken off.
pub fn restore(
    data: &Path,
    from: &Path,
    terms: Terms,
    now_ms: i64,
) -> std::result::Result<Recovered, NotDone> {
    folder::must_be_usable(data)?;
    must_be_a_backup(from)?;
    let mut looked = Looked::default();
    let outlook = Outlook::of(data, &[from.to_owned()], &mut looked);
    let is_wanted =
        |way: &&Way| way.base.kind == Kind::Backup && (way.logs.is_empty() || !terms.without_log);
    let way = outlook.ways.iter().find(|way| is_wanted(way) && looked.is_sound(&way.base));
    let Some(way) = way else { return Err(nothing_left(&outlook, &looked).into()) };
    let doubt = looked.doubt_of(&way.base).map(str::to_owned);
    let doubt = doubt.as_deref();
    // Whoever wants the backup as it is gives up whatever leads further: that needs no look.
    let further = |other: &&Way| other.lacks < way.lacks && looked.is_sound(&other.base);
    let other = if terms.without_log { None } else { outlook.ways.iter().find(further) };
    if !terms.without_log && !terms.accepts_loss {
        if let Some(other) = other {
            let all_the_same = match way.logs.is_empty() {
                true => "to go back to the backup all the same, add --without-log",
                false => {
                    "to go back to this all the same, add --accept-loss; to the backup alone, --without-log"
                }
            };
            let text = format!(
                "it leads less far than what is there: this is {way}; there is {other}. cordboard journal recover goes on with that; {all_the_same}"
            );
            return Err(JournalError::new(Trouble::Other, text).into());
        }
        must_be_accepted(&outlook, way, doubt, terms)?;
    }
    // What leads further is given up on purpose.
    let gives_up = terms.without_log || other.is_some();
    go(data, &outlook, way, (&mut looked, doubt), gives_up, now_ms)
}

/// A journal that is in use, or that a killed host has left, is something else.
fn must_be_a_backup(file: &Path) -> Result<()> {
    if wal::beside(file) == Wal::Missing {
        return Ok(());
    }
    let file = file.display();
    let text = format!(
        "{file}-wal lies beside {file} and belongs to it: that isn't a backup, but a journal that is in use or that a killed host has left; \
         cordboard journal backup makes a copy of it, and cordboard journal recover goes on with it where it is"
    );
    Err(JournalError::new(Trouble::Other, text))
}

/// Whether a start goes on with all that there is, so that nothing has to be done.
fn is_all_right(data: &Path, way: &Way, outlook: &Outlook) -> bool {
    let is_there = way.base.kind == Kind::Own
        && way.base.form == Form::AsItIs
        && !way.base.is_alone
        && way.logs.iter().all(|part| part.log.is_in_place);
    // One that can't be read at all isn't among them.
    let reads_all = match outlook.log_in_place() {
        Some(log) => log.why.is_none(),
        None => !SqliteLog::path(data).exists(),
    };
    is_there && reads_all && way.lacks == 0 && verify::would_start(data).is_ok()
}

fn nothing_left(outlook: &Outlook, looked: &Looked) -> JournalError {
    let unusable = outlook.unusable.iter().map(|(file, why)| (file, why));
    let damaged = looked.damaged();
    let all: Vec<String> =
        unusable.chain(damaged).map(|(file, why)| format!("{}: {why}", file.display())).collect();
    let logs = log_file::ranges(outlook.logs.iter().flat_map(|log| &log.readable));
    let joins = match logs.is_empty() {
        true => String::new(),
        false => format!(
            "; the log has batches {logs}, which go on behind a backup of the batch before or of one among them"
        ),
    };
    let mut what = match all.is_empty() {
        true => format!("{} isn't there", schema::FILE),
        false => all.join("; "),
    };
    let is_older = |way: &Way| way.base.kind == Kind::Own && way.base.is_older;
    if outlook.ways.iter().any(is_older) {
        what += "; it is of an earlier version, and only of this one's a damaged index is made anew: a start that succeeds brings it to that";
    }
    let text = format!(
        "there are no whole tables to go on with ({what}): name the backups that there are (--backup FILE){joins}; what is left can perhaps be read with `sqlite3 FILE .recover`"
    );
    JournalError::new(Trouble::Damaged, text)
}

/// Nobody loses what was acknowledged without having been told how much.
fn must_be_accepted(outlook: &Outlook, way: &Way, doubt: Option<&str>, terms: Terms) -> Result<()> {
    if terms.accepts_loss || terms.without_log {
        return Ok(());
    }
    let lacks = way.lacks;
    let lacks = match (lacks, outlook.may_lack(way)) {
        (0, None) if doubt.is_some() || way.base.form == Form::WithoutRecord => {
            let record = "why routing chose what it chose (cordboard why, replay) is damaged and missing from that";
            match (way.base.form == Form::WithoutRecord, doubt) {
                (true, None) => format!("{record}, and nothing else"),
                (true, Some(doubt)) => format!("{record}, and perhaps more ({doubt})"),
                (false, _) => {
                    format!("more may be missing from that ({})", doubt.unwrap_or_default())
                }
            }
        }
        (0, None) => return Ok(()),
        (0, Some(why)) => format!("more may have been acknowledged ({why})"),
        (lacks, why) => {
            let why = why.map_or_else(String::new, |why| format!(" ({why})"));
            format!("{lacks} batches that were acknowledged are missing from that{why}")
        }
    };
    let lacks = match way.lacks_ever - way.lacks {
        0 => lacks,
        given_up => format!("{lacks}; {given_up} that are missing from it were given up earlier"),
    };
    // One that was left for another has nothing that is missed.
    let was_left = |log: &LogFile| {
        let known = outlook.known.as_ref();
        known.is_some_and(|known| known.lineage.has_left(&log.lineage))
    };
    // What it leads to stands in the logs that it uses; what is behind a gap in them, it doesn't.
    let is_used = |log: &LogFile| way.logs.iter().any(|part| part.log.file == log.file);
    let others = outlook.logs.iter().filter(|log| !was_left(log));
    let behind = others.flat_map(|log| {
        let is_behind = move |(first, last): &&(Position, Position)| match is_used(log) {
            true => *first > way.leads_to,
            false => *last > way.agrees,
        };
        log.readable.iter().filter(is_behind)
    });
    let logs = log_file::ranges(behind);
    let joins = match logs.is_empty() {
        true => String::new(),
        false => format!(" (the log has batches {logs}, which go on behind a newer backup)"),
    };
    let text = format!(
        "what leads furthest is {way}; {lacks}. Name all backups that there are (cordboard journal recover --backup FILE){joins}, or put back what was taken away; if there is nothing more, add --accept-loss"
    );
    Err(JournalError::new(Trouble::Missing, text))
}

/// Takes a way: what is made is whole and on disk before it is put in any place. `gives_up`: what leads further isn't
/// to be gone on with later, either.
fn go(
    data: &Path,
    outlook: &Outlook,
    way: &Way,
    (looked, doubt): (&mut Looked, Option<&str>),
    gives_up: bool,
    now_ms: i64,
) -> std::result::Result<Recovered, NotDone> {
    // What an earlier command has given up counts as well: nobody has gone on since, and what comes from elsewhere knows
    // nothing of that.
    let (lost, accepted) = (way.lacks_ever, outlook.accepted.as_ref());
    let may_lack = outlook.may_lack(way).is_some()
        || doubt.is_some()
        || accepted.is_some_and(|accepted| accepted.may_lack);
    let is_whole = lost == 0 && !may_lack && outlook.known.is_some();
    let ends = Ends { forks: gives_up, doubts: !is_whole };
    // What was gone on with over a gap can't be told from what is all there before it is at its end.
    let (Ended { replies, lineage }, behind) = match (way.base.kind, way.base.form) {
        (Kind::Own, Form::AsItIs) if !way.has_gaps() => {
            in_place(data, way, ends, now_ms).map_err(NotDone::BrokenOff)?
        }
        _ => {
            let partial = data.join("restored.partial");
            let made = made_of_copy(&partial, way, looked, ends);
            if made.is_err() {
                wal::remove(&partial);
            }
            let made = made?;

            put_in_place(data, &partial, now_ms).map_err(NotDone::BrokenOff)?;
            made
        }
    };
    let reached = Reached { lineage, at: way.leads_to };
    // A command that is killed before this has left the note of before, which says as much.
    let known = match is_whole {
        true => Some(reached.clone()),
        false => accepted.map(|accepted| accepted.known.clone()).or_else(|| outlook.known.clone()),
    };
    known.map_or_else(Accepted::unknown, |known| Accepted { known, may_lack }).note(data);
    if reached.note(data).is_err() {
        // One of before would be another history's.
        let _ = std::fs::remove_file(data.join(REACHED));
    }
    belongs_to_the_folders_owner(data, &data.join(REACHED));
    folder::mark(data);
    folder::restore_ends(data);
    Ok(Recovered {
        way: way.to_string(),
        lost,
        behind,
        may_lack,
        replies,
        kept: format!("left-{now_ms}.*"),
    })
}

/// How tables are left once they have come to where a way leads.
#[derive(Clone, Copy)]
struct Ends {
    /// What others have from there on was given up on purpose.
    forks: bool,
    /// Something may be missing.
    doubts: bool,
}

/// What they are then.
struct Ended {
    /// Replies that nobody knows of whether they have gone out.
    replies: usize,
    lineage: Lineage,
}

impl Ends {
    fn of(self, mut views: SqliteViews) -> Result<Ended> {
        let replies = views.part(self.forks, self.doubts)?;
        Ok(Ended { replies, lineage: views.lineage()? })
    }
}

/// The folder's own tables go on where they are: a transaction for each batch, so whatever keeps it from its end has
/// harmed nothing; the log is put aside only once they have all of it, on disk; and only then do they follow it no more.
/// So a start goes by what it would have gone by before, or finds the log gone, until all of it is done.
fn in_place(data: &Path, way: &Way, ends: Ends, now_ms: i64) -> Result<(Ended, BehindGaps)> {
    if way.base.is_alone {
        folder::put_beside_aside(data, now_ms)?;
    }
    may_break_off()?;
    let (views, behind) = gone_on(SqliteViews::open(data)?, way)?;
    may_break_off()?;
    folder::put_log_aside(data, now_ms)?;
    may_break_off()?;
    let ended = ends.of(views)?;
    // It is as safe beside the file.
    let _ = tidy::write_back(&data.join(schema::FILE));
    Ok((ended, behind))
}

/// A copy of tables, gone on with.
fn made_of_copy(
    partial: &Path,
    way: &Way,
    looked: &mut Looked,
    ends: Ends,
) -> Result<(Ended, BehindGaps)> {
    wal::remove(partial);
    let copy = |from: &Path, to: &Path| {
        std::fs::copy(from, to).map(drop).map_err(|error| not_written(from, &error))
    };
    let (from, beside) = (&way.base.file, wal::path(&way.base.file));
    match way.base.form {
        Form::Empty => {}
        // It was made to be looked at.
        Form::Mended | Form::Doubtful | Form::WithoutRecord => {
            looked.gives_mended(&way.base, partial)?
        }
        Form::AsItIs => {
            copy(from, partial)?;
            if !way.base.is_alone && way.base.kind != Kind::Backup && beside.exists() {
                copy(&beside, &wal::path(partial))?;
            }
        }
    }
    let (views, behind) = gone_on(SqliteViews::open_file(partial.to_owned())?, way)?;
    if !way.logs.is_empty() {
        // What doesn't fit together isn't put in any place.
        verify::form(&verify::look_only(partial)?)?;
    }
    let ended = ends.of(views)?;
    tidy::write_back(partial)?;
    let synced = File::open(partial).and_then(|file| file.sync_all());
    synced.map_err(|error| not_written(partial, &error))?;
    // Nothing is in them any more.
    wal::remove_beside(partial);
    Ok((ended, behind))
}

/// Tables, with what the way's log has behind them; and what has become of what stood behind gaps.
fn gone_on(mut views: SqliteViews, way: &Way) -> Result<(SqliteViews, BehindGaps)> {
    views.keep_each()?;
    views.agree_how_far()?;
    let mut behind = BehindGaps::default();
    for Part { log, up_to, gaps } in &way.logs {
        views.take_over(&log.lineage)?;
        let log = SqliteLog::file_to_read(log.file.clone())?;
        let mut at = views.marked()?.applied;
        let first_gap = gaps.first().map(|(first, _)| *first);
        while at < *up_to {
            at = at.next();
            if let Some((first, last)) = gaps.iter().find(|(first, _)| *first == at) {
                views.has_gap(last.0 + 1 - first.0)?;
                at = *last;
                continue;
            }
            let missing = || JournalError::new(Trouble::Missing, format!("batch {} is gone", at.0));
            let batch = log.batch(at)?.ok_or_else(missing)?;
            match first_gap.is_some_and(|gap| gap < at) {
                true => behind += views.apply_behind_gap(at, entry::decoded(at, &batch)?)?,
                false => drop(apply_batch(&mut views, at, &batch)?),
            }
            may_break_off()?;
        }
    }
    if views.marked()?.applied != way.leads_to {
        let text = format!(
            "it leads to batch {} and not to {}",
            views.marked()?.applied.0,
            way.leads_to.0
        );
        return Err(JournalError::new(Trouble::Other, text));
    }
    Ok((views, behind))
}

/// What was made takes the journal's place; what was there is put aside, and kept.
fn put_in_place(data: &Path, partial: &Path, now_ms: i64) -> Result<()> {
    let own = data.join(schema::FILE);
    let wrong = |error: std::io::Error| not_written(&own, &error);
    folder::restore_begins(data, now_ms).map_err(wrong)?;
    may_break_off()?;
    folder::put_log_aside(data, now_ms)?;
    may_break_off()?;
    folder::keep_aside(data, now_ms)?;
    may_break_off()?;
    folder::put_beside_aside(data, now_ms)?;
    may_break_off()?;
    belongs_to_the_folders_owner(data, partial);
    std::fs::rename(partial, &own).map_err(wrong)?;
    may_break_off()?;
    File::open(data).and_then(|folder| folder.sync_all()).map_err(wrong)
}

/// Something keeps it from going on: in tests.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "it does in tests")]
fn may_break_off() -> Result<()> {
    Ok(())
}

#[cfg(test)]
use tests::may_break_off;

fn not_written(file: &Path, error: &std::io::Error) -> JournalError {
    JournalError::new(Trouble::NotWritable, format!("{}: {error}", file.display()))
}

/// How far tables and log lead, where they are, and whether that is all that was acknowledged.
///
/// # Errors
/// [`JournalError`] says how much is missing.
pub(super) fn must_reach(data: &Path, lineage: &Lineage, leads_to: Position) -> Result<()> {
    let Some(known) = Reached::of(data) else { return Ok(()) };
    let agrees = lineage.agrees(leads_to, &known.lineage, known.at);
    if agrees >= known.at {
        return Ok(());
    }
    if lineage.has_left(&known.lineage) {
        // Somebody went back to a backup, or on without what was lost, and the note is of before.
        tracing::warn!("{REACHED} is of before the journal was put in place, and is left out");
        return Ok(());
    }
    let text = format!(
        "{} batches that were acknowledged are missing: {REACHED} says that they went up to {}, and tables and log lead to {} of them",
        known.at.0 - agrees.0,
        known.at.0,
        agrees.0
    );
    Err(JournalError::new(Trouble::Missing, text))
}
