//! A journal with many open conversations, as many assigned as wanted.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_core::capacity::ChannelKind;
use cordboard_core::conversation::{CustomerMessage, Input, Opening};
use cordboard_core::ids::{Address, AgentId, ConversationId, OfferId};
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::Workstream;
use cordboard_core::{Conversation, Effects};
use rusqlite::{Connection, params};
use uuid::Uuid;

/// Fills a journal whose tables a host has made: conversations assigned to these agents in turn,
/// each with one message.
///
/// # Errors
/// SQLite's own.
pub fn fill(data: &Path, count: usize, agents: &[AgentId]) -> rusqlite::Result<()> {
    let mut connection = Connection::open(data.join("journal.sqlite"))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let policy = Workstream::with_defaults("sms".into(), ChannelKind::Messaging, "support".into());
    let policy = Arc::new(policy);
    let now = Timestamp(1_790_000_000_000);
    let transaction = connection.transaction()?;
    for n in 0..count {
        let agent = &agents[n % agents.len()];
        let customer = format!("+1425{n:07}");
        // Version 7's shape: these sort by n.
        let id = ConversationId(Uuid::from_u128(
            0x0199_0000_0000_7000_8000_0000_0000_0000 + ((n as u128) << 16),
        ));
        let mut fx = Effects::new();
        let opening = Opening {
            channel: "sms-twilio".into(),
            customer: Address::new(customer.clone()),
            own: "+15550002002".into(),
            opted_out: false,
            country: None,
            last_agent: None,
        };
        let mut machine = Conversation::open(id, opening, policy.clone(), now, &mut fx);
        let message = CustomerMessage {
            provider_id: format!("SM{n}"),
            text: "hello".to_owned(),
            media: Vec::new(),
            consent: None,
        };
        let offer = OfferId { queue: "support".into(), number: n as u64 };
        for input in [
            Input::Customer(message),
            Input::Accept {
                agent: agent.clone(),
                offer,
                acceptance: cordboard_core::offer::Acceptance::Work,
            },
        ] {
            machine.handle(input, now, &mut fx).expect("nothing to refuse");
        }
        let bytes = id.0.as_bytes().as_slice();
        transaction
            .prepare_cached(
                "INSERT INTO conversations (id, channel, customer, workstream, state, agent, occupies,
                 asked_back, queued_at, wake_at, version, snapshot)
                 VALUES (?1, 'sms-twilio', ?2, 'sms', 1, ?3, 1, 0, ?4, NULL, ?5, ?6)",
            )?
            .execute(params![
                bytes,
                customer,
                agent.as_str(),
                now.0,
                machine.version() as i64,
                rmp_serde::to_vec_named(&machine).expect("a machine can be encoded")
            ])?;
    }
    transaction.commit()?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
}

/// How long it takes just to read the columns that recovery reads.
///
/// # Errors
/// SQLite's own.
pub fn read_raw(data: &Path) -> rusqlite::Result<Duration> {
    let began = Instant::now();
    let connection = Connection::open(data.join("journal.sqlite"))?;
    let mut statement = connection.prepare(
        "SELECT id, state, agent, queued_at, workstream FROM conversations WHERE state < 4",
    )?;
    let mut rows = statement.query([])?;
    let mut sum = 0i64;
    while let Some(row) = rows.next()? {
        sum = sum.wrapping_add(row.get::<_, i64>(3)?);
    }
    std::hint::black_box(sum);
    Ok(began.elapsed())
}
