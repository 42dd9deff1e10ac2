//! What isn't kept: what a customer wants erased, and what has been kept for long enough (SEC-04).

use std::path::Path;
use std::time::{Duration, Instant};

use cordboard_tests::emulator::{Emulators, Failure, Provider};
use cordboard_tests::harness::{HostProcess, LIMIT, Screen, Setup, data_of, eventually};
use rusqlite::config::DbConfig;
use serde_json::{Value, json};

const DAY: i64 = 24 * 3600;

/// A text, a reply, a note and a summary in a conversation that ends.
async fn whole_conversation(
    (host, sams): (&HostProcess, &str),
    emulators: &Emulators,
    kim: &mut Screen,
    customer: &str,
    word: &str,
) -> String {
    let text = |what: &str| format!("{what}-{word}");
    assert_eq!(emulators.world.text(Provider::Twilio, customer, &text("text")).await, 200);
    let id = host.conversations_of(sams, customer).await[0].clone();
    accept(kim, &id).await;
    let reply = json!({ "type": "reply", "conversation": id, "text": text("reply") });
    kim.must(reply).await;
    emulators.world.wait_for_sent("the reply", |sent| sent.text == text("reply")).await;
    kim.must(json!({ "type": "note", "conversation": id, "text": text("note") })).await;
    end(kim, &id, &text("summary")).await;
    id
}

/// Others are offered, too.
async fn accept(kim: &mut Screen, id: &str) {
    let is_it = |frame: &Value| frame["type"] == "offer" && frame["conversation"] == *id;
    let offer = kim.wait_for("the offer", is_it).await;
    kim.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
}

async fn end(kim: &mut Screen, id: &str, summary: &str) {
    kim.must(json!({ "type": "end", "conversation": id })).await;
    let finish = json!({ "type": "finish_wrap_up", "conversation": id, "summary": summary });
    kim.must(finish).await;
}

/// Files, at a path or below it, that hold one of these.
fn found(folder: &Path, needles: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    if folder.is_file() {
        let bytes = std::fs::read(folder).unwrap();
        let holds =
            |needle: &&&str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        let here = needles.iter().filter(holds);
        return here.map(|needle| format!("{needle} in {}", folder.display())).collect();
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Sockets can't be read, and plugins' libraries hold nothing of customers.
        if (path.is_dir() && !path.ends_with("plugins")) || path.is_file() {
            found.extend(self::found(&path, needles));
        }
    }
    found
}

// SEC-04 SEC-03 OPS-10
#[actix_web::test]
async fn of_a_customer_who_is_erased_no_file_holds_anything() {
    let mut setup = Setup::new();
    setup.workstream = "reopen_within: \"0s\",".to_owned();
    setup.agents =
        r#"(id: "max", queues: ["support"], capacity: (messaging: 1000, units: 100000)),"#
            .to_owned();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["max", "sam", "root"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let (theirs, other) = ("+14255550177", "+14255550188");
    let needles = ["4255550177", "zebra", "470010"];
    // Enough around it that pages are full, split and moved.
    for n in 0..150 {
        // Words that differ only at their end are where an index keeps beginnings of them.
        let long = format!("{} zebra {n} 470010{n:04}", "word ".repeat(40));
        assert_eq!(emulators.world.text(Provider::Twilio, theirs, &long).await, 200);
        let others = format!("+1425556{n:04}");
        assert_eq!(emulators.world.text(Provider::Telesign, &others, &"x ".repeat(90)).await, 200);
    }
    let first = host.conversations_of(&sams, theirs).await.pop().unwrap();
    accept(&mut kim, &first).await;

    // Somebody works on it.
    let (status, refused) = host.delete(&roots, &data_of(theirs)).await;
    assert_eq!((status, &refused["code"]), (409, &json!("still_open")), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains(&first), "{refused}");
    end(&mut kim, &first, "zebra summary").await;
    let second = whole_conversation((&host, &sams), &emulators, &mut kim, theirs, "zebra").await;
    let kept = whole_conversation((&host, &sams), &emulators, &mut kim, other, "giraffe").await;
    // Those who look for them are written down, and what they looked for.
    let search = format!("/api/v1/conversations/search?customer={}", theirs.replace('+', "%2B"));
    assert_eq!(host.get(&sams, &search).await.1["conversations"].as_array().unwrap().len(), 2);
    assert_eq!(host.get(&sams, &search.replace("%2B1", "")).await.0, 200);
    let held = found(&setup.data(), &needles);
    assert!(held.iter().any(|found| found.contains("journal.sqlite")), "{held:?}");

    // Taken out as a whole, by those who may.
    assert_eq!(host.get(&sams, &data_of(theirs)).await.0, 403);
    assert_eq!(host.delete(&sams, &data_of(theirs)).await.0, 403);
    let exported = host.text(&roots, &data_of(theirs)).await;
    let lines: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "type": "customer", "address": theirs, "opted_out_on": [] }));
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("conversation"), of("message")), (2, 150 + 3), "{}", lines.len());
    for what in ["text-zebra", "reply-zebra", "note-zebra", "summary-zebra", "zebra 149 4700100149"]
    {
        assert!(exported.contains(what), "{what}");
    }
    assert!(!exported.contains("giraffe"));

    let (status, erased) = host.delete(&roots, &data_of(theirs)).await;
    assert_eq!((status, &erased), (200, &json!({ "conversations": 2, "left": [] })));
    assert_eq!(found(&setup.data(), &needles), Vec::<String>::new(), "while it runs");
    for id in [&first, &second] {
        let path = format!("/api/v1/conversations/{id}");
        assert_eq!(host.get(&sams, &path).await.0, 404);
    }
    assert_eq!(host.delete(&roots, &data_of(theirs)).await.0, 404, "there is nothing any more");
    assert_eq!(host.transcript(&sams, &kept).await.len(), 3, "others' stays");
    // How much kim has done stays, and who did this.
    let sessions = host.get(&sams, "/api/v1/sessions/search?agent=max").await.1;
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 3, "{sessions}");
    let audit = host.get(&roots, "/api/v1/audit?actor=root").await.1.to_string();
    assert!(audit.contains("customer.export") && audit.contains("customer.erase"), "{audit}");
    let searched = host.get(&roots, "/api/v1/audit?actor=sam").await.1.to_string();
    assert!(searched.contains("customer=(erased)"), "{searched}");

    // What they write from now on is new.
    let again = whole_conversation((&host, &sams), &emulators, &mut kim, theirs, "lion").await;
    assert!(![&first, &second].contains(&&again));
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert!(code == 0, "{text}");
    assert_eq!(host.delete(&roots, &data_of(theirs)).await.0, 200);
    assert_eq!(host.stop(), Some(0));
    let needles = [needles[0], needles[1], "lion"];
    assert_eq!(found(&setup.data(), &needles), Vec::<String>::new(), "after a stop");
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.transcript(&sams, &kept).await.len(), 3);
    assert_eq!(found(&setup.data(), &needles), Vec::<String>::new(), "after a start");
}

// SEC-04 CH-12
#[actix_web::test]
async fn whoever_wanted_no_messages_gets_none_after_they_were_erased() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let theirs = "+14255550166";
    let id = whole_conversation((&host, &sams), &emulators, &mut kim, theirs, "okapi").await;
    assert_eq!(emulators.world.text(Provider::Twilio, theirs, "STOP").await, 200);
    host.until_state(&sams, &id, "closed").await;

    // By hand, beside a host that runs.
    let config = setup.config().to_owned();
    let (code, text) = setup.run(&["customer", "export", theirs, &config]);
    assert!(code == 0 && text.contains("text-okapi") && text.contains("sms-twilio"), "{text}");
    let (code, text) = setup.run(&["customer", "erase", theirs, &config]);
    assert!(code == 0 && text.contains("add --yes"), "{text}");
    assert_ne!(found(&setup.data(), &["okapi"]), Vec::<String>::new());
    let (code, text) = setup.run(&["customer", "erase", theirs, "--yes", &config]);
    assert!(code == 0 && text.contains("1 conversations erased"), "{code} {text}");
    let needles = ["okapi", "4255550166"];
    assert_eq!(found(&setup.data(), &needles), Vec::<String>::new());
    let (code, text) = setup.run(&["customer", "export", theirs, &config]);
    assert!(code == 1 && text.contains("nothing is kept"), "{code} {text}");

    // Nor once what can be is computed anew: it can't be, from what is there no longer.
    assert_eq!(host.stop(), Some(0));
    let (code, text) = setup.run(&["journal", "rebuild", &config]);
    assert!(code == 0, "{code} {text}");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(emulators.world.text(Provider::Twilio, theirs, "hello okapi").await, 200);
    let id = kim.accept_next().await;
    let reply = json!({ "type": "reply", "conversation": id, "text": "no" });
    let refused = kim.command(reply.clone()).await;
    assert!(refused["error"].as_str().unwrap().contains("opted out"), "{refused}");
    assert_eq!(emulators.world.text(Provider::Twilio, theirs, "START").await, 200);
    host.until_conversation(&sams, &id, |it| it["opted_out"] == false).await;
    kim.must(reply).await;
    end(&mut kim, &id, "").await;
    assert_eq!(host.stop(), Some(0));
    // And with nobody there.
    let (code, text) = setup.run(&["customer", "erase", theirs, "--yes", &config]);
    assert!(code == 0 && text.contains("erased"), "{code} {text}");
    assert_eq!(found(&setup.data(), &needles), Vec::<String>::new());
    // One that was killed before its end is carried on by whoever asks again.
    let tables = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    let half_done = "UPDATE to_scrub SET scrubbed = scrubbed - 1";
    assert_eq!(tables.execute(half_done, []).unwrap(), 1);
    drop(tables);
    let erase = || setup.run(&["customer", "erase", theirs, "--yes", &config]);
    let (code, text) = erase();
    assert!(code == 0 && text.contains("is carried on"), "{code} {text}");
    let (code, text) = erase();
    assert!(code == 1 && text.contains("nothing is kept"), "{code} {text}");
}

// SEC-04
#[actix_web::test]
async fn a_customer_who_writes_while_they_are_erased_is_heard_or_it_is_refused() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["kim", "sam", "root"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    for n in 0..12 {
        let theirs = format!("+1425555{n:04}");
        assert_eq!(emulators.world.text(Provider::Twilio, &theirs, "before").await, 200);
        let id = kim.accept_next().await;
        end(&mut kim, &id, "").await;
        host.until_state(&sams, &id, "closed").await;
        let path = data_of(&theirs);
        let writes = async {
            tokio::time::sleep(Duration::from_millis(3 * n)).await;
            emulators.world.text(Provider::Twilio, &theirs, "meanwhile").await
        };
        let ((status, answer), taken) = tokio::join!(host.delete(&roots, &path), writes);
        assert!([200, 409].contains(&status), "{answer}");
        assert_eq!(taken, 200);
        let left = host.conversations_of(&sams, &theirs).await;
        let mut texts = Vec::new();
        for id in &left {
            texts.extend(host.transcript(&sams, id).await);
        }
        let heard = |text: &str| texts.iter().filter(|message| message["text"] == text).count();
        let before = usize::from(status == 409);
        assert_eq!((heard("before"), heard("meanwhile")), (before, 1), "{n}: {status} {texts:?}");
        // It goes on as any other.
        let id = kim.accept_next().await;
        end(&mut kim, &id, "").await;
    }
    setup.stop_and_replay(host);
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert!(code == 0, "{text}");
}

// SEC-04 OPS-11
#[actix_web::test]
async fn what_has_been_kept_for_long_enough_goes_by_itself() {
    let mut setup = Setup::new();
    setup.workstream =
        "retention: (messages: \"30d\", decisions: \"7d\"), end_after: \"365d\",".to_owned();
    setup.host =
        "retention: (audit: \"60d\", replies: \"7d\", agent_history: \"7d\", after_jump: \"0s\"),"
            .to_owned();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["kim", "sam", "root"].map(|agent| setup.token(agent));
    let clock = setup.with_clock();
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let ended =
        whole_conversation((&host, &sams), &emulators, &mut kim, "+14255550101", "heron").await;
    let is_delivered =
        async || host.transcript(&sams, &ended).await[1]["delivery"]["status"] == "delivered";
    while !is_delivered().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550102", "open stork").await, 200);
    let open = kim.accept_next().await;
    assert_eq!(host.get(&sams, "/api/v1/conversations/search").await.0, 200);
    let rows = |table: &str| {
        let file = setup.data().join("journal.sqlite");
        let query = format!("SELECT count(*) FROM {table}");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.query_row(&query, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let gone = async |table: &str| {
        eventually(&format!("no {table}"), || (rows(table) == 0).then_some(())).await;
    };
    assert_eq!(host.stop(), Some(0));
    let before = ["decisions", "agent_events", "outbox", "audit"].map(rows);
    assert!(before.iter().all(|count| *count > 0), "{before:?}");

    // After ten days: why they went where they did is gone, what was said isn't.
    clock.set(10 * DAY);
    let host = setup.start(&["--strict"]).await;
    gone("decisions WHERE length(body) > 0").await;
    gone("outbox").await;
    assert_eq!(host.transcript(&sams, &ended).await.len(), 3);
    assert!(!found(&setup.data(), &["heron"]).is_empty());
    assert_eq!(host.stop(), Some(0));
    assert!(rows("audit") >= before[3]);

    clock.set(31 * DAY);
    let host = setup.start(&["--strict"]).await;
    let began = Instant::now();
    let path = format!("/api/v1/conversations/{ended}");
    while host.get(&sams, &path).await.0 != 404 {
        assert!(began.elapsed() < LIMIT, "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(host.transcript(&sams, &open).await.len(), 1, "it hasn't ended");
    let sessions = host.get(&sams, "/api/v1/sessions/search?agent=kim").await.1;
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2, "how much was done stays");
    assert_eq!(host.stop(), Some(0));
    assert_eq!(found(&setup.data().join("journal.sqlite"), &["heron"]), Vec::<String>::new());

    // A change takes effect at once, and is written down.
    clock.set(61 * DAY);
    let host = setup.start(&["--strict"]).await;
    let searches = "audit WHERE action = 'conversation.search'";
    assert!(rows(searches) > 0);
    gone(searches).await;
    setup.change("main.ron", "\"30d\"", "\"40d\"");
    let (status, change) = host.post(&roots, "/api/v1/config/reload", json!({})).await;
    assert_eq!(status, 200, "{change}");
    let audit = host.get(&roots, "/api/v1/audit?action=config.change").await.1.to_string();
    assert!(audit.contains("kept for 40d (before: for 30d)"), "{audit}");
}

/// Nobody is told that nothing is kept of somebody whose text was taken a moment ago.
// SEC-04
#[actix_web::test]
async fn what_was_taken_just_now_is_there_for_whoever_looks_for_it() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    for n in 0..5 {
        let theirs = format!("+1425555017{n}");
        assert_eq!(emulators.world.text(Provider::Twilio, &theirs, "hello").await, 200);
        let (code, text) = setup.run(&["customer", "erase", &theirs, "--yes", setup.config()]);
        assert!(code != 0 && text.contains("1 conversation of theirs is open"), "{code} {text}");
        let (code, text) = setup.run(&["customer", "export", &theirs, setup.config()]);
        assert!(code == 0 && text.contains("hello"), "{code} {text}");
    }
    assert_eq!(host.stop(), Some(0));
}

// SEC-04
#[actix_web::test]
async fn traces_that_cant_go_at_once_go_later_whatever_becomes_of_the_host() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["kim", "sam", "root"].map(|agent| setup.token(agent));
    let mut host = setup.start(&["--strict"]).await;
    for is_killed in [false, true] {
        let mut kim = Screen::at_desk(&host.url, &kims).await;
        let theirs = "+14255550155";
        whole_conversation((&host, &sams), &emulators, &mut kim, theirs, "lynx").await;
        // Somebody reads an older state, of the tables and of the log.
        let readers = ["journal.sqlite", "log.sqlite"].map(|name| {
            let reader = rusqlite::Connection::open(setup.data().join(name)).unwrap();
            reader.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
            let table = if name == "log.sqlite" { "batches" } else { "events" };
            reader.execute_batch(&format!("BEGIN; SELECT count(*) FROM {table}")).unwrap();
            reader
        });
        let began = Instant::now();
        let data = data_of(theirs);
        let erasing = host.delete(&roots, &data);
        let other = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let began = Instant::now();
            assert_eq!(emulators.world.text(Provider::Telesign, "+14255550156", "hi").await, 200);
            began.elapsed()
        };
        let ((status, erased), waited) = tokio::join!(erasing, other);
        assert_eq!((status, &erased["conversations"]), (200, &json!(1)), "{erased}");
        assert!(erased["left"][0].as_str().unwrap().contains("goes on trying"), "{erased}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(waited < Duration::from_secs(2), "others don't wait for it: {waited:?}");
        let id = host.conversations_of(&sams, "+14255550156").await[0].clone();
        if is_killed {
            host.kill();
            drop(readers);
            host = setup.start(&["--strict"]).await;
        } else {
            drop(readers);
            accept(&mut kim, &id).await;
            end(&mut kim, &id, "").await;
        }
        let needles = ["lynx", "4255550155"];
        while found(&setup.data(), &needles) != Vec::<String>::new() {
            assert!(began.elapsed() < 2 * LIMIT, "{:?}", found(&setup.data(), &needles));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    setup.stop_and_replay(host);
}

// SEC-04 OPS-10
#[actix_web::test]
async fn copies_that_lie_beside_the_journal_are_named_and_what_was_left_unfinished_goes() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let data = setup.data();
    std::fs::create_dir_all(&data).unwrap();
    for name in ["restored.partial", "rescue-7.partial"] {
        std::fs::write(data.join(name), "half a journal, with +14255550177").unwrap();
    }
    let host = setup.start(&["--strict"]).await;
    assert!(!data.join("restored.partial").exists() && !data.join("rescue-7.partial").exists());
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let theirs = "+14255550177";
    whole_conversation((&host, &sams), &emulators, &mut kim, theirs, "zebra").await;
    let backup = data.join("copy.db").display().to_string();
    let (code, text) = setup.run(&["journal", "backup", &backup, setup.config()]);
    assert_eq!(code, 0, "{text}");
    std::fs::write(data.join("copy.sqlite.4711.partial"), "half a backup").unwrap();
    // Whoever holds an older state holds what was removed; the command line says so, too.
    let reading = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
    reading.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    reading.execute_batch("BEGIN").unwrap();
    let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    reading.query_row("SELECT count(*) FROM events", [], count).unwrap();
    let (code, text) = setup.run(&["customer", "erase", theirs, setup.config(), "--yes"]);
    assert_eq!(code, 0, "{text}");
    for part in ["copy.db is a copy", "copy.sqlite.4711.partial is a copy", "hold what was removed"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("every trace"), "{text}");
    drop(reading);
    std::fs::remove_file(backup).unwrap();
    std::fs::remove_file(data.join("copy.sqlite.4711.partial")).unwrap();
    let began = Instant::now();
    let needles = ["4255550177", "zebra"];
    while found(&data, &needles) != Vec::<String>::new() {
        assert!(began.elapsed() < 2 * LIMIT, "{:?}", found(&data, &needles));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    setup.stop_and_replay(host);
}

// SEC-04 OPS-11
#[actix_web::test]
async fn a_clock_that_stands_wrong_for_a_moment_removes_nothing() {
    let mut setup = Setup::new();
    setup.workstream = "retention: (messages: \"30d\"),".to_owned();
    let emulators = setup.with_emulators();
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let clock = setup.with_clock();
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let ended =
        whole_conversation((&host, &sams), &emulators, &mut kim, "+14255550101", "heron").await;
    assert_eq!(host.stop(), Some(0));
    clock.set(400 * DAY);
    let host = setup.start(&["--strict"]).await;
    host.prints("stands far from where the last host left it").await;
    clock.set(0);
    // What is removed at a start is removed after five seconds.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(host.transcript(&sams, &ended).await.len(), 3);
    assert!(!host.log().contains("had been kept for long enough are gone"));
    assert_eq!(host.stop(), Some(0));
}

// SEC-04
#[actix_web::test]
async fn nobody_is_erased_while_a_reply_to_them_may_still_go_out() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["kim", "sam", "root"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let theirs = "+14255550144";
    assert_eq!(emulators.world.text(Provider::Twilio, theirs, "hello").await, 200);
    let id = kim.accept_next().await;
    let busy = || Failure::Status(503, Some(1));
    emulators.world.fail_next([busy(), busy()]);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "later" })).await;
    end(&mut kim, &id, "").await;
    host.until_state(&sams, &id, "closed").await;
    let (status, refused) = host.delete(&roots, &data_of(theirs)).await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("still to be sent"), "{refused}");
    emulators.world.wait_for_sent("the reply", |sent| sent.text == "later").await;
    let began = Instant::now();
    while host.delete(&roots, &data_of(theirs)).await.0 != 200 {
        assert!(began.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found(&setup.data(), &["4255550144"]), Vec::<String>::new());
    assert_eq!(host.stop(), Some(0));
}
