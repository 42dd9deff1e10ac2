//! Searches over ten million messages while webhooks flow.

use std::time::{Duration, Instant};

use anyhow::ensure;
use cordboard_core::conversation::{CustomerMessage, Input, Opening};
use cordboard_core::ids::{Address, ConversationId};
use cordboard_core::time::{Span, Timestamp};
use cordboard_core::{Conversation, Effects};
use cordboard_host::actors::channel_settings;
use cordboard_host::config::Config;
use cordboard_host::journal::Row;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::bench::{CONNECTIONS, Load, Report, address, loaded, setup, twilio_requests};
use crate::harness::{HostProcess, Setup};

/// Messages of a conversation.
const EACH: usize = 10;
/// Between the beginnings of two of them.
const APART_MS: i64 = 40_000;
/// Webhooks a second beside the searches: about half of what a host takes.
const HALF: f64 = 10_000.0;
const SECONDS: f64 = 20.0;
const WORDS: usize = 40_000;

/// The p99 of searches by text, customer and agent, and what they cost the webhooks beside them.
///
/// # Errors
/// What the host or the generator says.
pub async fn searches(report: &mut Report, messages: usize) -> anyhow::Result<()> {
    let (mut setup, accounts, _) = setup();
    setup.agents += "(id: \"ann\", role: supervisor, queues: []),";
    setup.write_main();
    let token = setup.token("ann");
    let host = setup.start(&["--strict"]).await;
    host.stop();
    let began = Instant::now();
    fill(&loaded(&setup)?, messages / EACH)?;
    println!("  searches: {messages} messages written in {:.0} s", began.elapsed().as_secs_f64());
    let host = setup.start(&["--strict"]).await;
    let began = Instant::now();
    while unindexed(&host).await? > 0.0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    report.note("index_messages_per_second", messages as f64 / seconds.max(0.001), "1/s");
    report.note("journal_bytes_per_message", size(&setup)? / messages as f64, "bytes");

    let target = address(&host);
    let mut latencies = Vec::new();
    let mut times = Vec::new();
    for searches in [false, true] {
        let count = (HALF * SECONDS) as usize;
        let first = 100_000_000 + usize::from(searches) * 10_000_000;
        let flow = twilio_requests(&accounts, first, count, 10_000);
        let probes =
            twilio_requests(&accounts, first + 5_000_000, (SECONDS * 40.0) as usize, 10_000);
        let own = target.clone();
        let background =
            actix_web::rt::spawn(
                async move { Load::run(&own, flow, CONNECTIONS, Some(HALF)).await },
            );
        let until = Instant::now() + Duration::from_secs_f64(SECONDS - 1.0);
        let probing = async {
            let mut latencies = Vec::new();
            for probe in probes {
                if Instant::now() >= until {
                    break;
                }
                let began = Instant::now();
                Load::run(&target, vec![probe], 1, None).await;
                latencies.push(began.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            latencies
        };
        let searching = async {
            let mut times = Vec::new();
            for n in 0.. {
                if !searches || Instant::now() >= until {
                    break;
                }
                let began = Instant::now();
                let path = format!("/api/v1/conversations/search?{}", query(n, messages / EACH));
                let (status, page) = host.get(&token, &path).await;
                times.push((began.elapsed(), path.clone()));
                anyhow::ensure!(status == 200, "{path}: {page}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(times)
        };
        let (probed, searched) = tokio::join!(probing, searching);
        latencies.push(p99(probed));
        times.extend(searched?);
        let load = background.await?;
        ensure!(load.failed == 0, "{} webhooks failed", load.failed);
    }
    times.sort();
    for (time, path) in times.iter().rev().take(5) {
        println!("  searches: {:.0} ms for {path}", time.as_secs_f64() * 1e3);
    }
    let count = times.len();
    let slowest = p99(times.into_iter().map(|(time, _)| time).collect());
    println!("  searches: {count} beside {HALF} webhooks a second");
    report.note("search_ms_10m", slowest.as_secs_f64() * 1e3, "ms");
    let beside = (latencies[0].as_secs_f64() * 1e3, "the same without searches");
    let aim = "ratio <= 2";
    report.add("webhook_ms_beside_searches", latencies[1].as_secs_f64() * 1e3, "ms", beside, aim);
    Ok(())
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

async fn unindexed(host: &HostProcess) -> anyhow::Result<f64> {
    let metrics = reqwest::get(format!("{}/metrics", host.url)).await?.text().await?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("cordboard_texts_unindexed "));
    Ok(line.unwrap_or("0").parse()?)
}

fn size(setup: &Setup) -> anyhow::Result<f64> {
    Ok(std::fs::metadata(setup.data().join("journal.sqlite"))?.len() as f64)
}

/// In turn: a rare word, a usual one, two together, a word of one agent's or one customer's, and these without words.
fn query(n: usize, conversations: usize) -> String {
    let usual = word(n % 20);
    let rare = word(WORDS / 2 + n * 7919 % (WORDS / 2));
    let customer = format!("customer=%2B1425{:07}", n * 104_729 % conversations);
    let agent = format!("agent=agent-{}", n % 32);
    match n % 8 {
        0 => format!("text={rare}"),
        1 => format!("text={usual}"),
        2 => format!("text={usual}+{rare}"),
        3 => format!("text={rare}&{agent}"),
        4 => format!("text={usual}&{agent}"),
        5 => format!("text={usual}&{customer}"),
        6 => customer,
        _ => agent,
    }
}

fn word(n: usize) -> String {
    format!("w{n:x}q")
}

/// Words as languages have them: the n-th is used about 1/n as often as the first.
fn sentence(random: &mut fastrand::Rng) -> String {
    let mut words = Vec::with_capacity(10);
    for _ in 0..10 {
        let n = (WORDS as f64).powf(random.f64()) as usize - 1;
        words.push(word(n));
    }
    words.join(" ")
}

/// Conversations that have ended, some way apart.
fn fill(config: &Config, conversations: usize) -> anyhow::Result<()> {
    let mut connection = Connection::open(config.host.data.join("journal.sqlite"))?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -200_000)?;
    let channel = config.channels.iter().find(|channel| channel.id.as_str() == "sms-twilio");
    let channel = channel.expect("the benchmarks' channel");
    let workstream = channel_settings(&config.workstreams[&channel.workstream], channel, None);
    let now = 1_790_000_000_000 - conversations as i64 * APART_MS;
    let mut random = fastrand::Rng::with_seed(7);
    let transaction = connection.transaction()?;
    for n in 0..conversations {
        let at = Timestamp(now + n as i64 * APART_MS);
        let id = ConversationId(Uuid::from_u128(
            ((at.0 as u128) << 80) | 0x7000_8000_0000_0000_0000 | n as u128,
        ));
        let mut fx = Effects::new();
        let opening = Opening {
            channel: "sms-twilio".into(),
            customer: Address::new(format!("+1425{n:07}")),
            own: "+15550002002".into(),
            opted_out: false,
            country: None,
            last_agent: None,
        };
        let mut machine = Conversation::open(id, opening, workstream.clone(), at, &mut fx);
        for m in 0..EACH {
            let message = CustomerMessage {
                provider_id: format!("SM{n}-{m}"),
                text: sentence(&mut random),
                media: Vec::new(),
                consent: None,
            };
            let heard = machine.handle(Input::Customer(message), at + Span(m as i64), &mut fx);
            heard.expect("nothing to refuse");
        }
        let bytes = id.0.as_bytes().as_slice();
        for (version, event) in (1..).zip(&fx.events) {
            transaction
                .prepare_cached(
                    "INSERT INTO events (conversation, version, at, kind, body) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![bytes, version, at.0, event.kind(), rmp_serde::to_vec_named(event)?])?;
        }
        let row = Row::of(&machine, &machine.standing());
        transaction
            .prepare_cached(
                "INSERT INTO conversations (id, channel, customer, workstream, state, agent, occupies,
                 asked_back, queued_at, wake_at, version, snapshot, ticket, queue)
                 VALUES (?1, ?2, ?3, ?4, 4, ?5, 0, 0, ?6, NULL, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                bytes,
                row.channel,
                row.customer,
                row.workstream,
                format!("agent-{}", n % 32),
                row.queued_at.0,
                machine.version() as i64,
                rmp_serde::to_vec_named(&machine)?,
                row.ticket,
                row.queue,
            ])?;
    }
    transaction.commit()?;
    Ok(connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)
}
