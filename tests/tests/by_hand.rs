//! Work that people take up by themselves (ROUTE-10, CONV-02), and those who never do (PRES-08).

use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::{Value, json};

fn customer(n: usize) -> String {
    format!("+1425555010{n}")
}

// ROUTE-10 CONV-02 CAP-01 ROUTE-17
#[actix_web::test]
async fn beyond_capacity_only_with_the_permission_and_no_work_follows_until_it_is_below() {
    let mut setup = Setup::new();
    setup.agents = r#"(id: "one", queues: ["support"], capacity: (messaging: 1)),"#.to_owned();
    setup.sections = "permissions: {agent: []},".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (ones, sams) = (setup.token("one"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut one = Screen::connect(&host.url, &ones).await;
    world.text(Provider::Telesign, &customer(1), "first").await;
    let first = one.accept_next().await;
    one.must(json!({ "type": "leave", "conversation": first })).await;
    world.text(Provider::Telesign, &customer(2), "second").await;
    let second = one.accept_next().await;

    // No way round: coming back, and replying, which is coming back.
    let rejoin = json!({ "type": "rejoin", "conversation": first });
    let reply = json!({ "type": "reply", "conversation": first, "text": "hi" });
    for command in [&rejoin, &reply] {
        let full = one.command(command.clone()).await;
        assert!(full["error"].as_str().unwrap().contains("no capacity left"), "{full}");
    }
    assert_eq!(host.conversation(&sams, &first).await["state"], "waiting");
    assert!(world.sent().is_empty(), "nothing went out");

    setup.change("main.ron", "permissions: {agent: []}", "permissions: {agent: [self_assign]}");
    loop {
        let answer = one.command(reply.clone()).await;
        if answer["ok"] == true {
            break;
        }
        assert!(answer["error"].as_str().unwrap().contains("no capacity left"), "{answer}");
    }
    world.wait_for_sent("the reply", |sent| sent.text == "hi").await;
    let load = host.agent(&sams, "one").await["capacity"][2].clone();
    assert_eq!((&load["used"], &load["limit"]), (&json!(2), &json!(1)), "the ledger shows it");

    // Neither with two nor with one of one does anything come by itself.
    world.text(Provider::Telesign, &customer(3), "third").await;
    let offered = |frame: &Value| frame["type"] == "offer";
    assert!(!one.sees(Duration::from_millis(300), offered).await, "two of one");
    for conversation in [&second, &first] {
        one.must(json!({ "type": "end", "conversation": conversation })).await;
        one.must(json!({ "type": "finish_wrap_up", "conversation": conversation })).await;
        if conversation == &second {
            assert!(!one.sees(Duration::from_millis(300), offered).await, "one of one");
        }
    }
    one.accept_next().await;
    setup.stop_and_replay(host);
}

// ROUTE-10 CONV-02
#[actix_web::test]
async fn taking_over_needs_a_place_as_well() {
    let mut setup = Setup::new();
    setup.agents =
        r#"(id: "boss", role: supervisor, queues: ["support"], capacity: (messaging: 0)),"#
            .to_owned();
    setup.sections = "permissions: {supervisor: [take_over, conversation_read]},".to_owned();
    let emulators = setup.with_emulators();
    let (kims, bosses) = (setup.token("kim"), setup.token("boss"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, &customer(1), "hello").await;
    let id = kim.accept_next().await;
    let mut boss = Screen::connect(&host.url, &bosses).await;
    let refused = boss.command(json!({ "type": "take_over", "conversation": id })).await;
    assert!(refused["error"].as_str().unwrap().contains("no capacity left"), "{refused}");
    assert_eq!(host.conversation(&bosses, &id).await["agent"], "kim");
    let gone = |frame: &Value| frame["type"] == "conversation_gone";
    assert!(!kim.sees(Duration::from_millis(200), gone).await);
    setup.stop_and_replay(host);
}

// PRES-08 CONV-04
#[actix_web::test]
async fn light_agents_read_and_write_notes_and_take_nothing() {
    let mut setup = Setup::new();
    setup.agents = r#"(id: "light", light: true), (id: "boss", light: true, role: supervisor),
        (id: "other", queues: []),"#
        .to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let tokens = ["kim", "light", "boss", "other", "sam"].map(|agent| setup.token(agent));
    let [kims, lights, bosses, others, sams] = &tokens;
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, kims).await;
    world.text(Provider::Telesign, &customer(1), "hello").await;
    let id = kim.accept_next().await;
    world.text(Provider::Telesign, &customer(2), "waiting").await;
    let offer = kim.wait("offer").await;
    kim.must(json!({ "type": "refuse", "offer": offer["offer"] })).await;
    let open = offer["conversation"].as_str().unwrap().to_owned();
    let mut screen = Screen::connect(&host.url, lights).await;
    screen.wait("presence").await;
    let _boss = Screen::connect(&host.url, bosses).await;

    let path = format!("/api/v1/conversations/{id}");
    assert_eq!(host.get(others, &path).await.0, 404, "others see their own only");
    let (status, read) = host.get(lights, &path).await;
    assert_eq!((status, &read["messages"][0]["text"]), (200, &json!("hello")));
    assert_eq!(host.get(lights, "/api/v1/conversations?all=true").await.1[0]["id"], id.as_str());
    assert_eq!(host.get(lights, "/api/v1/me").await.1["light"], true);
    screen.must(json!({ "type": "note", "conversation": id, "text": "offer a refund" })).await;
    kim.wait_for("the whisper", |frame| frame["message"]["text"] == "offer a refund").await;
    assert!(world.sent().is_empty());

    // Neither by routing nor by hand nor by colleagues.
    for (token, command, conversation) in [
        (bosses, "take-over", &id),
        (bosses, "take", &open),
        (lights, "reply", &id),
        (lights, "rejoin", &id),
    ] {
        let path = format!("/api/v1/conversations/{conversation}/{command}");
        let body = if command == "reply" { json!({ "text": "hi" }) } else { json!({}) };
        let (status, refused) = host.post(token, &path, body).await;
        assert_eq!(status, 409, "{command}: {refused}");
    }
    kim.must(json!({ "type": "transfer", "conversation": id, "to": { "agent": "boss" } })).await;
    assert_eq!(kim.wait("not_taken").await["why"], "boss takes no work");
    let conversation = host.conversation(sams, &id).await;
    assert_eq!((&conversation["agent"], &conversation["state"]), (&json!("kim"), &json!("active")));
    for agent in ["light", "boss"] {
        let agent = host.agent(sams, agent).await;
        assert_eq!(agent["presence"]["status"], "offline");
        assert_eq!(agent["capacity"][2]["used"], 0);
    }
    setup.stop_and_replay(host);
}

// PRES-01 CONV-03
#[actix_web::test]
async fn transfers_only_means_what_colleagues_hand_over() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kims, lees) = (setup.token("kim"), setup.token("lee"));
    let host = setup.start(&[]).await;
    let mut lee = Screen::connect(&host.url, &lees).await;
    lee.must(json!({ "type": "presence", "status": "transfers_only" })).await;
    emulators.world.text(Provider::Telesign, &customer(1), "hello").await;
    let offered = |frame: &Value| frame["type"] == "offer";
    assert!(!lee.sees(Duration::from_millis(300), offered).await, "nothing from the queue");
    let mut kim = Screen::connect(&host.url, &kims).await;
    let id = kim.accept_next().await;
    kim.must(json!({ "type": "transfer", "conversation": id, "to": { "agent": "lee" } })).await;
    assert_eq!(lee.accept_next().await, id);
    setup.stop_and_replay(host);
}
