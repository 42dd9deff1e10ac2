//! Who gets what: order, strategies, weights, reassignment, through the real host.

use std::collections::BTreeMap;
use std::time::Duration;

use cordboard_tests::emulator::{Provider, World};
use cordboard_tests::harness::{HostProcess, Screen, Setup};
use serde_json::{Value, json};

fn customer(n: usize) -> String {
    format!("+1425555{n:04}")
}

async fn write(world: &World, n: usize, text: &str) {
    assert_eq!(world.text(Provider::Telesign, &customer(n), text).await, 200);
}

/// Accepts the next offer; whose customer's number it is.
async fn next(host: &HostProcess, token: &str, screen: &mut Screen) -> String {
    let id = screen.accept_next().await;
    host.conversation(token, &id).await["customer"].as_str().unwrap().to_owned()
}

// ROUTE-03
#[actix_web::test]
async fn the_urgent_go_first_then_the_oldest_and_where_it_is_set_the_oldest_only() {
    for (order, expected) in [("priority", [3, 4, 1, 2]), ("oldest_first", [1, 2, 3, 4])] {
        let mut setup = Setup::new();
        setup.workstream =
            r#"rules: [(name: "urgent", when: [text(contains("urgent"))], priority: 5)],"#
                .to_owned();
        setup.queues = format!("order: {order}),");
        let emulators = setup.with_emulators();
        let (kims, sams) = (setup.token("kim"), setup.token("sam"));
        let host = setup.start(&[]).await;
        // The most urgent aren't the oldest.
        for (n, text) in [(1, "hello"), (2, "hello"), (3, "urgent"), (4, "urgent")] {
            write(&emulators.world, n, text).await;
            host.until_waiting(&sams, "support", n).await;
        }
        let waiting = host.waiting(&sams, "support").await;
        let line: Vec<&Value> =
            waiting.iter().map(|item| &item["conversation"]["customer"]).collect();
        let numbers = expected.map(|n| json!(customer(n)));
        assert_eq!(line, numbers.iter().collect::<Vec<_>>(), "{order}");
        let mut kim = Screen::connect(&host.url, &kims).await;
        let mut offers = Vec::new();
        for _ in 0..4 {
            let offer = kim.wait("offer").await;
            let id = offer["conversation"].as_str().unwrap().to_owned();
            offers.push((offer["at"].as_i64().unwrap(), host.conversation(&sams, &id).await));
        }
        let given: Vec<&Value> = offers.iter().map(|(_, one)| &one["customer"]).collect();
        assert_eq!(
            given,
            numbers.iter().collect::<Vec<_>>(),
            "{order}: in the order of the offers"
        );
        setup.stop_and_replay(host);
    }
}

/// Three agents, signed in one after the other: a has 3 places and much German, b 5, c 5 and little.
async fn three(setup: &mut Setup, strategy: &str) -> (HostProcess, [Screen; 3], String) {
    setup.queues = format!("strategy: {strategy}),");
    setup.sections = "skills: [(id: \"german\")],".to_owned();
    setup.agents = r#"
        (id: "a", queues: ["support"], capacity: (messaging: 3), skills: {"german": 9}),
        (id: "b", queues: ["support"], capacity: (messaging: 5), skills: {"german": 5}),
        (id: "c", queues: ["support"], capacity: (messaging: 5), skills: {"german": 1}),"#
        .to_owned();
    setup.write_main();
    let tokens = ["a", "b", "c", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&[]).await;
    let mut screens = Vec::new();
    for token in &tokens[..3] {
        let mut screen = Screen::connect(&host.url, token).await;
        screen.wait("presence").await;
        screens.push(screen);
    }
    let screens = screens.try_into().unwrap_or_else(|_| unreachable!("there are three"));
    (host, screens, tokens[3].clone())
}

// ROUTE-05
#[actix_web::test]
async fn each_strategy_chooses_as_its_name_says() {
    // Six items, which everybody accepts at once. Where nothing tells two agents apart, either may be
    // first: x, y, z stand for any of them.
    let expected: [(&str, &str); 5] = [
        // b and c have five places, a has three: first whoever of them, then who has most and longest.
        ("highest_spare_capacity", "x y x y a x"),
        ("round_robin", "x y z x y z"),
        ("least_active", "x y z x y z"),
        ("most_skilled", "a a a b b b"),
        ("longest_idle", "a b c a b c"),
    ];
    for (strategy, expected) in expected {
        let mut setup = Setup::new();
        setup.workstream = match strategy {
            "most_skilled" => {
                r#"rules: [(name: "german", when: [text(exists)], skills: {"german": 1})],"#
                    .to_owned()
            }
            _ => String::new(),
        };
        let emulators = setup.with_emulators();
        let (host, mut screens, sams) = three(&mut setup, strategy).await;
        let mut given = Vec::new();
        for n in 0..6 {
            write(&emulators.world, n, "hello").await;
            let [a, b, c] = &mut screens;
            let who = tokio::select! {
                _ = a.accept_next() => "a",
                _ = b.accept_next() => "b",
                _ = c.accept_next() => "c",
            };
            given.push(who);
            // The next one comes once the ledgers are told.
            let total = |agents: &Value| -> u64 {
                let used = |agent: &Value| agent["capacity"][2]["used"].as_u64().unwrap();
                agents.as_array().unwrap().iter().map(used).sum()
            };
            loop {
                let (_, agents) = host.get(&sams, "/api/v1/agents").await;
                if total(&agents) == n as u64 + 1 {
                    break;
                }
            }
        }
        let pattern: Vec<&str> = expected.split(' ').collect();
        let mut named: BTreeMap<&str, &str> = ["a", "b", "c"].map(|name| (name, name)).into();
        let fits = pattern.iter().zip(&given).all(|(sign, who)| {
            let known = *named.entry(sign).or_insert(who);
            known == *who
        });
        let mut stand_ins: Vec<&&str> =
            named.iter().filter(|(s, _)| **s > "c").map(|n| n.1).collect();
        let count = stand_ins.len();
        stand_ins.sort_unstable();
        stand_ins.dedup();
        assert!(fits && stand_ins.len() == count, "{strategy}: {given:?}, not {pattern:?}");
        assert!(strategy != "highest_spare_capacity" || given[0] != "a", "{given:?}");
        setup.stop_and_replay(host);
    }
}

// ROUTE-07
#[actix_web::test]
async fn without_reassignment_the_same_agent_is_asked_again() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"1s\", reassign: false,".to_owned();
    let emulators = setup.with_emulators();
    let (kims, lees) = (setup.token("kim"), setup.token("lee"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    write(&emulators.world, 1, "hello").await;
    let first = kim.wait("offer").await;
    let mut lee = Screen::at_desk(&host.url, &lees).await;
    for _ in 0..2 {
        assert_eq!(kim.wait("offer_ended").await["outcome"], "expired");
        let again = kim.wait("offer").await;
        assert_eq!(again["conversation"], first["conversation"]);
    }
    let offered = |frame: &Value| frame["type"] == "offer";
    assert!(!lee.sees(Duration::from_millis(100), offered).await, "though Lee is free");
    setup.stop_and_replay(host);
}

// CAP-01 PRES-02
#[actix_web::test]
async fn units_limit_as_counts_do_and_full_means_that_nothing_fits() {
    let mut setup = Setup::new();
    setup.workstream = "units: 2,".to_owned();
    setup.agents =
        r#"(id: "one", queues: ["support"], capacity: (messaging: 5, units: 3)),"#.to_owned();
    let emulators = setup.with_emulators();
    let (ones, sams) = (setup.token("one"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut one = Screen::connect(&host.url, &ones).await;
    write(&emulators.world, 1, "hello").await;
    let id = one.accept_next().await;
    // Two of three units: one of five places, and nothing that could come would fit.
    let full = host.agent(&sams, "one").await;
    assert_eq!(
        (&full["presence"]["status"], &full["capacity"][2]["used"]),
        (&json!("busy"), &json!(1))
    );
    write(&emulators.world, 2, "hello").await;
    host.until_waiting(&sams, "support", 1).await;
    let offered = |frame: &Value| frame["type"] == "offer";
    assert!(!one.sees(Duration::from_millis(300), offered).await);
    let waiting = host.line(&sams, "support").await;
    let path = format!("/api/v1/agents/one/why-not?conversation={}", waiting[0]);
    let sentence = host.get(&ones, &path).await.1["sentence"].clone();
    assert!(sentence.as_str().unwrap().contains("presence is busy"), "{sentence}");
    one.must(json!({ "type": "end", "conversation": id })).await;
    one.must(json!({ "type": "finish_wrap_up", "conversation": id })).await;
    assert_eq!(next(&host, &sams, &mut one).await, customer(2));
    setup.stop_and_replay(host);
}

// PRES-03 PRES-06
#[actix_web::test]
async fn what_was_chosen_by_hand_ends_with_inactivity_and_with_signing_out() {
    let mut setup = Setup::new();
    setup.sections = r#"presence: (
        labels: [(id: "desk", name: "At my desk", status: online)], idle: (after: "1s"),
    ),"#
    .to_owned();
    let _emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    let label = |label: &'static str| move |agent: &Value| agent["presence"]["label"] == label;
    kim.must(json!({ "type": "presence", "label": "desk" })).await;
    host.until_agent(&sams, "kim", label("At my desk")).await;
    let idle = host.until_agent(&sams, "kim", label("away")).await;
    assert_eq!(idle["presence"]["source"], "idle");
    kim.try_send(&json!({ "type": "activity" })).await;
    let back = host.until_agent(&sams, "kim", label("online")).await;
    assert_eq!(back["presence"]["source"], "computed", "the choice is gone");
    kim.must(json!({ "type": "presence", "label": "desk" })).await;
    assert_eq!(host.post(&kims, "/api/v1/sign-out", json!({})).await.0, 204);
    host.until_agent(&sams, "kim", label("offline")).await;
    let mut again = Screen::connect(&host.url, &kims).await;
    assert_eq!(again.wait("presence").await["presence"]["source"], "computed");
    setup.stop_and_replay(host);
}
