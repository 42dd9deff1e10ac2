//! The main job, end to end: a text arrives, reaches an agent, and the answer goes back.

use std::time::Duration;

use cordboard_tests::emulator::{Emulators, Failure, Provider};
use cordboard_tests::harness::{HostProcess, Screen, Setup};
use serde_json::{Value, json};

const CUSTOMER: &str = "+14255550100";

/// The whole sample deployment, with Kim's screen open.
struct Desk {
    setup: Setup,
    emulators: Emulators,
    host: HostProcess,
    token: String,
    kim: Screen,
}

async fn desk() -> Desk {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let kim = Screen::connect(&host.url, &token).await;
    Desk { setup, emulators, host, token, kim }
}

fn delivery(conversation: &str, status: &str) -> impl Fn(&Value) -> bool {
    move |frame| {
        frame["type"] == "delivery"
            && frame["conversation"] == conversation
            && frame["delivery"]["status"] == status
    }
}

// CH-01 CH-02 CH-03 CH-04 CH-15 ROUTE-04 ROUTE-05 CONV-01 CONV-04 CAP-02 PLUG-01
#[actix_web::test]
async fn a_text_reaches_an_agent_and_the_answer_goes_back_through_every_provider() {
    let Desk { emulators, host, token, mut kim, setup: _setup } = desk().await;
    let world = &emulators.world;
    let first = kim.wait("snapshot").await;
    assert_eq!(first["conversations"], json!([]));

    for provider in Provider::ALL {
        let question = format!("Hello through {provider:?}: é 你 😀 & +");
        assert_eq!(world.text(provider, CUSTOMER, &question).await, 200);
        let conversation = kim.accept_next().await;
        let (_, seen) = host.get(&token, &format!("/api/v1/conversations/{conversation}")).await;
        assert_eq!(seen["messages"][0]["text"], question.as_str());
        assert_eq!(seen["conversation"]["customer"], CUSTOMER);
        assert_eq!(seen["conversation"]["state"], "active");

        let note = json!({ "type": "note", "conversation": conversation, "text": "between us" });
        kim.must(note).await;
        let answer = format!("Hi from Kim: ü & é ({provider:?})");
        kim.must(json!({ "type": "reply", "conversation": conversation, "text": answer })).await;
        let sent = world.wait_for_sent("the answer", |sent| sent.text == answer).await;
        assert_eq!((sent.provider, sent.to.as_str()), (provider, CUSTOMER));
        kim.wait_for("delivered", delivery(&conversation, "delivered")).await;

        kim.must(json!({ "type": "end", "conversation": conversation })).await;
        kim.must(json!({ "type": "finish_wrap_up", "conversation": conversation })).await;
        kim.wait_for("closed", |f| f["type"] == "conversation_gone" && f["state"] == "closed")
            .await;
    }
    assert_eq!(world.sent().len(), 3, "notes never leave: {:?}", world.sent());
    assert_eq!(world.refused_requests(), Vec::<String>::new());
    let (_, channels) = host.get(&token, "/api/v1/channels").await;
    for channel in channels.as_array().unwrap() {
        assert_eq!(channel["ok"], true);
        let url = format!("{}/hooks/{}", host.url, channel["id"].as_str().unwrap());
        assert_eq!(channel["callback_url"], url.as_str());
    }
    assert_eq!(host.stop(), Some(0));
    emulators.stop().await;
}

// CH-11 CH-12 CONV-01
#[actix_web::test]
async fn length_opt_out_and_reopening() {
    let Desk { emulators, host, token, mut kim, setup } = desk().await;
    let world = &emulators.world;

    // A longer inbound text is kept whole and flagged; a longer outbound one refused with a count.
    let long = "x".repeat(1700);
    world.text(Provider::Telesign, CUSTOMER, &long).await;
    let conversation = kim.accept_next().await;
    let path = format!("/api/v1/conversations/{conversation}");
    let (_, seen) = host.get(&token, &path).await;
    assert_eq!(seen["messages"][0]["text"].as_str().unwrap().len(), 1700);
    assert_eq!(seen["messages"][0]["over_length"], true);
    let (status, error) =
        host.post(&token, &format!("{path}/reply"), json!({ "text": "é".repeat(1601) })).await;
    assert_eq!(status, 409);
    assert_eq!(error["code"], "too_long");
    assert!(error["message"].as_str().unwrap().contains("1601 characters"), "{error}");
    let (status, _) =
        host.post(&token, &format!("{path}/reply"), json!({ "text": "é".repeat(1600) })).await;
    assert_eq!(status, 204);
    world.wait_for_sent("1600 characters", |sent| sent.text.chars().count() == 1600).await;

    // STOP: the agent sees it, nothing goes out any more; START lifts it.
    world.text(Provider::Telesign, CUSTOMER, "STOP").await;
    kim.wait_for("opted out", |f| f["type"] == "conversation" && f["opted_out"] == true).await;
    let (status, error) =
        host.post(&token, &format!("{path}/reply"), json!({ "text": "but" })).await;
    assert_eq!((status, error["code"].as_str()), (409, Some("opted_out")));
    kim.must(json!({ "type": "end", "conversation": conversation })).await;
    kim.must(json!({ "type": "finish_wrap_up", "conversation": conversation })).await;
    kim.wait("conversation_gone").await;
    world.text(Provider::Telesign, CUSTOMER, "START").await;
    let (_, seen) = host.get(&setup.token("sam"), &path).await;
    assert_eq!(seen["conversation"]["state"], "closed", "a keyword re-opens nothing");
    assert_eq!(seen["conversation"]["opted_out"], false);

    // A text re-opens the conversation within a day.
    world.text(Provider::Telesign, CUSTOMER, "one more thing").await;
    assert_eq!(kim.accept_next().await, conversation);
    kim.must(json!({ "type": "reply", "conversation": conversation, "text": "sure" })).await;
    world.wait_for_sent("after opting in", |sent| sent.text == "sure").await;

    // Twilio says so itself when it is asked to write to somebody who opted out there.
    let other = "+14255550101";
    world.text(Provider::Twilio, other, "hello").await;
    let second = kim.accept_next().await;
    emulators.world.text(Provider::Twilio, other, "STOP").await;
    kim.wait_for("opted out", |f| f["id"] == second.as_str() && f["opted_out"] == true).await;
    assert_eq!(host.stop(), Some(0));
}

// CH-02 CH-03 CH-04
#[actix_web::test]
async fn failures_are_retried_reported_or_admitted() {
    let Desk { emulators, host, mut kim, setup: _setup, token: _ } = desk().await;
    let world = &emulators.world;

    // 429 with Retry-After: the reply goes out on the second try, and the next keeps its place.
    world.text(Provider::Twilio, CUSTOMER, "hello").await;
    let conversation = kim.accept_next().await;
    world.fail_next([Failure::Status(429, Some(1))]);
    for text in ["first", "second"] {
        kim.must(json!({ "type": "reply", "conversation": conversation, "text": text })).await;
    }
    world.wait_for_sent("second", |sent| sent.text == "second").await;
    let order: Vec<String> = world.sent().into_iter().map(|sent| sent.text).collect();
    assert_eq!(order, ["first", "second"]);

    // The answer is cut off: Twilio can't be asked twice, but its report settles it.
    world.set_reports(false);
    world.fail_next([Failure::Cut]);
    kim.must(json!({ "type": "reply", "conversation": conversation, "text": "cut" })).await;
    kim.wait_for("unconfirmed", delivery(&conversation, "unconfirmed")).await;
    assert_eq!(world.wait_for_sent("cut", |sent| sent.text == "cut").await.times, 1);

    // ACS recognises the repetition.
    world.text(Provider::Acs, CUSTOMER, "hello").await;
    let on_acs = kim.accept_next().await;
    world.fail_next([Failure::Cut]);
    kim.must(json!({ "type": "reply", "conversation": on_acs, "text": "cut too" })).await;
    kim.wait_for("sent", delivery(&on_acs, "sent")).await;
    let sent = world.wait_for_sent("cut too", |sent| sent.text == "cut too").await;
    assert_eq!(sent.times, 1);

    // A handset that can't be reached: the agent sees code and reason.
    world.set_reports(true);
    let nowhere = "+14255550109";
    world.make_undeliverable(nowhere);
    world.text(Provider::Telesign, nowhere, "hello").await;
    let lost = kim.accept_next().await;
    kim.must(json!({ "type": "reply", "conversation": lost, "text": "there?" })).await;
    let frame = kim.wait_for("undelivered", delivery(&lost, "undelivered")).await;
    assert_eq!(frame["delivery"]["code"], "211");
    assert_eq!(frame["delivery"]["reason"], "Permanent phone error");
    assert_eq!(host.stop(), Some(0));
}

// CONV-06 CONV-02 PRES-01
#[actix_web::test]
async fn several_screens_stay_in_step_and_a_new_one_finds_everything() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let token = setup.token("kim");
    let host = setup.start(&[]).await;
    let mut first = Screen::connect(&host.url, &token).await;
    let mut second = Screen::connect(&host.url, &token).await;
    world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let conversation = first.accept_next().await;
    let ended = second.wait("offer_ended").await;
    assert_eq!(ended["outcome"], "accepted");
    first
        .must(json!({ "type": "reply", "conversation": conversation, "text": "hi",
                       "client_key": "k1" }))
        .await;
    second.wait_for("the reply", |f| f["type"] == "message" && f["message"]["text"] == "hi").await;
    // The same reply after a break is sent once.
    second
        .must(json!({ "type": "reply", "conversation": conversation, "text": "hi",
                        "client_key": "k1" }))
        .await;
    first.must(json!({ "type": "typing", "conversation": conversation })).await;
    second.wait("typing").await;
    second.must(json!({ "type": "presence", "status": "away", "label": "lunch" })).await;
    first.wait_for("lunch", |f| f["presence"]["label"] == "Lunch").await;

    // Left: it waits for the customer and takes no capacity; a reply is a way back.
    first.must(json!({ "type": "leave", "conversation": conversation })).await;
    second.wait_for("waiting", |f| f["type"] == "conversation" && f["state"] == "waiting").await;
    first.must(json!({ "type": "rejoin", "conversation": conversation })).await;
    second.wait_for("active", |f| f["type"] == "conversation" && f["state"] == "active").await;

    first.close().await;
    second.close().await;
    let mut third = Screen::connect(&host.url, &token).await;
    let snapshot = third.wait("snapshot").await;
    let open = snapshot["conversations"].as_array().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["conversation"]["id"], conversation.as_str());
    let texts: Vec<&str> = open[0]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["hello", "hi"]);
    let presence = third.wait("presence").await;
    assert_eq!(presence["presence"]["label"], "Lunch", "a short break changes nothing (PRES-04)");
    assert!(!third.sees(Duration::from_millis(100), |f| f["type"] == "offer").await);
    assert_eq!(host.stop(), Some(0));
}

// SEC-02 CONV-01
#[actix_web::test]
async fn a_late_repetition_of_an_ended_conversation_begins_nothing() {
    let mut setup = Setup::new();
    setup.workstream = "reopen_within: \"0s\",".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (token, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::connect(&host.url, &token).await;
    assert_eq!(world.deliver(Provider::Twilio, "a1", CUSTOMER, "first").await, 200);
    let first = kim.accept_next().await;
    kim.must(json!({ "type": "end", "conversation": first })).await;
    kim.must(json!({ "type": "finish_wrap_up", "conversation": first })).await;
    kim.wait("conversation_gone").await;

    // The same message again: taken, and nothing begins.
    assert_eq!(world.deliver(Provider::Twilio, "a1", CUSTOMER, "first").await, 200);
    let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
    assert_eq!(open, json!([]));
    // A new message begins a new conversation, and the old one is known there too.
    assert_eq!(world.deliver(Provider::Twilio, "b2", CUSTOMER, "second").await, 200);
    let second = kim.accept_next().await;
    assert_ne!(second, first);
    assert_eq!(world.deliver(Provider::Twilio, "a1", CUSTOMER, "first").await, 200);
    let (_, seen) = host.get(&token, &format!("/api/v1/conversations/{second}")).await;
    assert_eq!(seen["messages"].as_array().unwrap().len(), 1);
    assert_eq!(host.stop(), Some(0));
}
