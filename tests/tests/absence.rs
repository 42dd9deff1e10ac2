//! Customers don't stay with somebody who isn't there (ROUTE-18, 19, CAP-02).

use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::{Value, json};

const CUSTOMER: &str = "+14255550100";

fn offered(frame: &Value) -> bool {
    frame["type"] == "offer"
}

// CAP-02 ROUTE-19 CONV-08 CONV-05
#[actix_web::test]
async fn an_agent_closes_the_laptop_before_finishing_and_the_customer_answers() {
    let mut setup = Setup::new();
    setup.workstream = r#"affinity: "1s", dispositions: ["solved"],"#.to_owned();
    setup.agents = r#"(id: "brief", queues: ["support"], grace: "2s"),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, briefs, sams) = (setup.token("kim"), setup.token("brief"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    // Before the host can know that nobody is there, and after.
    for answers_at_once in [true, false] {
        let mut brief = Screen::connect(&host.url, &briefs).await;
        let customer = if answers_at_once { CUSTOMER } else { "+14255550101" };
        world.text(Provider::Telesign, customer, "hello").await;
        let id = brief.accept_next().await;
        brief.must(json!({ "type": "reply", "conversation": id, "text": "done" })).await;
        let timer = host.conversation(&sams, &id).await["timer_from"].clone();
        brief.must(json!({ "type": "end", "conversation": id })).await;
        let wrapping_up = host.until_state(&sams, &id, "wrap_up").await;
        assert_ne!(wrapping_up["timer_from"], timer, "the session timer begins anew");
        brief.close().await;
        if !answers_at_once {
            let gone = |agent: &Value| agent["presence"]["status"] == "offline";
            host.until_agent(&sams, "brief", gone).await;
        }
        kim.must(json!({ "type": "presence" })).await;
        world.text(Provider::Telesign, customer, "one more thing").await;
        assert_eq!(kim.accept_next().await, id, "somebody is told");
        let goes_on = host.conversation(&sams, &id).await;
        assert_eq!((&goes_on["agent"], &goes_on["wrap_ups"]), (&json!("kim"), &json!(["brief"])));
        assert_ne!(goes_on["timer_from"], wrapping_up["timer_from"], "and on re-opening");

        // The wrap-up is still there for whoever owes it, also on a screen that is opened later.
        let mut brief = Screen::connect(&host.url, &briefs).await;
        let snapshot = brief.wait("snapshot").await;
        assert_eq!(snapshot["conversations"][0]["conversation"]["id"], id.as_str());
        brief
            .must(json!({ "type": "finish_wrap_up", "conversation": id,
                "disposition": "solved", "summary": "the first part" }))
            .await;
        let goes_on = host.conversation(&sams, &id).await;
        assert_eq!((&goes_on["state"], &goes_on["wrap_ups"]), (&json!("active"), &json!([])));
        assert_eq!(goes_on["summary"], "the first part");
        brief.close().await;
        kim.must(json!({ "type": "end", "conversation": id })).await;
        kim.must(json!({ "type": "finish_wrap_up", "conversation": id })).await;
        kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    }
    setup.stop_and_replay(host);
}

// CAP-02
#[actix_web::test]
async fn an_agent_who_is_there_goes_on_at_once() {
    let mut setup = Setup::new();
    setup.agents = r#"(id: "one", queues: ["support"], capacity: (messaging: 1)),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (ones, sams) = (setup.token("one"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut one = Screen::connect(&host.url, &ones).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = one.accept_next().await;
    one.must(json!({ "type": "end", "conversation": id })).await;
    world.text(Provider::Telesign, CUSTOMER, "one more thing").await;
    let goes_on = host.until_state(&sams, &id, "active").await;
    assert_eq!((&goes_on["agent"], &goes_on["wrap_ups"]), (&json!("one"), &json!(["one"])));
    let reply = json!({ "type": "reply", "conversation": id, "text": "yes?" });
    one.must(reply).await;
    assert_eq!(host.agent(&sams, "one").await["capacity"][2]["used"], 1, "the task takes no place");
    // Ending it again, and finishing, finishes both.
    one.must(json!({ "type": "end", "conversation": id })).await;
    one.must(json!({ "type": "finish_wrap_up", "conversation": id })).await;
    let over = host.conversation(&sams, &id).await;
    assert_eq!((&over["state"], &over["wrap_ups"]), (&json!("closed"), &json!([])));
    setup.stop_and_replay(host);
}

// ROUTE-19 ROUTE-18
#[actix_web::test]
async fn reopened_after_the_agent_left_it_is_nobodys_in_secret() {
    let mut setup = Setup::new();
    setup.workstream = "affinity: \"1s\", wrap_up: never,".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, lees, sams) = (setup.token("kim"), setup.token("lee"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = kim.accept_next().await;
    kim.must(json!({ "type": "end", "conversation": id })).await;
    assert_eq!(host.post(&kims, "/api/v1/sign-out", json!({})).await.0, 204);
    host.until_agent(&sams, "kim", |kim| kim["presence"]["status"] == "offline").await;
    let mut lee = Screen::at_desk(&host.url, &lees).await;
    world.text(Provider::Telesign, CUSTOMER, "one more thing").await;
    assert_eq!(lee.accept_next().await, id);

    // Who is signed out doesn't come back through the API, and says so to whoever tries.
    lee.must(json!({ "type": "leave", "conversation": id })).await;
    assert_eq!(host.post(&lees, "/api/v1/sign-out", json!({})).await.0, 204);
    host.until_agent(&sams, "lee", |lee| lee["presence"]["status"] == "offline").await;
    let path = format!("/api/v1/conversations/{id}");
    for (command, body) in [("reply", json!({ "text": "hi" })), ("rejoin", json!({}))] {
        let (status, refused) = host.post(&lees, &format!("{path}/{command}"), body).await;
        assert_eq!((status, &refused["code"]), (409, &json!("offline")), "{command}: {refused}");
    }
    assert_eq!(host.conversation(&sams, &id).await["state"], "waiting");
    assert!(world.sent().is_empty());
    // Unless the program that calls it has signed in as present.
    let (status, _) = host.put(&lees, "/api/v1/me/presence", json!({ "status": "online" })).await;
    assert_eq!(status, 204);
    let body = json!({ "text": "hi" });
    assert_eq!(host.post(&lees, &format!("{path}/reply"), body).await.0, 204);
    let back = host.conversation(&sams, &id).await;
    assert_eq!((&back["state"], &back["agent"]), (&json!("active"), &json!("lee")));
    setup.stop_and_replay(host);
}

// ROUTE-19 ROUTE-06 PRES-01 PRES-06
#[actix_web::test]
async fn away_is_absent_and_busy_is_not() {
    let mut setup = Setup::new();
    setup.workstream = "affinity: \"1s\",".to_owned();
    setup.sections = r#"presence: (
        labels: [(id: "lunch", name: "Lunch", status: away)], idle: (after: "3s"),
    ),"#
    .to_owned();
    setup.agents = r#"(id: "mailer", queues: ["support"]),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    setup.write(
        "mail.ron",
        r#"(workstreams: [(id: "mail", kind: email, queue: "support", affinity: "1s")])"#,
    );
    let mail = "plugin: \"acs\", workstream: \"mail\"";
    setup.change("channels.ron", "plugin: \"acs\", workstream: \"sms\"", mail);
    let (kims, lees, sams) = (setup.token("kim"), setup.token("lee"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Telesign, CUSTOMER, "text").await;
    let text = kim.accept_next().await;
    world.text(Provider::Acs, CUSTOMER, "mail").await;
    let mail = kim.accept_next().await;
    let has = async |id: &str, agent: &str| {
        let is_it = |one: &Value| one["agent"] == agent && one["state"] == "active";
        host.until_conversation(&sams, id, is_it).await
    };
    // Whoever takes nothing new keeps what they have.
    for status in ["busy", "do_not_disturb", "transfers_only"] {
        kim.must(json!({ "type": "presence", "status": status })).await;
        let before = host.conversation(&sams, &text).await["messages"].as_u64().unwrap();
        world.text(Provider::Telesign, CUSTOMER, status).await;
        let after = host.conversation(&sams, &text).await;
        assert_eq!((&after["messages"], &after["agent"]), (&json!(before + 1), &json!("kim")));
    }
    // It waits for the customer, and they come back to somebody who is there for it.
    kim.must(json!({ "type": "leave", "conversation": text })).await;
    world.text(Provider::Telesign, CUSTOMER, "back").await;
    has(&text, "kim").await;

    // At lunch a text goes to somebody else, a mail doesn't.
    kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    world.text(Provider::Acs, CUSTOMER, "another mail").await;
    world.text(Provider::Telesign, CUSTOMER, "are you there?").await;
    host.until_state(&sams, &text, "open").await;
    assert_eq!(has(&mail, "kim").await["messages"], 2);
    let mut lee = Screen::connect(&host.url, &lees).await;
    assert_eq!(lee.accept_next().await, text);
    // So it does when nothing is heard of somebody (PRES-06), though they never said so.
    let idle = |agent: &Value| agent["presence"]["source"] == "idle";
    host.until_agent(&sams, "lee", idle).await;
    world.text(Provider::Telesign, CUSTOMER, "hello?").await;
    host.until_state(&sams, &text, "open").await;
    setup.stop_and_replay(host);
}

// ROUTE-06 ROUTE-05
#[actix_web::test]
async fn email_goes_to_those_who_are_away_too() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    setup.write("mail.ron", r#"(workstreams: [(id: "mail", kind: email, queue: "support")])"#);
    let mail = "plugin: \"acs\", workstream: \"mail\"";
    setup.change("channels.ron", "plugin: \"acs\", workstream: \"sms\"", mail);
    let kims = setup.token("kim");
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "a text").await;
    emulators.world.text(Provider::Acs, CUSTOMER, "a mail").await;
    assert_eq!(kim.wait("offer").await["kind"], "email");
    assert!(!kim.sees(Duration::from_millis(300), offered).await, "no text");
    setup.stop_and_replay(host);
}

// ROUTE-18
#[actix_web::test]
async fn what_waits_for_the_customer_goes_back_with_its_agent() {
    for (policy, goes_back) in [("return", true), ("return_after(\"1s\")", true), ("keep", false)] {
        let mut setup = Setup::new();
        setup.workstream = format!("affinity: \"0s\", on_offline: {policy},");
        let emulators = setup.with_emulators();
        let (kims, lees, sams) = (setup.token("kim"), setup.token("lee"), setup.token("sam"));
        let host = setup.start(&[]).await;
        let mut kim = Screen::connect(&host.url, &kims).await;
        emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
        let id = kim.accept_next().await;
        kim.must(json!({ "type": "leave", "conversation": id })).await;
        let mut lee = Screen::at_desk(&host.url, &lees).await;
        assert_eq!(host.post(&kims, "/api/v1/sign-out", json!({})).await.0, 204);
        if goes_back {
            assert_eq!(lee.accept_next().await, id, "{policy}");
        } else {
            assert!(!lee.sees(Duration::from_millis(500), offered).await, "{policy}");
            assert_eq!(host.conversation(&sams, &id).await["state"], "waiting");
        }
        setup.stop_and_replay(host);
    }
}

// ROUTE-19 CONV-03
#[actix_web::test]
async fn whoever_is_handed_it_while_away_is_away_for_the_customer() {
    let mut setup = Setup::new();
    setup.workstream = "affinity: \"0s\",".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, lees) = (setup.token("kim"), setup.token("lee"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = kim.accept_next().await;
    let mut lee = Screen::at_desk(&host.url, &lees).await;
    kim.must(json!({ "type": "consult", "conversation": id, "agent": "lee" })).await;
    let offer = lee.wait("offer").await;
    lee.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
    host.until_conversation(&kims, &id, |one| one["consultants"] == json!(["lee"])).await;
    lee.must(json!({ "type": "presence", "label": "lunch" })).await;
    kim.must(json!({ "type": "transfer", "conversation": id, "to": { "agent": "lee" } })).await;
    world.text(Provider::Telesign, CUSTOMER, "anybody there?").await;
    assert_eq!(kim.accept_next().await, id);
    setup.stop_and_replay(host);
}

// PRES-06
#[actix_web::test]
async fn whoever_works_isnt_idle_and_a_silent_line_ended_when_it_was_last_heard_of() {
    let mut setup = Setup::new();
    setup.sections = "presence: (idle: (after: \"2s\")),".to_owned();
    let emulators = setup.with_emulators();
    let kims = setup.token("kim");
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = kim.accept_next().await;
    let idle = |frame: &Value| frame["presence"]["source"] == "idle";
    for n in 0..8 {
        kim.must(json!({ "type": "note", "conversation": id, "text": format!("note {n}") })).await;
        assert!(!kim.sees(Duration::from_millis(400), idle).await, "after note {n}");
    }
    assert!(kim.sees(Duration::from_secs(5), idle).await, "and then they are");
    setup.stop_and_replay(host);
}

// PRES-08 ROUTE-17
#[actix_web::test]
async fn whoever_becomes_light_gives_back_what_they_have() {
    let mut setup = Setup::new();
    setup.agents = r#"(id: "one", queues: ["support"]),"#.to_owned();
    let emulators = setup.with_emulators();
    let (ones, lees, sams) = (setup.token("one"), setup.token("lee"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut one = Screen::connect(&host.url, &ones).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = one.accept_next().await;
    let mut lee = Screen::at_desk(&host.url, &lees).await;
    setup.change("main.ron", r#"(id: "one", queues: ["support"])"#, r#"(id: "one", light: true)"#);
    assert_eq!(lee.accept_next().await, id);
    assert_eq!(host.agent(&sams, "one").await["capacity"][2]["used"], 0);
    setup.stop_and_replay(host);
}
