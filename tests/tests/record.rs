//! The record of routing of a host that runs on: another run of it begins, and nothing else changes (OPS-08).

use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup, eventually};
use serde_json::json;

// OPS-08 ROUTE-07 CONV-03
#[actix_web::test]
async fn another_run_of_the_record_changes_nothing_of_what_is_offered() {
    let mut setup = Setup::new();
    setup.host = "keep_routing_log: \"2s\",".to_owned();
    setup.workstream = "offer_timeout: \"30s\",".to_owned();
    let emulators = setup.with_emulators();
    let [kims, lees, sams] = ["kim", "lee", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let another_run = async || {
        let runs = || host.log().matches("another run of the record of routing has begun").count();
        let before = runs();
        eventually("another run", || (runs() > before).then_some(())).await;
    };
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let offer = kim.wait("offer").await;
    another_run().await;
    another_run().await;
    kim.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
    let id = offer["conversation"].as_str().unwrap().to_owned();
    host.until_state(&sams, &id, "active").await;
    let mut lee = Screen::at_desk(&host.url, &lees).await;
    kim.must(json!({ "type": "transfer", "conversation": id, "to": { "agent": "lee" } })).await;
    let offer = lee.wait("offer").await;
    another_run().await;
    lee.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
    let path = format!("/api/v1/conversations/{id}");
    let began = Instant::now();
    while host.get(&sams, &path).await.1["conversation"]["agent"] != "lee" {
        assert!(began.elapsed() < Duration::from_secs(10), "lee doesn't have it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Nobody was told of anything but of what happened.
    let why = host.text(&sams, &format!("{path}/why")).await;
    assert!(!why.contains("has signed in since"), "{why}");
    setup.stop_and_replay(host);
}

// OPS-08 OPS-03
#[actix_web::test]
async fn the_routing_log_of_a_host_that_runs_on_begins_anew_and_replays_from_there() {
    let mut setup = Setup::new();
    setup.host = "keep_routing_log: \"3s\",".to_owned();
    setup.agents =
        r#"(id: "max", queues: ["support"], capacity: (messaging: 1000, units: 100000)),"#
            .to_owned();
    let emulators = setup.with_emulators();
    let [maxs, sams] = ["max", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut max = Screen::at_desk(&host.url, &maxs).await;
    let runs = || {
        let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
        let query = "SELECT count(DISTINCT run), min(run) FROM routing_log";
        journal.query_row(query, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
    };
    let (_, first) = runs().unwrap();
    let began = Instant::now();
    let mut texts = 0;
    // Work flows while it begins anew, again and again, and what is old goes.
    while began.elapsed() < Duration::from_secs(14) {
        let from = format!("+142555{texts:05}");
        assert_eq!(emulators.world.text(Provider::Twilio, &from, "hello").await, 200);
        let id = max.accept_next().await;
        max.must(json!({ "type": "reply", "conversation": id, "text": "hi" })).await;
        texts += 1;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let (count, oldest) = runs().unwrap();
    assert!((1..=4).contains(&count) && oldest > first, "{count} runs, from {oldest}, {first}");
    let metrics = host.text(&sams, "/metrics").await;
    assert!(metrics.contains("cordboard_routing_rebuilt_total"), "{metrics}");
    assert!(!host.log().contains("grief"), "nothing went wrong");
    let (_, agents) = host.get(&sams, "/api/v1/agents").await;
    let max = agents.as_array().unwrap().iter().find(|one| one["id"] == "max").cloned().unwrap();
    assert_eq!(max["capacity"][2]["used"], texts);
    assert_eq!(host.stop(), Some(0));
    let (code, said) = setup.replay();
    assert!(code == 0 && said.contains("the same byte for byte"), "{said}");
}
