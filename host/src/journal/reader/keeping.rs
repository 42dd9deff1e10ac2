//! What is kept of whom, and what has been kept for long enough (SEC-04).

use cordboard_core::conversation::State;
use cordboard_core::ids::{ChannelId, ConversationId, WorkstreamId};
use cordboard_core::time::Timestamp;
use rusqlite::{OptionalExtension, params};
use rustc_hash::FxHashSet;
use uuid::{Builder, Uuid};

use super::{Reader, Result, all, id_at};
use crate::journal::forget::Rows;
use crate::journal::views::{state_number, state_of};

/// What there is of a customer.
#[derive(Debug, Default)]
pub struct Customer {
    /// Their conversations, oldest first.
    pub conversations: Vec<(ConversationId, ChannelId, State)>,
    /// Channels on which they want no messages.
    pub opted_out: Vec<String>,
    /// Conversations in which a reply is still to be sent.
    pub being_sent: Vec<ConversationId>,
}

impl Customer {
    /// There is nothing.
    pub fn is_nothing(&self) -> bool {
        self.conversations.is_empty() && self.opted_out.is_empty()
    }

    /// Names of the conversations.
    pub fn ids(&self) -> Vec<ConversationId> {
        self.conversations.iter().map(|(id, ..)| *id).collect()
    }
}

impl Reader {
    /// Removals of which copies may still lie in the journal's files; nothing: there are none.
    pub fn to_scrub(&self) -> Result<Option<i64>> {
        let query = "SELECT removals FROM to_scrub WHERE removals > scrubbed";
        Ok(self.connection.query_row(query, [], |row| row.get(0)).optional()?)
    }

    /// Whether words of what was removed are still to be taken out of the index of texts.
    pub fn has_words_to_go(&self) -> Result<bool> {
        let query = "SELECT EXISTS (SELECT 1 FROM texts_going)";
        Ok(self.connection.query_row(query, [], |row| row.get(0))?)
    }

    /// Whether an erased customer has written this.
    pub fn is_spent(&self, key: i64) -> Result<bool> {
        let query = "SELECT EXISTS (SELECT 1 FROM spent WHERE key = ?1)";
        Ok(self.connection.prepare_cached(query)?.query_row([key], |row| row.get(0))?)
    }

    /// Keys of all that they have written; nothing, if they are more than so many.
    pub fn spent_keys(&self, most: usize) -> Result<Option<FxHashSet<i64>>> {
        let mut keys = self.connection.prepare("SELECT key FROM spent")?;
        let mut rows = keys.query([])?;
        let mut keys = FxHashSet::default();
        while let Some(row) = rows.next()? {
            keys.insert(row.get(0)?);
            if keys.len() > most {
                return Ok(None);
            }
        }
        Ok(Some(keys))
    }

    /// What there is of a customer, on one channel or on all.
    pub fn customer(&self, address: &str, channel: Option<&str>) -> Result<Customer> {
        let query = "SELECT id, channel, state
             FROM conversations INDEXED BY conversations_of_customer
             WHERE customer = ?1 AND (?2 IS NULL OR channel = ?2) ORDER BY id";
        let mut statement = self.connection.prepare(query)?;
        let rows = statement.query_map(params![address, channel], |row| {
            let channel: String = row.get(1)?;
            Ok((id_at(row, 0)?, ChannelId::new(channel), state_of(row.get(2)?)))
        })?;
        let conversations: Vec<(ConversationId, ChannelId, State)> = all(rows)?;
        let mut being_sent = Vec::new();
        for (id, ..) in &conversations {
            if self.open_replies(*id)? > 0 {
                being_sent.push(*id);
            }
        }
        let mut statement = self.connection.prepare(
            "SELECT channel FROM opt_outs WHERE customer = ?1 AND (?2 IS NULL OR channel = ?2)",
        )?;
        let opted_out = all(statement.query_map(params![address, channel], |row| row.get(0))?)?;
        Ok(Customer { conversations, opted_out, being_sent })
    }

    /// Conversations of a workstream that ended before a time, behind one of them in the order in which they
    /// began: a page, and the last one that was looked at, if there may be more.
    pub fn ended_before(
        &self,
        workstream: &WorkstreamId,
        before: Timestamp,
        behind: Option<ConversationId>,
        looks: usize,
    ) -> Result<(Vec<ConversationId>, Option<ConversationId>)> {
        let mut statement = self.connection.prepare_cached(
            "SELECT c.id, c.state, c.workstream,
                    (SELECT e.at FROM events e WHERE e.conversation = c.id
                     ORDER BY e.version DESC LIMIT 1)
             FROM conversations c WHERE c.id > ?1 AND c.id < ?2 ORDER BY c.id LIMIT ?3",
        )?;
        let behind = behind.map_or(Uuid::nil(), |id| id.0);
        // What began later hasn't ended before. Names begin with the time.
        let limit = Builder::from_unix_timestamp_millis(before.0.max(0).unsigned_abs(), &[0; 10]);
        let limit = limit.into_uuid();
        let looks = i64::try_from(looks).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![
            behind.as_bytes().as_slice(),
            limit.as_bytes().as_slice(),
            looks
        ])?;
        let (mut ended, mut last, mut looked) = (Vec::new(), None, 0);
        while let Some(row) = rows.next()? {
            let id = id_at(row, 0)?;
            (last, looked) = (Some(id), looked + 1);
            let is_over = row.get::<_, i64>(1)? == state_number(State::Closed);
            let is_of = row.get_ref(2)?.as_str()? == workstream.as_str();
            let at: Option<i64> = row.get(3)?;
            if is_over && is_of && at.is_none_or(|at| at < before.0) {
                ended.push(id);
            }
        }
        Ok((ended, last.filter(|_| looked == looks)))
    }

    /// Rows from before a time behind one of them: a page, and the last one that was looked at, if there may
    /// be more. Of decisions, those of a workstream.
    pub fn rows_before(
        &self,
        rows: Rows,
        workstream: Option<&WorkstreamId>,
        before: Timestamp,
        behind: i64,
        looks: usize,
    ) -> Result<(Vec<i64>, Option<i64>)> {
        let (table, may_go) = rows.table();
        let at = match rows {
            // It was queued before it was tried.
            Rows::Replies => "coalesce(first_attempt_at, 0)",
            Rows::Decisions | Rows::Blanks | Rows::AgentHistory | Rows::Audit | Rows::Spent => "at",
        };
        // Which workstream's counts for nothing where none is wanted.
        let of = match workstream {
            None => "NULL IS ?3",
            Some(_) => "(SELECT workstream FROM conversations WHERE id = r.conversation) = ?3",
        };
        let query = format!(
            "SELECT id, {at}, ({may_go}) AND ({of}) FROM {table} r WHERE id > ?1 ORDER BY id LIMIT ?2"
        );
        let mut statement = self.connection.prepare_cached(&query)?;
        let looks = i64::try_from(looks).unwrap_or(i64::MAX);
        let mut found =
            statement.query(params![behind, looks, workstream.map(WorkstreamId::as_str)])?;
        let (mut ids, mut last, mut looked) = (Vec::new(), None, 0);
        while let Some(row) = found.next()? {
            // They stand in the order of time.
            if row.get::<_, i64>(1)? >= before.0 {
                return Ok((ids, None));
            }
            let id = row.get(0)?;
            (last, looked) = (Some(id), looked + 1);
            if row.get::<_, Option<bool>>(2)?.unwrap_or(false) {
                ids.push(id);
            }
        }
        Ok((ids, last.filter(|_| looked == looks)))
    }
}
