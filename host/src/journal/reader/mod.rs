//! What is read from the journal: conversations that come back, transcripts, what was sent.

mod accounts;
mod audit;
mod engagements;
mod keeping;
mod record;
mod search;
mod sizes;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use cordboard_core::Conversation;
use cordboard_core::conversation::{Event, Standing, State, Ticket};
use cordboard_core::ids::{AgentId, ChannelId, ConversationId, MessageNo, WorkstreamId};
use cordboard_core::message::Message;
use cordboard_core::notice::ThreadKey;
use cordboard_core::time::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row, params};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::entry::Position;
use super::error::{JournalError, Trouble};
use super::outbox::{self, OutboxRow, Reply, Target};
use super::schema;
use super::texts;
use super::transcript::{Fits, TranscriptPage};
use super::views::{Mark, state_of};

pub use accounts::{Account, SignInView, SignedIn, TokenOwner, TokenView};
pub use audit::{AuditEntry, AuditFilter};
pub use engagements::SessionFilter;
pub use keeping::Customer;
pub use search::{Filter, Looked};

/// The key of something that must happen once: sixteen bytes of a SHA-256 over its parts.
pub fn unique_key(scope: &str, id: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(scope.as_bytes());
    hash.update([0]);
    hash.update(id.as_bytes());
    let digest = hash.finalize();
    digest[..16].try_into().expect("a SHA-256 has 32 bytes")
}

/// The key under which an event happens once in its thread: eight bytes are plenty among the
/// messages of one customer.
pub fn dedup_key(scope: &str, id: &str) -> i64 {
    let key = unique_key(scope, id);
    i64::from_le_bytes(key[..8].try_into().expect("a key has sixteen bytes"))
}

/// An address of which only that it wants no messages is known any more (SEC-04): a hash.
pub(super) fn hashed_address(channel: &str, customer: &str) -> String {
    format!("sha256:{}", hex::encode(unique_key(channel, customer)))
}

/// Tickets repeat as well, unless they name agents: keep so many.
const MOST_TICKETS_KEPT: usize = 10_000;

/// An open conversation as a restart needs it.
pub struct OpenRow {
    /// What queues and ledgers are rebuilt from.
    pub standing: Standing,
    /// Its channel.
    pub channel: ChannelId,
    /// Its workstream.
    pub workstream: WorkstreamId,
    /// Next deadline.
    pub wake_at: Option<Timestamp>,
}

/// What a conversation's row says that its machine doesn't.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Version of the snapshot, which may lie behind the events.
    pub snapshot: u64,
    /// The alarm that a start would set.
    pub wake_at: Option<Timestamp>,
    /// The settings that this alarm and the classification are by.
    pub revision: u64,
}

/// What is stored of a customer on a channel.
pub struct StoredThread {
    /// The newest conversation.
    pub newest: Option<ConversationId>,
    /// They want no messages (CH-12).
    pub opted_out: bool,
}

/// A connection that reads. One per thread.
pub struct Reader {
    connection: Connection,
}

type Result<T> = std::result::Result<T, JournalError>;

/// Every row, or the first error.
fn all<T, C: FromIterator<T>>(rows: impl Iterator<Item = rusqlite::Result<T>>) -> Result<C> {
    Ok(rows.collect::<rusqlite::Result<C>>()?)
}

impl Reader {
    /// Writes all of it into a new file, also of a journal whose own file is gone: one that a host takes as
    /// it is, without a log. The file is on disk once this returns.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong.
    pub fn copy_to(&self, path: &Path) -> Result<()> {
        self.connection.pragma_update(None, "query_only", false)?;
        self.connection.execute("VACUUM INTO ?1", [path.to_string_lossy()])?;
        self.connection.pragma_update(None, "query_only", true)?;
        let copy = Connection::open(path)?;
        copy.pragma_update(None, "synchronous", "FULL")?;
        // Its events may have other numbers than those in the index of texts.
        copy.execute_batch(texts::BEGIN_ANEW)?;
        copy.execute("UPDATE position SET was_stopped = 1", [])?;
        Ok(())
    }

    /// Opens the file in the data folder; the writer must have made it.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong.
    pub fn open(data: &Path) -> Result<Self> {
        Self::with_cache(data, 16_384)
    }

    /// The same with a quarter of the memory: for one of many.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong.
    pub fn open_small(data: &Path) -> Result<Self> {
        Self::with_cache(data, 4_096)
    }

    fn with_cache(data: &Path, kib: i64) -> Result<Self> {
        let connection = Connection::open(data.join(schema::FILE))?;
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // A statement's plan doesn't depend on what is bound to it: otherwise some are prepared anew each time.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -kib)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self { connection })
    }

    /// A conversation's machine; the caller gives it its workstream.
    pub fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>> {
        Ok(self.conversation_and_row(id)?.map(|(machine, _)| machine))
    }

    /// The same, and what its row says that the machine doesn't.
    pub fn conversation_and_row(
        &self,
        id: ConversationId,
    ) -> Result<Option<(Conversation, Stored)>> {
        let found = self
            .connection
            .prepare_cached("SELECT snapshot, wake_at, ticket FROM conversations WHERE id = ?1")?
            .query_row([id.0.as_bytes().as_slice()], |row| {
                let machine: Conversation = decoded(row, 0)?;
                let ticket = match row.get_ref(2)?.as_blob_or_null()? {
                    Some(_) => decoded::<Ticket>(row, 2)?,
                    None => Ticket::default(),
                };
                let stored = Stored {
                    snapshot: machine.version(),
                    wake_at: row.get::<_, Option<i64>>(1)?.map(Timestamp),
                    revision: ticket.revision,
                };
                Ok((machine, stored))
            })
            .optional()?;
        let Some((machine, stored)) = found else { return Ok(None) };
        Ok(Some((self.caught_up(machine)?, stored)))
    }

    /// How far the views have come.
    pub(super) fn position(&self) -> Result<Position> {
        Ok(Mark::of(&self.connection)?.applied)
    }

    /// How many events there are of a conversation; none: there is no such conversation.
    pub(super) fn version_of(&self, id: ConversationId) -> Result<u64> {
        let query = "SELECT coalesce(max(version), 0) FROM events WHERE conversation = ?1";
        let mut statement = self.connection.prepare_cached(query)?;
        let version =
            statement.query_row([id.0.as_bytes().as_slice()], |row| row.get::<_, i64>(0))?;
        Ok(version.cast_unsigned())
    }

    /// Applies what the snapshot doesn't hold yet.
    fn caught_up(&self, mut machine: Conversation) -> Result<Conversation> {
        let id = machine.id();
        let mut statement = self.connection.prepare_cached(
            "SELECT at, body FROM events WHERE conversation = ?1 AND version > ?2 ORDER BY version",
        )?;
        let snapshot = machine.version() as i64;
        let mut rows = statement.query(params![id.0.as_bytes().as_slice(), snapshot])?;
        while let Some(row) = rows.next()? {
            machine.replay(&decoded::<Event>(row, 1)?, Timestamp(row.get(0)?));
        }
        Ok(machine)
    }

    /// Keys of what has happened in a conversation, and in those before it with the same customer: the newest
    /// ones. Providers repeat themselves for a day at most; somebody who has kept a request, for longer.
    pub fn recent_keys(&self, key: &ThreadKey, id: ConversationId) -> Result<HashSet<i64>> {
        const MOST: usize = 4096;
        let id = id.0.as_bytes().as_slice();
        let mut keys = HashSet::new();
        let earlier: Vec<Vec<u8>> = {
            let mut statement = self.connection.prepare_cached(
                "SELECT id FROM conversations WHERE channel = ?1 AND customer = ?2 AND id < ?3
                 ORDER BY id DESC LIMIT 256",
            )?;
            let thread = params![key.channel.as_str(), key.customer.as_str(), id];
            all(statement.query_map(thread, |row| row.get(0))?)?
        };
        let mut statement = self.connection.prepare_cached(
            "SELECT dedup FROM events WHERE conversation = ?1 AND dedup IS NOT NULL
             ORDER BY version DESC LIMIT 4096",
        )?;
        for conversation in std::iter::once(id).chain(earlier.iter().map(Vec::as_slice)) {
            let mut rows = statement.query([conversation])?;
            while let Some(row) = rows.next()?
                && keys.len() < MOST
            {
                keys.insert(row.get(0)?);
            }
        }
        Ok(keys)
    }

    /// What a thread's next message has to know, in one look.
    pub fn thread(&self, key: &ThreadKey) -> Result<StoredThread> {
        let query = "SELECT (SELECT id FROM conversations WHERE channel = ?1 AND customer = ?2
                             ORDER BY id DESC LIMIT 1),
                            EXISTS (SELECT 1 FROM opt_outs WHERE channel = ?1 AND customer = ?2)
                            OR EXISTS (SELECT 1 FROM opt_outs
                                       WHERE channel = ?1 AND customer = ?3)";
        let (channel, customer) = (key.channel.as_str(), key.customer.as_str());
        let thread = params![channel, customer, hashed_address(channel, customer)];
        let found = self.connection.prepare_cached(query)?.query_row(thread, |row| {
            let newest = match row.get_ref(0)?.as_blob_or_null()? {
                Some(_) => Some(id_at(row, 0)?),
                None => None,
            };
            Ok(StoredThread { newest, opted_out: row.get(1)? })
        });
        Ok(found?)
    }

    /// The newest entries of a transcript, or the newest before one of them, oldest first: as many as fit,
    /// and at least one if there is any. Numbers begin with 1, so the first one says whether there are
    /// earlier ones.
    pub fn transcript(
        &self,
        id: ConversationId,
        before: Option<MessageNo>,
        fits: Fits,
    ) -> Result<Vec<Message>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM events WHERE conversation = ?1 ORDER BY version DESC",
        )?;
        let mut rows = statement.query([id.0.as_bytes().as_slice()])?;
        let mut page = TranscriptPage::new(before, fits);
        while let Some(row) = rows.next()? {
            let length = row.get_ref(0)?.as_blob()?.len();
            if !page.take(decoded::<Event>(row, 0)?, length) {
                break;
            }
        }
        Ok(page.finish())
    }

    /// Every open conversation, for recovery.
    fn each_open(&self, mut each: impl FnMut(OpenRow)) -> Result<()> {
        // All of it stands in the index.
        let mut statement = self.connection.prepare(
            "SELECT id, state, agent, occupies, asked_back, queued_at, workstream, wake_at, ticket,
             channel FROM conversations INDEXED BY conversations_open WHERE state < 4",
        )?;
        let mut rows = statement.query([])?;
        // Names repeat a million times: keep one copy of each.
        let mut agents: Names<AgentId> = Default::default();
        let mut workstreams: Names<WorkstreamId> = Default::default();
        let mut channels: Names<ChannelId> = Default::default();
        let mut tickets: FxHashMap<Vec<u8>, Arc<Ticket>> = Default::default();
        let usual = Arc::new(Ticket::default());
        while let Some(row) = rows.next()? {
            let agent = match row.get_ref(2)?.as_str_or_null()? {
                None => None,
                Some(name) => Some(interned(&mut agents, name)),
            };
            let workstream = interned(&mut workstreams, row.get_ref(6)?.as_str()?);
            let channel = interned(&mut channels, row.get_ref(9)?.as_str()?);
            let ticket = match row.get_ref(8)?.as_blob_or_null()? {
                None => usual.clone(),
                Some(bytes) => match tickets.get(bytes) {
                    Some(ticket) => ticket.clone(),
                    None => {
                        let ticket = Arc::new(decoded::<Ticket>(row, 8)?);
                        if tickets.len() < MOST_TICKETS_KEPT {
                            tickets.insert(bytes.to_vec(), ticket.clone());
                        }
                        ticket
                    }
                },
            };
            each(OpenRow {
                standing: Standing {
                    ticket,
                    id: id_at(row, 0)?,
                    state: state_of(row.get(1)?),
                    agent,
                    occupies: row.get(3)?,
                    returning: row.get(4)?,
                    queued_at: Timestamp(row.get(5)?),
                },
                channel,
                workstream,
                wake_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
            });
        }
        Ok(())
    }

    /// The same, read on a thread of its own while they are dealt with: with millions of them either takes seconds.
    ///
    /// # Errors
    /// [`JournalError`]: they can't be read.
    pub fn each_open_of(data: &Path, mut each: impl FnMut(OpenRow)) -> Result<()> {
        /// So many at a time, and so many times: a few megabytes.
        const AT_ONCE: usize = 2048;
        const AHEAD: usize = 8;
        let (sender, parts) = std::sync::mpsc::sync_channel::<Vec<OpenRow>>(AHEAD);
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let mut part = Vec::with_capacity(AT_ONCE);
                Self::open(data)?.each_open(|row| {
                    part.push(row);
                    if part.len() == AT_ONCE {
                        // Whoever deals with them has come to grief, and says so.
                        let _ =
                            sender.send(std::mem::replace(&mut part, Vec::with_capacity(AT_ONCE)));
                    }
                })?;
                let _ = sender.send(part);
                Ok(())
            });
            parts.into_iter().flatten().for_each(&mut each);
            reading.join().unwrap_or_else(|_| {
                Err(JournalError::new(Trouble::Grief, "reading open conversations came to grief"))
            })
        })
    }

    /// Deadlines of conversations that have closed while somebody still had a wrap-up to finish.
    pub fn deadlines_of_closed(&self) -> Result<Vec<(Timestamp, ConversationId)>> {
        let mut statement = self.connection.prepare(
            "SELECT wake_at, id FROM conversations WHERE state >= 4 AND wake_at IS NOT NULL
             AND id IN (SELECT conversation FROM wrap_ups)",
        )?;
        let rows = statement.query_map([], |row| Ok((Timestamp(row.get(0)?), id_at(row, 1)?)))?;
        all(rows)
    }

    /// Conversations in which an agent still has a wrap-up to finish.
    pub fn wrap_ups_of(&self, agent: &AgentId) -> Result<Vec<ConversationId>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT conversation FROM wrap_ups WHERE agent = ?1 ORDER BY 1")?;
        let rows = statement.query_map([agent.as_str()], |row| id_at(row, 0))?;
        all(rows)
    }

    /// What agents were when it last changed (PRES-04).
    pub fn presence(&self) -> Result<HashMap<AgentId, cordboard_core::agent::KeptPresence>> {
        let mut statement = self.connection.prepare("SELECT agent, body FROM presence")?;
        let rows = statement.query_map([], |row| {
            let agent: String = row.get(0)?;
            Ok((AgentId::new(agent), decoded(row, 1)?))
        })?;
        all(rows)
    }

    /// When a host was last known to run on this journal.
    pub fn alive_at(&self) -> Result<Option<Timestamp>> {
        let mut statement = self.connection.prepare("SELECT alive_at FROM life")?;
        Ok(statement.query_row([], |row| row.get(0).map(Timestamp)).optional()?)
    }

    /// Each event of a conversation with its time, oldest first: however many there are, one at a time.
    pub fn each_event(
        &self,
        id: ConversationId,
        mut each: impl FnMut(Timestamp, Event),
    ) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT at, body FROM events WHERE conversation = ?1 ORDER BY version",
        )?;
        let mut rows = statement.query([id.0.as_bytes().as_slice()])?;
        while let Some(row) = rows.next()? {
            each(Timestamp(row.get(0)?), decoded(row, 1)?);
        }
        Ok(())
    }

    /// What happened once under a key.
    pub fn event_by_key(&self, id: ConversationId, key: i64) -> Result<Option<Event>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT body FROM events WHERE conversation = ?1 AND dedup = ?2")?;
        let id = id.0.as_bytes().as_slice();
        Ok(statement.query_row(params![id, key], |row| decoded(row, 0)).optional()?)
    }

    /// Events of a conversation with their times, oldest first.
    pub fn events(&self, id: ConversationId) -> Result<Vec<(Timestamp, Event)>> {
        let mut events = Vec::new();
        self.each_event(id, |at, event| events.push((at, event)))?;
        Ok(events)
    }

    /// Events of a conversation with their times, oldest first: those after a version, up to another.
    pub fn events_between(
        &self,
        id: ConversationId,
        after: u64,
        up_to: u64,
    ) -> Result<Vec<(Timestamp, Event)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT at, body FROM events WHERE conversation = ?1 AND version > ?2 AND version <= ?3
             ORDER BY version",
        )?;
        let id = id.0.as_bytes().as_slice();
        let rows = statement.query_map(params![id, after as i64, up_to as i64], |row| {
            Ok((Timestamp(row.get(0)?), decoded(row, 1)?))
        })?;
        all(rows)
    }

    /// Open conversations whose channel and workstream the filter accepts: those that wait in a
    /// queue, and the others.
    pub fn open_of(
        &self,
        accept: impl Fn(&str, &str) -> bool,
    ) -> Result<(Vec<ConversationId>, Vec<ConversationId>)> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, channel, workstream, state FROM conversations WHERE state < 4",
        )?;
        let mut rows = statement.query([])?;
        let (mut waiting, mut others) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            if accept(row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?) {
                let is_waiting = state_of(row.get(3)?) == State::Open;
                if is_waiting { &mut waiting } else { &mut others }.push(id_at(row, 0)?);
            }
        }
        Ok((waiting, others))
    }

    /// What is still to be done outside, oldest first.
    pub fn outbox(&self) -> Result<Vec<OutboxRow>> {
        Ok(outbox::open(&self.connection)?)
    }

    /// Replies of a conversation that are still to be sent.
    pub fn open_replies(&self, id: ConversationId) -> Result<u32> {
        let query =
            "SELECT count(*) FROM outbox WHERE conversation = ?1 AND kind = ?2 AND done = 0";
        let mut statement = self.connection.prepare_cached(query)?;
        let id = id.0.as_bytes().as_slice();
        Ok(statement.query_row(params![id, Reply::KIND], |row| row.get(0))?)
    }

    /// What we call what whoever takes it calls so.
    pub fn sent_as(&self, target: &Target, provider_id: &str) -> Result<Option<String>> {
        let found = self
            .connection
            .prepare_cached("SELECT reference FROM outbox WHERE target = ?1 AND provider_id = ?2")?
            .query_row(params![target.as_str(), provider_id], |row| row.get(0))
            .optional()?;
        Ok(found)
    }

    /// A value of a channel's own store.
    pub fn plugin_value(&self, channel: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let found = self
            .connection
            .prepare_cached("SELECT value FROM plugin_store WHERE channel = ?1 AND key = ?2")?
            .query_row(params![channel, key], |row| row.get(0))
            .optional()?;
        Ok(found)
    }
}

type Names<T> = FxHashMap<String, T>;

fn interned<T: Clone + for<'a> From<&'a str>>(known: &mut Names<T>, name: &str) -> T {
    if let Some(id) = known.get(name) {
        return id.clone();
    }
    let id = T::from(name);
    known.insert(name.to_owned(), id.clone());
    id
}

fn machine(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    decoded(row, 0)
}

pub(super) fn decoded<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let bytes = row.get_ref(column)?.as_blob()?;
    rmp_serde::from_slice(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Blob,
            Box::new(error),
        )
    })
}

pub(super) fn id_at(row: &Row<'_>, column: usize) -> rusqlite::Result<ConversationId> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| {
        rusqlite::Error::InvalidColumnType(column, "id".into(), rusqlite::types::Type::Blob)
    })?;
    Ok(ConversationId(Uuid::from_bytes(bytes)))
}
