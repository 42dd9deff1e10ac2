//! Hours and other settings change while customers wait: within a second by the clock of what happened,
//! and nobody newer goes first (ROUTE-17, HOURS-01).

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{HostProcess, Screen, Setup};
use serde_json::json;

/// What "within one second" means, in the milliseconds of the journal.
const SECOND: i64 = 1000;

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is after 1970").as_millis() as i64
}

/// When the queue offered the conversation, after the change was written.
async fn took(host: &HostProcess, token: &str, id: &str, written_at: i64) -> i64 {
    let took = host.when(token, id, "offered it to").await - written_at;
    assert!((0..=SECOND).contains(&took), "{took} ms after the file was written");
    took
}

// HOURS-01 ROUTE-17 ROUTE-03
#[actix_web::test]
async fn lifting_hours_reaches_what_waits_and_nobody_newer_is_first() {
    for at_the_host in [false, true] {
        let mut setup = Setup::new();
        setup.sections = r#"hours: [(id: "never", zone: "UTC", week: ())],"#.to_owned();
        setup.agents = r#"(id: "one", queues: ["support"], capacity: (messaging: 1)),"#.to_owned();
        let emulators = setup.with_emulators();
        let world = &emulators.world;
        let (file, from, closed) = match at_the_host {
            true => ("main.ron", "host: (", "host: (hours: \"never\", "),
            false => (
                "channels.ron",
                "plugin: \"telesign\", ",
                "plugin: \"telesign\", hours: \"never\", ",
            ),
        };
        setup.change(file, from, closed);
        let (ones, sams) = (setup.token("one"), setup.token("sam"));
        let host = setup.start(&[]).await;
        let mut one = Screen::at_desk(&host.url, &ones).await;
        let mut ids = Vec::new();
        for n in 0..10 {
            world.text(Provider::Telesign, &format!("+142555501{n:02}"), "hello").await;
            ids = host.line(&sams, "support").await;
            assert_eq!(ids.len(), n + 1);
        }
        // They go on coming while the hours are lifted.
        let newer = async {
            for n in 10..60 {
                world.text(Provider::Telesign, &format!("+142555501{n:02}"), "hello").await;
            }
        };
        let lifted_at = now();
        setup.change(file, closed, from);
        let (first, ()) = tokio::join!(one.accept_next(), newer);
        assert_eq!(first, ids[0], "the oldest (at the host: {at_the_host})");
        took(&host, &sams, &first, lifted_at).await;
        for expected in &ids[1..4] {
            let (_, held) = host.get(&ones, "/api/v1/conversations").await;
            let held = held[0]["id"].as_str().unwrap().to_owned();
            one.must(json!({ "type": "end", "conversation": held })).await;
            one.must(json!({ "type": "finish_wrap_up", "conversation": held })).await;
            assert_eq!(&one.accept_next().await, expected);
        }
        assert!(!host.log().contains("takes effect after a restart"), "{}", host.log());
        setup.stop_and_replay(host);
    }
}

// ROUTE-17 ROUTE-20 CAP-01
#[actix_web::test]
async fn membership_rules_capacity_and_skills_count_within_a_second() {
    let mut setup = Setup::new();
    setup.queues = "), (id: \"other\"),".to_owned();
    setup.agents =
        r#"(id: "one", queues: ["support"], skills: {}, capacity: (messaging: 0)),"#.to_owned();
    setup.sections = "skills: [(id: \"german\")],".to_owned();
    setup.workstream = r#"rules: [
        (name: "skill", when: [text(is("skill"))], skills: {"german": 2}),
        (name: "rule", when: [text(is("rule"))], queue: "other"),
        (name: "member", when: [text(is("member"))], queue: "other"),
    ],"#
    .to_owned();
    let emulators = setup.with_emulators();
    let (ones, sams) = (setup.token("one"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut one = Screen::at_desk(&host.url, &ones).await;
    let changes = [
        ("capacity", "capacity: (messaging: 0)", "capacity: (messaging: 9)"),
        ("skill", "skills: {},", "skills: {\"german\": 3},"),
        (
            "rule",
            r#"when: [text(is("rule"))], queue: "other""#,
            r#"when: [text(is("rule"))], queue: "support""#,
        ),
        (
            "member",
            r#"(id: "one", queues: ["support"]"#,
            r#"(id: "one", queues: ["support", "other"]"#,
        ),
    ];
    for (n, (what, from, to)) in changes.into_iter().enumerate() {
        let number = format!("+1425555010{n}");
        emulators.world.text(Provider::Telesign, &number, what).await;
        let queue = if ["rule", "member"].contains(&what) { "other" } else { "support" };
        let waiting = host.until_waiting(&sams, queue, 1).await;
        let written_at = now();
        setup.change("main.ron", from, to);
        let id = one.accept_next().await;
        assert_eq!(waiting[0]["conversation"]["id"], id.as_str(), "{what}");
        let took = took(&host, &sams, &id, written_at).await;
        println!("{what}: offered {took} ms after the file was written");
    }
    setup.stop_and_replay(host);
}
