//! Backups, and what is done with them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::entry::{self, Position};
use super::error::{JournalError, Trouble};
use super::log::{Log, SqliteLog};
use super::views::{self, Mark};
use super::wal::{self, Wal};
use super::{Reader, place, schema, verify};

/// Writes a copy of the journal, of a host that runs or not: everything that was acknowledged before is in it.
/// The file appears once it is whole, and takes nothing's place.
///
/// # Errors
/// [`NotCopied`]: there is no copy, and why.
pub fn backup(data: &Path, to: &Path) -> Result<(), NotCopied> {
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            NotCopied::Target(format!("{} is there already", to.display()))
        }
        _ => NotCopied::Target(format!("{} can't be written: {error}", to.display())),
    };
    if to.exists() {
        return Err(wrong(std::io::ErrorKind::AlreadyExists.into()));
    }
    wait_for_the_views(data)?;
    // Of this process alone: two may be asked for at a time.
    let partial = PathBuf::from(format!("{}.{}.partial", to.display(), std::process::id()));
    File::create_new(&partial).map_err(wrong)?;
    let copied = Reader::open(data)
        .and_then(|reader| reader.copy_to(&partial))
        .map_err(NotCopied::from)
        .and_then(|()| File::open(&partial).and_then(|copy| copy.sync_all()).map_err(wrong))
        .and_then(|()| std::fs::hard_link(&partial, to).map_err(wrong));
    let _ = std::fs::remove_file(&partial);
    copied?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(wrong)
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum NotCopied {
    /// What was to be copied.
    #[error("{0}")]
    Source(#[from] JournalError),
    /// Where to.
    #[error("{0}")]
    Target(String),
}

/// What is committed now is in the views soon, if a host runs.
fn wait_for_the_views(data: &Path) -> Result<(), JournalError> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_millis(20);
    if !SqliteLog::path(data).exists() {
        return Ok(());
    }
    let ends = SqliteLog::open_to_read(data)?.ends()?;
    let committed = ends.map(|(_, last)| last).unwrap_or_default();
    let until = Instant::now() + PATIENCE;
    let views = Reader::open(data)?;
    while views.position()? < committed {
        if Instant::now() > until {
            let text =
                "what is in its log isn't in its tables: no host runs that could put it there";
            return Err(JournalError::new(Trouble::Held, text));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// What a restored journal goes on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Restored {
    /// With what the log has beyond the backup.
    WithLog {
        /// So many batches.
        batches: u64,
        /// Why no more can be read.
        broke_off: Option<String>,
    },
    /// The state of the backup.
    AsItWas,
}

/// Puts a backup in the place of a folder's journal, which nobody may use meanwhile; what was there is put
/// aside, and kept. A log that goes on where the backup ends stays, and the next start applies it; with
/// `without_log` it is put aside as well.
///
/// # Errors
/// [`JournalError`]: it isn't a whole journal, or can't be copied; what was there is there still.
pub fn restore(
    data: &Path,
    from: &Path,
    without_log: bool,
    now_ms: i64,
) -> Result<Restored, JournalError> {
    let wrong = |error: std::io::Error| {
        JournalError::new(Trouble::NotWritable, format!("{}: {error}", from.display()))
    };
    if wal::beside(from) != Wal::Missing {
        let (text, wal) = (from.display(), format!("{}-wal", from.display()));
        let text = format!(
            "{wal} lies beside it and belongs to it: {text} isn't a backup, but a journal that is in use or that a killed host has left; \
             cordboard journal backup makes a copy of it, and cordboard journal salvage goes on with it where it is"
        );
        return Err(JournalError::new(Trouble::Other, text));
    }
    let partial = data.join("restored.partial");
    std::fs::copy(from, &partial).map_err(wrong)?;
    let found = verify::file(&partial)
        .and_then(|()| File::open(&partial).and_then(|copy| copy.sync_all()).map_err(wrong))
        .and_then(|()| mark_of(&partial))
        .and_then(|mark| match without_log {
            true => Ok(None),
            false => goes_on(data, &mark),
        });
    for end in ["-wal", "-shm"] {
        // Made by the look at it.
        let _ = std::fs::remove_file(data.join(format!("restored.partial{end}")));
    }
    let with_log = found.inspect_err(|_| {
        let _ = std::fs::remove_file(&partial);
    })?;
    place::restore_begins(data, now_ms).map_err(wrong)?;
    if with_log.is_none() {
        place::put_log_aside(data, now_ms)?;
        // It is all there is: a start that looked for the log of before would find none.
        let copy = Connection::open(&partial)?;
        copy.pragma_update(None, "synchronous", "FULL")?;
        copy.execute("UPDATE position SET was_stopped = 1", [])?;
        // They may have gone out since.
        views::doubt_replies(&copy)?;
        copy.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        drop(copy);
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(data.join(format!("restored.partial{end}")));
        }
    }
    // The old one has its second name before the new one takes its first: there is a journal at any time.
    let old = data.join(schema::FILE);
    match std::fs::hard_link(&old, place::aside(data, schema::FILE, now_ms)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    place::put_beside_aside(data, now_ms)?;
    std::fs::rename(&partial, old).map_err(wrong)?;
    place::mark(data);
    File::open(data).and_then(|folder| folder.sync_all()).map_err(wrong)?;
    place::restore_ends(data);
    Ok(with_log.unwrap_or(Restored::AsItWas))
}

/// What the log has beyond a backup; nothing, if it doesn't go on where that ends.
///
/// # Errors
/// [`JournalError`]: the folder's own tables can be read, and have more than both.
fn goes_on(data: &Path, backup: &Mark) -> Result<Option<Restored>, JournalError> {
    let joins = backup.goes_on_in(data).is_some();
    let mut reached = backup.applied;
    let broke_off = match joins {
        true => read_on(data, &mut reached).err(),
        false => None,
    };
    must_not_have_more(data, backup, reached, joins, broke_off.as_ref())?;
    let batches = reached.0 - backup.applied.0;
    let broke_off = broke_off.map(|error| error.to_string());
    Ok(joins.then_some(Restored::WithLog { batches, broke_off }))
}

/// Whoever goes back to a backup knows what that costs.
///
/// # Errors
/// [`JournalError`]: the folder's own tables have more than the backup and the log lead to, or it can't be told whether
/// they have.
fn must_not_have_more(
    data: &Path,
    backup: &Mark,
    reached: Position,
    joins: bool,
    broke_off: Option<&JournalError>,
) -> Result<(), JournalError> {
    let (file, tables) = (data.join(schema::FILE), schema::FILE);
    // What can't say how far it has come has nothing to be compared.
    let Some(own) = mark_of(&file).ok().filter(|own| own.applied > Position(0)) else {
        return Ok(());
    };
    let is_of_another_log = own.log != backup.log;
    // The log says which of them belong to it.
    if (is_of_another_log && joins) || (!is_of_another_log && own.applied <= reached) {
        return Ok(());
    }
    let than = match broke_off {
        None => "the backup".to_owned(),
        Some(why) => format!("the backup with what can be read of the log ({why})"),
    };
    let has = match is_of_another_log {
        true => "follows another log than the backup (as after a salvage, or in another folder), so nobody can tell which of them has more".to_owned(),
        false => format!("has {} batches more than {than}", own.applied.0 - reached.0),
    };
    let text = match verify::file(&file) {
        Ok(()) => format!(
            "{tables} there can be read, and {has}: cordboard journal salvage goes on with it; to go back to the backup all the same, add --without-log"
        ),
        Err(why) => format!(
            "{tables} there is damaged ({why}), but {has}: a newer backup loses less, and `sqlite3 FILE .recover` may read what is left; to go back to this one all the same, add --without-log"
        ),
    };
    Err(JournalError::new(Trouble::Other, text))
}

/// Goes from a position to the last one in the log that can be read with all before it.
fn read_on(data: &Path, reached: &mut Position) -> Result<(), JournalError> {
    SqliteLog::open_to_read(data)?.each_after(*reached, &mut |position, bytes| {
        if position != reached.next() {
            let text = format!("the log goes on at {} only", position.0);
            return Err(JournalError::new(Trouble::Missing, text));
        }
        entry::decoded(position, bytes)?;
        *reached = position;
        Ok(())
    })?;
    // What is missing at its end shows in nothing but this.
    SqliteLog::check(data)
}

/// How a file stands to its log.
fn mark_of(file: &Path) -> Result<Mark, JournalError> {
    Mark::of(&verify::look_only(file)?)
}
