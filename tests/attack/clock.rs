//! A machine whose clock is set while the host runs.

use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

use crate::tools::held;

/// A day, in seconds.
const DAY: i64 = 24 * 3600;

// OPS-06 ROUTE-07
#[actix_web::test]
async fn a_clock_that_is_set_forward_or_back_is_said_and_keeps_no_offer_standing() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"3s\",".to_owned();
    let emulators = setup.with_emulators();
    let clock = setup.with_clock();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    for (what, seconds) in [("back", -3600), ("forward", 7200)] {
        emulators.world.text(Provider::Twilio, "+14255550100", what).await;
        kim.wait("offer").await;
        let began = Instant::now();
        clock.set(seconds);
        kim.wait("offer_ended").await;
        let stood = began.elapsed();
        assert!(stood < Duration::from_secs(8), "{what}: an offer of 3 s stood for {stood:?}");
        host.prints(&format!("clock was set {what}")).await;
        // Whoever missed it is offered it again: it is there, and so are they.
        kim.must(json!({ "type": "activity" })).await;
    }
    kim.accept_next().await;
    held("a clock that is set back and forward by an hour", "said; offers end in their time");
}

// OPS-06 ROUTE-03 ROUTE-09
#[actix_web::test]
async fn a_clock_that_stood_ahead_until_the_restart_keeps_nobody_waiting() {
    let mut setup = Setup::new();
    setup.workstream = "inactivity: \"3s\", offer_timeout: \"20s\",".to_owned();
    setup.agents = r#"(id: "max", queues: ["support"], capacity: (messaging: 1)),"#.to_owned();
    let emulators = setup.with_emulators();
    let clock = setup.with_clock();
    let [kims, maxs, sams] = ["kim", "max", "sam"].map(|agent| setup.token(agent));
    clock.set(DAY);
    let host = setup.start(&["--strict"]).await;
    let text = async |from: &str| {
        assert_eq!(emulators.world.text(Provider::Twilio, from, "hello").await, 200);
    };
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    text("+14255550101").await;
    let answered = kim.accept_next().await;
    kim.must(json!({ "type": "reply", "conversation": answered, "text": "hi" })).await;
    kim.must(json!({ "type": "presence", "status": "away" })).await;
    text("+14255550102").await;
    // As an operator does it who has seen that the clock is wrong.
    clock.set(0);
    host.kill();
    let began = Instant::now();
    let host = setup.start(&["--strict"]).await;
    host.prints("the clock stands behind where it stood when the last run ended").await;
    host.until_state(&sams, &answered, "waiting").await;
    text("+14255550103").await;
    let first = host.conversations_of(&sams, "+14255550102").await[0].clone();
    // Whoever wrote first comes first, however late it was by then.
    let mut max = Screen::at_desk(&host.url, &maxs).await;
    assert_eq!(max.accept_next().await, first);
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    held("a clock that stood a day ahead, set right with a restart", "nobody waits for it");
    setup.stop_and_replay(host);
}

// OPS-06 CONV-01 SEC-02
#[actix_web::test]
async fn a_thread_that_began_while_the_clock_stood_ahead_is_one_and_has_each_text_once() {
    let mut setup = Setup::new();
    setup.workstream = "reopen_within: \"0s\",".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let clock = setup.with_clock();
    let sams = setup.token("sam");
    let theirs = "+14255550101";
    let text = async |id: &str| {
        assert_eq!(world.deliver(Provider::Twilio, id, theirs, id).await, 200, "{id}");
    };
    let id_of = |n: u32| format!("SM{n:032x}");
    let end_all = async |host: &cordboard_tests::harness::HostProcess| {
        for id in host.conversations_of(&sams, theirs).await {
            host.post(&sams, &format!("/api/v1/conversations/{id}/end"), json!({})).await;
            host.until_state(&sams, &id, "closed").await;
        }
    };
    clock.set(300);
    let host = setup.start(&["--strict"]).await;
    text(&id_of(1)).await;
    end_all(&host).await;
    clock.set(0);
    host.kill();
    let host = setup.start(&["--strict", "--idle-after", "1"]).await;
    text(&id_of(2)).await;
    end_all(&host).await;
    text(&id_of(3)).await;
    // It has gone from memory by then, and is the thread's newest all the same.
    tokio::time::sleep(Duration::from_secs(8)).await;
    text(&id_of(4)).await;
    for again in 1..=4 {
        text(&id_of(again)).await;
    }
    let all = host.conversations_of(&sams, theirs).await;
    let mut texts = Vec::new();
    for id in &all {
        for message in host.transcript(&sams, id).await {
            texts.push(message["text"].as_str().unwrap_or_default().to_owned());
        }
    }
    texts.sort_unstable();
    assert_eq!(texts, [1, 2, 3, 4].map(id_of), "in {} conversations", all.len());
    // The first goes on: by what its clock showed it had only just ended.
    assert_eq!(all.len(), 2);
    held("conversations named by a clock that stood ahead", "one thread, each text once");
}
