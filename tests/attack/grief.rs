//! Panics in every kind of part, under load: each costs its part a moment, and nothing that was
//! acknowledged. (A debug build lets every so many-th input of a part panic.)

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{HostProcess, Screen, Setup, eventually};
use serde_json::{Value, json};

use crate::tools::{held, times};

const AGENTS: [&str; 3] = ["kim", "lee", "ann"];

/// Answers whatever comes, ends it and finishes, until the host goes or it is told to stop. A command may be
/// refused because its part came to grief; whoever sees nothing happen for a second loads the page again.
async fn works(url: String, token: String, stop: tokio::sync::watch::Receiver<bool>) -> usize {
    let mut answered = BTreeSet::new();
    let mut screen = Screen::connect(&url, &token).await;
    while !*stop.borrow() {
        let next = tokio::time::timeout(Duration::from_secs(1), screen.try_next()).await;
        let Ok(Some(frame)) = next else {
            screen.close().await;
            screen = Screen::connect(&url, &token).await;
            continue;
        };
        if frame["type"] == "snapshot" {
            for one in frame["conversations"].as_array().unwrap() {
                act(&mut screen, &one["conversation"], &mut answered).await;
            }
        }
        if frame["type"] == "offer" {
            screen.try_send(&json!({ "type": "accept", "offer": frame["offer"] })).await;
        }
        if frame["type"] == "conversation" {
            act(&mut screen, &frame, &mut answered).await;
        }
    }
    answered.len()
}

async fn act(screen: &mut Screen, conversation: &Value, answered: &mut BTreeSet<String>) {
    let id = conversation["id"].as_str().unwrap();
    match conversation["state"].as_str() {
        Some("active") if answered.insert(id.to_owned()) => {
            let key = format!("answer-{id}");
            let reply = json!({ "type": "reply", "conversation": id, "text": format!("re {id}"), "client_key": key });
            screen.try_send(&reply).await;
        }
        Some("active") => {
            screen.try_send(&json!({ "type": "end", "conversation": id })).await;
        }
        Some("wrap_up") => {
            screen.try_send(&json!({ "type": "finish_wrap_up", "conversation": id })).await;
        }
        _ => {}
    }
}

fn count_of(metrics: &str, name: &str) -> usize {
    let line = metrics.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Lets parts come to grief while texts arrive, and looks at what is left of everything afterwards.
async fn under_load(what: &str, provoked: &str, counted: &[&str]) -> (Setup, HostProcess) {
    let mut setup = Setup::new();
    setup.workstream =
        "wrap_up_limit: \"5s\", reopen_within: \"0s\", offer_timeout: \"2s\",".to_owned();
    setup.agents = "(id: \"ann\", name: \"Ann\", queues: [\"support\"]),".to_owned();
    let emulators = setup.with_emulators();
    setup.environment.push(("CORDBOARD_PANIC", provoked.to_owned()));
    let tokens: HashMap<&str, String> =
        AGENTS.iter().map(|agent| (*agent, setup.token(agent))).collect();
    let sams = setup.token("sam");
    // Conversations leave memory soon, so that they are read again.
    let host = setup.start(&["--strict", "--idle-after", "1"]).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let agents: Vec<_> = AGENTS
        .iter()
        .map(|agent| {
            actix_web::rt::spawn(works(host.url.clone(), tokens[agent].clone(), stopped.clone()))
        })
        .collect();
    let mut acknowledged = BTreeSet::new();
    for round in 0..times(20, 200) {
        let texts = (0..5).map(|n| {
            let (text, world) = (format!("text {round}.{n}"), emulators.world.clone());
            async move {
                let from = format!("+1425555{:04}", round * 5 + n);
                (world.text(Provider::Twilio, &from, &text).await, text)
            }
        });
        for (status, text) in futures_util::future::join_all(texts).await {
            assert_eq!(status, 200, "a provider that tries again gets through\n{}", host.log());
            acknowledged.insert(text);
        }
    }
    let mut kept = at_rest(&host, &sams, acknowledged.len()).await;
    kept.sort();
    let all: Vec<String> = acknowledged.into_iter().collect();
    assert_eq!(kept, all, "each text that was acknowledged is there, once");
    stop.send(true).unwrap();
    for agent in agents {
        agent.await.unwrap();
    }
    let metrics = host.text(&sams, "/metrics").await;
    let mut measured = Vec::new();
    for name in counted {
        let count = count_of(&metrics, name);
        assert!(count > 0, "{name} in\n{metrics}");
        measured.push(format!("{count} {name}"));
    }
    is_ready(&host, &sams, provoked.starts_with("read=")).await;
    // How long routing took to be made anew, as the log says.
    let log = host.log();
    let rebuilt = log.lines().filter_map(|line| {
        line.split_once("was made anew")?
            .1
            .split_once(" ms=")?
            .1
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    if let Some(most) = rebuilt.max() {
        measured.push(format!("made anew within {most} ms"));
    }
    held(what, &format!("{} texts kept; {}", all.len(), measured.join(", ")));
    (setup, host)
}

/// Waits until it is ready. The last write of all may have been the one that came to grief, and the journal is said not
/// to commit until another one, the host's sign of life at the latest, shows that it does. A read that failed is said for half a minute.
async fn is_ready(host: &HostProcess, token: &str, reads_fail: bool) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let ready = host.text(token, "/health/ready").await;
        if ready == "ready\n" || reads_fail && ready.contains("the journal couldn't be read") {
            return;
        }
        assert!(Instant::now() < until, "{ready}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until everything is over: nobody holds anything, nothing waits, and every conversation was
/// answered. All that customers have written.
async fn at_rest(host: &HostProcess, token: &str, count: usize) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, open) = host.get(token, "/api/v1/conversations?all=true&limit=1000").await;
        let (_, agents) = host.get(token, "/api/v1/agents").await;
        let is_idle =
            |agent: &Value| agent["capacity"][2]["used"] == 0 && agent["offers"] == json!([]);
        let (_, queues) = host.get(token, "/api/v1/queues").await;
        let (is_over, are_idle) =
            (open == json!([]), agents.as_array().is_some_and(|all| all.iter().all(is_idle)));
        if is_over && are_idle && queues[0]["waiting"] == 0 {
            break;
        }
        assert!(
            Instant::now() < until,
            "not at rest: {open:#} {agents:#} {queues:#}\n{}",
            host.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut texts = Vec::new();
    // Whoever looks at others' work is noted first, and that may come to grief.
    let found = loop {
        let (_, found) = host.get(token, "/api/v1/conversations/search?limit=500").await;
        if let Some(found) = found["conversations"].as_array() {
            break found.clone();
        }
    };
    assert!(count > 500 || found.len() == count, "{} of {count}", found.len());
    for conversation in found {
        let id = conversation["id"].as_str().unwrap();
        let seen = loop {
            let (status, seen) = host.get(token, &format!("/api/v1/conversations/{id}")).await;
            if status == 200 {
                break seen;
            }
        };
        let messages = seen["messages"].as_array().unwrap();
        let of = |role: &str| messages.iter().filter(|message| message["role"] == role).count();
        assert!(of("agent") <= 1, "an answer was given twice: {seen:#}");
        let customers = messages.iter().filter(|message| message["role"] == "customer");
        texts.extend(customers.map(|message| message["text"].as_str().unwrap().to_owned()));
    }
    texts
}

// OPS-09 OPS-06
#[actix_web::test]
async fn queues_and_agents_come_to_grief_and_are_made_anew() {
    let counted = [
        "cordboard_panics_total{part=\"queue\"}",
        "cordboard_panics_total{part=\"agent\"}",
        "cordboard_routing_rebuilt_total",
    ];
    let (setup, host) =
        under_load("panics in queues and agents", "queue=400,agent=500,rebuild=2", &counted).await;
    // What a machine was told before it came to grief, and the new one since, leads to the same again.
    setup.stop_and_replay(host);
}

// OPS-09 ROUTE-07
#[actix_web::test]
async fn an_offer_that_nobody_knows_of_any_more_leaves_the_screens() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    setup.environment.push(("CORDBOARD_PANIC", "queue=25".to_owned()));
    let kims = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let before = kim.wait("offer").await;
    let mut texts = 0;
    while !host.log().contains("routing was made anew from the journal") {
        texts += 1;
        assert!(texts < 100, "no queue has come to grief");
        let from = format!("+1425556{texts:04}");
        assert_eq!(emulators.world.text(Provider::Twilio, &from, "hello").await, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What is on the screen is what can be taken.
    let mut open = BTreeSet::from([before["offer"].as_str().unwrap().to_owned()]);
    let mut ended = BTreeSet::new();
    while let Ok(Some(frame)) = tokio::time::timeout(Duration::from_secs(2), kim.try_next()).await {
        let offer = || frame["offer"].as_str().unwrap().to_owned();
        match frame["type"].as_str() {
            Some("offer") => assert!(open.insert(offer()), "{frame}"),
            Some("offer_ended") => assert!(open.remove(&offer()) && ended.insert(offer())),
            _ => {}
        }
    }
    assert!(ended.contains(before["offer"].as_str().unwrap()), "{open:?} {ended:?}");
    assert!(!open.is_empty(), "it is offered again");
    for offer in open {
        kim.must(json!({ "type": "accept", "offer": offer })).await;
    }
    held("an offer that stood when routing was made anew", "it left the screen and came again");
}

// OPS-09
#[actix_web::test]
async fn conversations_and_shards_come_to_grief_and_are_read_again() {
    let counted =
        ["cordboard_panics_total{part=\"conversation\"}", "cordboard_panics_total{part=\"shard\"}"];
    under_load("panics in conversations and shards", "conversation=40,shard=60", &counted)
        .await
        .1
        .stop();
}

// OPS-09 OPS-03
#[actix_web::test]
async fn sending_and_writing_come_to_grief_and_nothing_is_lost() {
    let counted = ["cordboard_panics_total{part=\"outbox\"}", "cordboard_journal_panics_total"];
    let what = "panics in the outbox and in the journal's writes";
    let (setup, host) = under_load(what, "outbox=15,journal=60", &counted).await;
    // What couldn't be written of the record was written later, in its order.
    setup.stop_and_replay(host);
}

// OPS-09 CONV-06
#[actix_web::test]
async fn what_comes_to_grief_again_and_again_as_it_is_sent_keeps_its_place() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    setup.environment.push(("CORDBOARD_PANIC", "outbox=1".to_owned()));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    for text in ["first", "second"] {
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    // More often than it was tried once, before it was left to the next start and others went before it.
    let began = Instant::now();
    let count = async |name: &str| count_of(&host.text(&sams, "/metrics").await, name);
    while count("cordboard_panics_total{part=\"outbox\"}").await < 4 {
        assert!(began.elapsed() < Duration::from_secs(40), "{}", host.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(count("cordboard_outbox_backlog").await, 2, "it is counted as what it is");
    assert!(host.log().contains("a reply, tried 0 times before"), "{}", host.log());
    assert_eq!(host.stop(), Some(0));
    // Nobody was asked to send it: so it isn't in doubt.
    setup.environment.pop();
    let host = setup.start(&["--strict"]).await;
    eventually("both go out", || (world.sent().len() == 2).then_some(())).await;
    let sent: Vec<String> = world.sent().into_iter().map(|sent| sent.text).collect();
    assert_eq!(sent, ["first", "second"]);
    assert_eq!(host.stop(), Some(0));
    held("panics whenever a reply is sent", "it waits in its place; sent once they end");
}

// OPS-09 OPS-03
#[actix_web::test]
async fn reads_fail_and_what_nobody_waits_for_is_done_all_the_same() {
    let (_setup, host) = under_load("reads that fail", "read=15", &[]).await;
    let metrics =
        reqwest::get(format!("{}/metrics", host.url)).await.unwrap().text().await.unwrap();
    let failed = metrics
        .lines()
        .find_map(|line| line.strip_prefix("cordboard_journal_reads_failed_total "))
        .and_then(|count| count.parse::<f64>().ok());
    assert!(failed.is_some_and(|failed| failed > 10.0), "{failed:?} in\n{}", host.log());
    // It is said, and not by the thousand.
    let said = host.log().matches("the journal can't be read").count();
    assert!((1..4).contains(&said), "{said}");
    host.stop();
}

// OPS-09
#[actix_web::test]
async fn what_cant_be_mended_stops_the_host_with_a_clear_word() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    setup.environment.push(("CORDBOARD_PANIC", "queue=1".to_owned()));
    let host = setup.start(&["--strict"]).await;
    let _kim = Screen::connect(&host.url, &token).await;
    let mut acknowledged = 0;
    for n in 0..30 {
        let status = emulators
            .world
            .deliver(Provider::Twilio, &format!("SM{n}"), "+14255550100", "hello")
            .await;
        acknowledged += usize::from(status == 200);
    }
    eventually("the host stops", || {
        host.log().contains("the host couldn't go on: routing came to grief").then_some(())
    })
    .await;
    assert!(
        host.log().contains("what was acknowledged is on disk, start it again"),
        "{}",
        host.log()
    );
    drop(host);
    setup.environment.retain(|(name, _)| *name != "CORDBOARD_PANIC");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::connect(&host.url, &token).await;
    let id = kim.accept_next().await;
    let (_, seen) = host.get(&token, &format!("/api/v1/conversations/{id}")).await;
    let texts =
        seen["messages"].as_array().unwrap().iter().filter(|message| message["text"] == "hello");
    assert_eq!(texts.count(), acknowledged);
    held("a queue that panics each time", "the host stops, says why, and finds everything again");
}

// OPS-09
#[actix_web::test]
async fn parts_that_cant_go_on_stop_the_host_and_it_finds_everything_again() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (token, sams) = (setup.token("kim"), setup.token("sam"));
    setup.environment.push(("CORDBOARD_PANIC", "journal_thread=25".to_owned()));
    let host = setup.start(&["--strict"]).await;
    let mut acknowledged = BTreeSet::new();
    for n in 0..40 {
        let (id, text) = (format!("{n:032}"), format!("text {n}"));
        if emulators.world.deliver(Provider::Twilio, &id, "+14255550100", &text).await == 200 {
            acknowledged.insert(text);
        }
    }
    host.prints("the host couldn't go on: the journal's writer has ended").await;
    drop(host);
    // A task that has to run as long as the host: here none of them does.
    setup.environment.retain(|(name, _)| *name != "CORDBOARD_PANIC");
    let right = setup.environment.clone();
    setup.environment.push(("CORDBOARD_PANIC", "task=1".to_owned()));
    let (code, text) = setup.run(&["run", setup.config()]);
    assert!(code == 3 && text.contains("the host couldn't go on"), "{code} {text}");
    setup.environment = right;
    let host = setup.start(&["--strict"]).await;
    assert!(!acknowledged.is_empty());
    let mut kim = Screen::connect(&host.url, &token).await;
    let id = kim.accept_next().await;
    let kept = host.transcript(&sams, &id).await;
    let kept: BTreeSet<String> =
        kept.iter().filter_map(|one| one["text"].as_str().map(str::to_owned)).collect();
    assert!(kept.is_superset(&acknowledged), "{acknowledged:?} in {kept:?}");
    held(
        "the end of the journal's thread, and of tasks",
        &format!("the host stops and says why; {} texts kept", acknowledged.len()),
    );
}

// OPS-09 ROUTE-17 SEC-03
#[actix_web::test]
async fn a_change_that_couldnt_be_told_is_noted_and_told_with_the_next() {
    let mut setup = Setup::new();
    setup.queues = "), (id: \"billing\", name: \"Billing\")".to_owned();
    let emulators = setup.with_emulators();
    let (sams, roots) = (setup.token("sam"), setup.token("root"));
    // Every second read of what is open fails.
    setup.environment.push(("CORDBOARD_PANIC", "open_of=2".to_owned()));
    let host = setup.start(&["--strict"]).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let queue = async || {
        let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
        open[0]["queue"].as_str().unwrap().to_owned()
    };
    let moves_to = async |from: &str, to: &str| {
        let of = |queue: &str| format!("queue: \"{queue}\"");
        setup.change(
            "main.ron",
            &format!("kind: messaging, {}", of(from)),
            &format!("kind: messaging, {}", of(to)),
        );
        // The watcher sees it as well, and comes once more where it failed.
        let answer = host.post(&roots, "/api/v1/config/reload", json!({})).await;
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while queue().await != to {
            assert!(std::time::Instant::now() < until, "{to}: {answer:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    moves_to("support", "billing").await;
    moves_to("billing", "support").await;
    host.prints("the new configuration is in force, but what waits couldn't be read").await;
    let (_, audit) = host.get(&roots, "/api/v1/audit?action=config.change").await;
    assert_eq!(audit["entries"].as_array().unwrap().len(), 2, "{audit}");
    held("a change of settings whose read fails", "noted, and told with the next");
}
