//! The audit log (SEC-03).

use cordboard_core::time::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::{Reader, Result, all};

/// An entry.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Grows with time.
    pub id: i64,
    /// When.
    #[schema(value_type = i64)]
    pub at: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What, as `sign_in`.
    pub action: String,
    /// To what or whom.
    pub subject: String,
    /// From where.
    pub address: Option<String>,
    /// What else matters.
    pub details: Option<String>,
}

/// Which entries; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<String>,
    /// What.
    pub action: Option<String>,
    /// To what or whom.
    pub subject: Option<String>,
    /// At this time (milliseconds) or later.
    pub from: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
    /// Older than this entry.
    pub before: Option<i64>,
    /// The most.
    pub limit: i64,
}

impl Reader {
    /// Entries of the audit log, the latest first.
    pub fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, at, actor, action, subject, address, details FROM audit
             WHERE (?1 IS NULL OR actor = ?1) AND (?2 IS NULL OR action = ?2)
             AND (?3 IS NULL OR subject = ?3) AND (?4 IS NULL OR at >= ?4)
             AND (?5 IS NULL OR at < ?5) AND (?6 IS NULL OR id < ?6)
             ORDER BY id DESC LIMIT ?7",
        )?;
        let AuditFilter { actor, action, subject, from, until, before, limit } = filter;
        let values = params![actor, action, subject, from, until, before, limit];
        let rows = statement.query_map(values, |row| {
            Ok(AuditEntry {
                id: row.get(0)?,
                at: Timestamp(row.get(1)?),
                actor: row.get(2)?,
                action: row.get(3)?,
                subject: row.get(4)?,
                address: row.get(5)?,
                details: row.get(6)?,
            })
        })?;
        all(rows)
    }
}
