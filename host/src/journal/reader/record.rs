//! The record of routing: what was told, and what was chosen (ROUTE-15, OPS-08).

use cordboard_core::decision::Decision;
use cordboard_core::ids::ConversationId;
use cordboard_core::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Reader, Result, all, decoded};

impl Reader {
    /// Decisions about a conversation, oldest first; the newest so many.
    pub fn decisions(&self, id: ConversationId, limit: u32) -> Result<Vec<Decision>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT body FROM (SELECT id, body FROM decisions WHERE conversation = ?1
             AND length(body) > 0 ORDER BY id DESC LIMIT ?2) ORDER BY id",
        )?;
        let values = params![id.0.as_bytes().as_slice(), limit];
        all(statement.query_map(values, |row| decoded(row, 0))?)
    }

    /// Every run that the routing log knows, with the time of its first entry.
    pub fn runs(&self) -> Result<Vec<(i64, Timestamp)>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT run, MIN(at) FROM routing_log GROUP BY run ORDER BY run")?;
        all(statement.query_map([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?)
    }

    /// Runs with a routing log that wrote nothing at or after a time.
    pub fn runs_that_ended(&self, before: Timestamp) -> Result<Vec<i64>> {
        let mut statement = self
            .connection
            .prepare("SELECT run FROM routing_log GROUP BY run HAVING MAX(at) < ?1 ORDER BY run")?;
        all(statement.query_map([before.0], |row| row.get(0))?)
    }

    /// How many rows the routing log of a run has.
    pub fn rows_of_run(&self, run: i64) -> Result<i64> {
        let query = "SELECT COUNT(*) FROM routing_log WHERE run = ?1";
        Ok(self.connection.query_row(query, [run], |row| row.get(0))?)
    }

    /// The routing log of a run, chunk by chunk.
    pub fn routing_log(&self, run: i64, each: impl FnMut(&[u8])) -> Result<()> {
        self.bodies("SELECT body FROM routing_log WHERE run = ?1 ORDER BY id", run, each)
    }

    /// The oldest run that the routing log knows.
    pub fn oldest_run(&self) -> Result<Option<i64>> {
        let query = "SELECT run FROM routing_log ORDER BY id LIMIT 1";
        Ok(self.connection.query_row(query, [], |row| row.get(0)).optional()?)
    }

    /// Whether a conversation was there once, and was removed for good (SEC-04).
    pub fn is_forgotten(&self, id: ConversationId) -> Result<bool> {
        let query = "SELECT 1 FROM forgotten WHERE conversation = ?1";
        Ok(self.connection.prepare_cached(query)?.exists([id.0.as_bytes().as_slice()])?)
    }

    /// The decisions of a run as they were written, oldest first; empty, where only that there was one is kept.
    pub fn decisions_of_run(&self, run: i64, each: impl FnMut(&[u8])) -> Result<()> {
        self.bodies("SELECT body FROM decisions WHERE run = ?1 ORDER BY id", run, each)
    }

    fn bodies(&self, query: &str, run: i64, mut each: impl FnMut(&[u8])) -> Result<()> {
        let mut statement = self.connection.prepare_cached(query)?;
        let mut rows = statement.query([run])?;
        while let Some(row) = rows.next()? {
            each(row.get_ref(0)?.as_blob()?);
        }
        Ok(())
    }
}
