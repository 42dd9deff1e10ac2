//! The log and the views: what is acknowledged is in the log, whether anybody can see it yet or not.

use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup, eventually};
use rusqlite::config::DbConfig;
use serde_json::json;

fn events(journal: &rusqlite::Connection) -> i64 {
    let count = "SELECT count(*) FROM events WHERE kind = 'message_received'";
    journal.query_row(count, [], |row| row.get(0)).unwrap()
}

// OPS-03 OPS-06
#[actix_web::test]
async fn what_nobody_could_see_yet_is_there_after_kill_9() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let customer = "+14255550100";
    assert_eq!(emulators.world.text(Provider::Twilio, customer, "before").await, 200);
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    journal.busy_timeout(Duration::from_secs(5)).unwrap();
    eventually("it can be seen", || (events(&journal) == 1).then_some(())).await;
    // Somebody holds the views.
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    for n in 0..20 {
        assert_eq!(
            emulators.world.text(Provider::Twilio, customer, &format!("text {n}")).await,
            200,
            "a customer doesn't wait for the views"
        );
    }
    assert_eq!(events(&journal), 1);
    host.kill();
    journal.execute_batch("ROLLBACK").unwrap();
    assert_eq!(events(&journal), 1, "nobody has applied them");
    drop(journal);
    let host = setup.start(&["--strict"]).await;
    let mut texts = host.transcripts(&token).await;
    let expected: Vec<String> =
        std::iter::once("before".to_owned()).chain((0..20).map(|n| format!("text {n}"))).collect();
    assert_eq!(texts, expected);
    // And whoever reads while the host lives sees what was acknowledged before.
    for n in 20..60 {
        let text = format!("text {n}");
        assert_eq!(emulators.world.text(Provider::Twilio, customer, &text).await, 200);
        texts = host.transcripts(&token).await;
        assert_eq!(texts.last(), Some(&text));
    }
    setup.stop_and_replay(host);
}

// OPS-03 OPS-05 OPS-11
#[actix_web::test]
async fn views_that_are_stuck_are_said_and_follow_later() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    // What the start has written can be seen, or who texts would wait for that.
    assert_eq!(host.transcripts(&token).await, [""; 0]);
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    journal.busy_timeout(Duration::from_secs(5)).unwrap();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let (status, answer) = host.get(&token, "/api/v1/conversations?all=true").await;
    assert_eq!(status, 503, "what was acknowledged isn't left out: {answer}");
    host.prints("can't be made visible; it is in the log").await;
    let ready = reqwest::get(format!("{}/health/ready", host.url)).await.unwrap();
    assert_eq!(ready.status(), 503);
    let why = ready.text().await.unwrap();
    assert!(why.contains("what is committed can't be seen yet"), "{why}");
    journal.execute_batch("ROLLBACK").unwrap();
    host.prints("what is committed is visible again").await;
    assert_eq!(host.transcripts(&token).await, ["hello"]);
    setup.stop_and_replay(host);
}

// OPS-03
#[actix_web::test]
async fn a_log_that_isnt_the_journals_own_is_refused_with_advice() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let data = setup.data();
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "one").await, 200);
    host.kill();
    let copy_of = |name: &str| std::fs::read(data.join(name)).unwrap();
    let names = ["journal.sqlite", "journal.sqlite-wal", "log.sqlite", "log.sqlite-wal"];
    let early = names.map(copy_of);
    let host = setup.start(&["--strict"]).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "two").await, 200);
    // Whoever reads it has it in the tables, beyond what the early log has.
    assert_eq!(host.transcripts(&token).await.len(), 2);
    host.kill();
    let late = names.map(copy_of);
    let put = |files: &[&Vec<u8>; 4]| {
        for (name, bytes) in names.iter().zip(files) {
            // What lies there of another's is in the way.
            let _ = std::fs::remove_file(data.join(format!("{name}-shm")));
            std::fs::write(data.join(name), bytes).unwrap();
        }
    };
    let refused = |helps: &str| {
        let (code, text) = setup.run(&["run", setup.config()]);
        assert!(code == 3 && text.contains(helps), "{helps}: {code} {text}");
    };
    put(&[&late[0], &late[1], &early[2], &early[3]]);
    refused("it is an older one");
    put(&[&late[0], &late[1], &late[2], &late[3]]);
    for end in ["", "-wal", "-shm"] {
        std::fs::rename(data.join(format!("log.sqlite{end}")), data.join(format!("aside{end}")))
            .ok();
    }
    refused("its log, log.sqlite, is gone");
    std::fs::write(data.join("log.sqlite"), "").unwrap();
    refused("its log, log.sqlite, is gone or empty");
    // One of another journal.
    let mut other = Setup::new();
    let _emulators = other.with_emulators();
    let host = other.start(&["--strict"]).await;
    assert_eq!(host.stop(), Some(0));
    for end in ["-wal", "-shm"] {
        // Made by a look at the empty one.
        let _ = std::fs::remove_file(data.join(format!("log.sqlite{end}")));
    }
    std::fs::copy(other.data().join("log.sqlite"), data.join("log.sqlite")).unwrap();
    refused("belongs to another journal.sqlite");
    put(&[&late[0], &late[1], &late[2], &late[3]]);
    // A bit that has flipped.
    {
        let _ = std::fs::remove_file(data.join("log.sqlite-shm"));
        let log = rusqlite::Connection::open(data.join("log.sqlite")).unwrap();
        // A killed host's -wal stays.
        log.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        let journal = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
        // The views lack the last batch, and that isn't what was written.
        journal.execute("UPDATE position SET applied = applied - 1", []).unwrap();
        log.execute(
            "UPDATE batches SET body = CAST(x'01' || substr(body, 2, length(body) - 2) || x'00' AS BLOB)
             WHERE position = (SELECT max(position) FROM batches)",
            [],
        )
        .unwrap();
    }
    refused("its checksum is another");
}

// OPS-03 OPS-10
#[actix_web::test]
async fn a_reply_costs_one_commit_before_it_goes_out_and_one_after() {
    const REPLIES: u32 = 30;
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    emulators.world.set_reports(false);
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict", "--idle-after", "1"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    // Also for one that was read again from the disk.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let before = host.commits(&sams).await;
    for n in 0..REPLIES {
        let text = format!("reply {n}");
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
        kim.wait_for("sent", |frame| frame["type"] == "delivery").await;
    }
    let count = host.commits(&sams).await - before;
    // Now and then the host writes that it lives.
    assert!((2 * REPLIES..=2 * REPLIES + 8).contains(&count), "{count} commits");
    assert_eq!(emulators.world.sent().len(), REPLIES as usize);
    let open = "SELECT count(*) FROM outbox WHERE attempting = 1 OR done = 0 OR attempts <> 1";
    host.stop();
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    let left: i64 = journal.query_row(open, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
