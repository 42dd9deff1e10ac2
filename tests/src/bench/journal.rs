//! A journal with many open conversations, as many assigned as wanted.

use std::path::Path;
use std::time::{Duration, Instant};

use cordboard_core::conversation::{CustomerMessage, Input, Opening};
use cordboard_core::ids::{Address, AgentId, ConversationId, OfferId};
use cordboard_core::presence::Attendance;
use cordboard_core::time::{Span, Timestamp};
use cordboard_core::{Conversation, Effects};
use cordboard_host::actors::channel_settings;
use cordboard_host::config::Config;
use cordboard_host::journal::Row;
use rusqlite::{Connection, params};
use uuid::Uuid;

/// Fills a journal whose tables a host has made: conversations assigned to these agents in turn, or
/// waiting if there are none, each with one message.
///
/// # Errors
/// SQLite's own.
pub fn fill(config: &Config, count: usize, agents: &[AgentId]) -> rusqlite::Result<()> {
    let mut connection = Connection::open(config.host.data.join("journal.sqlite"))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    // The settings in force: those of other settings are all classified anew at the start.
    let channel = config.channels.iter().find(|channel| channel.id.as_str() == "sms-twilio");
    let channel = channel.expect("the benchmarks' channel");
    let workstream = channel_settings(&config.workstreams[&channel.workstream], channel, None);
    let now = Timestamp(1_790_000_000_000);
    /// What isn't in the file yet lies beside it once more: with millions that is the disk.
    const AT_ONCE: usize = 250_000;
    let mut transaction = connection.transaction()?;
    for n in 0..count {
        if n > 0 && n % AT_ONCE == 0 {
            transaction.commit()?;
            connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
            transaction = connection.transaction()?;
        }
        let agent = (!agents.is_empty()).then(|| &agents[n % agents.len()]);
        let customer = format!("+1425{n:07}");
        // Version 7's shape: these sort by n.
        let id = ConversationId(Uuid::from_u128(
            0x0199_0000_0000_7000_8000_0000_0000_0000 + ((n as u128) << 16),
        ));
        let mut fx = Effects::new();
        let opening = Opening {
            channel: "sms-twilio".into(),
            customer: Address::new(customer),
            own: "+15550002002".into(),
            opted_out: false,
            country: None,
            last_agent: None,
        };
        let mut machine = Conversation::open(id, opening, workstream.clone(), now, &mut fx);
        let message = CustomerMessage {
            provider_id: format!("SM{n}"),
            text: "hello".to_owned(),
            media: Vec::new(),
            consent: None,
        };
        let offer = OfferId { queue: "support".into(), number: n as u64 };
        let accept = agent.map(|agent| Input::Accept {
            agent: agent.clone(),
            offer,
            acceptance: cordboard_core::offer::Acceptance::Work,
        });
        // As at the end of a day: everybody has gone home, and the conversations know.
        let gone = agent.map(|agent| Input::AgentAbsent {
            agent: agent.clone(),
            attendance: Attendance::Offline,
            since: now + Span(1),
        });
        for input in std::iter::once(Input::Customer(message)).chain(accept).chain(gone) {
            machine.handle(input, now, &mut fx).expect("nothing to refuse");
        }
        let row = Row::of(&machine, &machine.standing());
        let bytes = id.0.as_bytes().as_slice();
        transaction
            .prepare_cached(
                "INSERT INTO conversations (id, channel, customer, workstream, state, agent, occupies,
                 asked_back, queued_at, wake_at, version, snapshot, ticket, queue)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                bytes,
                row.channel,
                row.customer,
                row.workstream,
                u8::from(agent.is_some()),
                row.agent.as_ref().map(AgentId::as_str),
                row.occupies,
                row.queued_at.0,
                row.wake_at.map(|at| at.0),
                machine.version() as i64,
                rmp_serde::to_vec_named(&machine).expect("a machine can be encoded"),
                row.ticket,
                row.queue,
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
