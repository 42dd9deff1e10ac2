//! Rules, skills, hours, overflow, strategies: who gets what, and why, through the real host.

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::{Value, json};

const GERMAN: &str = "+491715550100";
const AMERICAN: &str = "+14255550100";

/// A skilled floor: rules by country and text, two queues, three agents.
fn floor(setup: &mut Setup) {
    setup.workstream = r#"matching: all, rules: [
        (name: "german numbers", when: [Country(["DE", "AT"])], skills: {"german": 3}, tags: ["dach"]),
        (name: "refunds", when: [Text(Contains("refund")), Not(Flag(bad_actor))], queue: "billing", priority: 5),
        (name: "gold", when: [Contact("tier", Is("gold"))], priority: 9),
    ],"#
    .to_owned();
    setup.queues = r#"), (id: "billing", name: "Billing"),"#.to_owned();
    setup.sections = r#"
        skills: [(id: "german"), (id: "french")],
        fields: (contact: ["tier"]),
        presence: (labels: [(id: "lunch", name: "Lunch", status: away)]),"#
        .to_owned();
    setup.agents = r#"
        (id: "gerd", name: "Gerd", queues: ["support", "billing"], skills: {"german": 5}),
        (id: "novice", name: "Nora", queues: ["support"], skills: {"german": 2}),"#
        .to_owned();
}

/// All sentences of the answer.
fn sentences(why: &Value) -> String {
    let mut all = Vec::new();
    for step in why["steps"].as_array().unwrap() {
        all.push(step["sentence"].as_str().unwrap().to_owned());
        for passed in step["passed_over"].as_array().unwrap() {
            let (agent, sentence) = (&passed["agent"], &passed["sentence"]);
            all.push(format!("{}: {}", agent.as_str().unwrap(), sentence.as_str().unwrap()));
        }
    }
    all.join("\n")
}

// ROUTE-01 ROUTE-04 ROUTE-06 ROUTE-15 PRES-01 ID-05
#[actix_web::test]
async fn rules_and_skills_decide_and_every_decision_can_be_explained() {
    let mut setup = Setup::new();
    floor(&mut setup);
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let tokens = ["kim", "gerd", "novice", "sam"].map(|agent| setup.token(agent));
    let [kims, gerds, noras, sams] = &tokens;
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, kims).await;
    kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    let mut nora = Screen::connect(&host.url, noras).await;
    nora.wait("presence").await;

    // Nobody who is there speaks German well enough: it waits, and says for what.
    world.text(Provider::Telesign, GERMAN, "Guten Tag").await;
    let items = host.until_waiting(sams, "support", 1).await;
    let id = items[0]["conversation"]["id"].as_str().unwrap().to_owned();
    assert_eq!(items[0]["conversation"]["tags"], json!(["dach"]));
    let told = sentences(&host.why(sams, &id).await);
    for expected in [
        "the rule \"german numbers\" matched: queue support, priority 0, skills german 3",
        "Kim: presence is away; the workstream allows online",
        "Nora: has german at level 2; level 3 is needed",
    ] {
        assert!(told.contains(expected), "{expected} in\n{told}");
    }
    let path = format!("/api/v1/agents/novice/why-not?conversation={id}");
    let (_, answer) = host.get(noras, &path).await;
    assert_eq!(answer["sentence"], "Nora: has german at level 2; level 3 is needed");
    let place = host.why(sams, &id).await["place"].clone();
    assert_eq!((&place["position"], &place["waiting"]), (&json!(1), &json!(1)), "ROUTE-16");

    // The moment somebody signs in who can have it (ROUTE-20).
    let mut gerd = Screen::connect(&host.url, gerds).await;
    assert_eq!(gerd.accept_next().await, id);
    let told = sentences(&host.why(gerds, &id).await);
    assert!(told.contains("support offered it to gerd"), "{told}");
    assert!(told.contains("gerd accepted it"), "{told}");
    let (_, answer) =
        host.get(sams, &format!("/api/v1/agents/kim/why-not?conversation={id}")).await;
    assert_eq!(answer["sentence"], "Kim: presence is away; the workstream allows online");

    // The same from the shell.
    let (code, text) = setup.run(&["why", "--url", &host.url, "--token", sams, &id]);
    assert!(code == 0 && text.contains("german numbers") && text.contains("gerd"), "{text}");
    let arguments = ["why-not", "--url", &host.url, "--token", sams, "kim", &id];
    assert!(setup.run(&arguments).1.contains("presence is away"));

    // Refunds go to billing, unless the customer is to be treated with care.
    world.text(Provider::Twilio, AMERICAN, "I want a REFUND").await;
    let refund = gerd.wait("offer").await;
    assert_eq!(refund["queue"], "billing");
    setup.stop_and_replay(host);
}

// ROUTE-01 ROUTE-03 ROUTE-17 ID-05
#[actix_web::test]
async fn what_becomes_known_about_a_waiting_customer_counts_at_once() {
    let mut setup = Setup::new();
    floor(&mut setup);
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    world.text(Provider::Twilio, "+14255550101", "hello").await;
    world.text(Provider::Twilio, "+14255550102", "hello").await;
    host.until_waiting(&sams, "support", 2).await;
    world.text(Provider::Twilio, AMERICAN, "refund?").await;
    let refund = host.until_waiting(&sams, "billing", 1).await[0]["conversation"]["id"].clone();

    let path = format!("/api/v1/conversations/{}/attributes", refund.as_str().unwrap());
    let known = json!({ "contact": { "tier": "Gold" }, "flags": { "bad_actor": true } });
    assert_eq!(host.put(&kims, &path, known.clone()).await.0, 403, "agents can't say so");
    assert_eq!(host.put(&sams, &path, known).await.0, 204);
    let line = host.until_waiting(&sams, "support", 3).await;
    assert_eq!(line[0]["conversation"]["id"], refund, "gold goes first, though it came last");
    assert_eq!(line[0]["conversation"]["priority"], 9);
    assert_eq!(line[0]["conversation"]["flags"]["bad_actor"], true);
    host.until_waiting(&sams, "billing", 0).await;
    setup.stop_and_replay(host);
}

// ROUTE-11 HOURS-01 ROUTE-16
#[actix_web::test]
async fn what_cant_be_served_overflows() {
    let mut setup = Setup::new();
    setup.workstream = r#"rules: [
        (name: "night", when: [Text(Is("night"))], queue: "night"),
        (name: "empty", when: [Text(Is("empty"))], queue: "empty"),
    ],"#
    .to_owned();
    setup.queues = r#"overflow: [
            (when: LongerThan(1), then: Queue("second")),
            (when: WaitedFor("1s"), then: Message("You are number {position}.")),
        ]),
        (id: "second"),
        (id: "night", hours: "never", overflow: [(when: OutOfHours, then: End("We are closed."))]),
        (id: "empty", overflow: [(when: NobodySignedIn, then: Message("Nobody is in."))]),"#
        .to_owned();
    setup.sections = r#"hours: [(id: "never", zone: "Europe/Berlin", week: ())],"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let sams = setup.token("sam");
    let host = setup.start(&[]).await;

    world.text(Provider::Twilio, "+14255550101", "one").await;
    host.until_waiting(&sams, "support", 1).await;
    world.text(Provider::Twilio, "+14255550102", "two").await;
    let second = host.until_waiting(&sams, "second", 1).await;
    let told = sentences(&host.why(&sams, second[0]["conversation"]["id"].as_str().unwrap()).await);
    assert!(told.contains("more than 1 items wait in the queue"), "{told}");
    let sent = world.wait_for_sent("position", |sent| sent.text.contains("number")).await;
    assert_eq!((sent.to.as_str(), sent.text.as_str()), ("+14255550101", "You are number 1."));

    world.text(Provider::Telesign, "+14255550103", "night").await;
    world.wait_for_sent("closed", |sent| sent.text == "We are closed.").await;
    host.until_waiting(&sams, "night", 0).await;
    world.text(Provider::Acs, "+14255550104", "empty").await;
    world.wait_for_sent("nobody", |sent| sent.text == "Nobody is in.").await;
    host.until_waiting(&sams, "empty", 1).await;
    let told = world.sent().iter().filter(|sent| sent.text.contains("number")).count();
    assert_eq!(told, 1, "each rule is applied once");
    setup.stop_and_replay(host);
}

// ROUTE-05 ROUTE-12 PLUG-01
#[actix_web::test]
async fn a_strategy_plugin_chooses_and_requirements_relax() {
    let mut setup = Setup::new();
    setup.workstream =
        r#"rules: [(name: "german", when: [Country(["DE"])], skills: {"german": 3})],"#.to_owned();
    setup.queues =
        r#"strategy: plugin("experts"), relax: [(after: "1s", skill: "german", to: 1)]),"#
            .to_owned();
    setup.sections = r#"skills: [(id: "german"), (id: "french")],
        strategies: [(id: "experts", plugin: "keep-experts", config: (other_skill: 1))],"#
        .to_owned();
    setup.agents = r#"
        (id: "expert", queues: ["support"], skills: {"german": 9, "french": 9}, capacity: (messaging: 9)),
        (id: "enough", queues: ["support"], skills: {"german": 3}, capacity: (messaging: 1)),
        (id: "little", queues: ["support"], skills: {"german": 1}, capacity: (messaging: 1)),"#
        .to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (code, text) = setup.run(&["check", setup.config()]);
    assert_eq!(code, 0, "{text}");
    let tokens = ["expert", "enough", "little"].map(|agent| setup.token(agent));
    let host = setup.start(&[]).await;
    let mut expert = Screen::connect(&host.url, &tokens[0]).await;
    expert.wait("presence").await;
    let mut enough = Screen::connect(&host.url, &tokens[1]).await;
    enough.wait("presence").await;
    // The default would choose the expert, who has nine places; the plugin keeps them free.
    world.text(Provider::Telesign, GERMAN, "Guten Tag").await;
    let first = enough.accept_next().await;
    world.text(Provider::Telesign, "+491715550101", "Hallo").await;
    assert_ne!(expert.accept_next().await, first, "enough is full");
    expert.close().await;

    // Whoever knows a little is enough after a second.
    world.text(Provider::Telesign, "+491715550102", "Servus").await;
    let mut little = Screen::connect(&host.url, &tokens[2]).await;
    let began = std::time::Instant::now();
    // The expert's presence outlives the break, so they are offered it first.
    let mut expert = Screen::connect(&host.url, &tokens[0]).await;
    let offer = expert.wait("offer").await;
    expert.must(json!({ "type": "refuse", "offer": offer["offer"] })).await;
    little.accept_next().await;
    assert!(began.elapsed().as_millis() > 500, "not before it relaxed");
    setup.stop_and_replay(host);
}
