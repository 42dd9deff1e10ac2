//! A conversation's step, as the tables show it.

use cordboard_core::conversation::State;
use cordboard_core::ids::AgentId;
use rusqlite::{Transaction, params};

use crate::journal::append::{Append, Row};
use crate::journal::outbox;
use crate::journal::reader::hashed_address;
use crate::journal::sessions::{SessionOp, part_number};

/// Applies it. That it follows on what is there was seen to before it came to the log.
pub fn apply(transaction: &Transaction<'_>, append: &Append) -> rusqlite::Result<()> {
    let id = append.conversation.0.as_bytes().as_slice();
    let mut dedup = append.dedup;
    for (version, event) in (append.base_version + 1..).zip(&append.events) {
        transaction
            .prepare_cached(
                "INSERT INTO events (conversation, version, at, kind, dedup, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                id,
                version.cast_signed(),
                append.at.0,
                event.kind,
                dedup.take(),
                event.body
            ])?;
    }
    apply_beside_events(transaction, append)
}

/// What follows from its events, which are there.
pub fn apply_beside_events(transaction: &Transaction<'_>, append: &Append) -> rusqlite::Result<()> {
    let id = append.conversation.0.as_bytes().as_slice();
    if let Some(row) = &append.row {
        write_row(transaction, append, row, id)?;
    }
    if let Some((channel, customer, opted_out)) = &append.consent {
        let statement = if *opted_out {
            "INSERT OR REPLACE INTO opt_outs (channel, customer, at) VALUES (?1, ?2, ?3)"
        } else {
            "DELETE FROM opt_outs WHERE channel = ?1 AND customer IN (?2, ?4) AND ?3 IS NOT NULL"
        };
        let mut statement = transaction.prepare_cached(statement)?;
        if *opted_out {
            statement.execute(params![channel, customer, append.at.0])?;
        } else {
            let hashed = hashed_address(channel, customer);
            statement.execute(params![channel, customer, append.at.0, hashed])?;
        }
    }
    for op in &append.sessions {
        write_session(transaction, op, id, append.at.0)?;
    }
    if let Some(wrap_ups) = &append.wrap_ups {
        transaction
            .prepare_cached("DELETE FROM wrap_ups WHERE conversation = ?1")?
            .execute([id])?;
        for agent in wrap_ups {
            transaction
                .prepare_cached("INSERT INTO wrap_ups (conversation, agent) VALUES (?1, ?2)")?
                .execute(params![id, agent.as_str()])?;
        }
    }
    for op in &append.outbox {
        outbox::write(transaction, op)?;
    }
    Ok(())
}

fn write_row(
    transaction: &Transaction<'_>,
    append: &Append,
    row: &Row,
    id: &[u8],
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO conversations (id, channel, customer, workstream, state, agent, occupies,
             asked_back, queued_at, wake_at, version, snapshot, ticket, queue)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (id) DO UPDATE SET state = ?5, agent = ?6, occupies = ?7, asked_back = ?8,
             queued_at = ?9, wake_at = ?10, version = ?11, snapshot = ?12, ticket = ?13,
             queue = ?14",
        )?
        .execute(params![
            id,
            row.channel,
            row.customer,
            row.workstream,
            state_number(row.state),
            row.agent.as_ref().map(AgentId::as_str),
            row.occupies,
            row.returning,
            row.queued_at.0,
            row.wake_at.map(|at| at.0),
            append.version as i64,
            append.snapshot,
            row.ticket,
            row.queue
        ])?;
    Ok(())
}

fn write_session(
    transaction: &Transaction<'_>,
    op: &SessionOp,
    id: &[u8],
    at: i64,
) -> rusqlite::Result<()> {
    let (statement, part, agent) = match op {
        SessionOp::Begin(agent, part) => (
            "INSERT INTO engagements (conversation, part, agent, began_at) VALUES (?1, ?2, ?3, ?4)",
            part,
            Some(agent),
        ),
        SessionOp::End(part, agent) => (
            "UPDATE engagements SET ended_at = ?4 WHERE conversation = ?1 AND part = ?2
             AND (?3 IS NULL OR agent = ?3) AND ended_at IS NULL",
            part,
            agent.as_ref(),
        ),
    };
    let agent = agent.map(AgentId::as_str);
    transaction.prepare_cached(statement)?.execute(params![id, part_number(*part), agent, at])?;
    Ok(())
}

/// States as the column has them; below 4 is open work.
pub fn state_number(state: State) -> i64 {
    match state {
        State::Open => 0,
        State::Active => 1,
        State::Waiting => 2,
        State::WrapUp => 3,
        State::Closed => 4,
    }
}

pub fn state_of(number: i64) -> State {
    match number {
        0 => State::Open,
        1 => State::Active,
        2 => State::Waiting,
        3 => State::WrapUp,
        _ => State::Closed,
    }
}
