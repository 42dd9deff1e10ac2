//! What a log has behind batches that can't be read any more. A conversation that had a step in them goes on with the
//! next one that is there, and lacks what it lacks: its events are counted anew, so that they follow one another, and
//! how it stands is what that step says, where it says it. One whose beginning is lost is none.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::sync::Arc;

use cordboard_core::Conversation;
use cordboard_core::ids::ConversationId;
use rusqlite::{Transaction, TransactionBehavior};

use crate::journal::append::Append;
use crate::journal::entry::{Entry, Position};
use crate::journal::error::{JournalError, Trouble};
use crate::journal::record::{Record, RoutingEntries};

use super::{Result, SqliteViews, come_to, in_savepoint, step};

/// What has become of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BehindGaps {
    /// Conversations that go on, and of which something is missing.
    pub lacking: BTreeSet<ConversationId>,
    /// Conversations that are left out, as their beginning is lost.
    pub left_out: BTreeSet<ConversationId>,
    /// Customers who were erased, and of whom something is there that wasn't to be erased then.
    pub erasures: usize,
    /// What else couldn't be written without what is lost.
    pub records: usize,
}

impl AddAssign for BehindGaps {
    fn add_assign(&mut self, other: Self) {
        self.lacking.extend(other.lacking);
        self.left_out.extend(other.left_out);
        self.erasures += other.erasures;
        self.records += other.records;
    }
}

impl SqliteViews {
    /// Applies what of a batch can be applied without all that came before it.
    ///
    /// # Errors
    /// [`JournalError`]: nothing of it was written.
    pub fn apply_behind_gap(&mut self, at: Position, entries: Vec<Entry>) -> Result<BehindGaps> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut found = BehindGaps::default();
        for entry in entries {
            match entry {
                Entry::Append(mut append) => {
                    let (id, lost) = (append.conversation, lost_before(&transaction, &append)?);
                    if let Some(lost @ 1..) = lost {
                        counted_anew(&mut append, lost)?;
                        found.lacking.insert(id);
                    }
                    let applies = || step::apply(&transaction, &append);
                    if lost.is_none() || in_savepoint(&transaction, applies)?.is_err() {
                        keep_consent(&transaction, &append)?;
                        found.left_out.insert(id);
                    }
                }
                Entry::Record(record) => {
                    let Some(record) = what_holds(record) else { continue };
                    match in_savepoint(&transaction, || record.apply(&transaction))? {
                        Ok(outcome) if outcome.is_outdated && !record.removes().is_empty() => {
                            found.erasures += 1;
                        }
                        Ok(_) => {}
                        Err(error) => {
                            tracing::warn!(%error, batch = at.0, "a record can't be written without what is lost");
                            found.records += 1;
                        }
                    }
                }
            }
        }
        come_to(&transaction, at, self.kept)?;
        transaction.commit()?;
        Ok(found)
    }
}

/// What of a record still holds where some of what was written before it is lost.
fn what_holds(record: Record) -> Option<Record> {
    match record {
        // They count rows, or name them by numbers that they were given as they came to be: by now these are others'.
        // They tidy up, and whoever goes on does that again.
        Record::RoutingForgotten { .. } | Record::Scrubbed { .. } | Record::RowsExpired { .. } => {
            None
        }
        // What routing was told leads nowhere without what it was told before; what it chose was so.
        Record::Routing { run, at, entries } => {
            let decisions = entries.decisions.clone();
            let entries = Arc::new(RoutingEntries { log: Vec::new(), decisions });
            Some(Record::Routing { run, at, entries })
        }
        record => Some(record),
    }
}

/// How many events of its conversation are missing before a step; nothing, if it doesn't belong behind those that are
/// there, or its first ones are missing.
fn lost_before(transaction: &Transaction<'_>, append: &Append) -> rusqlite::Result<Option<u64>> {
    let there = "SELECT coalesce(max(version), 0) FROM events WHERE conversation = ?1";
    let id = append.conversation.0.as_bytes().as_slice();
    let there: i64 = transaction.prepare_cached(there)?.query_row([id], |row| row.get(0))?;
    Ok(match there.cast_unsigned() {
        0 if append.base_version > 0 => None,
        there => append.base_version.checked_sub(there),
    })
}

/// As if those that are lost had never been.
fn counted_anew(append: &mut Append, lost: u64) -> Result<()> {
    append.base_version -= lost;
    append.version = append.version.saturating_sub(lost);
    if append.row.is_some() {
        let id = append.conversation;
        let wrong = |error: String| {
            JournalError::new(Trouble::Damaged, format!("conversation {id}: {error}"))
        };
        let mut machine: Conversation =
            rmp_serde::from_slice(&append.snapshot).map_err(|error| wrong(error.to_string()))?;
        machine.lacks_events(lost);
        append.snapshot =
            rmp_serde::to_vec_named(&machine).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}

/// Whoever wants no messages wants none, whatever becomes of the conversation in which they said so.
fn keep_consent(transaction: &Transaction<'_>, append: &Append) -> rusqlite::Result<()> {
    let consent = append.consent.clone();
    let said = Append { consent, ..Append::nothing(append.conversation, append.at) };
    step::apply_beside_events(transaction, &said)
}
