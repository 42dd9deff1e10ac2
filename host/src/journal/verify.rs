//! A look at all of a journal: that it can be read, and that its parts agree.

use std::path::Path;

use cordboard_core::Conversation;
use cordboard_core::conversation::Event;
use rusqlite::{Connection, OpenFlags};

use super::entry::{self, Position};
use super::error::{JournalError, Trouble};
use super::log::{Log, SqliteLog};
use super::recovery::Lineage;
use super::schema::{self, SCHEMA_VERSION, SINCE_LOG};
use super::start::{self, Beside};
use super::views::Mark;
use super::wal;

type Result<T> = std::result::Result<T, JournalError>;

type Step = fn(&Connection, &mut Found) -> Result<()>;

/// What a look has found.
#[derive(Debug, Default)]
pub struct Found {
    /// Conversations.
    pub conversations: u64,
    /// Events, which are all that has happened to them.
    pub events: u64,
    /// Batches that the log keeps.
    pub batches: u64,
    /// What is wrong with the tables, in a sentence each; at most [`Found::MOST`].
    pub wrong: Vec<String>,
    /// What is wrong with the log.
    pub wrong_with_log: Vec<String>,
}

impl Found {
    /// More of it says nothing new.
    pub const MOST: usize = 20;

    fn note(&mut self, wrong: String) {
        if self.wrong.len() < Self::MOST {
            self.wrong.push(wrong);
        }
    }
}

/// Whether a file is one that this host can read.
///
/// # Errors
/// [`JournalError`]: it isn't.
pub(super) fn is_a_journal(connection: &Connection, path: &Path) -> Result<()> {
    let version = version_of(connection)?;
    if version == 0 || version > SCHEMA_VERSION {
        let text = format!("{} is no journal that this host can read", path.display());
        return Err(JournalError::new(Trouble::Other, text));
    }
    Ok(())
}

/// Whether there were logs when it was written.
///
/// # Errors
/// [`JournalError`]: it can't be read.
pub(super) fn has_a_log(connection: &Connection) -> Result<bool> {
    Ok(version_of(connection)? >= SINCE_LOG)
}

/// Whether it is of an earlier version than this host's.
///
/// # Errors
/// [`JournalError`]: it can't be read.
pub(super) fn is_older(connection: &Connection) -> Result<bool> {
    Ok((1..SCHEMA_VERSION).contains(&version_of(connection)?))
}

fn version_of(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Whether all of the tables can be read, and agrees.
///
/// # Errors
/// [`JournalError`]: the first that is wrong.
pub(super) fn form(connection: &Connection) -> Result<()> {
    let mut found = Found::default();
    look_through(connection, &mut found)?;
    match found.wrong.first() {
        None => Ok(()),
        Some(wrong) => Err(JournalError::new(Trouble::Damaged, wrong)),
    }
}

/// Whether a start would go on with a folder's tables and log, as far as that can be told without reading all of them.
///
/// # Errors
/// [`JournalError`]: what would keep it from that.
pub(super) fn would_start(data: &Path) -> Result<()> {
    if start::beside(data) == Beside::Foreign {
        return Err(start::of_two_times());
    }
    start::must_list_what_is_free(data)?;
    let connection = look_only(&data.join(schema::FILE))?;
    match has_a_log(&connection)? {
        true => {
            let mark = Mark::of(&connection)?;
            start::fits(data, &mark, &Lineage::of(&connection, &mark)?)
        }
        false => Ok(()),
    }
}

/// All of a folder's journal, beside a host that runs or not, which is to be known. Nothing is changed.
///
/// # Errors
/// [`JournalError`]: it can't be looked at.
pub fn folder(data: &Path, nobody_runs: bool) -> Result<Found> {
    let mut found = Found::default();
    // As a start would look at it.
    let file = data.join(schema::FILE);
    let beside = if nobody_runs { start::beside(data) } else { Beside::Fine };
    let connection = match beside {
        Beside::Fine => look_only(&file)?,
        Beside::Needless => wal::without_wal(&file)?,
        Beside::Foreign => {
            found.wrong.push(start::of_two_times().to_string());
            return Ok(found);
        }
    };
    let mut is_needless = false;
    if nobody_runs && has_a_log(&connection)? {
        let marked = Mark::of(&connection);
        match marked {
            Err(error) => found.note(error.to_string()),
            Ok(mark) => {
                let lineage = Lineage::of(&connection, &mark);
                let fits = lineage.and_then(|lineage| start::fits(data, &mark, &lineage));
                found.wrong_with_log.extend(fits.err().map(|error| error.to_string()));
                // As a start does: nothing is missing beside tables that were closed in order.
                is_needless = mark.was_stopped;
            }
        }
    }
    look_through(&connection, &mut found)?;
    let is_empty = std::fs::metadata(SqliteLog::path(data)).map_or(true, |about| about.len() == 0);
    if !(is_empty && is_needless) && found.wrong_with_log.is_empty() {
        let looked = log(data, &mut found.batches);
        found.wrong_with_log.extend(looked.err().map(|error| error.to_string()));
    }
    Ok(found)
}

/// Pages, events and conversations, in one state of them however much is written meanwhile.
fn look_through(connection: &Connection, found: &mut Found) -> Result<()> {
    connection.execute_batch("BEGIN")?;
    let steps: [Step; 3] = [pages, events, conversations];
    for look in steps {
        // A file whose pages are broken says no more.
        if !found.wrong.is_empty() {
            break;
        }
        match look(connection, found) {
            Err(error) if error.trouble == Trouble::Damaged => found.note(error.to_string()),
            looked => looked?,
        }
    }
    Ok(())
}

/// Each batch of the log can be read.
fn log(data: &Path, batches: &mut u64) -> Result<()> {
    if !SqliteLog::path(data).exists() {
        return Ok(());
    }
    let log = SqliteLog::open_to_read(data)?;
    log.each_after(Position(0), &mut |position, bytes| {
        *batches += 1;
        entry::decoded(position, bytes).map(drop)
    })?;
    log.check_pages()
}

/// A connection that changes nothing.
pub(super) fn look_only(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

fn pages(connection: &Connection, found: &mut Found) -> Result<()> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({})", Found::MOST))?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let said: String = row.get(0)?;
        if said != "ok" {
            found.note(said);
        }
    }
    Ok(())
}

/// Each conversation's events are numbered without a gap, and can be read.
fn events(connection: &Connection, found: &mut Found) -> Result<()> {
    let mut all = connection
        .prepare("SELECT conversation, version, body FROM events ORDER BY conversation, version")?;
    let mut rows = all.query([])?;
    let has_row = "SELECT EXISTS (SELECT 1 FROM conversations WHERE id = ?1)";
    let mut has_row = connection.prepare(has_row)?;
    let mut before: (Vec<u8>, i64) = Default::default();
    while let Some(row) = rows.next()? {
        found.events += 1;
        let (id, version): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
        let expected = if id == before.0 { before.1 + 1 } else { 1 };
        if id != before.0 && !has_row.query_row([&id], |row| row.get::<_, bool>(0))? {
            found.note(format!(
                "there are events of conversation {}, which isn't there",
                hex::encode(&id)
            ));
        }
        if version != expected {
            found.note(format!(
                "conversation {}: event {version} stands where {expected} should",
                hex::encode(&id)
            ));
        }
        if let Err(error) = rmp_serde::from_slice::<Event>(row.get_ref(2)?.as_blob()?) {
            let id = hex::encode(&id);
            found.note(format!("conversation {id}: event {version} can't be read: {error}"));
        }
        before = (id, version);
    }
    Ok(())
}

/// Each has events, and no more of them in its snapshot than there are.
fn conversations(connection: &Connection, found: &mut Found) -> Result<()> {
    let mut all = connection.prepare(
        "SELECT id, version, snapshot,
         (SELECT max(version) FROM events WHERE conversation = conversations.id)
         FROM conversations",
    )?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        found.conversations += 1;
        let id = hex::encode(row.get_ref(0)?.as_blob()?);
        let (version, events): (i64, Option<i64>) = (row.get(1)?, row.get(3)?);
        if events.is_none_or(|events| events < version) {
            let events = events.unwrap_or(0);
            found.note(format!("conversation {id} is at event {version} of {events}"));
        }
        if let Err(error) = rmp_serde::from_slice::<Conversation>(row.get_ref(2)?.as_blob()?) {
            found.note(format!("conversation {id} can't be read: {error}"));
        }
    }
    Ok(())
}
