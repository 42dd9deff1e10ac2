//! What stands in the outbox: things to be done outside, on disk before they are tried, whoever takes them.

use std::fmt;

use cordboard_core::ids::{ChannelId, ConversationId, MessageNo};
use cordboard_core::message::Media;
use cordboard_core::time::Timestamp;
use rusqlite::{Connection, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reader::{decoded, id_at, unique_key};
use super::reference::Reference;

/// Who takes a row: a plugin as it is configured, `channel/sms`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Target(String);

impl Target {
    const CHANNEL: &str = "channel/";

    /// A channel, through its plugin.
    pub fn channel(id: &ChannelId) -> Self {
        Self(format!("{}{id}", Self::CHANNEL))
    }

    /// Its name, if it is a channel.
    pub fn as_channel(&self) -> Option<ChannelId> {
        self.0.strip_prefix(Self::CHANNEL).map(ChannelId::from)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A plugin and its account, by a number that no other has; 0: nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Repeater(pub i64);

impl Repeater {
    /// Nobody.
    pub const NOBODY: Self = Self(0);

    /// Of a plugin with these settings.
    pub fn of(plugin: &str, settings: &serde_json::Value) -> Self {
        let key = unique_key(plugin, &settings.to_string());
        Self(i64::from_le_bytes(key[..8].try_into().expect("a key has sixteen bytes")) | 1)
    }
}

/// A change of the outbox, in the same transaction as the step that it follows from.
#[derive(Debug, Serialize, Deserialize)]
pub enum OutboxOp {
    /// A reply is to be sent, as logs have it that were written when there was nothing else.
    Add(Box<OldReply>),
    /// A row needs no further attempt.
    Done {
        /// Which row.
        id: i64,
        /// What whoever took it calls it.
        provider_id: Option<String>,
    },
    /// Something is to be done.
    Queue(Box<OutboxRow>),
    /// An attempt of a row that is there begins.
    Begin(Begins),
}

/// An attempt of a row begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Begins {
    /// Which row.
    pub row: i64,
    /// When it was first tried.
    pub first_attempt_at: Timestamp,
    /// Who may be asked to repeat it.
    pub repeatable_by: Repeater,
}

/// A row is settled by a step.
#[derive(Clone, Debug)]
pub struct Settles {
    /// Which row.
    pub row: i64,
    /// What whoever took it calls it.
    pub provider_id: Option<String>,
    /// The one behind it, which begins as soon as that is on disk.
    pub next: Option<Begins>,
}

/// Something that is to be done outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Set by the journal.
    pub id: i64,
    /// Who takes it.
    pub target: Target,
    /// What it is, and so what the payload holds: [`Reply::KIND`].
    pub kind: String,
    /// Rows of one key are done one after another, in the order in which they were written.
    pub ordering_key: String,
    /// The same at every attempt, and no other row's.
    pub idempotency_key: Uuid,
    /// The conversation that it follows from, is told what becomes of it, and takes it along when it is removed.
    pub conversation: ConversationId,
    /// What in the conversation it is about, as it is called outside.
    pub reference: String,
    /// What is to be done, encoded by kind; on disk only until it is.
    #[serde(with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// When it was first tried.
    pub first_attempt_at: Option<Timestamp>,
    /// An attempt was under way when the row was read: after a crash, nobody knows how it ended.
    pub attempting: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// Who may be asked to repeat that attempt, as they know repetitions and had it; fixed when it began, as another plugin or
    /// account in the same place can't know what that one took. `None`: nothing was tried, or by a host that didn't note it.
    pub repeatable_by: Option<Repeater>,
    /// That its next attempt begins is on disk already: it came there with the row itself, by this host.
    #[serde(skip)]
    pub is_marked: bool,
    /// Whoever takes it may have been asked, and what came of that isn't on disk.
    #[serde(skip)]
    pub may_be_out: bool,
    /// How many customers had opted out in this run of the host when it was written; of one that was read from disk nobody
    /// knows.
    #[serde(skip)]
    pub opt_outs: Option<u64>,
}

impl OutboxRow {
    /// That its next attempt begins is on disk.
    pub fn mark(&mut self, begins: Begins) {
        self.first_attempt_at = Some(begins.first_attempt_at);
        self.repeatable_by = Some(begins.repeatable_by);
        self.is_marked = true;
    }
}

/// A reply to a customer: what is in the payload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// Which entry.
    pub message: MessageNo,
    /// When it was said; unknown of those that were queued before it was kept.
    #[serde(default)]
    pub said_at: Option<Timestamp>,
    /// From which address of ours.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Text.
    pub text: String,
    /// Files.
    #[serde(default)]
    pub media: Vec<Media>,
}

impl Reply {
    /// Its kind of row.
    pub const KIND: &str = "reply";

    /// As a row that nobody has tried to send. Replies of a conversation go out one after another.
    pub fn queued(&self, channel: &ChannelId, conversation: ConversationId) -> OutboxRow {
        let reference =
            Reference { conversation, message: self.message, said_at: self.said_at }.to_string();
        OutboxRow {
            id: 0,
            target: Target::channel(channel),
            kind: Self::KIND.to_owned(),
            ordering_key: conversation.0.to_string(),
            idempotency_key: idempotency_key(&reference),
            conversation,
            reference,
            payload: rmp_serde::to_vec_named(self).expect("text and links can be encoded"),
            first_attempt_at: None,
            attempting: false,
            attempts: 0,
            repeatable_by: None,
            is_marked: false,
            may_be_out: false,
            opt_outs: None,
        }
    }

    /// What is in a row of this kind.
    ///
    /// # Errors
    /// Why it isn't in it.
    pub fn of(row: &OutboxRow) -> Result<Self, String> {
        rmp_serde::from_slice(&row.payload).map_err(|error| error.to_string())
    }
}

/// A UUID that follows from the reference.
fn idempotency_key(reference: &str) -> Uuid {
    uuid::Builder::from_custom_bytes(unique_key("idempotency", reference)).into_uuid()
}

/// A reply as it stood in logs, and in the tables, before the outbox took other things: fields by their places.
#[derive(Debug, Serialize, Deserialize)]
pub struct OldReply {
    id: i64,
    conversation: ConversationId,
    message: MessageNo,
    channel: String,
    sender: String,
    recipient: String,
    body: OldBody,
    first_attempt_at: Option<Timestamp>,
    attempting: bool,
    attempts: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct OldBody {
    text: String,
    #[serde(default)]
    media: Vec<Media>,
    #[serde(default)]
    said_at: Option<Timestamp>,
}

impl OldReply {
    fn as_row(&self) -> OutboxRow {
        let reply = Reply {
            message: self.message,
            said_at: self.body.said_at,
            from: self.sender.clone(),
            to: self.recipient.clone(),
            text: self.body.text.clone(),
            media: self.body.media.clone(),
        };
        let channel = ChannelId::from(self.channel.as_str());
        OutboxRow {
            id: self.id,
            first_attempt_at: self.first_attempt_at,
            attempting: self.attempting,
            attempts: self.attempts,
            ..reply.queued(&channel, self.conversation)
        }
    }
}

/// Applies a change of the outbox to the tables.
pub(super) fn write(transaction: &Transaction<'_>, op: &OutboxOp) -> rusqlite::Result<()> {
    match op {
        OutboxOp::Add(reply) => insert(transaction, &reply.as_row()),
        OutboxOp::Queue(row) => insert(transaction, row),
        OutboxOp::Done { id, provider_id } => {
            settle(transaction, *id, provider_id.as_deref()).map(drop)
        }
        OutboxOp::Begin(Begins { row, first_attempt_at, repeatable_by }) => {
            begin(transaction, *row, *first_attempt_at, Some(*repeatable_by)).map(drop)
        }
    }
}

/// An attempt begins: after a crash, nobody knows how it ended.
pub(super) fn begin(
    to: &Connection,
    row: i64,
    first_attempt_at: Timestamp,
    repeatable_by: Option<Repeater>,
) -> rusqlite::Result<usize> {
    to.prepare_cached(
        "UPDATE outbox SET attempting = 1, attempts = attempts + 1,
         first_attempt_at = ?2, repeatable_by = ?3 WHERE id = ?1",
    )?
    .execute(params![row, first_attempt_at.0, repeatable_by.map(|by| by.0)])
}

/// What was to be done needn't be kept any more: only that it was, and what it is called outside.
pub(super) fn settle(
    to: &Connection,
    id: i64,
    provider_id: Option<&str>,
) -> rusqlite::Result<usize> {
    to.prepare_cached(
        "UPDATE outbox SET done = 1, attempting = 0, provider_id = ?2, payload = x'' WHERE id = ?1",
    )?
    .execute(params![id, provider_id])
}

fn insert(to: &Connection, row: &OutboxRow) -> rusqlite::Result<()> {
    to.prepare_cached(
        "INSERT INTO outbox (id, target, kind, ordering_key, idempotency_key, conversation, reference,
         payload, first_attempt_at, attempting, attempts, repeatable_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        row.id,
        row.target.as_str(),
        row.kind,
        row.ordering_key,
        row.idempotency_key.as_bytes().as_slice(),
        row.conversation.0.as_bytes().as_slice(),
        row.reference,
        row.payload,
        row.first_attempt_at.map(|at| at.0),
        row.attempting,
        row.attempts,
        row.repeatable_by.map(|by| by.0),
    ])
    .map(drop)
}

/// What is still to be done, oldest first.
pub(super) fn open(connection: &Connection) -> rusqlite::Result<Vec<OutboxRow>> {
    let mut statement = connection.prepare(
        "SELECT id, target, kind, ordering_key, idempotency_key, conversation, reference, payload,
         first_attempt_at, attempting, attempts, repeatable_by FROM outbox WHERE done = 0 ORDER BY id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(OutboxRow {
            id: row.get(0)?,
            target: Target(row.get(1)?),
            kind: row.get(2)?,
            ordering_key: row.get(3)?,
            idempotency_key: Uuid::from_bytes(row.get(4)?),
            conversation: id_at(row, 5)?,
            reference: row.get(6)?,
            payload: row.get(7)?,
            first_attempt_at: row.get::<_, Option<i64>>(8)?.map(Timestamp),
            attempting: row.get(9)?,
            attempts: row.get(10)?,
            repeatable_by: row.get::<_, Option<i64>>(11)?.map(Repeater),
            is_marked: false,
            may_be_out: false,
            opt_outs: None,
        })
    })?;
    rows.collect()
}

/// Until version 10 the tables' outbox held replies only, with a column for each thing there is of one. The tables' new
/// outbox is there and empty; the old one has got out of its way.
pub(super) fn take_over_replies(connection: &Connection, from: &str) -> rusqlite::Result<()> {
    let columns = "id, conversation, message, channel, sender, recipient, body, first_attempt_at,
        attempting, attempts, done, provider_id";
    let mut replies = connection.prepare(&format!("SELECT {columns} FROM {from} ORDER BY id"))?;
    let mut replies = replies.query([])?;
    while let Some(row) = replies.next()? {
        let reply = old_reply(row)?;
        insert(connection, &reply.as_row())?;
        if row.get(10)? {
            let provider_id: Option<String> = row.get(11)?;
            settle(connection, reply.id, provider_id.as_deref())?;
        }
    }
    Ok(())
}

fn old_reply(row: &Row<'_>) -> rusqlite::Result<OldReply> {
    Ok(OldReply {
        id: row.get(0)?,
        conversation: id_at(row, 1)?,
        message: MessageNo(row.get(2)?),
        channel: row.get(3)?,
        sender: row.get(4)?,
        recipient: row.get(5)?,
        body: decoded(row, 6)?,
        first_attempt_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        attempting: row.get(8)?,
        attempts: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Reply {
        Reply {
            message: MessageNo(3),
            said_at: Some(Timestamp(1_700_000_000_000)),
            from: "+1".to_owned(),
            to: "+2".to_owned(),
            text: "hello".to_owned(),
            media: Vec::new(),
        }
    }

    #[test]
    fn a_row_says_what_it_is_and_every_reply_has_a_key_of_its_own() {
        let (channel, id) = (ChannelId::from("sms"), ConversationId(Uuid::from_u128(7)));
        let row = reply().queued(&channel, id);
        assert_eq!(Reply::of(&row).unwrap(), reply());
        assert_eq!(row.target.as_channel(), Some(channel.clone()));
        assert_eq!(row.idempotency_key.get_version_num(), 8);
        assert_eq!(row.idempotency_key, reply().queued(&channel, id).idempotency_key);
        let other = Reply { message: MessageNo(4), ..reply() }.queued(&channel, id);
        assert_ne!(row.idempotency_key, other.idempotency_key);
        assert_eq!(row.ordering_key, other.ordering_key);
    }
}
