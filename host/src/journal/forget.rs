//! What is removed for good: a customer's conversations when they ask for it, and what has been kept for long
//! enough (SEC-04). What must stay (how much agents have done, who has done what) stays without the person.

use cordboard_core::ids::ConversationId;
use cordboard_core::time::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::reader::hashed_address;
use super::record::Outcome;
use super::texts;
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
    /// Keys of what erased customers wrote.
    Spent,
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
            Self::Spent => ("spent", "1"),
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
        let is_over = state(to, *id, None)? == Some(State::Closed) && !is_being_sent(to, *id)?;
        if is_over && last.is_none_or(|at| at < before.0) {
            remove(to, *id)?;
            count += 1;
        }
    }
    note_removal(to, count)?;
    Ok(Outcome { count, ..Outcome::default() })
}

/// Removes what is kept of a customer, on one channel or on all: these conversations, and, with the last of
/// them, the rest. Nothing, if one of them is open by now, or a reply in it is still to be sent.
pub(super) fn customer(
    to: &Transaction<'_>,
    customer: &str,
    channel: Option<&str>,
    conversations: &[ConversationId],
    is_last: bool,
) -> rusqlite::Result<Outcome> {
    let mut theirs = Vec::new();
    for id in conversations {
        match state(to, *id, Some(customer))? {
            None => {}
            Some(State::Closed) if !is_being_sent(to, *id)? => theirs.push(*id),
            Some(_) => return Ok(Outcome { is_outdated: true, ..Outcome::default() }),
        }
    }
    for id in &theirs {
        spend_keys(to, *id)?;
        remove(to, *id)?;
    }
    note_removal(to, theirs.len() + usize::from(is_last))?;
    if is_last {
        keep_opt_out(to, customer, channel)?;
        empty_plugin_store(to, customer, channel)?;
        redact(to, customer)?;
    }
    Ok(Outcome { count: theirs.len(), ..Outcome::default() })
}

/// What has happened once doesn't happen again, though nothing tells any more whom it happened to.
fn spend_keys(to: &Transaction<'_>, id: ConversationId) -> rusqlite::Result<()> {
    to.prepare_cached(
        "INSERT INTO spent (key, at) SELECT dedup, coalesce((SELECT alive_at FROM life), at)
         FROM events WHERE conversation = ?1 AND dedup IS NOT NULL",
    )?
    .execute([id.0.as_bytes().as_slice()])?;
    Ok(())
}

/// Until somebody has looked after it, copies may lie in the files, whatever becomes of this host.
fn note_removal(to: &Transaction<'_>, count: usize) -> rusqlite::Result<()> {
    if count > 0 {
        to.execute(
            "INSERT INTO to_scrub (one, removals) VALUES (1, 1)
             ON CONFLICT (one) DO UPDATE SET removals = removals + 1",
            [],
        )?;
    }
    Ok(())
}

/// No copies are left of what so many removals have removed; of later ones there may be. Both counts only grow: two
/// may have looked at the same time, and what is removed in between is neither's.
pub(super) fn scrubbed(to: &Transaction<'_>, removals: i64) -> rusqlite::Result<Outcome> {
    let count = to.execute("UPDATE to_scrub SET scrubbed = max(scrubbed, ?1)", [removals])?;
    Ok(Outcome { count, ..Outcome::default() })
}

fn is_being_sent(to: &Transaction<'_>, id: ConversationId) -> rusqlite::Result<bool> {
    to.prepare_cached("SELECT 1 FROM outbox WHERE conversation = ?1 AND done = 0")?
        .exists([id.0.as_bytes().as_slice()])
}

/// What plugins keep under the customer's address, or with it in it.
fn empty_plugin_store(
    to: &Transaction<'_>,
    customer: &str,
    channel: Option<&str>,
) -> rusqlite::Result<()> {
    let mut look = to.prepare(
        "SELECT channel, key, value FROM plugin_store WHERE (?2 IS NULL OR channel = ?2)
         AND (instr(key, ?1) > 0 OR instr(value, CAST(?1 AS BLOB)) > 0)",
    )?;
    let found = look.query_map(params![customer, channel], |row| {
        let (key, value): (String, Vec<u8>) = (row.get(1)?, row.get(2)?);
        let names = stands_in(key.as_bytes(), customer.as_bytes())
            || stands_in(&value, customer.as_bytes());
        Ok(names.then_some((row.get::<_, String>(0)?, key)))
    })?;
    let found: Vec<Option<(String, String)>> = found.collect::<rusqlite::Result<_>>()?;
    for (channel, key) in found.into_iter().flatten() {
        to.execute("DELETE FROM plugin_store WHERE channel = ?1 AND key = ?2", [channel, key])?;
    }
    Ok(())
}

/// Whether an address stands there by itself, not as the beginning or end of another.
fn stands_in(text: &[u8], address: &[u8]) -> bool {
    let is_more = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let at = |start: usize| {
        text[start..].starts_with(address)
            && !is_more(start.checked_sub(1).and_then(|before| text.get(before)))
            && !is_more(text.get(start + address.len()))
    };
    !address.is_empty() && (0..text.len()).any(at)
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
fn remove(to: &Transaction<'_>, conversation: ConversationId) -> rusqlite::Result<()> {
    let id = conversation.0.as_bytes().as_slice();
    to.prepare_cached("INSERT OR IGNORE INTO forgotten (conversation) VALUES (?1)")?
        .execute([id])?;
    to.prepare_cached("UPDATE decisions SET body = x'' WHERE conversation = ?1")?.execute([id])?;
    texts::leave_out(to, conversation)?;
    for table in ["events", "outbox", "wrap_ups"] {
        to.prepare_cached(&format!("DELETE FROM {table} WHERE conversation = ?1"))?
            .execute([id])?;
    }
    to.prepare_cached("DELETE FROM conversations WHERE id = ?1 AND state = ?2")?
        .execute(params![id, state_number(State::Closed)])?;
    texts::step_back(to)
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

/// Who has looked for the customer stays in the audit log; for whom doesn't.
fn redact(to: &Transaction<'_>, customer: &str) -> rusqlite::Result<()> {
    // What was done for the customer names conversations only.
    let mut look = to.prepare(
        "SELECT id, details FROM audit WHERE details IS NOT NULL AND action NOT LIKE 'customer.%'",
    )?;
    let found = look.query_map([], |row| {
        let details: String = row.get(1)?;
        Ok(without(&details, customer).map(|details| (row.get(0), details)))
    })?;
    let found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
    of_the_audit_log(to, |to| {
        for (id, details) in found.into_iter().flatten() {
            let id: i64 = id?;
            to.prepare_cached("UPDATE audit SET details = ?2 WHERE id = ?1")?
                .execute(params![id, details])?;
        }
        Ok(())
    })
}

/// Details without an address, if it stands in them: a text, or the parameters of a request.
fn without(details: &str, customer: &str) -> Option<String> {
    let mut is_changed = false;
    let parts = details.split('&').map(|part| {
        let (name, value) = part.split_once('=').map_or(("", part), |(name, value)| (name, value));
        let decoded = url::form_urlencoded::parse(format!("v={value}").as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
        let Some(redacted) = redacted(&decoded, customer).or_else(|| redacted(value, customer))
        else {
            return part.to_owned();
        };
        is_changed = true;
        if name.is_empty() { redacted } else { format!("{name}={redacted}") }
    });
    let parts: Vec<String> = parts.collect();
    is_changed.then(|| parts.join("&"))
}

/// A text without an address: numbers by their last digits, however they are written, and with or without the
/// country's, a zero, or what is dialled before it; others as they stand. At another network (`whatsapp:+49…`) it is the same number.
fn redacted(text: &str, customer: &str) -> Option<String> {
    /// Fewer digits are many people's.
    const FEWEST_DIGITS: usize = 7;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let own = customer.rsplit_once(':').map_or(customer, |(_, number)| number);
    let own = own.trim_start_matches('+');
    if own.is_empty() || !own.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_there = stands_in(text.as_bytes(), customer.as_bytes());
        return is_there.then(|| text.replace(customer, ERASED));
    }
    let is_theirs = |number: &str| {
        let number = digits(number);
        let alike = own.bytes().rev().zip(number.bytes().rev());
        let alike = alike.take_while(|(own, said)| own == said).count();
        // What stands before that: the country's code, or what is dialled instead of it, or before it.
        let (of_own, said) = (&own[..own.len() - alike], &number[..number.len() - alike]);
        let said = said.trim_end_matches('0');
        let said = said.strip_prefix("011").unwrap_or(said).trim_start_matches('0');
        number == own
            || (alike >= FEWEST_DIGITS && (of_own.is_empty() || said.is_empty() || said == of_own))
    };
    let is_of_number = |c: char| c.is_ascii_digit() || " +-.()/".contains(c);
    let (mut out, mut rest, mut is_changed) = (String::new(), text, false);
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || c == '+' || c == '(') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.find(|c: char| !is_of_number(c)).unwrap_or(from.len());
        let number = from[..end].trim_end_matches([' ', '+', '-', '.', '(', '/']);
        let number = if number.is_empty() { &from[..end] } else { number };
        let is_part = out.ends_with(|c: char| c.is_ascii_alphanumeric())
            || from[number.len()..].starts_with(|c: char| c.is_ascii_alphanumeric());
        if !is_part && is_theirs(number) {
            out.push_str(ERASED);
            is_changed = true;
        } else {
            out.push_str(number);
        }
        rest = &from[number.len()..];
    }
    out.push_str(rest);
    is_changed.then_some(out)
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
    use crate::journal::schema;

    // SEC-04
    #[test]
    fn what_is_removed_while_files_are_overwritten_is_noted_still() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = schema::open(&folder.path().join(schema::FILE)).unwrap();
        let transaction = connection.transaction().unwrap();
        let noted = || {
            let query = "SELECT removals FROM to_scrub WHERE removals > scrubbed";
            transaction.query_row(query, [], |row| row.get::<_, i64>(0)).optional().unwrap()
        };
        assert_eq!(noted(), None);
        note_removal(&transaction, 1).unwrap();
        // Two look, and both overwrite; something is removed after the first has said so.
        let (one, other) = (noted().unwrap(), noted().unwrap());
        scrubbed(&transaction, one).unwrap();
        assert_eq!(noted(), None);
        note_removal(&transaction, 3).unwrap();
        scrubbed(&transaction, other).unwrap();
        let later = noted().unwrap();
        scrubbed(&transaction, later).unwrap();
        assert_eq!(noted(), None);
    }

    // SEC-04
    #[test]
    fn an_address_is_found_however_it_is_written_and_nobody_elses_is() {
        let number = "+14255550177";
        for (details, left) in [
            ("customer=%2B14255550177", "customer=(erased)"),
            ("state=closed&customer=4255550177&limit=5", "state=closed&customer=(erased)&limit=5"),
            ("customer=%2B1%20425%20555%200177", "customer=(erased)"),
            ("customer=+1+(425)+555-0177", "customer= (erased)"),
            ("+14255550177", "(erased)"),
            ("text=call+14255550177+now", "text=call (erased) now"),
            ("text=0014255550177", "text=(erased)"),
            ("text=1-425-555-0177", "text=(erased)"),
            ("text=%28425%29+555.0177", "text=(erased)"),
        ] {
            for at in ["", "whatsapp:"] {
                let found = without(details, &format!("{at}{number}"));
                assert_eq!(found.as_deref().map(str::trim), Some(left), "{details}");
            }
        }
        for written in ["0176 1234567", "0176/1234567", "+49 (0)176 1234567", "0049 176 1234567"] {
            let details = format!("text={}", written.replace('+', "%2B"));
            assert_eq!(without(&details, "+491761234567").as_deref(), Some("text=(erased)"));
        }
        for others in [
            "customer=%2B12065550177",
            "customer=142555501771",
            "customer=%2B14255550178",
            "customer=0177",
            "01a2153e-0509-7578-af2c-f6cd90ee94dc",
            "limit=100",
        ] {
            assert_eq!(without(others, number), None, "{others}");
        }
        assert_eq!(without("customer=%2B14255550100", "+1425"), None);
        assert_eq!(without("limit=12345", "12345").as_deref(), Some("limit=(erased)"));
        assert_eq!(
            without("customer=a%40b.example", "a@b.example").as_deref(),
            Some("customer=(erased)")
        );
        assert_eq!(without("customer=aa%40b.example", "a@b.example"), None);
        assert!(stands_in(b"last:+14255550177", b"+14255550177"));
        assert!(!stands_in(b"last:+14255550177", b"+1425"));
    }
}
