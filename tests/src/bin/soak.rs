//! An hour at moderate traffic: three agents answer what comes, screens come and go, the configuration
//! changes now and then. Memory, descriptors and files at the start and the end are printed; nothing may
//! grow but the journal, and every text that was acknowledged is there once.
//!
//! `make soak MINUTES=60`; it isn't part of `make test`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Parser;
use cordboard_tests::emulator::{Provider, World};
use cordboard_tests::harness::{HostProcess, Screen, Setup};
use serde_json::{Value, json};

/// Lets a host work for a while, and looks at what has grown.
#[derive(Parser)]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Texts a second.
    #[arg(long, default_value_t = 10)]
    rate: u32,
}

const AGENTS: [&str; 3] = ["kim", "lee", "ann"];
/// What comes before counts as warming up.
const WARM: Duration = Duration::from_secs(60);

/// What is looked at.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "it is there to be printed")]
struct Size {
    memory_mb: usize,
    descriptors: usize,
    threads: usize,
    journal_mb: u64,
    wal_mb: u64,
    files: usize,
}

fn size(host: &HostProcess, data: &Path) -> anyhow::Result<Size> {
    let process = format!("/proc/{}", host.pid());
    let status = std::fs::read_to_string(format!("{process}/status"))?;
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).context("Linux says so")?;
        let number = line.split_whitespace().nth(1).context("a number")?;
        number.parse::<usize>().context("a number")
    };
    let megabytes =
        |name: &str| std::fs::metadata(data.join(name)).map_or(0, |file| file.len() >> 20);
    Ok(Size {
        memory_mb: of("VmRSS:")? / 1024,
        descriptors: std::fs::read_dir(format!("{process}/fd"))?.count(),
        threads: of("Threads:")?,
        journal_mb: megabytes("journal.sqlite"),
        wal_mb: megabytes("journal.sqlite-wal"),
        files: std::fs::read_dir(data)?.count(),
    })
}

/// Answers, ends, finishes; loads the page again every few minutes.
async fn works(url: String, token: String, until: Instant) {
    let mut screen = Screen::connect(&url, &token).await;
    let mut reload_at = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        let next = tokio::time::timeout(Duration::from_secs(2), screen.try_next()).await;
        let frame = match next {
            Ok(Some(frame)) if Instant::now() < reload_at => frame,
            Err(_) if Instant::now() < reload_at => continue,
            _ => {
                screen.close().await;
                screen = Screen::connect(&url, &token).await;
                reload_at = Instant::now() + Duration::from_secs(120);
                continue;
            }
        };
        let conversations = match frame["type"].as_str() {
            Some("offer") => {
                let accept = json!({ "type": "accept", "offer": frame["offer"] });
                screen.try_send(&accept).await;
                continue;
            }
            Some("snapshot") => frame["conversations"].as_array().cloned().unwrap_or_default(),
            Some("conversation") => vec![json!({ "conversation": frame })],
            _ => continue,
        };
        for one in conversations {
            let (id, state) = (&one["conversation"]["id"], one["conversation"]["state"].as_str());
            let commands: &[Value] = match state {
                Some("active") => &[
                    json!({ "type": "reply", "conversation": id, "text": "hello", "client_key": id }),
                    json!({ "type": "end", "conversation": id }),
                ],
                Some("wrap_up") => &[json!({ "type": "finish_wrap_up", "conversation": id })],
                _ => &[],
            };
            for command in commands {
                screen.try_send(command).await;
            }
        }
    }
    screen.close().await;
}

/// Texts at the rate, of a thousand customers who come back; how many were acknowledged.
async fn texts(world: World, rate: u32, until: Instant) -> usize {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut count = 0;
    for n in 0_usize.. {
        if Instant::now() > until {
            break;
        }
        tick.tick().await;
        let (id, from) = (format!("SM{n:032}"), format!("+1425555{:04}", n % 1000));
        count += usize::from(world.deliver(Provider::Twilio, &id, &from, &id).await == 200);
    }
    count
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut setup = Setup::new();
    setup.workstream =
        "wrap_up_limit: \"10s\", reopen_within: \"0s\", offer_timeout: \"5s\", end_after: \"2m\","
            .to_owned();
    setup.agents = "(id: \"ann\", name: \"Ann\", queues: [\"support\"]),".to_owned();
    let emulators = setup.with_emulators();
    let tokens = AGENTS.map(|agent| setup.token(agent));
    let sams = setup.token("sam");
    let host = setup.start(&["--strict", "--idle-after", "10"]).await;
    let until = Instant::now() + WARM + Duration::from_secs(arguments.minutes * 60);
    let agents: Vec<_> = tokens
        .iter()
        .map(|token| actix_web::rt::spawn(works(host.url.clone(), token.clone(), until)))
        .collect();
    let texting = actix_web::rt::spawn(texts(emulators.world.clone(), arguments.rate, until));
    tokio::time::sleep(WARM).await;
    let before = size(&host, &setup.data())?;
    println!("after a minute: {before:?}");
    let mut changes = 0;
    while Instant::now() + Duration::from_secs(60) < until {
        tokio::time::sleep(Duration::from_secs(60)).await;
        // A setting changes while work flows.
        let (from, to) =
            if changes % 2 == 0 { ("\"10s\"", "\"11s\"") } else { ("\"11s\"", "\"10s\"") };
        setup.change(
            "main.ron",
            &format!("wrap_up_limit: {from}"),
            &format!("wrap_up_limit: {to}"),
        );
        changes += 1;
        if changes % 10 == 0 {
            println!("after {} minutes: {:?}", changes + 1, size(&host, &setup.data())?);
        }
    }
    let acknowledged = texting.await?;
    for agent in agents {
        agent.await?;
    }
    // What nobody took ends by itself.
    tokio::time::sleep(Duration::from_secs(150)).await;
    let after = size(&host, &setup.data())?;
    println!("at the end: {after:?}");
    let metrics = host.text(&sams, "/metrics").await;
    for name in [
        "cordboard_live_conversations",
        "cordboard_outbox_backlog",
        "cordboard_connections ",
        "cordboard_panics_total",
    ] {
        metrics.lines().filter(|line| line.starts_with(name)).for_each(|line| println!("{line}"));
    }
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite"))?;
    let kept: i64 = journal.query_row(
        "SELECT count(*) FROM events WHERE kind = 'message_received'",
        [],
        |row| row.get(0),
    )?;
    println!("{acknowledged} texts acknowledged, {kept} kept; {changes} changes of settings");
    ensure!(kept == acknowledged as i64, "texts were lost or kept twice");
    ensure!(after.memory_mb < before.memory_mb + 64, "memory has grown");
    ensure!(after.descriptors <= before.descriptors + 8, "descriptors have grown");
    ensure!(after.threads <= before.threads + 2, "threads have grown");
    ensure!(host.stop() == Some(0), "it doesn't stop in order");
    println!("held");
    Ok(())
}
