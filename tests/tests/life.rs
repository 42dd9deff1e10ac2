//! A conversation's life beyond its plain course: rules that end it, supervisors who do, summaries,
//! sessions, queues that it is handed to.

use std::collections::BTreeSet;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::{Value, json};

const CUSTOMER: &str = "+14255550100";

// CONV-07
#[actix_web::test]
async fn a_rule_ends_what_nobody_took_what_began_again_and_what_was_given_back() {
    let mut setup = Setup::new();
    setup.workstream = "end_after: \"2s\", on_offline: return,".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    // Its own alarm has to ring: nothing else happens to it.
    let ends_in_time = async |id: &str, began_at: i64| {
        host.until_state(&sams, id, "closed").await;
        let took = host.when(&sams, id, "it closed").await - began_at;
        assert!((2000..4000).contains(&took), "{took} ms");
    };
    world.text(Provider::Telesign, CUSTOMER, "nobody takes it").await;
    let waiting = host.until_waiting(&sams, "support", 1).await;
    let queued = waiting[0]["conversation"]["id"].as_str().unwrap().to_owned();
    ends_in_time(&queued, waiting[0]["conversation"]["opened_at"].as_i64().unwrap()).await;
    world.text(Provider::Telesign, CUSTOMER, "once more").await;
    let again = host.until_state(&sams, &queued, "open").await;
    ends_in_time(&queued, again["queued_at"].as_i64().unwrap()).await;

    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Acs, CUSTOMER, "taken and given back").await;
    let given_back = kim.accept_next().await;
    let opened_at = host.conversation(&sams, &given_back).await["opened_at"].as_i64().unwrap();
    assert_eq!(host.post(&kims, "/api/v1/sign-out", json!({})).await.0, 204);
    host.until_state(&sams, &given_back, "open").await;
    ends_in_time(&given_back, opened_at).await;
    setup.stop_and_replay(host);
}

// CONV-07 CAP-02
#[actix_web::test]
async fn a_supervisors_end_finishes_wrap_up_and_frees_the_place() {
    let mut setup = Setup::new();
    setup.workstream = r#"dispositions: ["solved"], disposition_required: true,"#.to_owned();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = kim.accept_next().await;
    let end = format!("/api/v1/conversations/{id}/end");
    assert_eq!(host.post(&kims, &end, json!({})).await.0, 204);
    assert_eq!(
        host.post(&kims, &end, json!({})).await.0,
        204,
        "one's own second press is harmless"
    );
    assert_eq!(host.conversation(&sams, &id).await["state"], "wrap_up");
    assert_eq!(host.agent(&sams, "kim").await["capacity"][2]["used"], 1);
    assert_eq!(host.post(&sams, &end, json!({})).await.0, 204);
    host.until_state(&sams, &id, "closed").await;
    host.until_agent(&sams, "kim", |kim| kim["capacity"][2]["used"] == 0).await;
    kim.wait_for("gone", |frame| frame["type"] == "conversation_gone").await;
    setup.stop_and_replay(host);
}

// CONV-08 CONV-09
#[actix_web::test]
async fn the_summary_is_read_wherever_the_conversation_is() {
    let mut setup = Setup::new();
    setup.workstream = r#"dispositions: ["solved"],"#.to_owned();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "where is it?").await;
    let id = kim.accept_next().await;
    kim.must(json!({ "type": "end", "conversation": id })).await;
    let summary = "The parcel was at the neighbour's, \"number 9\".";
    kim.must(json!({ "type": "finish_wrap_up", "conversation": id,
        "disposition": "solved", "summary": summary }))
        .await;
    assert_eq!(host.conversation(&sams, &id).await["summary"], summary);
    let why = host.why(&sams, &id).await;
    assert_eq!((&why["summary"], &why["disposition"]), (&json!(summary), &json!("solved")));
    host.when(&sams, &id, "it was wrapped up as \"solved\": The parcel").await;
    // Only what somebody wrote is found, not how it is stored.
    let (status, refused) = host.get(&sams, "/api/v1/conversations/search?text=%25").await;
    assert_eq!(status, 400, "{refused}");
    assert!(refused.to_string().contains("letters or digits"), "{refused}");
    for word in ["provider_id", "message", "customer", "neighb"] {
        let path = format!("/api/v1/conversations/search?text={word}");
        assert_eq!(host.get(&sams, &path).await.1["conversations"], json!([]), "{word}");
    }
    let (_, page) = host.get(&sams, "/api/v1/conversations/search?text=NEIGHBOUR").await;
    assert_eq!(page["conversations"][0]["summary"], summary);
    let csv = host.text(&sams, "/api/v1/conversations/export?format=csv").await;
    assert!(csv.contains(r#""The parcel was at the neighbour's, ""number 9"".""#), "{csv}");
    let lines = host.text(&sams, "/api/v1/conversations/export").await;
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap()["summary"], summary);
    setup.stop_and_replay(host);
}

// CONV-09 CONV-03
#[actix_web::test]
async fn sessions_are_found_by_whose_they_are_not_by_who_was_last() {
    let mut setup = Setup::new();
    setup.queues = "), (id: \"billing\"),".to_owned();
    setup.agents =
        "(id: \"bill\", queues: [\"billing\"]), (id: \"stranger\", queues: []),".to_owned();
    let emulators = setup.with_emulators();
    let tokens = ["kim", "lee", "bill", "sam"].map(|agent| setup.token(agent));
    let [kims, lees, bills, sams] = &tokens;
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, kims).await;
    emulators.world.text(Provider::Telesign, CUSTOMER, "hello").await;
    let id = kim.accept_next().await;
    let queued_at = host.conversation(sams, &id).await["queued_at"].as_i64().unwrap();

    // Advice comes from members of its queue (CONV-03).
    for stranger in ["stranger", "bill"] {
        let consult = json!({ "type": "consult", "conversation": id, "agent": stranger });
        let refused = kim.command(consult).await;
        let expected = format!("{stranger} isn't a member of support");
        assert!(refused["error"].as_str().unwrap().contains(&expected), "{refused}");
    }
    let mut lee = Screen::connect(&host.url, lees).await;
    kim.must(json!({ "type": "consult", "conversation": id, "agent": "lee" })).await;
    let offer = lee.wait("offer").await;
    lee.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
    host.until_conversation(sams, &id, |one| one["consultants"] == json!(["lee"])).await;

    // To another queue: it waits there from now on, and advice ends.
    let mut bill = Screen::connect(&host.url, bills).await;
    bill.wait("presence").await;
    kim.must(json!({ "type": "transfer", "conversation": id, "to": { "queue": "billing" } })).await;
    assert_eq!(bill.accept_next().await, id);
    let handed = host.conversation(sams, &id).await;
    assert_eq!((&handed["agent"], &handed["queue"]), (&json!("bill"), &json!("billing")));
    assert_eq!(handed["consultants"], json!([]));
    assert!(handed["queued_at"].as_i64().unwrap() > queued_at, "a new wait");
    let refused = kim.command(json!({ "type": "reply", "conversation": id, "text": "hi" })).await;
    assert!(refused["error"].as_str().unwrap().contains("isn't the primary"), "{refused}");
    let unknown = json!({ "type": "transfer", "conversation": id, "to": { "queue": "nowhere" } });
    let unknown = bill.command(unknown).await;
    assert!(unknown["error"].as_str().unwrap().contains("queue `nowhere`"), "{unknown}");

    let of = async |query: &str| {
        let (status, page) = host.get(sams, &format!("/api/v1/sessions/search?{query}")).await;
        assert_eq!(status, 200, "{page}");
        let tell = |one: &Value| {
            let text = |part: &str| one[part].as_str().unwrap().to_owned();
            (text("agent"), text("part"), one["ended_at"].is_null())
        };
        page["sessions"].as_array().unwrap().iter().map(tell).collect::<Vec<_>>()
    };
    let told = |agent: &str, part: &str, open| (agent.to_owned(), part.to_owned(), open);
    assert_eq!(of("agent=kim").await, [told("kim", "primary", false)], "it is Bill's now");
    assert_eq!(of("agent=lee&part=consultant").await, [told("lee", "consultant", false)]);
    assert_eq!(of("open=true").await, [told("bill", "primary", true)]);
    assert_eq!(of(&format!("conversation={id}")).await.len(), 3);
    let kims_own = host.text(sams, "/api/v1/sessions/export?agent=kim&format=csv").await;
    assert_eq!(kims_own.lines().count(), 2, "{kims_own}");
    assert!(kims_own.contains(&format!("{id},kim,primary,")), "{kims_own}");
    assert_eq!(host.get(kims, "/api/v1/sessions/search").await.0, 403);
    setup.stop_and_replay(host);
}

// CONV-09
#[actix_web::test]
async fn more_than_fits_on_a_page_is_found_and_exported_once_each() {
    const CONVERSATIONS: usize = 1100;
    const AGENTS: usize = 120;
    let mut setup = Setup::new();
    setup.agents = (0..AGENTS).map(|n| format!("(id: \"a{n}\", queues: []),")).collect();
    setup.agents +=
        r#"(id: "bulk", queues: ["support"], capacity: (messaging: 2000, units: 2000)),"#;
    let emulators = setup.with_emulators();
    let world = emulators.world.clone();
    let (bulks, sams) = (setup.token("bulk"), setup.token("sam"));
    let host = setup.start(&[]).await;
    let mut bulk = Screen::at_desk(&host.url, &bulks).await;
    let mut customers = BTreeSet::new();
    for n in 0..CONVERSATIONS {
        customers.insert(format!("+1425556{n:04}"));
    }
    let writing = async {
        for customer in &customers {
            assert_eq!(world.text(Provider::Telesign, customer, "hello").await, 200);
        }
    };
    let accepting = async {
        for _ in 0..CONVERSATIONS {
            bulk.accept_next().await;
        }
    };
    tokio::join!(writing, accepting);

    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("/api/v1/conversations/search?limit=300{next}");
        let (_, page) = host.get(&sams, &path).await;
        let one = |c: &Value| c["customer"].as_str().unwrap().to_owned();
        found.extend(page["conversations"].as_array().unwrap().iter().map(one));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(found.len(), CONVERSATIONS);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), customers);
    let csv = host.text(&sams, "/api/v1/conversations/export?format=csv").await;
    assert_eq!(csv.lines().count(), CONVERSATIONS + 1, "the names stand once");
    let exported: BTreeSet<String> = host
        .text(&sams, "/api/v1/sessions/export?agent=bulk")
        .await
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["conversation"].to_string())
        .collect();
    assert_eq!(exported.len(), CONVERSATIONS);
    let (_, first) = host.get(&sams, "/api/v1/sessions/search?limit=500").await;
    assert_eq!(first["sessions"].as_array().unwrap().len(), 500);
    assert!(first["next"].is_i64());
    let (_, agents) = host.get(&sams, "/api/v1/agents").await;
    assert!(agents.as_array().unwrap().len() > AGENTS);
    setup.stop_and_replay(host);
}
