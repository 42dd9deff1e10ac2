//! What is removed for good: a customer's conversations when they ask for it, and what has been kept for long
//! enough (SEC-04). What must stay (how much agents have done, who has done what) stays without the person.

use cordboard_core::ids::ConversationId;
use cordboard_core::time::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::reader::hashed_address;
use super::record::Outcome;
use super::views::{state_number, state_of};
use cordboard_core::conversation::State;

/// Stands for what was removed.
const ERASED: &str = "(erased)";

/// Tables of rows that nobody needs for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Rows {
    /// What routing chose, and why (ROUTE-15): that something was chosen stays, for as long as what routing
    /// was told is kept and may be replayed.
    Decisions,
    /// Those of which nothing else is left.
    Blanks,
    /// What became of agents' presence and offers.
    AgentHistory,
    /// The audit log (SEC-03).
    Audit,
    /// Replies that need no further attempt.
    Replies,
}

impl Rows {
    /// The table, and whether a row of it may go.
    pub(super) const fn table(self) -> (&'static str, &'static str) {
        match self {
            Self::Decisions => ("decisions", "length(body) > 0"),
            Self::Blanks => ("decisions", "length(body) = 0"),
            Self::AgentHistory => ("agent_events", "1"),
            Self::Audit => ("audit", "1"),
            Self::Replies => ("outbox", "done = 1"),
        }
    }
}

/// Removes rows by their numbers.
pub(super) fn rows(to: &Transaction<'_>, rows: Rows, ids: &[i64]) -> rusqlite::Result<Outcome> {
    let (table, may_go) = rows.table();
    let change = match rows {
        Rows::Decisions => format!("UPDATE {table} SET body = x''"),
        _ => format!("DELETE FROM {table}"),
    };
    let change = format!("{change} WHERE id = ?1 AND {may_go}");
    let mut count = 0;
    of_the_audit_log(to, |to| {
        let mut change = to.prepare_cached(&change)?;
        for id in ids {
            count += change.execute([id])?;
        }
        Ok(())
    })?;
    Ok(Outcome { count, ..Outcome::default() })
}

/// Removes conversations that ended before a time, and leaves those that haven't.
pub(super) fn expired(
    to: &Transaction<'_>,
    conversations: &[ConversationId],
    before: Timestamp,
) -> rusqlite::Result<Outcome> {
    let mut count = 0;
    for id in conversations {
        let last = to
            .prepare_cached(
                "SELECT at FROM events WHERE conversation = ?1 ORDER BY version DESC LIMIT 1",
            )?
            .query_row([id.0.as_bytes().as_slice()], |row| row.get::<_, i64>(0))
            .optional()?;
        let is_over = state(to, *id, None)? == Some(State::Closed);
        if is_over && last.is_none_or(|at| at < before.0) {
            remove(to, *id)?;
            count += 1;
        }
    }
    Ok(Outcome { count, ..Outcome::default() })
}

/// Removes what is kept of a customer, on one channel or on all; nothing, if one of the conversations is
/// open by now.
pub(super) fn customer(
    to: &Transaction<'_>,
    customer: &str,
    channel: Option<&str>,
    conversations: &[ConversationId],
) -> rusqlite::Result<Outcome> {
    let mut theirs = Vec::new();
    for id in conversations {
        match state(to, *id, Some(customer))? {
            None => {}
            Some(State::Closed) => theirs.push(*id),
            Some(_) => return Ok(Outcome { is_outdated: true, ..Outcome::default() }),
        }
    }
    for id in &theirs {
        remove(to, *id)?;
    }
    keep_opt_out(to, customer, channel)?;
    to.execute(
        "DELETE FROM plugin_store WHERE (?2 IS NULL OR channel = ?2)
         AND (instr(key, ?1) > 0 OR instr(value, CAST(?1 AS BLOB)) > 0)",
        params![customer, channel],
    )?;
    redact(to, customer)?;
    Ok(Outcome { count: theirs.len(), ..Outcome::default() })
}

fn state(
    to: &Transaction<'_>,
    id: ConversationId,
    of: Option<&str>,
) -> rusqlite::Result<Option<State>> {
    to.prepare_cached(
        "SELECT state FROM conversations WHERE id = ?1 AND (?2 IS NULL OR customer = ?2)",
    )?
    .query_row(params![id.0.as_bytes().as_slice(), of], |row| Ok(state_of(row.get(0)?)))
    .optional()
}

/// Who was engaged in it, and for how long, stays; and that it is gone, or a replay would miss it.
fn remove(to: &Transaction<'_>, id: ConversationId) -> rusqlite::Result<()> {
    let id = id.0.as_bytes().as_slice();
    to.prepare_cached("INSERT OR IGNORE INTO forgotten (conversation) VALUES (?1)")?
        .execute([id])?;
    to.prepare_cached("UPDATE decisions SET body = x'' WHERE conversation = ?1")?.execute([id])?;
    for table in ["events", "outbox", "wrap_ups"] {
        to.prepare_cached(&format!("DELETE FROM {table} WHERE conversation = ?1"))?
            .execute([id])?;
    }
    to.prepare_cached("DELETE FROM conversations WHERE id = ?1 AND state = ?2")?
        .execute(params![id, state_number(State::Closed)])?;
    Ok(())
}

/// Whoever wanted no messages still wants none; that they do is known by a hash from now on.
fn keep_opt_out(
    to: &Transaction<'_>,
    customer: &str,
    channel: Option<&str>,
) -> rusqlite::Result<()> {
    let channels: Vec<String> = to
        .prepare(
            "SELECT channel FROM opt_outs WHERE customer = ?1 AND (?2 IS NULL OR channel = ?2)",
        )?
        .query_map(params![customer, channel], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for channel in channels {
        to.execute(
            "UPDATE OR REPLACE opt_outs SET customer = ?3 WHERE channel = ?1 AND customer = ?2",
            params![channel, customer, hashed_address(&channel, customer)],
        )?;
    }
    Ok(())
}

/// Who has looked for the customer stays in the audit log; for whom doesn't. Numbers are also looked for
/// without the country's.
fn redact(to: &Transaction<'_>, customer: &str) -> rusqlite::Result<()> {
    let forms = forms_of(customer);
    let shortest = forms.last().map_or(customer, String::as_str);
    let mut look = to.prepare(
        "SELECT id, subject, details FROM audit
         WHERE instr(subject, ?1) > 0 OR instr(coalesce(details, ''), ?1) > 0",
    )?;
    let found = look.query_map([shortest], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let found: Vec<(i64, String, Option<String>)> = found.collect::<rusqlite::Result<_>>()?;
    let without =
        |text: String| forms.iter().fold(text, |text, form| text.replace(form.as_str(), ERASED));
    of_the_audit_log(to, |to| {
        for (id, subject, details) in found {
            to.prepare_cached("UPDATE audit SET subject = ?2, details = ?3 WHERE id = ?1")?
                .execute(params![id, without(subject), details.map(without)])?;
        }
        Ok(())
    })
}

/// How an address may be written, the longest form first.
fn forms_of(customer: &str) -> Vec<String> {
    /// Shorter ones are others' as well.
    const FEWEST_DIGITS: usize = 7;
    let encoded = url::form_urlencoded::byte_serialize(customer.as_bytes()).collect();
    let bare = customer.trim_start_matches('+');
    let mut forms = vec![encoded, customer.to_owned(), bare.to_owned()];
    if bare.bytes().all(|byte| byte.is_ascii_digit()) {
        let starts = 1..=bare.len().saturating_sub(FEWEST_DIGITS);
        forms.extend(starts.map(|start| bare[start..].to_owned()));
    }
    forms
}

/// The audit log refuses every change but those that are made in here.
fn of_the_audit_log(
    to: &Transaction<'_>,
    change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    to.execute("INSERT INTO forgetting (one) VALUES (1)", [])?;
    change(to)?;
    to.execute("DELETE FROM forgetting", [])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-04
    #[test]
    fn an_address_is_found_however_it_is_written() {
        let forms = forms_of("+14255550177");
        assert_eq!(forms[..3], ["%2B14255550177", "+14255550177", "14255550177"]);
        assert_eq!(forms[3..], ["4255550177", "255550177", "55550177", "5550177"]);
        assert_eq!(forms_of("a@b.example"), ["a%40b.example", "a@b.example", "a@b.example"]);
        assert_eq!(forms_of("12345"), ["12345"; 3]);
    }
}
