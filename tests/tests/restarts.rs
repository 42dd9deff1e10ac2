//! A host that was killed, and starts again: deadlines, presence, hours and settings are as they were,
//! or as they would be had it never been down.

use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::{Value, json};

const CUSTOMER: &str = "+14255550100";

/// Nothing can be waited for while nobody runs.
async fn downtime(length: Duration) {
    tokio::time::sleep(length).await;
}

/// A workstream of its own for a channel.
fn of_its_own(setup: &Setup, plugin: &str, workstream: &str) {
    let named = |name: &str| format!("plugin: \"{plugin}\", workstream: \"{name}\"");
    setup.change("channels.ron", &named("sms"), &named(workstream));
}

// ROUTE-09 CAP-02 CONV-07 CAP-04
#[actix_web::test]
async fn deadlines_that_fell_due_while_nobody_ran_are_seen_at_the_start() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    setup.write(
        "streams.ron",
        r#"(workstreams: [
            (id: "silent", kind: messaging, queue: "support", inactivity: "2s"),
            (id: "finishing", kind: messaging, queue: "support", wrap_up_limit: "2s"),
            (id: "old", kind: messaging, queue: "support", end_after: "3s"),
        ])"#,
    );
    of_its_own(&setup, "telesign", "silent");
    of_its_own(&setup, "twilio", "finishing");
    of_its_own(&setup, "acs", "old");
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Acs, CUSTOMER, "connected").await;
    let connected = kim.accept_next().await;
    world.text(Provider::Telesign, CUSTOMER, "silent").await;
    let silent = kim.accept_next().await;
    world.text(Provider::Twilio, CUSTOMER, "finishing").await;
    let finishing = kim.accept_next().await;
    kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    world.text(Provider::Acs, "+14255550101", "nobody takes it").await;
    let queued = host.until_waiting(&sams, "support", 1).await;
    let queued = queued[0]["conversation"]["id"].as_str().unwrap().to_owned();
    kim.must(json!({ "type": "reply", "conversation": silent, "text": "hi" })).await;
    kim.must(json!({ "type": "end", "conversation": finishing })).await;
    host.kill();
    downtime(Duration::from_secs(4)).await;

    let host = setup.start(&[]).await;
    host.until_state(&sams, &silent, "waiting").await;
    host.until_state(&sams, &finishing, "closed").await;
    host.until_state(&sams, &connected, "wrap_up").await;
    host.until_state(&sams, &queued, "closed").await;
    let kim = host.agent(&sams, "kim").await;
    assert_eq!(kim["capacity"][2]["used"], 1, "only the one in wrap-up holds a place");
    setup.stop_and_replay(host);
}

// ROUTE-18 ROUTE-19
#[actix_web::test]
async fn whoever_didnt_come_back_in_time_is_gone_for_their_conversations() {
    let mut setup = Setup::new();
    setup.workstream = "on_offline: return_after(\"1s\"), affinity: \"0s\",".to_owned();
    setup.agents = r#"(id: "brief", queues: ["support"], grace: "1s"),"#.to_owned();
    let emulators = setup.with_emulators();
    let (briefs, sams) = (setup.token("brief"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut brief = Screen::connect(&host.url, &briefs).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "held").await;
    let held = brief.accept_next().await;
    emulators.world.text(Provider::Acs, CUSTOMER, "left").await;
    let left = brief.accept_next().await;
    brief.must(json!({ "type": "leave", "conversation": left })).await;
    let queued_at = host.conversation(&sams, &held).await["queued_at"].clone();
    host.kill();
    downtime(Duration::from_millis(1500)).await;
    let host = setup.start(&[]).await;
    let back = host.until_state(&sams, &held, "open").await;
    assert_eq!(back["queued_at"], queued_at, "its age is kept");
    host.until_state(&sams, &left, "open").await;
    let brief = host.agent(&sams, "brief").await;
    assert_eq!(
        (&brief["presence"]["status"], &brief["capacity"][2]["used"]),
        (&json!("offline"), &json!(0))
    );
    setup.stop_and_replay(host);
}

fn presence(agent: &Value) -> (&str, &str, &str) {
    let part = |name: &str| agent["presence"][name].as_str().unwrap();
    (part("status"), part("label"), part("source"))
}

// PRES-04 PRES-05 PRES-03
#[actix_web::test]
async fn presence_is_what_it_was() {
    let mut setup = Setup::new();
    setup.agents = r#"(id: "shy", queues: ["support"], default_presence: away),
        (id: "brief", queues: ["support"], grace: "1s"),"#
        .to_owned();
    let emulators = setup.with_emulators();
    let tokens = ["kim", "lee", "shy", "brief", "sam"].map(|agent| setup.token(agent));
    let [kims, lees, shys, briefs, sams] = &tokens;
    let mut host = setup.start(&[]).await;
    let mut screens = Vec::new();
    for (token, choice) in [
        (kims, json!({ "type": "presence", "label": "lunch" })),
        (shys, json!({ "type": "presence", "status": "do_not_disturb" })),
        (briefs, json!({ "type": "presence", "label": "lunch" })),
        (lees, json!({ "type": "presence" })),
    ] {
        let mut screen = Screen::connect(&host.url, token).await;
        screen.must(choice).await;
        screens.push(screen);
    }
    for is_killed in [true, false] {
        if is_killed {
            host.kill();
        } else {
            setup.stop_and_replay(host);
        }
        host = setup.start(&[]).await;
        let kim = host.until_agent(sams, "kim", |kim| kim["presence"]["status"] != "offline").await;
        assert_eq!(presence(&kim), ("away", "Lunch", "manual"));
        let shy = host.agent(sams, "shy").await;
        assert_eq!(presence(&shy), ("do_not_disturb", "do_not_disturb", "manual"));
        assert_eq!(presence(&host.agent(sams, "lee").await).0, "online");
    }
    host.until_agent(sams, "brief", |brief| brief["presence"]["status"] == "offline").await;
    // Work goes to whoever is there in that way, and coming back changes nothing.
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let mut lee = Screen::connect(&host.url, lees).await;
    lee.accept_next().await;
    let mut shy = Screen::connect(&host.url, shys).await;
    assert_eq!(shy.wait("presence").await["presence"]["status"], "do_not_disturb");
    // After the grace, and for those who signed out, it is a sign-in.
    let mut brief = Screen::connect(&host.url, briefs).await;
    assert_eq!(brief.wait("presence").await["presence"]["source"], "computed");
    assert_eq!(host.post(shys, "/api/v1/sign-out", json!({})).await.0, 204);
    host.until_agent(sams, "shy", |shy| shy["presence"]["status"] == "offline").await;
    host.kill();
    let host = setup.start(&[]).await;
    assert_eq!(presence(&host.agent(sams, "shy").await).0, "offline");
    let mut shy = Screen::connect(&host.url, shys).await;
    assert_eq!(shy.wait("presence").await["presence"]["source"], "default");
    setup.stop_and_replay(host);
}

// HOURS-01
#[actix_web::test]
async fn hours_of_channel_language_and_host_are_kept() {
    let mut setup = Setup::new();
    setup.sections = r#"hours: [(id: "never", zone: "UTC", week: ())],"#.to_owned();
    setup.queues = r#"hours_by_language: {"de": "never"}),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let closed = "workstream: \"sms\", hours: \"never\"";
    setup.change(
        "channels.ron",
        "plugin: \"telesign\", workstream: \"sms\"",
        &format!("plugin: \"telesign\", {closed}"),
    );
    let german = "plugin: \"acs\", language: \"de\", workstream: \"sms\"";
    setup.change("channels.ron", "plugin: \"acs\", workstream: \"sms\"", german);
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    world.text(Provider::Telesign, CUSTOMER, "channel").await;
    world.text(Provider::Acs, CUSTOMER, "language").await;
    world.text(Provider::Twilio, CUSTOMER, "customer's own").await;
    let line = host.until_waiting(&sams, "support", 3).await;
    let own = |item: &&Value| item["conversation"]["channel"] == Provider::Twilio.channel();
    let id = line.iter().find(own).unwrap()["conversation"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/conversations/{id}/attributes");
    assert_eq!(host.put(&sams, &path, json!({ "language": "de" })).await.0, 204);
    host.kill();

    // All of it, and now the whole deployment is closed as well.
    setup.change("main.ron", "host: (", "host: (hours: \"never\", ");
    let host = setup.start(&[]).await;
    world.text(Provider::Twilio, "+14255550101", "host").await;
    host.until_waiting(&sams, "support", 4).await;
    host.kill();
    let host = setup.start(&[]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert!(
        !kim.sees(Duration::from_millis(700), |frame| frame["type"] == "offer").await,
        "everything is closed"
    );
    assert_eq!(host.line(&sams, "support").await.len(), 4);
    // They are open again, and everything is given out.
    setup.change("main.ron", "hours: \"never\", ", "");
    setup.change("main.ron", "{\"de\": \"never\"}", "{}");
    setup.change("channels.ron", ", hours: \"never\"", "");
    for _ in 0..4 {
        kim.accept_next().await;
    }
    setup.stop_and_replay(host);
}

// ROUTE-17 CONV-07 ROUTE-01
#[actix_web::test]
async fn what_was_changed_while_nobody_ran_counts_from_the_start() {
    let mut setup = Setup::new();
    setup.queues = "), (id: \"other\"),".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    world.text(Provider::Telesign, CUSTOMER, "waiting").await;
    host.until_waiting(&sams, "support", 1).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    let held = kim.accept_next().await;
    kim.must(json!({ "type": "reply", "conversation": held, "text": "hi" })).await;
    kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    world.text(Provider::Acs, CUSTOMER, "money").await;
    let line = host.until_waiting(&sams, "support", 1).await;
    let (waits, since) =
        (line[0]["conversation"]["id"].clone(), line[0]["conversation"]["queued_at"].clone());
    host.kill();
    setup.change(
        "main.ron",
        "queue: \"support\", ",
        r#"queue: "support", inactivity: "1s",
        rules: [(name: "money", when: [text(contains("money"))], queue: "other", priority: 7)],"#,
    );
    let host = setup.start(&[]).await;
    let moved = host.until_waiting(&sams, "other", 1).await;
    let conversation = &moved[0]["conversation"];
    assert_eq!((&conversation["id"], &conversation["priority"]), (&waits, &json!(7)));
    assert_eq!(conversation["queued_at"], since, "its age is kept");
    host.until_waiting(&sams, "support", 0).await;
    host.until_state(&sams, &held, "waiting").await;
    setup.stop_and_replay(host);
}

// ROUTE-19
#[actix_web::test]
async fn two_restarts_in_a_row_dont_forget_whom_a_customer_wrote_to() {
    let mut setup = Setup::new();
    setup.workstream = "affinity: \"0s\",".to_owned();
    setup.agents = r#"(id: "brief", queues: ["support"], grace: "2s"),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (briefs, lees, sams) = (setup.token("brief"), setup.token("lee"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut brief = Screen::connect(&host.url, &briefs).await;
    let customers = [0, 1, 2, 3, 4].map(|n| format!("+1425555010{n}"));
    for customer in &customers {
        world.text(Provider::Telesign, customer, "hello").await;
        let id = brief.accept_next().await;
        brief.must(json!({ "type": "reply", "conversation": id, "text": "hi" })).await;
    }
    brief.close().await;
    for customer in &customers {
        assert_eq!(world.text(Provider::Telesign, customer, "are you there?").await, 200);
    }
    host.kill();
    downtime(Duration::from_millis(2500)).await;
    // The second one dies as soon as it has written down that nobody is there.
    let host = setup.start(&[]).await;
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    let gone = || {
        let query = "SELECT body FROM presence WHERE agent = 'brief'";
        let body: Vec<u8> = journal.query_row(query, [], |row| row.get(0)).ok()?;
        let standing: Value = rmp_serde::from_slice(&body).ok()?;
        (standing["present"] == false).then_some(())
    };
    cordboard_tests::harness::eventually("it is written down", gone).await;
    host.kill();
    let host = setup.start(&[]).await;
    let mut lee = Screen::connect(&host.url, &lees).await;
    for _ in &customers {
        lee.accept_next().await;
    }
    let brief = host.agent(&sams, "brief").await;
    assert_eq!(brief["capacity"][2]["used"], 0);
    setup.stop_and_replay(host);
}

// ROUTE-04 PRES-03
#[actix_web::test]
async fn a_refusal_and_a_sign_out_outlive_a_kill() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kims, lees, sams) = (setup.token("kim"), setup.token("lee"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let offer = kim.wait("offer").await;
    kim.must(json!({ "type": "refuse", "offer": offer["offer"] })).await;
    let id = offer["conversation"].as_str().unwrap().to_owned();
    host.until_waiting(&sams, "support", 1).await;
    host.when(&sams, &id, "kim refused it").await;
    let mut lee = Screen::connect(&host.url, &lees).await;
    let offer = lee.wait("offer").await;
    assert_eq!(host.post(&lees, "/api/v1/sign-out", json!({})).await.0, 204);
    assert_eq!(lee.wait("offer_ended").await["offer"], offer["offer"]);
    host.kill();
    let host = setup.start(&[]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(
        host.agent(&sams, "lee").await["presence"]["status"],
        "offline",
        "signed out is signed out"
    );
    assert!(
        !kim.sees(Duration::from_millis(500), |frame| frame["type"] == "offer").await,
        "Kim has said no"
    );
    // A new sign-in is a new chance.
    assert_eq!(host.post(&kims, "/api/v1/sign-out", json!({})).await.0, 204);
    let mut again = Screen::connect(&host.url, &kims).await;
    assert_eq!(again.accept_next().await, id);
    setup.stop_and_replay(host);
}

// PRES-04
#[actix_web::test]
async fn a_short_grace_is_kept_over_a_kill_at_any_moment() {
    let mut setup = Setup::new();
    setup.sections = "presence: (grace: \"4s\"),".to_owned();
    let _emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let mut host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    kim.must(json!({ "type": "presence", "status": "do_not_disturb" })).await;
    // Just before a sign of life would be due that comes every five seconds.
    downtime(Duration::from_millis(4700)).await;
    host.kill();
    host = setup.start(&[]).await;
    let there = host.until_agent(&sams, "kim", |kim| kim["presence"]["status"] != "offline").await;
    assert_eq!(presence(&there).0, "do_not_disturb");
    host.until_agent(&sams, "kim", |kim| kim["presence"]["status"] == "offline").await;
    setup.stop_and_replay(host);
}

// ROUTE-17
#[actix_web::test]
async fn what_is_saved_while_the_host_starts_is_seen() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let sams = setup.token("sam");
    for n in 0..4 {
        let change = async {
            downtime(Duration::from_millis(15 + 15 * n)).await;
            setup.write(&format!("new{n}.ron"), &format!("(agents: [(id: \"new{n}\")])"));
        };
        let (host, ()) = tokio::join!(setup.start(&[]), change);
        let known = async || host.get(&sams, "/api/v1/agents").await.1.to_string();
        for _ in 0..500 {
            if known().await.contains(&format!("new{n}")) {
                break;
            }
            downtime(Duration::from_millis(10)).await;
        }
        assert!(
            known().await.contains(&format!("new{n}")),
            "saved {} ms after the start",
            15 + 15 * n
        );
        setup.stop_and_replay(host);
    }
}
