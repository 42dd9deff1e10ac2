//! Providers' own ways through the real host: media, handshakes, test messages, secrets, limits.

use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::{Value, json};

const CUSTOMER: &str = "+14255550100";

// CH-03
#[actix_web::test]
async fn media_goes_out_where_the_provider_takes_it_and_is_refused_where_not() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    let picture = "https://files.example.com/plan.png?a=1&b=2";
    let media = json!([{ "url": picture, "content_type": "image/png" }]);
    for (provider, goes_out) in [(Provider::Twilio, true), (Provider::Acs, false)] {
        world.text(provider, CUSTOMER, "send me the plan").await;
        let id = kim.accept_next().await;
        let reply = json!({ "type": "reply", "conversation": id, "text": "here", "media": media });
        kim.must(reply).await;
        let states = ["delivered", "undelivered"];
        let is_settled = move |whole: &Value| {
            let last = whole["messages"].as_array().unwrap().last().unwrap().clone();
            let status = last["delivery"]["status"].as_str().unwrap_or_default().to_owned();
            states.contains(&status.as_str()).then_some(last)
        };
        let path = format!("/api/v1/conversations/{id}");
        let last = loop {
            if let Some(last) = is_settled(&host.get(&sams, &path).await.1) {
                break last;
            }
        };
        if goes_out {
            assert_eq!(last["delivery"]["status"], "delivered", "{last}");
            let requests = world.requests();
            let (_, body) = requests.iter().find(|(by, _)| *by == provider).expect("sent");
            let fields: Vec<(String, String)> =
                form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            assert!(fields.contains(&("MediaUrl".to_owned(), picture.to_owned())), "{fields:?}");
        } else {
            assert_eq!(last["delivery"]["status"], "undelivered", "{last}");
            let reason = last["delivery"]["reason"].as_str().unwrap();
            assert!(reason.contains("carries no files"), "{last}");
        }
    }
    setup.stop_and_replay(host);
}

// CH-04
#[actix_web::test]
async fn event_grid_shakes_hands_before_it_delivers() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let sams = setup.token("sam");
    let host = setup.start(&[]).await;
    let accounts = &emulators.world.accounts;
    let (_, channels) = host.get(&sams, "/api/v1/channels").await;
    let own = |channel: &&Value| channel["id"] == Provider::Acs.channel();
    let url = channels.as_array().unwrap().iter().find(own).unwrap()["callback_url"].clone();
    let post = async |secret: &str| {
        let code = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6";
        let event = json!([{
            "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
            "topic": "/subscriptions/x", "subject": "",
            "data": { "validationCode": code,
                "validationUrl": "https://rp-eastus2.eventgrid.example:553/validate?id=1" },
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": "2026-01-01T00:00:00Z", "metadataVersion": "1", "dataVersion": "1"
        }]);
        let request = reqwest::Client::new()
            .post(format!("{}?secret={secret}", url.as_str().unwrap()))
            .header("aeg-event-type", "SubscriptionValidation")
            .json(&event);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap_or_default())
    };
    let (status, answer) = post(&accounts.acs_webhook_secret).await;
    assert_eq!(status, 200);
    assert_eq!(answer["validationResponse"], "512d38b6-c7b8-40c8-89fe-f46f9e9622b6");
    assert_eq!(post("wrong").await.0, 403, "not for anybody");
    setup.stop_and_replay(host);
}

// CH-02 CH-03 CH-04
#[actix_web::test]
async fn a_test_message_says_whether_the_credentials_work() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let roots = setup.token("root");
    let right = setup.environment.clone();
    for works in [true, false] {
        setup.environment = right.clone();
        if !works {
            for (name, value) in &mut setup.environment {
                // Still base64 where it has to be.
                if *name != "ACS_WEBHOOK_SECRET" {
                    value.replace_range(..4, "ZZZZ");
                }
            }
        }
        let host = setup.start(&[]).await;
        for provider in Provider::ALL {
            let path = format!("/api/v1/channels/{}/verify", provider.channel());
            let before = world.sent().len();
            let (status, report) = host.post(&roots, &path, json!({ "to": CUSTOMER })).await;
            assert_eq!((status, &report["ok"]), (200, &json!(works)), "{provider:?}: {report}");
            assert_eq!(world.sent().len(), before + usize::from(works));
            let message = report["message"].as_str().unwrap();
            assert!(!message.is_empty());
            if !works {
                let about = ["credential", "authenticat", "signature", "denied"];
                assert!(
                    about.iter().any(|word| message.to_lowercase().contains(word)),
                    "{message}"
                );
            }
            let (status, _) = host.post(&roots, &path, json!({ "to": "4255550100" })).await;
            assert_eq!(status, 400, "numbers are E.164");
        }
        // What providers report of it is taken.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!host.log().contains("webhook rejected"), "{}", host.log());
        setup.stop_and_replay(host);
    }
}

// OPS-02 CH-03
#[actix_web::test]
async fn secrets_come_from_systemd_as_well() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let token = &world.accounts.twilio_token;
    let folder = setup.folder.path().join("credentials");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("twilio-token"), format!("{token}\n")).unwrap();
    let credential = "credential(\"twilio-token\")";
    setup.change("channels.ron", "Env(\"TWILIO_AUTH_TOKEN\")", credential);
    setup.environment.retain(|(name, _)| *name != "TWILIO_AUTH_TOKEN");
    // Without systemd it is said what is missing.
    let (code, text) = setup.run(&["check", setup.config()]);
    assert!(code == 1 && text.contains("LoadCredential=twilio-token"), "{text}");
    setup.environment.push(("CREDENTIALS_DIRECTORY", folder.display().to_string()));
    let (code, text) = setup.run(&["check", setup.config()]);
    assert_eq!(code, 0, "{text}");
    let kims = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    assert_eq!(world.text(Provider::Twilio, CUSTOMER, "hello").await, 200, "its signature holds");
    let id = kim.accept_next().await;
    kim.must(json!({ "type": "reply", "conversation": id, "text": "hi" })).await;
    world.wait_for_sent("the reply", |sent| sent.text == "hi").await;
    assert!(!host.log().contains(token.as_str()));
    setup.stop_and_replay(host);
}

// CH-11 ROUTE-17 OPS-01
#[actix_web::test]
async fn a_channel_may_allow_less_text_and_never_more() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let own = |most: u32| format!("plugin: \"telesign\", max_text: {most}, workstream");
    setup.change("channels.ron", "plugin: \"telesign\", workstream", &own(20));
    let kims = setup.token("kim");
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Telesign, CUSTOMER, &"x".repeat(21)).await;
    let id = kim.accept_next().await;
    let conversation = host.conversation(&kims, &id).await;
    assert_eq!(conversation["max_text"], 20);
    let (_, whole) = host.get(&kims, &format!("/api/v1/conversations/{id}")).await;
    assert_eq!(whole["messages"][0]["text"], "x".repeat(21), "kept whole");
    assert_eq!(whole["messages"][0]["over_length"], true, "and flagged");
    let reply =
        |length: usize| json!({ "type": "reply", "conversation": id, "text": "é".repeat(length) });
    let refused = kim.command(reply(21)).await;
    assert!(refused["error"].as_str().unwrap().contains("shorten it by 1"), "{refused}");
    kim.must(reply(20)).await;
    world.wait_for_sent("the reply", |sent| sent.text.chars().count() == 20).await;
    assert_eq!(world.sent().len(), 1);
    setup.stop_and_replay(host);

    // More than the plugin takes is a mistake, with its place.
    setup.change("channels.ron", &own(20), &own(2000));
    let (code, text) = setup.run(&["check", setup.config()]);
    let place = "channels[0].max_text: 2000 characters, but the plugin telesign takes 1600";
    assert!(code == 1 && text.contains("channels.ron:2:") && text.contains(place), "{text}");
}

// ROUTE-02 OPS-01
#[actix_web::test]
async fn a_rule_that_names_something_unknown_is_refused_by_check_and_by_a_start() {
    let mut setup = Setup::new();
    setup.workstream =
        "rules: [(name: \"a\", when: [contact(\"teir\", is(\"gold\"))], queue: \"suport\",
        skills: {\"german\": 2})], offer_timeout: \"0s\","
            .to_owned();
    let _emulators = setup.with_emulators();
    let (code, text) = setup.run(&["check", setup.config()]);
    assert_eq!(code, 1);
    for part in [
        "main.ron:3:93\n  workstreams[0].rules[0].when[0]: there is no contact field \"teir\"",
        "main.ron:3:130\n  workstreams[0].rules[0].queue: there is no queue \"suport\"; known: support",
        "main.ron:4:17\n  workstreams[0].rules[0].skills: there is no skill \"german\"",
        "main.ron:4:49\n  workstreams[0].offer_timeout: 0s is too small; from 1s to 7d",
        "4 things are wrong",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let (code, text) = setup.run(&["run", setup.config()]);
    assert!(code != 0 && text.contains("there is no queue \"suport\""), "{text}");
}
