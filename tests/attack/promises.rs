//! What was answered stands: nothing is said to be done before it is on disk, and nobody takes it back by
//! hanging up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cordboard_tests::emulator::{Failure, Provider, twilio_webhook};
use cordboard_tests::harness::{HostProcess, LIMIT, Screen, Setup, data_of, eventually};
use serde_json::{Value, json};

use crate::tools::{connect, held, until_closed};
use tokio::io::AsyncWriteExt;

const CUSTOMER: &str = "+14255550100";

/// Somebody who keeps the log from being written.
fn holder(setup: &Setup) -> rusqlite::Connection {
    let log = rusqlite::Connection::open(setup.data().join("log.sqlite")).unwrap();
    log.busy_timeout(Duration::from_secs(5)).unwrap();
    log.execute_batch("BEGIN IMMEDIATE").unwrap();
    log
}

// OPS-06 PRES-04
#[actix_web::test]
async fn nothing_is_answered_before_it_is_on_disk() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    emulators.world.text(Provider::Twilio, CUSTOMER, "hello").await;
    let offer = kim.wait("offer").await["offer"].as_str().unwrap().to_owned();
    let log = holder(&setup);
    let accept = format!("/api/v1/offers/{offer}/accept");
    let presence = json!({ "status": "away" });
    let too_early = Duration::from_millis(700);
    let accepting = tokio::time::timeout(too_early, host.post(&kims, &accept, json!({}))).await;
    assert!(accepting.is_err(), "accepted before it was on disk: {accepting:?}");
    let away = host.put(&kims, "/api/v1/me/presence", presence.clone());
    let away = tokio::time::timeout(too_early, away).await;
    assert!(away.is_err(), "away before it was on disk: {away:?}");
    log.execute_batch("ROLLBACK").unwrap();
    assert_eq!(host.post(&kims, &accept, json!({})).await.0, 204);
    assert_eq!(host.put(&kims, "/api/v1/me/presence", presence).await.0, 204);
    let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
    assert_eq!(open[0]["agent"], "kim");
    host.kill();
    let host = setup.start(&["--strict"]).await;
    let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
    assert_eq!(open[0]["agent"], "kim", "{open}");
    // Written down late, but written down: nobody sets it twice.
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    journal.busy_timeout(Duration::from_secs(5)).unwrap();
    let on_disk = || {
        let query = "SELECT body FROM presence WHERE agent = 'kim'";
        journal.query_row(query, [], |row| row.get::<_, Vec<u8>>(0)).unwrap()
    };
    let before = on_disk();
    let log = holder(&setup);
    let (status, answer) =
        host.put(&kims, "/api/v1/me/presence", json!({ "status": "online" })).await;
    assert_eq!(status, 503, "it isn't on disk: {answer}");
    assert_eq!(on_disk(), before);
    log.execute_batch("ROLLBACK").unwrap();
    eventually("what couldn't be written is", || (on_disk() != before).then_some(())).await;
    held("accepting and presence while nothing can be written", "answered once it is on disk");
}

// OPS-06
#[actix_web::test]
async fn a_stop_waits_for_what_is_being_sent() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    emulators.world.text(Provider::Twilio, CUSTOMER, "hello").await;
    let id = kim.accept_next().await;
    emulators.world.set_reports(false);
    emulators.world.fail_next([Failure::Late(1500)]);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "slowly" })).await;
    emulators.world.wait_for_sent("the reply", |sent| sent.text == "slowly").await;
    let began = std::time::Instant::now();
    assert_eq!(host.stop(), Some(0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "it goes on as soon as it is settled: {took:?}");
    let host = setup.start(&["--strict"]).await;
    let messages = host.transcript(&token, &id).await;
    let reply = messages.iter().find(|message| message["text"] == "slowly").unwrap();
    assert_eq!(reply["delivery"]["status"], "sent", "{reply}");
    let sent = emulators.world.sent();
    assert!(sent.iter().all(|sent| sent.times == 1), "{sent:?}");
    held("a stop while a reply is being sent", &format!("it waits {} ms for it", took.as_millis()));
}

// SEC-03
#[actix_web::test]
async fn who_hangs_up_leaves_nothing_out_of_the_audit_log() {
    let mut setup = Setup::new();
    setup.agents = "(id: \"ada\", name: \"Ada\", role: administrator),".to_owned();
    let emulators = setup.with_emulators();
    let (sams, adas) = (setup.token("sam"), setup.token("ada"));
    let host = setup.start(&["--strict"]).await;
    const COUNT: usize = 20;
    for n in 0..COUNT {
        let from = format!("+1425555{n:04}");
        assert_eq!(emulators.world.text(Provider::Twilio, &from, "hello").await, 200);
    }
    let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
    let ids: Vec<String> =
        open.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), COUNT);
    for (n, id) in ids.iter().enumerate() {
        let request = format!(
            "POST /api/v1/conversations/{id}/end HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {sams}\r\ncontent-length: 0\r\n\r\n"
        );
        let mut connection = connect(&host.url).await;
        connection.write_all(request.as_bytes()).await.unwrap();
        // Torn down, sooner or later.
        tokio::time::sleep(Duration::from_micros(300 * n as u64)).await;
        connection.set_zero_linger().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut ended = 0;
    for id in &ids {
        let (_, seen) = host.get(&sams, &format!("/api/v1/conversations/{id}")).await;
        let is_ended = seen["conversation"]["state"] != "open";
        let (_, entries) =
            host.get(&adas, &format!("/api/v1/audit?action=conversation.end&subject={id}")).await;
        let is_noted = !entries["entries"].as_array().unwrap().is_empty();
        assert!(is_noted || !is_ended, "{id} was ended, and nobody noted it");
        ended += usize::from(is_ended);
    }
    assert!(ended > 0, "none was ended");
    held(
        "commands whose sender hangs up",
        &format!("{ended} of {COUNT} done, each in the audit log"),
    );
}

// CONV-06
#[actix_web::test]
async fn who_comes_to_look_while_something_is_written_sees_it() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    assert_eq!(emulators.world.text(Provider::Twilio, CUSTOMER, "hello").await, 200);
    let id = kim.accept_next().await;
    kim.close().await;
    let stalled = holder(&setup);
    let goes_on = emulators.world.text(Provider::Twilio, CUSTOMER, "are you there?");
    let looks = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut kim = Screen::connect(&host.url, &token).await;
        let snapshot = kim.wait("snapshot").await;
        assert!(!snapshot.to_string().contains("are you there?"), "it isn't written: {snapshot}");
        stalled.execute_batch("ROLLBACK").unwrap();
        kim.wait_for("the message", |frame| {
            frame["type"] == "message" && frame["message"]["text"] == "are you there?"
        })
        .await;
        kim.wait_for("what has changed", |frame| {
            frame["type"] == "conversation" && frame["id"] == id && frame["state"] == "active"
        })
        .await;
    };
    let (status, ()) = tokio::join!(goes_on, looks);
    assert_eq!(status, 200);
    held("a screen that comes while something is being written", "it sees what was");
}

// CH-12
#[actix_web::test]
async fn what_waits_to_be_sent_isnt_sent_to_whoever_has_said_stop() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    world.fail_next((0..3).map(|_| Failure::Status(503, Some(1))));
    for n in 0..3 {
        let text = format!("offer {n}");
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "STOP").await, 200);
    let began = Instant::now();
    loop {
        let messages = host.transcript(&sams, &id).await;
        let replies = messages
            .iter()
            .filter(|one| one["author"]["role"] == "agent" || one["role"] == "agent");
        let states: Vec<Value> = replies.map(|one| one["delivery"].clone()).collect();
        if states.len() == 3 && states.iter().all(|state| state["status"] == "undelivered") {
            assert!(states.iter().all(|state| state["code"] == "opted_out"), "{states:?}");
            break;
        }
        assert!(began.elapsed() < LIMIT, "{states:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(world.sent().iter().all(|sent| !sent.text.starts_with("offer")), "{:?}", world.sent());
    held("replies that waited when their customer said STOP", "none went out; each says why");
}

// CH-12
#[actix_web::test]
async fn what_waits_for_its_turn_isnt_sent_to_whoever_has_said_stop() {
    const SIDE_BY_SIDE: usize = 64;
    const ALL: usize = SIDE_BY_SIDE + 8;
    let mut setup = Setup::new();
    setup.agents =
        r#"(id: "max", queues: ["support"], capacity: (messaging: 100, units: 1000)),"#.to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    world.set_reports(false);
    let maxs = setup.token("max");
    let host = setup.start(&["--strict"]).await;
    let mut max = Screen::at_desk(&host.url, &maxs).await;
    let number = |n: usize| format!("+1425555{n:04}");
    let mut ids = Vec::new();
    for n in 0..ALL {
        assert_eq!(world.text(Provider::Twilio, &number(n), "hello").await, 200);
        ids.push(max.accept_next().await);
    }
    world.fail_next((0..ALL).map(|_| Failure::Late(4000)));
    // A sync that takes its time: all replies are in one batch, and each was to go out at once.
    let stalled = holder(&setup);
    let replies = ids.iter().map(|id| {
        let path = format!("/api/v1/conversations/{id}/reply");
        let (host, maxs) = (&host, &maxs);
        async move { host.post(maxs, &path, json!({ "text": "offer" })).await.0 }
    });
    let release = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        stalled.execute_batch("ROLLBACK").unwrap();
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(replies), release);
    assert_eq!(answers, vec![204; ALL]);
    eventually("as many as may are being sent", || {
        (world.sent().len() == SIDE_BY_SIDE).then_some(())
    })
    .await;
    for n in 0..ALL {
        assert_eq!(world.text(Provider::Twilio, &number(n), "STOP").await, 200);
    }
    let begun: Vec<String> = world.sent().iter().map(|sent| sent.to.clone()).collect();
    assert_eq!(begun.len(), SIDE_BY_SIDE, "the others wait while all say STOP");
    for (n, id) in ids.iter().enumerate() {
        let began = Instant::now();
        let delivery = loop {
            let messages = host.transcript(&maxs, id).await;
            let reply = messages.iter().find(|one| one["text"] == "offer").unwrap().clone();
            if reply["delivery"]["status"] != "queued" {
                break reply["delivery"].clone();
            }
            assert!(began.elapsed() < LIMIT, "{reply}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        match begun.contains(&number(n)) {
            true => assert_eq!(delivery["status"], "sent", "{delivery}"),
            false => assert_eq!(delivery["code"], "opted_out", "{delivery}"),
        }
    }
    assert_eq!(world.sent().len(), SIDE_BY_SIDE);
    held("replies that waited for their turn when their customers said STOP", "none went out");
}

// SEC-03 CONV-07
#[actix_web::test]
async fn what_changes_hands_while_it_is_ended_is_noted_or_goes_on() {
    let mut setup = Setup::new();
    setup.agents = "(id: \"ada\", name: \"Ada\", role: administrator),".to_owned();
    setup.queues = "), (id: \"billing\", name: \"Billing\"),".to_owned();
    let emulators = setup.with_emulators();
    let (sams, adas) = (setup.token("sam"), setup.token("ada"));
    let host = setup.start(&["--strict"]).await;
    let mut sam = Screen::at_desk(&host.url, &sams).await;
    const COUNT: usize = 30;
    let (mut unnoted, mut both) = (Vec::new(), 0);
    for n in 0..COUNT {
        let from = format!("+1425555{n:04}");
        assert_eq!(emulators.world.text(Provider::Twilio, &from, "hello").await, 200);
        let id = host.conversations_of(&sams, &from).await[0].clone();
        sam.must(json!({ "type": "take", "conversation": id })).await;
        let path = format!("/api/v1/conversations/{id}");
        let request = |what: &str, body: &str| {
            format!(
                "POST {path}/{what} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {sams}\r\n\
                 content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let (mut ends, mut hands_over) = (connect(&host.url).await, connect(&host.url).await);
        ends.write_all(request("end", "").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_micros(50 * n as u64)).await;
        let to = request("transfer", "{\"queue\":\"billing\"}");
        hands_over.write_all(to.as_bytes()).await.unwrap();
        let mut done = 0;
        for connection in [&mut ends, &mut hands_over] {
            let answer = until_closed(connection, Duration::from_secs(5)).await.unwrap();
            done += usize::from(answer.starts_with("HTTP/1.1 204"));
        }
        both += usize::from(done == 2);
        let (_, seen) = host.get(&sams, &path).await;
        let audit = format!("/api/v1/audit?action=conversation.end&subject={id}");
        let (_, entries) = host.get(&adas, &audit).await;
        let is_noted = !entries["entries"].as_array().unwrap().is_empty();
        // In a queue, and closed: it was ended when it wasn't sam's any more.
        if seen["conversation"]["state"] == "closed" && !is_noted {
            unnoted.push(id);
        }
    }
    assert_eq!(unnoted, Vec::<String>::new());
    held("an end and a transfer at once", &format!("{COUNT} times, both done in {both}"));
}

/// The next conversation, from its offer to its end.
async fn takes_and_closes(screen: &mut Screen, host: &HostProcess, token: &str) {
    let id = screen.accept_next().await;
    screen.must(json!({ "type": "end", "conversation": id })).await;
    screen.must(json!({ "type": "finish_wrap_up", "conversation": id })).await;
    host.until_state(token, &id, "closed").await;
}

// SEC-02 CONV-01
#[actix_web::test]
async fn a_webhook_that_somebody_kept_opens_nothing_however_many_conversations_later() {
    let mut setup = Setup::new();
    setup.workstream = "reopen_within: \"0s\",".to_owned();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["kim", "sam", "root"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict", "--idle-after", "1"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let (customer, kept) = ("+14255550100", "SM000000000000000000000000000000aa");
    let world = &emulators.world;
    assert_eq!(world.deliver(Provider::Twilio, kept, customer, "kept").await, 200);
    for n in 0..5 {
        takes_and_closes(&mut kim, &host, &sams).await;
        if n < 4 {
            assert_eq!(world.text(Provider::Twilio, customer, &format!("text {n}")).await, 200);
        }
    }
    // None of them is in memory any more.
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert_eq!(world.deliver(Provider::Twilio, kept, customer, "kept").await, 200);
    assert_eq!(host.conversations_of(&sams, customer).await.len(), 5);
    held("a webhook that was kept, sent again five conversations later", "nothing is opened");
    // Nor does it bring back whoever was erased; they themselves are heard.
    assert_eq!(host.delete(&roots, &data_of(customer)).await.0, 200);
    assert_eq!(world.deliver(Provider::Twilio, kept, customer, "kept").await, 200);
    host.kill();
    let host = setup.start(&["--strict"]).await;
    assert_eq!(world.deliver(Provider::Twilio, kept, customer, "kept").await, 200);
    assert_eq!(host.conversations_of(&sams, customer).await.len(), 0);
    assert_eq!(world.text(Provider::Twilio, customer, "it's me").await, 200);
    assert_eq!(host.conversations_of(&sams, customer).await.len(), 1);
    held("the same, once its customer was erased", "nobody comes back by it");
    setup.stop_and_replay(host);
}

/// What was on its way to a look when its customer was erased.
// SEC-02 SEC-04
#[actix_web::test]
async fn a_webhook_that_comes_again_in_the_moment_of_an_erasure_opens_nothing() {
    const CUSTOMERS: usize = 12;
    let mut setup = Setup::new();
    setup.workstream = "reopen_within: \"0s\",".to_owned();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["kim", "sam", "root"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict", "--idle-after", "1"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let (world, host) = (&emulators.world, &host);
    let customers: Vec<(String, String)> =
        (0..CUSTOMERS).map(|n| (format!("+142555501{n:02}"), format!("SM{n:032x}"))).collect();
    for (customer, kept) in &customers {
        assert_eq!(world.deliver(Provider::Twilio, kept, customer, "kept").await, 200);
        takes_and_closes(&mut kim, host, &sams).await;
    }
    // None of them is in memory any more, and each repetition has to look.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for (customer, kept) in &customers {
        let path = data_of(customer);
        let erases = host.delete(&roots, &path);
        let comes_again = async {
            for wait in 0..10 {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                assert_eq!(world.deliver(Provider::Twilio, kept, customer, "kept").await, 200);
            }
        };
        let ((status, answer), ()) = tokio::join!(erases, comes_again);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(world.deliver(Provider::Twilio, kept, customer, "kept").await, 200);
        assert_eq!(host.conversations_of(&sams, customer).await.len(), 0, "{customer}");
    }
    held("webhooks that come again while their customer is erased", "nobody comes back by them");
}

// SEC-02 CH-03 CH-12
#[actix_web::test]
async fn a_signature_that_holds_for_two_messages_counts_for_the_one_that_was_sent() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let sams = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let world = &emulators.world;
    let (victim, attacker) = ("+14255550100", "+14255550166");
    assert_eq!(world.text(Provider::Twilio, victim, "hello").await, 200);
    // Whoever writes so is heard, as Twilio has the message so.
    let fake = "SM0123456789abcdef0123456789abcdef";
    let text = format!("STOPFrom{victim}MessageSid{fake}N");
    assert_eq!(world.deliver(Provider::Twilio, &"b".repeat(32), attacker, &text).await, 200);
    let real = format!("SM{}", "b".repeat(32));
    let accounts = &world.accounts;
    let joined = [
        ("AccountSid", accounts.twilio_sid.as_str()),
        ("ApiVersion", "2010-04-01"),
        ("Body", &text),
        ("From", attacker),
        ("FromCity", ""),
        ("FromCountry", "US"),
        ("MessageSid", &real),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("SmsMessageSid", &real),
        ("SmsSid", &real),
        ("SmsStatus", "received"),
        ("To", Provider::Twilio.our_number()),
    ];
    let fields = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let url = format!("{}/hooks/sms-twilio", host.url);
    let signature = twilio_webhook(&accounts.twilio_token, &url, &fields(&joined));
    // The same text, cut so that the victim has sent it.
    let rest = format!("{attacker}FromCityFromCountryUSMessage");
    let sid = format!("Sid{real}NumMedia0NumSegments1SmsMessageSid{real}SmsSid{real}SmsStatus");
    let cut = [
        ("AccountSid", accounts.twilio_sid.as_str()),
        ("ApiVersion", "2010-04-01"),
        ("Body", "STOP"),
        ("From", victim),
        ("MessageSid", fake),
        ("NFrom", &rest),
        (&sid, "received"),
        ("To", Provider::Twilio.our_number()),
    ];
    assert_eq!(
        twilio_webhook(&accounts.twilio_token, &url, &fields(&cut)),
        signature,
        "it is signed as well"
    );
    let client = reqwest::Client::new();
    let post = client.post(&url).header("x-twilio-signature", &signature).form(&fields(&cut));
    assert_eq!(post.send().await.unwrap().status(), 403);
    let id = host.conversations_of(&sams, victim).await.remove(0);
    assert_eq!(host.conversation(&sams, &id).await["opted_out"], false);
    assert_eq!(host.transcript(&sams, &id).await.len(), 1);
    held("one's own signed text, cut into somebody else's STOP", "Twilio is asked: 403");
}
