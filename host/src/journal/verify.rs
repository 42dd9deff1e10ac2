//! A look at all of a journal: that it can be read, and that its parts agree.

use std::path::Path;

use cordboard_core::Conversation;
use cordboard_core::conversation::Event;
use rusqlite::{Connection, OpenFlags};

use super::entry::{self, Position};
use super::error::{JournalError, Trouble};
use super::handle;
use super::log::{Log, SqliteLog};
use super::schema::{self, SCHEMA_VERSION, SINCE_LOG};
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
    /// How the tables stand to what can be read of it.
    pub stands: Stands,
}

/// How tables stand to what can be read of their log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stands {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// They have all of it, and lack nothing that lay beside them.
    HaveAll,
    /// It goes on behind them, by so many batches.
    GoOn(u64),
    /// There may have been more than either has.
    MayLack,
    /// It is another's, or begins later.
    AreOthers,
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

/// A file that is no folder's journal yet.
pub(super) fn file(path: &Path) -> Result<()> {
    let connection = look_only(path)?;
    let mut found = Found::default();
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 || version > SCHEMA_VERSION {
        let text = format!("{} is no journal that this host can read", path.display());
        return Err(JournalError::new(Trouble::Other, text));
    }
    pages(&connection, &mut found)?;
    match found.wrong.first() {
        None => Ok(()),
        Some(wrong) => Err(JournalError::new(Trouble::Damaged, wrong)),
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
    let connection = match nobody_runs && handle::has_torn_wal(data) {
        true => wal::without_wal(&file)?,
        false => look_only(&file)?,
    };
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut is_needless = false;
    if nobody_runs && version >= SINCE_LOG {
        let marked = Mark::of(&connection);
        match marked {
            Err(error) => found.note(error.to_string()),
            Ok(mark) => {
                let fits = handle::fits(data, &mark);
                found.wrong_with_log.extend(fits.err().map(|error| error.to_string()));
                // As a start does: nothing is missing beside tables that were closed in order.
                is_needless = mark.was_stopped;
                found.stands = stands(data, &mark);
            }
        }
    }
    // One state of it, however much is written meanwhile.
    connection.execute_batch("BEGIN")?;
    let steps: [Step; 3] = [pages, events, conversations];
    for look in steps {
        // A file whose pages are broken says no more.
        if !found.wrong.is_empty() {
            break;
        }
        match look(&connection, &mut found) {
            Err(error) if error.trouble == Trouble::Damaged => found.note(error.to_string()),
            looked => looked?,
        }
    }
    let is_empty = std::fs::metadata(SqliteLog::path(data)).map_or(true, |about| about.len() == 0);
    if !(is_empty && is_needless) && found.wrong_with_log.is_empty() {
        let looked = log(data, &mut found.batches);
        found.wrong_with_log.extend(looked.err().map(|error| error.to_string()));
    }
    Ok(found)
}

fn stands(data: &Path, mark: &Mark) -> Stands {
    let log = SqliteLog::open_to_read(data).and_then(|log| Ok((log.id()?, log.ends()?)));
    let has_beside = mark.was_stopped || wal::beside(&data.join(schema::FILE)) == wal::Wal::Whole;
    match log {
        Ok((id, _)) if mark.log != Some(id) => Stands::AreOthers,
        Ok((_, Some((first, _)))) if first > mark.applied.next() => Stands::AreOthers,
        Ok((_, Some((_, last)))) if last > mark.applied => Stands::GoOn(last.0 - mark.applied.0),
        // What is there of the log ends before them.
        Ok(_) if has_beside && mark.applied > Position(0) => Stands::HaveAll,
        // After a host that stopped in order there is nothing that they lack.
        Err(_) if mark.was_stopped => Stands::HaveAll,
        _ => Stands::MayLack,
    }
}

/// The positions of the log's oldest and newest batch.
pub fn batches_of_log(data: &Path) -> Option<(u64, u64)> {
    let (first, last) = SqliteLog::open_to_read(data).and_then(|log| log.ends()).ok()??;
    Some((first.0, last.0))
}

/// Each batch of the log can be read.
fn log(data: &Path, batches: &mut u64) -> Result<()> {
    if !SqliteLog::path(data).exists() {
        return Ok(());
    }
    SqliteLog::open_to_read(data)?.each_after(Position(0), &mut |position, bytes| {
        *batches += 1;
        entry::decoded(position, bytes).map(drop)
    })
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
    let mut before: (Vec<u8>, i64) = Default::default();
    while let Some(row) = rows.next()? {
        found.events += 1;
        let (id, version): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
        let expected = if id == before.0 { before.1 + 1 } else { 1 };
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
