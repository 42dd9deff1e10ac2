//! Offers, presence and capacity through the real host.

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

const CUSTOMER: &str = "+14255550100";

// ROUTE-04 ROUTE-05 ROUTE-07 ROUTE-08 PRES-02
#[actix_web::test]
async fn an_offer_goes_round_until_somebody_takes_it() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"1s\",".to_owned();
    let emulators = setup.with_emulators();
    let (kims, lees) = (setup.token("kim"), setup.token("lee"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let offer = kim.wait("offer").await;
    let length = offer["deadline"].as_i64().unwrap() - offer["at"].as_i64().unwrap();
    assert_eq!(length, 1000);
    let mut lee = Screen::at_desk(&host.url, &lees).await;

    let ended = kim.wait("offer_ended").await;
    assert_eq!((&ended["outcome"], &ended["offer"]), (&json!("expired"), &offer["offer"]));
    let late = kim.command(json!({ "type": "accept", "offer": offer["offer"] })).await;
    assert_eq!(late["ok"], false);
    assert!(late["error"].as_str().unwrap().contains("is over"), "{late}");

    let second = lee.wait("offer").await;
    assert_eq!(second["conversation"], offer["conversation"]);
    lee.must(json!({ "type": "refuse", "offer": second["offer"] })).await;
    let third = kim.wait("offer").await;
    assert_ne!(third["offer"], offer["offer"]);
    kim.must(json!({ "type": "accept", "offer": third["offer"] })).await;
    kim.wait("conversation").await;
    setup.stop_and_replay(host);
}

// ROUTE-09 CAP-01 CAP-02 CONV-01
#[actix_web::test]
async fn silence_frees_a_place_and_the_customer_gets_it_back() {
    let mut setup = Setup::new();
    setup.workstream = "inactivity: \"1s\", wrap_up: For(\"1s\"),".to_owned();
    setup.agents = "(id: \"one\", queues: [\"support\"], capacity: (voice: 0, chat: 0, messaging: 1, email: 0)),".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (ones, sams) = (setup.token("one"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut one = Screen::connect(&host.url, &ones).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let first = one.accept_next().await;
    host.until_agent(&sams, "one", |a| a["presence"]["status"] == "busy").await;
    let other = "+14255550101";
    world.text(Provider::Acs, other, "me too").await;
    host.until_agent(&sams, "one", |a| a["offers"] == json!([])).await;

    // Answered, silent for a second: the place is free, and the next in line gets it.
    one.must(json!({ "type": "reply", "conversation": first, "text": "hi" })).await;
    one.wait_for("waiting", |f| f["type"] == "conversation" && f["state"] == "waiting").await;
    let second = one.accept_next().await;
    assert_ne!(second, first);

    // The first customer writes again: no place, so the conversation goes back to the queue.
    world.text(Provider::Telesign, CUSTOMER, "are you there?").await;
    one.wait_for("gone", |f| {
        f["type"] == "conversation_gone" && f["conversation"] == first.as_str()
    })
    .await;
    // Wrap-up holds the place for its second; then the waiting one is offered.
    one.must(json!({ "type": "end", "conversation": second })).await;
    let again = one.accept_next().await;
    assert_eq!(again, first);
    setup.stop_and_replay(host);
}

// PRES-03 PRES-04 PRES-05
#[actix_web::test]
async fn presence_through_breaks_and_defaults() {
    let mut setup = Setup::new();
    setup.agents = r#"
        (id: "brief", queues: ["support"], grace: "1s"),
        (id: "shy", queues: ["support"], default_presence: away),"#
        .to_owned();
    let emulators = setup.with_emulators();
    let (briefs, shys, sams) = (setup.token("brief"), setup.token("shy"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut shy = Screen::connect(&host.url, &shys).await;
    let presence = shy.wait("presence").await;
    assert_eq!(presence["presence"]["status"], "away");
    assert_eq!(presence["presence"]["source"], "default");

    let mut brief = Screen::connect(&host.url, &briefs).await;
    brief.must(json!({ "type": "presence", "status": "online", "label": "desk" })).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let offer = brief.wait("offer").await;
    brief.close().await;
    let brief = Screen::connect(&host.url, &briefs).await;
    assert_eq!(host.agent(&sams, "brief").await["presence"]["label"], "At my desk");
    assert_eq!(host.agent(&sams, "brief").await["offers"][0]["offer"], offer["offer"]);
    brief.close().await;
    host.until_agent(&sams, "brief", |a| a["presence"]["status"] == "offline").await;
    // The offer goes elsewhere at once: to whoever becomes available.
    shy.must(json!({ "type": "presence", "status": "online" })).await;
    let offer = shy.wait("offer").await;
    shy.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
    let mut brief = Screen::connect(&host.url, &briefs).await;
    let presence = brief.wait("presence").await;
    assert_eq!(presence["presence"]["label"], "online", "the override ended");
    setup.stop_and_replay(host);
}

// OPS-03 OPS-06 CAP-04
#[actix_web::test]
async fn a_stop_withdraws_offers_and_a_start_finds_everything() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Telesign, CUSTOMER, "assigned").await;
    let assigned = kim.accept_next().await;
    world.text(Provider::Twilio, CUSTOMER, "offered").await;
    kim.wait("offer").await;
    setup.stop_and_replay(host);
    let ended = kim.wait("offer_ended").await;
    assert_eq!(ended["outcome"], "accepted");
    let ended = kim.wait("offer_ended").await;
    assert_eq!(ended["outcome"], "gone");
    // While nobody is there, providers keep their messages.
    assert_ne!(world.deliver(Provider::Acs, "late", CUSTOMER, "late").await, 200);

    let host = setup.start(&[]).await;
    host.prints("2 open conversations").await;
    // Kim's presence is what it was; the offer that was taken back is made again.
    let kims_place = |agent: &serde_json::Value| agent["offers"][0]["offer"].is_string();
    let there = host.until_agent(&sams, "kim", kims_place).await;
    assert_eq!(
        (&there["presence"]["status"], &there["capacity"][2]["used"]),
        (&json!("online"), &json!(2))
    );
    let (_, queues) = host.get(&sams, "/api/v1/queues").await;
    assert_eq!(queues[0]["waiting"], 1);
    assert_eq!(world.deliver(Provider::Acs, "late", CUSTOMER, "late").await, 200);
    let mut kim = Screen::connect(&host.url, &kims).await;
    let snapshot = kim.wait("snapshot").await;
    assert_eq!(snapshot["conversations"][0]["conversation"]["id"], assigned.as_str());
    kim.accept_next().await;
    kim.accept_next().await;
    setup.stop_and_replay(host);
}

// ROUTE-08 ROUTE-11
#[actix_web::test]
async fn a_call_goes_round_the_agents_until_its_wait_ends() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"1s\",".to_owned();
    setup.queues = r#"overflow: [(when: WaitedFor("4s"), then: Queue("late"))]),
        (id: "late"),"#
        .to_owned();
    setup.agents = "(id: \"night\", queues: [\"late\"]),".to_owned();
    let emulators = setup.with_emulators();
    setup.change("main.ron", "kind: messaging", "kind: voice");
    let [kims, lees, nights, sams] = ["kim", "lee", "night", "sam"].map(|id| setup.token(id));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    let mut lee = Screen::connect(&host.url, &lees).await;
    let mut night = Screen::connect(&host.url, &nights).await;
    for screen in [&mut kim, &mut lee, &mut night] {
        screen.wait("presence").await;
    }
    emulators.world.text(Provider::Telesign, CUSTOMER, "ring").await;
    let ring = async |screen: &mut Screen| {
        let offer = screen.wait("offer").await;
        screen.must(json!({ "type": "refuse", "offer": offer["offer"] })).await;
        offer
    };
    // Kim refuses, Lee lets it ring; then it is Kim's turn once more, whose word was no last one.
    let first = ring(&mut kim).await;
    lee.wait("offer").await;
    assert_eq!(lee.wait("offer_ended").await["outcome"], "expired");
    let again = ring(&mut kim).await;
    assert_eq!(again["conversation"], first["conversation"]);
    // Its wait has ended: it goes on to the other queue, where its age is the same.
    let elsewhere = night.wait("offer").await;
    assert_eq!(elsewhere["conversation"], first["conversation"]);
    night.must(json!({ "type": "accept", "offer": elsewhere["offer"] })).await;
    let path = format!("/api/v1/conversations/{}", first["conversation"].as_str().unwrap());
    let (_, transcript) = host.get(&sams, &path).await;
    let queued_at = transcript["conversation"]["queued_at"].as_i64().unwrap();
    assert!(queued_at <= first["at"].as_i64().unwrap(), "its age is that of the first wait");
    let waited = elsewhere["at"].as_i64().unwrap() - queued_at;
    assert!((4_000..20_000).contains(&waited), "after {waited} ms");
    setup.stop_and_replay(host);
}
