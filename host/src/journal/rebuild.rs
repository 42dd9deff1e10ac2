//! What is computed from the events, computed anew: conversations' rows, engagements, wrap-ups to finish,
//! opt-outs, and, by the next host, the index of texts. Whatever was first written there itself (accounts, the
//! audit log, what routing chose, what is to be sent) stays, and so does what came from events that are there no
//! longer: whoever has opted out has, also if what they wrote is forgotten (CH-12, SEC-04).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use cordboard_core::conversation::{Event, Opening};
use cordboard_core::ids::{ConversationId, WorkstreamId};
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::Workstream;
use cordboard_core::{Conversation, Effects};
use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;

use super::append::{Append, Row};
use super::error::{JournalError, Trouble};
use super::reader::hashed_address;
use super::schema;
use super::sessions::SessionOp;
use super::texts;
use super::views;

type Result<T> = std::result::Result<T, JournalError>;

/// Settings by workstream, as they are now.
pub type Settings = HashMap<WorkstreamId, Arc<Workstream>>;

/// What was rebuilt.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Conversations.
    pub conversations: u64,
    /// Those whose workstream isn't configured any more: their rows and wrap-ups stayed as they were.
    pub left: u64,
}

/// Rebuilds the views of a folder that nobody uses meanwhile, all of them or none.
///
/// # Errors
/// [`JournalError`]: nothing was changed, and why.
pub fn views(data: &Path, settings: &Settings) -> Result<Rebuilt> {
    let mut connection = schema::open(&data.join(schema::FILE))?;
    let source = schema::open(&data.join(schema::FILE))?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(texts::BEGIN_ANEW)?;
    let mut rebuilt = Rebuilt::default();
    let mut words = Words::default();
    for id in ids(&source)? {
        match conversation(&source, &transaction, id, settings, &mut words)? {
            true => rebuilt.conversations += 1,
            false => rebuilt.left += 1,
        }
    }
    consents(&source, &transaction, words)?;
    transaction.commit()?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(rebuilt)
}

/// Names grow with time.
fn ids(source: &Connection) -> Result<Vec<ConversationId>> {
    let mut all =
        source.prepare("SELECT DISTINCT conversation FROM events ORDER BY conversation")?;
    let ids = all.query_map([], |row| {
        let bytes: [u8; 16] = row.get(0)?;
        Ok(ConversationId(Uuid::from_bytes(bytes)))
    })?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

/// Whether its settings are known.
fn conversation(
    source: &Connection,
    to: &Transaction<'_>,
    id: ConversationId,
    settings: &Settings,
    words: &mut Words,
) -> Result<bool> {
    let mut events = source.prepare_cached(
        "SELECT version, at, body, rowid FROM events WHERE conversation = ?1 ORDER BY version",
    )?;
    let mut rows = events.query([id.0.as_bytes().as_slice()])?;
    let mut machine: Option<Conversation> = None;
    let mut thread: Option<(String, String)> = None;
    while let Some(row) = rows.next()? {
        let (version, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        let at = Timestamp(at);
        let damaged = |what: String| {
            JournalError::new(
                Trouble::Damaged,
                format!("conversation {id}, event {version}: {what}"),
            )
        };
        let event: Event = rmp_serde::from_slice(row.get_ref(2)?.as_blob()?)
            .map_err(|error| damaged(error.to_string()))?;
        if let Some(machine) = &mut machine {
            machine.replay(&event, at);
        }
        let Some(address) = &thread else {
            let Some((opening, workstream)) = Opening::of(&event) else {
                return Err(damaged("it doesn't begin with that it was opened".to_owned()));
            };
            let address = (opening.channel.to_string(), opening.customer.to_string());
            if opening.opted_out {
                words.entry(address.clone()).or_default().push((row.get(3)?, at, true));
            }
            thread = Some(address);
            forget_engagements(to, id)?;
            machine = settings.get(workstream).map(|settings| {
                Conversation::open(id, opening, settings.clone(), at, &mut Effects::new())
            });
            continue;
        };
        if let Event::ConsentChanged { opted_out } = &event {
            words.entry(address.clone()).or_default().push((row.get(3)?, at, *opted_out));
        }
        let sessions = SessionOp::of(&event);
        if !sessions.is_empty() {
            views::apply_beside_events(to, &Append { sessions, ..Append::nothing(id, at) })?;
        }
    }
    let Some(machine) = machine else { return Ok(false) };
    let standing = machine.standing();
    let row = Row::of(&machine, &standing);
    let snapshot = rmp_serde::to_vec_named(&machine).map_err(|error| {
        JournalError::new(Trouble::Grief, format!("conversation {id}: {error}"))
    })?;
    let whole = Append {
        row: Some(Box::new(row)),
        snapshot,
        version: machine.version(),
        wrap_ups: Some(machine.owners_of_wrap_ups()),
        ..Append::nothing(id, Timestamp(0))
    };
    views::apply_beside_events(to, &whole)?;
    Ok(true)
}

/// What customers said about being written to, by channel and customer: whoever opted out, or in, or had opted out
/// before what is there began. With the number of the event, which grows with what happened, and its time, which
/// is what a clock showed.
type Words = HashMap<(String, String), Vec<(i64, Timestamp, bool)>>;

/// What stands in the table stays: it was written with the events that it follows from, and those may be
/// forgotten. What isn't there is added if the last word was an opt-out, and nothing began later without it.
fn consents(source: &Connection, to: &Transaction<'_>, mut words: Words) -> Result<()> {
    let mut missing: Words = HashMap::new();
    for (address, mut said) in words.drain() {
        said.sort_unstable();
        if said.last().is_some_and(|(.., opted_out)| *opted_out) && !is_known(to, &address)? {
            missing.insert(address, said);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut began = source.prepare("SELECT rowid, at, body FROM events WHERE version = 1")?;
    let mut rows = began.query([])?;
    while let Some(row) = rows.next()? {
        let event: Event = rmp_serde::from_slice(row.get_ref(2)?.as_blob()?)
            .map_err(|error| JournalError::new(Trouble::Damaged, error.to_string()))?;
        let Some((opening, _)) = Opening::of(&event) else { continue };
        let address = (opening.channel.to_string(), opening.customer.to_string());
        if let Some(said) = missing.get_mut(&address) {
            said.push((row.get(0)?, Timestamp(row.get(1)?), opening.opted_out));
        }
    }
    for (address, mut said) in missing {
        said.sort_unstable();
        if let Some((_, at, true)) = said.last().copied() {
            note_consent(to, address, true, at)?;
        }
    }
    Ok(())
}

/// Whether the table has it that somebody wants no messages.
fn is_known(to: &Transaction<'_>, (channel, customer): &(String, String)) -> Result<bool> {
    let known = to
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM opt_outs WHERE channel = ?1 AND customer IN (?2, ?3))",
        )?
        .query_row(params![channel, customer, hashed_address(channel, customer)], |row| {
            row.get(0)
        })?;
    Ok(known)
}

fn note_consent(
    to: &Transaction<'_>,
    (channel, customer): (String, String),
    opted_out: bool,
    at: Timestamp,
) -> Result<()> {
    let consent = Some((channel, customer, opted_out));
    let nobody = ConversationId(Uuid::nil());
    views::apply_beside_events(to, &Append { consent, ..Append::nothing(nobody, at) })?;
    Ok(())
}

fn forget_engagements(to: &Transaction<'_>, id: ConversationId) -> Result<()> {
    to.prepare_cached("DELETE FROM engagements WHERE conversation = ?1")?
        .execute([id.0.as_bytes().as_slice()])?;
    Ok(())
}
