//! Agents' replies: how many commits one costs, and how many a second reach the provider and are reported back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::bench::{Report, processor_time};
use crate::emulator::Provider;
use crate::harness::{Screen, Setup};

/// Conversations that are answered side by side.
const CONVERSATIONS: usize = 32;
const ONE_BY_ONE: u32 = 100;
/// Replies of one conversation that are under way: the host takes 256.
const UNDER_WAY: usize = 64;
/// Some seconds of them: the first ones cost more.
const EACH: usize = 500;
/// They take some seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Each reply is on disk, goes to the emulated provider, and its report comes back and is on disk.
///
/// # Errors
/// What the host or the generator says.
pub async fn replies(report: &mut Report) -> anyhow::Result<()> {
    let mut setup = Setup::new();
    setup.agents =
        r#"(id: "max", queues: ["support"], capacity: (messaging: 1000, units: 100000)),"#
            .to_owned();
    // The emulator reports on each reply with a connection of its own, if need be, and asks twice.
    setup.host = "limits: (connections_per_address: 4096),".to_owned();
    setup.write_main();
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
    let before = host.commits(&token).await;
    for n in 0..ONE_BY_ONE {
        let text = format!("reply {n}");
        max.must(json!({ "type": "reply", "conversation": conversations[0], "text": text })).await;
        max.wait_for("sent", |frame| frame["type"] == "delivery").await;
    }
    let each = f64::from(host.commits(&token).await - before) / f64::from(ONE_BY_ONE);
    report.add("reply_commits", each, "commits", (2.0, "one before it goes out, one after"), "2");

    emulators.world.set_reports(true);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (began, used) = (Instant::now(), processor_time(host.pid()));
    let room = |id: &String| (id.clone(), Arc::new(Semaphore::new(UNDER_WAY)));
    let rooms: HashMap<String, Arc<Semaphore>> = conversations.iter().map(room).collect();
    let senders = rooms.iter().map(|(id, room)| {
        let room = room.clone();
        let url = format!("{}/api/v1/conversations/{id}/reply", host.url);
        let (client, token) = (client.clone(), token.clone());
        actix_web::rt::spawn(async move {
            for n in 0..EACH {
                room.acquire().await?.forget();
                let body = json!({ "text": format!("reply {n}") });
                let sent = client.post(&url).bearer_auth(&token).json(&body).send().await?;
                ensure!(sent.status() == 204, "a reply is answered {}", sent.status());
            }
            Ok(())
        })
    });
    let senders: Vec<_> = senders.collect();
    let all_sent = async {
        for sender in senders {
            sender.await??;
        }
        anyhow::Ok(())
    };
    let delivered = CONVERSATIONS * EACH;
    let mut seen = 0;
    let all_delivered = async {
        while seen < delivered {
            let frame = max.try_next().await.context("the screen is gone")?;
            if frame["type"] == "delivery" && frame["delivery"]["status"] == "delivered" {
                let id = frame["conversation"].as_str().context("whose it is")?;
                rooms.get(id).context("one of ours")?.add_permits(1);
                seen += 1;
            }
        }
        anyhow::Ok(())
    };
    let all_delivered = tokio::time::timeout(LIMIT, all_delivered);
    let all_delivered = async { all_delivered.await.context("some aren't delivered")? };
    let all = async { tokio::try_join!(all_sent, all_delivered) }.await;
    all.with_context(|| format!("{seen} of {delivered} were seen to be delivered"))?;
    let rate = delivered as f64 / began.elapsed().as_secs_f64();
    let used = processor_time(host.pid()).saturating_sub(used);
    report.note("replies_per_second", rate, "1/s");
    let each = used.as_secs_f64() * 1e6 / delivered as f64;
    report.note("replies_processor_us", each, "us");
    Ok(())
}
