//! Transfer, consult, taking work by hand and over, and work whose agent is gone.

use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::{Value, json};

const CUSTOMER: &str = "+14255550100";

fn of(id: &str) -> impl Fn(&Value) -> bool {
    move |frame: &Value| frame["type"] == "conversation" && frame["id"] == id
}

// CONV-03 CONV-04 CONV-05
#[actix_web::test]
async fn the_primary_hands_over_and_asks_for_advice_and_nobody_else_does() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"2s\",".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, lees, sams) = (setup.token("kim"), setup.token("lee"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = kim.accept_next().await;
    let mut lee = Screen::at_desk(&host.url, &lees).await;

    let transfer = |to: Value| json!({ "type": "transfer", "conversation": id, "to": to });
    let refused = lee.command(transfer(json!({ "agent": "kim" }))).await;
    assert!(refused["error"].as_str().unwrap().contains("no such conversation"), "{refused}");
    let unknown = kim.command(transfer(json!({ "agent": "nobody" }))).await;
    assert!(unknown["error"].as_str().unwrap().contains("agent `nobody`"), "{unknown}");

    // Advice from anybody of the queue: seen by neither customer nor provider.
    kim.must(json!({ "type": "consult", "conversation": id })).await;
    let offer = lee.wait("offer").await;
    assert_eq!(offer["purpose"], json!({ "what": "consult", "by": "kim" }));
    let twice = kim.command(json!({ "type": "consult", "conversation": id, "agent": "lee" })).await;
    assert!(twice["error"].as_str().unwrap().contains("asked already"), "{twice}");
    lee.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
    lee.wait_for("the conversation", of(&id)).await;
    lee.must(json!({ "type": "note", "conversation": id, "text": "offer a refund" })).await;
    kim.wait_for("the note", |f| f["message"]["text"] == "offer a refund").await;
    let reply = lee.command(json!({ "type": "reply", "conversation": id, "text": "hi" })).await;
    assert_eq!(reply["ok"], false, "who advises doesn't write to the customer");
    assert_eq!(host.conversation(&kims, &id).await["consultants"], json!(["lee"]));
    // A second screen of the adviser finds it (CONV-06).
    let mut again = Screen::connect(&host.url, &lees).await;
    let snapshot = again.wait("snapshot").await;
    assert_eq!(snapshot["conversations"][0]["conversation"]["id"], id.as_str());

    // To the adviser at once: they have a place for it.
    let timer = host.conversation(&kims, &id).await["timer_from"].clone();
    kim.must(transfer(json!({ "agent": "lee" }))).await;
    kim.wait_for("gone", |f| f["type"] == "conversation_gone").await;
    let summary = host.conversation(&sams, &id).await;
    assert_eq!((&summary["agent"], &summary["consultants"]), (&json!("lee"), &json!([])));
    assert_ne!(summary["timer_from"], timer, "the session timer begins anew");

    // A colleague who doesn't answer doesn't get it; it stays where it was.
    lee.must(json!({ "type": "transfer", "conversation": id, "to": { "agent": "kim" } })).await;
    let offer = kim.wait("offer").await;
    assert_eq!(offer["purpose"], json!({ "what": "transfer", "by": "lee" }));
    let told = lee.wait("not_taken").await;
    assert_eq!(told["why"], "kim didn't answer in time");
    assert_eq!(host.conversation(&sams, &id).await["agent"], "lee");

    // A supervisor takes it over by hand; an agent may not.
    let path = format!("/api/v1/conversations/{id}/take-over");
    assert_eq!(host.post(&kims, &path, json!({})).await.0, 403);
    let (status, refused) = host.post(&sams, &path, json!({})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("offline")), "nobody sits at that desk");
    assert_eq!(host.conversation(&sams, &id).await["agent"], "lee");
    let _sam = Screen::at_desk(&host.url, &sams).await;
    assert_eq!(host.post(&sams, &path, json!({})).await.0, 204);
    lee.wait_for("gone", |f| f["type"] == "conversation_gone").await;
    assert_eq!(host.conversation(&sams, &id).await["agent"], "sam");
    assert!(world.sent().is_empty(), "no note reached a provider");
    setup.stop_and_replay(host);
}

// ROUTE-14 CAP-01
#[actix_web::test]
async fn agents_pick_their_work_within_capacity_or_beyond_it() {
    let mut setup = Setup::new();
    setup.workstream = "mode: pull,".to_owned();
    setup.agents = r#"(id: "one", queues: ["support"], capacity: (messaging: 1)),
        (id: "other", queues: []),"#
        .to_owned();
    setup.sections = "permissions: {agent: []},".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (ones, others) = (setup.token("one"), setup.token("other"));
    let host = setup.start(&[]).await;
    let mut one = Screen::at_desk(&host.url, &ones).await;
    for n in 0..2 {
        world.text(Provider::Telesign, &format!("+1425555010{n}"), "hello").await;
    }
    assert!(
        !one.sees(Duration::from_millis(300), |f| f["type"] == "offer").await,
        "nothing is pushed"
    );
    let (_, items) = host.get(&ones, "/api/v1/waiting").await;
    let ids: Vec<&str> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["conversation"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 2);
    let path = |id: &str| format!("/api/v1/conversations/{id}/take");
    assert_eq!(host.post(&others, &path(ids[0]), json!({})).await.0, 404, "not their queue");
    one.must(json!({ "type": "take", "conversation": ids[0] })).await;
    one.wait_for("mine", |f| f["type"] == "conversation" && f["state"] == "active").await;
    let full = one.command(json!({ "type": "take", "conversation": ids[1] })).await;
    assert!(full["error"].as_str().unwrap().contains("no capacity left for messaging"), "{full}");

    // With the permission the same agent goes beyond (ROUTE-10); it takes effect at once (ROUTE-17).
    setup.change("main.ron", "permissions: {agent: []}", "permissions: {agent: [self_assign]}");
    for _ in 0..200 {
        if one.command(json!({ "type": "take", "conversation": ids[1] })).await["ok"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let load =
        one.wait_for("beyond", |f| f["type"] == "presence" && f["capacity"][2]["used"] == 2).await;
    assert_eq!(load["capacity"][2]["limit"], 1, "the ledger shows it");
    setup.stop_and_replay(host);
}

// ROUTE-13 ROUTE-18 ROUTE-19
#[actix_web::test]
async fn work_of_an_agent_who_is_gone_goes_back_and_they_are_preferred() {
    let mut setup = Setup::new();
    setup.workstream = "on_offline: Return, affinity: \"3s\",".to_owned();
    setup.agents = r#"(id: "brief", queues: ["support"], grace: "1s"),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, briefs) = (setup.token("kim"), setup.token("brief"));
    let host = setup.start(&[]).await;
    let mut brief = Screen::connect(&host.url, &briefs).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = brief.accept_next().await;
    let queued = host.conversation(&briefs, &id).await["queued_at"].clone();
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    brief.close().await;

    // Gone for longer than the grace: back to the queue, kept for the one the customer had.
    assert!(
        !kim.sees(Duration::from_millis(1500), |f| f["type"] == "offer").await,
        "kept for brief"
    );
    let mut brief = Screen::connect(&host.url, &briefs).await;
    assert_eq!(brief.accept_next().await, id, "back in time");
    assert_eq!(host.conversation(&briefs, &id).await["queued_at"], queued, "its age is kept");

    // Gone again, and not back in time: anybody's.
    brief.close().await;
    assert_eq!(kim.accept_next().await, id);

    // A returning customer goes to the agent they had (ROUTE-13), though another one is as free.
    let _brief = Screen::at_desk(&host.url, &briefs).await;
    kim.must(json!({ "type": "end", "conversation": id })).await;
    kim.must(json!({ "type": "finish_wrap_up", "conversation": id })).await;
    world.text(Provider::Telesign, CUSTOMER, "one more thing").await;
    assert_eq!(kim.accept_next().await, id);
    setup.stop_and_replay(host);
}

// ROUTE-19
#[actix_web::test]
async fn a_customer_who_writes_to_somebody_absent_is_routed_anew() {
    let mut setup = Setup::new();
    // With no affinity they would be preferred for a minute.
    setup.workstream = "affinity: \"1s\",".to_owned();
    setup.agents = r#"(id: "brief", queues: ["support"], grace: "1s"),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, briefs) = (setup.token("kim"), setup.token("brief"));
    let host = setup.start(&[]).await;
    let mut brief = Screen::connect(&host.url, &briefs).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = brief.accept_next().await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    brief.close().await;
    assert!(!kim.sees(Duration::from_millis(1500), |f| f["type"] == "offer").await, "it is kept");
    world.text(Provider::Telesign, CUSTOMER, "are you there?").await;
    assert_eq!(kim.accept_next().await, id);
    setup.stop_and_replay(host);
}

// PRES-01 PRES-06 PRES-07 PRES-08
#[actix_web::test]
async fn who_is_idle_or_misses_offers_is_set_away_and_light_agents_have_no_status() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"1s\",".to_owned();
    setup.sections = r#"presence: (
        labels: [(id: "lunch", name: "Lunch", status: away)],
        idle: (after: "2s"), missed_offers: (limit: 2),
    ),"#
    .to_owned();
    setup.agents = r#"(id: "light", light: true),"#.to_owned();
    let emulators = setup.with_emulators();
    let (kims, lights, sams) = (setup.token("kim"), setup.token("light"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let status = |source: &'static str| {
        move |f: &Value| {
            f["type"] == "presence"
                && f["presence"]["status"] == "away"
                && f["presence"]["source"] == source
        }
    };
    let mut kim = Screen::connect(&host.url, &kims).await;
    kim.wait_for("idle", status("idle")).await;
    kim.try_send(&json!({ "type": "activity" })).await;
    kim.wait_for("back", |f| f["type"] == "presence" && f["presence"]["status"] == "online").await;

    let mut sam = Screen::at_desk(&host.url, &sams).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    kim.wait_for("missed", status("missed_offers")).await;
    let alert = sam.wait("alert").await;
    assert_eq!((&alert["agent"], &alert["missed"]), (&json!("kim"), &json!(2)));

    let mut light = Screen::connect(&host.url, &lights).await;
    let presence = light.wait("presence").await;
    assert_eq!(presence["presence"]["status"], "offline");
    let refused = light.command(json!({ "type": "presence", "status": "online" })).await;
    assert!(refused["error"].as_str().unwrap().contains("light agent"), "{refused}");
    let unknown = kim.command(json!({ "type": "presence", "label": "dinner" })).await;
    assert!(unknown["error"].as_str().unwrap().contains("known: lunch"), "{unknown}");
    setup.stop_and_replay(host);
}

// CAP-03 CAP-01
#[actix_web::test]
async fn a_call_blocks_chats_until_it_is_over() {
    let mut setup = Setup::new();
    setup.workstream = "rules: [],".to_owned();
    setup.sections =
        r#"capacity: (voice: 1, chat: 3, blocking: {voice: [chat], chat: [voice]}),"#.to_owned();
    let emulators = setup.with_emulators();
    let calls = r#"workstreams: [
        (id: "calls", kind: voice, queue: "support", wrap_up: Never),
        (id: "chats", kind: chat, queue: "support", wrap_up: Never),"#;
    setup.change("main.ron", "workstreams: [", calls);
    setup.change(
        "channels.ron",
        "plugin: \"telesign\", workstream: \"sms\"",
        "plugin: \"telesign\", workstream: \"calls\"",
    );
    setup.change(
        "channels.ron",
        "plugin: \"twilio\", workstream: \"sms\"",
        "plugin: \"twilio\", workstream: \"chats\"",
    );
    let kims = setup.token("kim");
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "ring").await;
    let call = kim.accept_next().await;
    emulators.world.text(Provider::Twilio, CUSTOMER, "hello").await;
    assert!(!kim.sees(Duration::from_millis(300), |f| f["type"] == "offer").await, "blocked");
    emulators.world.text(Provider::Acs, CUSTOMER, "a text").await;
    assert_eq!(kim.wait("offer").await["kind"], "messaging", "other kinds are not");
    kim.must(json!({ "type": "end", "conversation": call })).await;
    assert_eq!(kim.wait("offer").await["kind"], "chat");
    setup.stop_and_replay(host);
}

// CONV-07 CONV-08 CONV-09
#[actix_web::test]
async fn how_it_ended_is_said_found_and_exported() {
    let mut setup = Setup::new();
    setup.workstream =
        r#"dispositions: ["solved", "not solved"], disposition_required: true,"#.to_owned();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "where is my parcel").await;
    let id = kim.accept_next().await;
    emulators.world.text(Provider::Telesign, "+14255550101", "hello").await;
    let other = kim.accept_next().await;
    // CONV-07: a supervisor ends anybody's; an agent doesn't.
    let (end, lees) = (format!("/api/v1/conversations/{other}/end"), setup.token("lee"));
    assert_eq!(host.post(&lees, &end, json!({})).await.0, 404);
    assert_eq!(host.post(&sams, &end, json!({})).await.0, 204);
    assert_eq!(host.conversation(&sams, &other).await["state"], "wrap_up");

    kim.must(json!({ "type": "end", "conversation": id })).await;
    let finish = json!({ "type": "finish_wrap_up", "conversation": id });
    let refused = kim.command(finish.clone()).await;
    assert!(refused["error"].as_str().unwrap().contains("solved, not solved"), "{refused}");
    let mut wrong = finish.clone();
    wrong["disposition"] = json!("perhaps");
    assert!(kim.command(wrong).await["error"].as_str().unwrap().contains("perhaps"));
    let mut right = finish;
    right["disposition"] = json!("solved");
    right["summary"] = json!("The parcel was at the neighbour's.");
    kim.must(right).await;

    let (_, page) = host.get(&sams, "/api/v1/conversations/search?text=parcel&state=closed").await;
    assert_eq!(page["conversations"][0]["id"], id.as_str());
    assert_eq!(page["conversations"][0]["disposition"], "solved");
    let (_, first) = host.get(&sams, "/api/v1/conversations/search?limit=1").await;
    let next = first["next"].as_str().expect("a second page");
    let (_, second) =
        host.get(&sams, &format!("/api/v1/conversations/search?limit=1&cursor={next}")).await;
    assert_eq!(first["conversations"][0]["id"], other.as_str(), "the newest first");
    assert_eq!(second["conversations"][0]["id"], id.as_str());
    let csv = host.text(&sams, "/api/v1/conversations/export?format=csv").await;
    assert!(csv.starts_with("id,state,") && csv.lines().count() == 3, "{csv}");
    let sessions = host.text(&sams, "/api/v1/sessions/export").await;
    assert!(sessions.lines().all(|line| line.contains("\"agent\":\"kim\"")), "{sessions}");
    assert_eq!(sessions.lines().count(), 2);
    assert_eq!(host.get(&kims, "/api/v1/conversations/search").await.0, 403);
    setup.stop_and_replay(host);
}

// OPS-11 CONV-07
#[actix_web::test]
async fn whoever_watches_all_open_work_is_told_what_changes() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kim, sam) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kim).await;
    let mut sam = Screen::connect(&host.url, &sam).await;
    emulators.world.text(Provider::Twilio, "+14255550100", "before anybody watches").await;
    let before = kim.accept_next().await;
    let refused = kim.command(json!({ "type": "watch", "on": true })).await;
    assert!(refused["error"].to_string().contains("conversation.read"), "{refused}");
    assert_eq!(sam.command(json!({ "type": "watch", "on": true })).await["ok"], true);
    emulators.world.text(Provider::Twilio, "+14255550101", "hello").await;
    let conversation = kim.accept_next().await;
    let mut named = Vec::new();
    while !named.contains(&json!(conversation)) {
        let frame = sam.wait("work").await;
        named.extend(frame["conversations"].as_array().expect("few are named").clone());
    }
    assert!(!named.contains(&json!(before)), "that one hasn't changed");
    assert_eq!(sam.command(json!({ "type": "watch", "on": false })).await["ok"], true);
    emulators.world.text(Provider::Twilio, "+14255550102", "afterwards").await;
    kim.accept_next().await;
    let is_work = |frame: &Value| frame["type"] == "work";
    assert!(!sam.sees(Duration::from_millis(700), is_work).await, "nobody watches any more");
}
