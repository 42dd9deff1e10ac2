//! Agents' replies: how many commits one costs, and how many a second reach the provider and are reported back.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::bench::Report;
use crate::emulator::Provider;
use crate::harness::{HostProcess, Screen, Setup};

/// Conversations that are answered side by side.
const CONVERSATIONS: usize = 32;
const ONE_BY_ONE: u32 = 100;
const EACH: usize = 100;

/// Each reply is on disk, goes to the emulated provider, and its report comes back and is on disk.
///
/// # Errors
/// What the host or the generator says.
pub async fn replies(report: &mut Report) -> anyhow::Result<()> {
    let mut setup = Setup::new();
    setup.agents =
        r#"(id: "max", queues: ["support"], capacity: (messaging: 1000, units: 100000)),"#
            .to_owned();
    let emulators = setup.with_emulators();
    let token = setup.token("max");
    let host = setup.start(&["--strict"]).await;
    let mut max = Screen::at_desk(&host.url, &token).await;
    let mut conversations = Vec::new();
    for n in 0..CONVERSATIONS {
        let customer = format!("+1425555{n:04}");
        let taken = emulators.world.text(Provider::Twilio, &customer, "hello").await;
        ensure!(taken == 200, "a text is answered {taken}");
        conversations.push(max.accept_next().await);
    }
    emulators.world.set_reports(false);
    let before = commits(&host, &token).await?;
    for n in 0..ONE_BY_ONE {
        let text = format!("reply {n}");
        max.must(json!({ "type": "reply", "conversation": conversations[0], "text": text })).await;
        max.wait_for("sent", |frame| frame["type"] == "delivery").await;
    }
    let each = f64::from(commits(&host, &token).await? - before) / f64::from(ONE_BY_ONE);
    report.add("reply_commits", each, "commits", (2.0, "one before it goes out, one after"), "2");

    emulators.world.set_reports(true);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let began = Instant::now();
    let senders = conversations.iter().map(|id| {
        let url = format!("{}/api/v1/conversations/{id}/reply", host.url);
        let (client, token) = (client.clone(), token.clone());
        actix_web::rt::spawn(async move {
            for n in 0..EACH {
                let body = json!({ "text": format!("reply {n}") });
                let sent = client.post(&url).bearer_auth(&token).json(&body).send().await?;
                ensure!(sent.status() == 204, "a reply is answered {}", sent.status());
            }
            Ok(())
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut delivered = 0;
    while delivered < CONVERSATIONS * EACH {
        let frame = tokio::time::timeout(Duration::from_secs(60), max.try_next()).await?;
        let frame = frame.context("the screen is gone")?;
        let is_report = frame["type"] == "delivery" && frame["delivery"]["status"] == "delivered";
        delivered += usize::from(is_report);
    }
    let rate = delivered as f64 / began.elapsed().as_secs_f64();
    for sender in senders {
        sender.await??;
    }
    report.note("replies_per_second", rate, "1/s");
    Ok(())
}

async fn commits(host: &HostProcess, token: &str) -> anyhow::Result<u32> {
    let metrics = host.text(token, "/metrics").await;
    let line = |line: &str| Some(line.strip_prefix("cordboard_journal_commits_total ")?.to_owned());
    Ok(metrics.lines().find_map(line).context("the metric")?.parse()?)
}
