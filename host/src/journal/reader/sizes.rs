//! How much there is: what grows has a metric.

use std::path::Path;

use super::{Reader, Result};
use crate::journal::{log, schema};

/// Tables that grow, numbered row by row: how many rows there are is told by the first and the last number, so rows
/// that were removed between count as well.
const NUMBERED: [&str; 7] =
    ["events", "outbox", "decisions", "routing_log", "agent_events", "audit", "engagements"];

/// Those that are small.
const COUNTED: [&str; 4] = ["plugin_store", "opt_outs", "tokens", "sessions"];

/// What the journal takes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// Bytes of its files, by their names.
    pub files: Vec<(String, u64)>,
    /// Rows of what grows, by the table, about.
    pub rows: Vec<(&'static str, i64)>,
}

impl Reader {
    /// What the journal of this folder, which is the reader's, takes.
    pub fn sizes(&self, data: &Path) -> Result<Sizes> {
        let files = [schema::FILE, log::FILE].into_iter().flat_map(|file| {
            [file.to_owned(), format!("{file}-wal")].map(|name| {
                let bytes = std::fs::metadata(data.join(&name)).map_or(0, |about| about.len());
                (name, bytes)
            })
        });
        let numbered = NUMBERED.iter().map(|table| {
            // Each end by itself is one step; both at once would be a walk through all of it.
            let rows = format!(
                "SELECT coalesce((SELECT max(rowid) FROM {table}) - (SELECT min(rowid) FROM {table}) + 1, 0)"
            );
            (*table, rows)
        });
        let counted = COUNTED.iter().map(|table| (*table, format!("SELECT count(*) FROM {table}")));
        let rows = numbered.chain(counted).map(|(table, rows)| {
            Ok((table, self.connection.prepare_cached(&rows)?.query_row([], |row| row.get(0))?))
        });
        Ok(Sizes { files: files.collect(), rows: rows.collect::<Result<_>>()? })
    }
}
