//! Tables and settings of the SQLite file.

use std::path::Path;

use super::error::{JournalError, Trouble};
use cordboard_core::conversation::Event;
use cordboard_core::ids::ConversationId;
use cordboard_core::time::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::entry::Position;
use super::outbox;
use super::sessions::{self, fold_sessions};
use super::verify;

/// Raised when a table changes, or what it means (10: `lineage` holds runs, and not logs; 11: the outbox takes other
/// things than replies, too; 12: how far they have come is said twice; 13: a step may say that
/// an attempt of the outbox begins, in the log); an older host refuses a newer file.
pub const SCHEMA_VERSION: i64 = 13;

/// Rows per message count: an inbound message to a known conversation costs one row, in `events`.
///
/// `events` is appended to, whatever the conversation, so that a commit fills a page or two; its
/// index is small enough to be split seldom. `conversations` is clustered by id, which grows with
/// time. The snapshot in it may lie some events behind; whoever reads it applies the rest. The other columns never do. The partial indexes hold open work only and change
/// with state, not with messages; that of what is open holds all that a start reads of it, so that it needn't touch
/// the snapshots of millions. `ticket` is the part of the standing that is the same for many
/// conversations, encoded. `decisions` and `routing_log` are written beside, in bulk: what routing
/// was told and what it chose (ROUTE-15, OPS-08). `dedup` is the key under which an event must happen once in its
/// thread. `engagements` are agents' sessions in conversations (CONV-09), `wrap_ups` those that a
/// customer cut short (CAP-02), `presence` is what agents were when it last changed, and `life` when
/// the host was last known to run (PRES-04). `lineage` holds the runs in which they came to be (`recovery/lineage.rs`). `position` says how much of which log is in all of them, up to where
/// the file itself was known to have it, whatever lies beside it (`kept`); `position_again` repeats it on a page of its
/// own, so that it shows if the disk loses a write of one of the two. `position` also says how many
/// events are in `texts`, the index of what was written (`texts.rs`). `spent` holds keys of what erased customers
/// wrote, and not whose: whoever has kept a webhook of theirs doesn't bring them back (SEC-02).
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS conversations (
    id BLOB PRIMARY KEY, channel TEXT NOT NULL, customer TEXT NOT NULL, workstream TEXT NOT NULL,
    state INTEGER NOT NULL, agent TEXT, occupies INTEGER NOT NULL, asked_back INTEGER NOT NULL,
    queued_at INTEGER NOT NULL, wake_at INTEGER, version INTEGER NOT NULL, snapshot BLOB NOT NULL,
    ticket BLOB, queue TEXT
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS conversations_of_customer ON conversations (customer, channel);
CREATE INDEX IF NOT EXISTS conversations_of_agent ON conversations (agent)
    WHERE agent IS NOT NULL;
CREATE INDEX IF NOT EXISTS conversations_open ON conversations
    (id, state, agent, occupies, asked_back, queued_at, workstream, wake_at, ticket, channel)
    WHERE state < 4;
CREATE INDEX IF NOT EXISTS conversations_agent ON conversations (agent)
    WHERE agent IS NOT NULL AND state < 4;
CREATE TABLE IF NOT EXISTS events (
    conversation BLOB NOT NULL, version INTEGER NOT NULL, at INTEGER NOT NULL,
    kind TEXT NOT NULL, dedup INTEGER, body BLOB NOT NULL, PRIMARY KEY (conversation, version)
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, target TEXT NOT NULL, kind TEXT NOT NULL, ordering_key TEXT NOT NULL,
    idempotency_key BLOB NOT NULL, conversation BLOB NOT NULL, reference TEXT NOT NULL,
    payload BLOB NOT NULL, first_attempt_at INTEGER, attempting INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, repeatable_by INTEGER, done INTEGER NOT NULL DEFAULT 0,
    provider_id TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_open ON outbox (id) WHERE done = 0;
CREATE INDEX IF NOT EXISTS outbox_conversation ON outbox (conversation);
CREATE INDEX IF NOT EXISTS outbox_provider ON outbox (target, provider_id)
    WHERE provider_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS opt_outs (
    channel TEXT NOT NULL, customer TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (channel, customer)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS agent_events (
    id INTEGER PRIMARY KEY, agent TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, conversation BLOB NOT NULL, at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS decisions_conversation ON decisions (conversation);
CREATE TABLE IF NOT EXISTS routing_log (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS engagements (
    id INTEGER PRIMARY KEY, conversation BLOB NOT NULL, agent TEXT NOT NULL, part INTEGER NOT NULL,
    began_at INTEGER NOT NULL, ended_at INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS engagements_agent ON engagements (agent, id);
CREATE INDEX IF NOT EXISTS engagements_conversation ON engagements (conversation);
CREATE TABLE IF NOT EXISTS wrap_ups (
    conversation BLOB NOT NULL, agent TEXT NOT NULL, PRIMARY KEY (conversation, agent)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS wrap_ups_agent ON wrap_ups (agent);
CREATE TABLE IF NOT EXISTS presence (
    agent TEXT PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS life (
    one INTEGER PRIMARY KEY CHECK (one = 1), alive_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS accounts (
    agent TEXT PRIMARY KEY, password TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS tokens (
    hash BLOB PRIMARY KEY, agent TEXT NOT NULL, name TEXT NOT NULL, created_at INTEGER NOT NULL,
    id TEXT, expires_at INTEGER, used_at INTEGER, scopes TEXT
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS sessions (
    hash BLOB PRIMARY KEY, agent TEXT NOT NULL, csrf TEXT NOT NULL, expires_at INTEGER NOT NULL,
    id TEXT, created_at INTEGER, used_at INTEGER, address TEXT, device TEXT
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, address TEXT, details TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS audit_actor ON audit (actor, id);
CREATE INDEX IF NOT EXISTS audit_subject ON audit (subject, id);
CREATE TABLE IF NOT EXISTS forgotten (conversation BLOB PRIMARY KEY) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY, key INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS spent_key ON spent (key);
CREATE TABLE IF NOT EXISTS to_scrub (
    one INTEGER PRIMARY KEY CHECK (one = 1), removals INTEGER NOT NULL,
    scrubbed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS forgetting (one INTEGER PRIMARY KEY CHECK (one = 1)) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE UPDATE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM forgetting)
    BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;
CREATE TRIGGER IF NOT EXISTS audit_isnt_replaced BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_kept BEFORE DELETE ON audit
    WHEN NOT EXISTS (SELECT 1 FROM forgetting)
    BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;
CREATE TABLE IF NOT EXISTS sign_in_links (
    hash BLOB PRIMARY KEY, agent TEXT NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS position (
    one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL, log BLOB,
    was_stopped INTEGER NOT NULL DEFAULT 1, indexed INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS position_again (
    one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS position_begins AFTER INSERT ON position
    BEGIN INSERT OR REPLACE INTO position_again (one, applied) VALUES (1, NEW.applied); END;
CREATE TRIGGER IF NOT EXISTS position_moves AFTER UPDATE OF applied ON position
    BEGIN INSERT OR REPLACE INTO position_again (one, applied) VALUES (1, NEW.applied); END;
CREATE TABLE IF NOT EXISTS lineage (
    number INTEGER PRIMARY KEY, log BLOB NOT NULL, after INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS texts_going (
    entry INTEGER PRIMARY KEY, words TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5 (
    words, content = '', columnsize = 0, detail = none, tokenize = 'ascii'
);
CREATE TABLE IF NOT EXISTS plugin_store (
    channel TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (channel, key)
) WITHOUT ROWID, STRICT;
";

/// Routing by rules: what a restart needs of a conversation's classification, and where it waits.
const FROM_1_TO_2: &str = "
ALTER TABLE conversations ADD COLUMN ticket BLOB;
ALTER TABLE conversations ADD COLUMN queue TEXT;
";

/// Names, ends and rights of what people are signed in with.
const FROM_3_TO_4: &str = "
ALTER TABLE tokens ADD COLUMN id TEXT;
ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
ALTER TABLE tokens ADD COLUMN used_at INTEGER;
ALTER TABLE tokens ADD COLUMN scopes TEXT;
UPDATE tokens SET id = lower(hex(randomblob(8)));
ALTER TABLE sessions ADD COLUMN id TEXT;
ALTER TABLE sessions ADD COLUMN created_at INTEGER;
ALTER TABLE sessions ADD COLUMN used_at INTEGER;
ALTER TABLE sessions ADD COLUMN address TEXT;
ALTER TABLE sessions ADD COLUMN device TEXT;
UPDATE sessions SET id = lower(hex(randomblob(8)));
";

/// What is removed by rule or on demand leaves the audit log, too (SEC-04).
const FROM_6_TO_7: &str = "
DROP TRIGGER IF EXISTS audit_stays;
DROP TRIGGER IF EXISTS audit_is_kept;
";

/// Texts are indexed, and conversations found by customer alone, and by the agent who had them (CONV-09).
const FROM_7_TO_8: &str = "DROP INDEX IF EXISTS conversations_thread;";
/// Open conversations are read from their index alone.
const FROM_8_TO_9: &str = "DROP INDEX IF EXISTS conversations_open;";
const FROM_LOG_TO_8: &str = "ALTER TABLE position ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;";

/// Until version 9 they have followed one log (or it wasn't noted that there were others).
const FROM_LOG_TO_9: &str = "
ALTER TABLE position ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
INSERT INTO lineage (log, after) SELECT log, 0 FROM position WHERE log IS NOT NULL;
";

const FROM_LOG_TO_12: &str =
    "INSERT OR REPLACE INTO position_again (one, applied) SELECT one, applied FROM position;";

/// The outbox takes other things than replies, too.
const FROM_10_TO_11: &str = "
DROP INDEX IF EXISTS outbox_open;
DROP INDEX IF EXISTS outbox_conversation;
DROP INDEX IF EXISTS outbox_provider;
ALTER TABLE outbox RENAME TO replies;
";

/// What stood there before there was a log counts as its first batch, which it never has: a log that begins with the first
/// one has all there ever was.
const FROM_BEFORE_LOG: &str = "INSERT INTO position (one, applied) VALUES (1, 1);";
/// How far such a journal has come.
pub const BEFORE_LOG: Position = Position(1);

/// What is taken out of the index of texts is overwritten there (SEC-04).
const TEXTS: &str = "INSERT INTO texts (texts, rank) VALUES ('secure-delete', 1);";

/// Journals of before had no log.
pub const SINCE_LOG: i64 = 6;

/// The file's name in the data folder.
pub const FILE: &str = "journal.sqlite";

/// Opens a connection that may write, and makes the tables if they aren't there.
///
/// # Errors
/// SQLite's own, or one that names a file of a newer host.
pub fn open(path: &Path) -> Result<Connection, JournalError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    // Whoever only looks at a journal that may be damaged leaves it as it is; in order it is closed by
    // those who say so.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // As readers have it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // What is removed is overwritten (SEC-04).
    connection.pragma_update(None, "secure_delete", "ON")?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > SCHEMA_VERSION {
        let text = format!(
            "the journal is of version {version}, this host knows {SCHEMA_VERSION}: use the newer host"
        );
        return Err(JournalError::new(Trouble::Newer, text));
    }
    let tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
    if version == 0 && connection.query_row(tables, [], |row| row.get(0))? {
        let text = "it is a database of another program";
        return Err(JournalError::new(Trouble::Other, text));
    }
    if version < SCHEMA_VERSION {
        // Whole or not at all: a start that was cut off begins again.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        if version == 1 {
            connection.execute_batch(FROM_1_TO_2)?;
        }
        if (1..4).contains(&version) {
            connection.execute_batch(FROM_3_TO_4)?;
        }
        if (SINCE_LOG..8).contains(&version) {
            connection.execute_batch(FROM_LOG_TO_8)?;
        }
        for (since, change) in [(7, FROM_6_TO_7), (8, FROM_7_TO_8), (9, FROM_8_TO_9)] {
            if version < since {
                connection.execute_batch(change)?;
            }
        }
        if (1..11).contains(&version) {
            connection.execute_batch(FROM_10_TO_11)?;
        }
        connection.execute_batch(TABLES)?;
        connection.execute_batch(TEXTS)?;
        if (1..11).contains(&version) {
            outbox::take_over_replies(&connection, "replies")?;
            connection.execute_batch("DROP TABLE replies")?;
        }
        if (SINCE_LOG..9).contains(&version) {
            connection.execute_batch(FROM_LOG_TO_9)?;
        }
        if (SINCE_LOG..12).contains(&version) {
            connection.execute_batch(FROM_LOG_TO_12)?;
        }
        if (1..SINCE_LOG).contains(&version) {
            connection.execute_batch(FROM_BEFORE_LOG)?;
        }
        if (1..3).contains(&version) {
            fill_engagements(&connection)?;
        }
        connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        connection.execute_batch("COMMIT")?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    look_through(&connection)?;
    Ok(connection)
}

/// Whether a folder's tables are of an earlier version.
///
/// # Errors
/// [`JournalError`]: they can't be read.
pub fn is_older(data: &Path) -> Result<bool, JournalError> {
    let file = data.join(FILE);
    // What is no file is said where it is opened.
    if !file.is_file() {
        return Ok(false);
    }
    verify::is_older(&verify::look_only(&file)?)
}

/// Both ends of every table and index can be read: damage that would show with the first message shows now.
/// What lies between is looked at by `cordboard journal verify`.
fn look_through(connection: &Connection) -> rusqlite::Result<()> {
    for table in tables(connection)? {
        let mut columns = connection.prepare(&format!("PRAGMA table_info(\"{table}\")"))?;
        let columns: Vec<String> =
            columns.query_map([], |row| row.get(1))?.collect::<rusqlite::Result<_>>()?;
        for end in ["ASC", "DESC"] {
            // The first column of every table is in an order that an index or the table itself has.
            let column = &columns[0];
            let look = format!("SELECT * FROM \"{table}\" ORDER BY \"{column}\" {end} LIMIT 1");
            let mut look = connection.prepare(&look)?;
            let mut rows = look.query([])?;
            let Some(row) = rows.next()? else { continue };
            for column in 0..columns.len() {
                row.get_ref(column)?;
            }
        }
    }
    Ok(())
}

/// All that have pages: a virtual one has its own in others.
///
/// # Errors
/// SQLite's own.
pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0";
    let mut tables = connection.prepare(tables)?;
    tables.query_map([], |row| row.get(0))?.collect()
}

/// Until version 2, sessions were worked out from events whenever somebody asked.
fn fill_engagements(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM engagements")?;
    let mut conversations = connection.prepare("SELECT id FROM conversations ORDER BY id")?;
    let mut events = connection
        .prepare("SELECT at, body FROM events WHERE conversation = ?1 ORDER BY version")?;
    let mut insert = connection.prepare(
        "INSERT INTO engagements (conversation, agent, part, began_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut rows = conversations.query([])?;
    while let Some(row) = rows.next()? {
        let id: Vec<u8> = row.get(0)?;
        let told = events.query_map([&id], |row| {
            let body = row.get_ref(1)?.as_blob()?;
            let event = rmp_serde::from_slice::<Event>(body).ok();
            Ok(event.map(|event| (row.get(0).map(Timestamp), event)))
        })?;
        let mut known = Vec::new();
        for event in told {
            // What can't be read is no session of anybody's.
            let Some((at, event)) = event? else { continue };
            known.push((at?, event));
        }
        let conversation = ConversationId(Uuid::from_slice(&id).unwrap_or_default());
        for session in fold_sessions(conversation, known.into_iter()) {
            insert.execute(params![
                id,
                session.agent.as_str(),
                sessions::part_number(session.part),
                session.began_at.0,
                session.ended_at.map(|at| at.0)
            ])?;
        }
    }
    Ok(())
}

/// The outbox until version 10.
#[cfg(test)]
pub(super) const REPLIES: &str = "
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY, conversation BLOB NOT NULL, message INTEGER NOT NULL,
    channel TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, body BLOB NOT NULL,
    first_attempt_at INTEGER, attempting INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, provider_id TEXT
) STRICT;
CREATE INDEX outbox_open ON outbox (id) WHERE done = 0;
CREATE INDEX outbox_conversation ON outbox (conversation);
CREATE INDEX outbox_provider ON outbox (channel, provider_id) WHERE provider_id IS NOT NULL;
";

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables before sessions and tokens had names.
    fn of_version_3() -> String {
        let new = [
            ",\n    id TEXT, expires_at INTEGER, used_at INTEGER, scopes TEXT\n",
            ",\n    id TEXT, created_at INTEGER, used_at INTEGER, address TEXT, device TEXT\n",
        ];
        let open = "
    (id, state, agent, occupies, asked_back, queued_at, workstream, wake_at, ticket, channel)
   ";
        let (before, rest) = TABLES.split_once("CREATE TABLE IF NOT EXISTS outbox").unwrap();
        let (_, after) = rest.split_once("CREATE TABLE IF NOT EXISTS opt_outs").unwrap();
        let tables = format!("{before}{REPLIES}CREATE TABLE IF NOT EXISTS opt_outs{after}");
        assert!(tables.contains(open));
        new.iter().fold(tables.replace(open, " (id)"), |tables, columns| {
            assert!(tables.contains(columns));
            tables.replace(columns, "\n")
        })
    }

    // SEC-03
    #[test]
    fn the_audit_log_is_only_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open(&folder.path().join(FILE)).unwrap();
        let insert =
            "INTO audit (id, at, actor, action, subject) VALUES (1, 0, 'kim', 'sign_in', 'kim')";
        connection.execute_batch(&format!("INSERT {insert}")).unwrap();
        for refused in [
            format!("INSERT OR REPLACE {insert}"),
            format!("REPLACE {insert}"),
            "UPDATE audit SET actor = 'lee'".to_owned(),
            "DELETE FROM audit".to_owned(),
        ] {
            let error = connection.execute_batch(&refused).unwrap_err().to_string();
            assert!(error.contains("only appended to"), "{refused}: {error}");
        }
        let next = "INSERT INTO audit (at, actor, action, subject) VALUES (0, 'a', 'b', 'c')";
        connection.execute_batch(next).unwrap();
    }

    // CONV-09
    #[test]
    fn sessions_of_before_there_was_a_table_are_found_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(&of_version_3()).unwrap();
        connection.execute_batch("DROP TABLE engagements").unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        let id = [7_u8; 16];
        let conversation = "INSERT INTO conversations (id, channel, customer, workstream, state, occupies,
            asked_back, queued_at, version, snapshot) VALUES (?1, 'sms', '+1', 'sms', 4, 0, 0, 0, 3, x'00')";
        connection.execute(conversation, [id]).unwrap();
        let offer = || cordboard_core::ids::OfferId { queue: "support".into(), number: 1 };
        let events = [
            Event::Assigned { agent: "kim".into(), offer: offer() },
            Event::Transferred { from: "kim".into(), to: "lee".into(), offer: offer() },
            Event::Closed,
        ];
        for (version, event) in (1..).zip(events) {
            let body = rmp_serde::to_vec_named(&event).unwrap();
            let insert = "INSERT INTO events (conversation, version, at, kind, body)
                VALUES (?1, ?2, ?2 * 10, '', ?3)";
            connection.execute(insert, params![id, version, body]).unwrap();
        }
        drop(connection);
        for _ in 0..2 {
            let connection = open(&path).unwrap();
            let query = "SELECT agent, began_at, ended_at FROM engagements ORDER BY id";
            let mut statement = connection.prepare(query).unwrap();
            let found: Vec<(String, i64, i64)> = statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert_eq!(found, [("kim".to_owned(), 10, 20), ("lee".to_owned(), 20, 30)]);
        }
    }

    #[test]
    fn a_journal_of_version_1_is_brought_up_to_date_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let of_3 = of_version_3();
        let old = of_3.replace(",\n    ticket BLOB, queue TEXT\n", "\n");
        assert_ne!(old, of_3);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(&old).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        drop(connection);
        for _ in 0..2 {
            let connection = open(&path).unwrap();
            let columns = "SELECT ticket, queue, tokens.id, sessions.used_at FROM conversations, tokens, sessions";
            assert!(connection.prepare(columns).is_ok());
        }
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("use the newer host"));
    }
}
