//! `cordboard journal`: verify, backup, restore, rebuild.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cordboard_tests::emulator::{Failure, Provider};
use cordboard_tests::harness::{LIMIT, Screen, Setup, copy_files};
use serde_json::{Value, json};

// OPS-03 OPS-10
#[actix_web::test]
async fn a_backup_under_load_has_everything_that_was_acknowledged_before() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let taken = Arc::new(std::sync::Mutex::new(Vec::new()));
    let enough = Arc::new(AtomicBool::new(false));
    let texts: Vec<_> = (0..4)
        .map(|line| {
            let (world, taken, enough) = (emulators.world.clone(), taken.clone(), enough.clone());
            actix_web::rt::spawn(async move {
                for n in 0.. {
                    if enough.load(Ordering::Relaxed) {
                        break;
                    }
                    let text = format!("SM{line:02}{n:030}");
                    let from = format!("+14255550{line:03}");
                    if world.deliver(Provider::Twilio, &text, &from, &text).await == 200 {
                        taken.lock().unwrap().push(text);
                    }
                }
            })
        })
        .collect();
    // However slow the machine is.
    while taken.lock().unwrap().len() <= 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let backup = setup.folder.path().join("backup.sqlite");
    let file = backup.to_str().unwrap().to_owned();
    let before = taken.lock().unwrap().clone();
    let command = setup.command(&["journal", "backup", &file, setup.config()]).output();
    let written = actix_web::rt::task::spawn_blocking(move || command).await.unwrap().unwrap();
    assert!(written.status.success(), "{written:?}");
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert!(code == 0 && text.contains("can be read, and agrees"), "{text}");
    enough.store(true, Ordering::Relaxed);
    for text in texts {
        text.await.unwrap();
    }
    let (code, text) = setup.run(&["journal", "restore", &file, setup.config()]);
    assert!(code == 3 && text.contains("a host runs in"), "{code} {text}");
    let (code, text) = setup.run(&["journal", "backup", &file, setup.config()]);
    assert!(code == 3 && text.contains("is there already"), "{code} {text}");
    let all = taken.lock().unwrap().len();
    host.kill();
    // What has happened since is in the log, and comes on top.
    let (code, text) = setup.run(&["journal", "restore", &file, setup.config()]);
    assert!(code == 0 && text.contains("that is all that was acknowledged"), "{code} {text}");
    let host = setup.start(&["--strict"]).await;
    let kept = host.transcripts(&token).await;
    for text in taken.lock().unwrap().iter() {
        assert!(kept.contains(text), "{text} was in the log");
    }
    assert_eq!(host.stop(), Some(0));
    let whole = std::fs::read(setup.data().join("journal.sqlite")).unwrap();
    let (code, text) = setup.run(&["journal", "restore", "--without-log", &file, setup.config()]);
    assert!(code == 0 && text.contains("the next start goes on with"), "{code} {text}");
    let files = std::fs::read_dir(setup.data()).unwrap().map(|file| file.unwrap().path());
    let left: Vec<_> =
        files.filter(|file| file.to_string_lossy().ends_with(".journal.sqlite")).collect();
    assert!(left.iter().any(|file| std::fs::read(file).unwrap() == whole), "{left:?}");
    let host = setup.start(&["--strict"]).await;
    let kept = host.transcripts(&token).await;
    // The index of texts isn't part of a backup, and is there.
    for text in [before.first(), before.last()].into_iter().flatten() {
        assert_eq!(host.found(&token, &format!("text={text}")).await.len(), 1, "{text}");
    }
    for text in &before {
        assert!(kept.contains(text), "{text} was acknowledged before the backup began");
    }
    // And of later ones there is what was there, whole.
    assert!(kept.len() <= all, "{} of {all}", kept.len());
    setup.stop_and_replay(host);
}

// CH-12 OPS-03
#[actix_web::test]
async fn replies_that_went_out_after_a_backup_arent_sent_again_once_it_is_restored() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    world.fail_next((0..4).map(|_| Failure::Late(700)));
    for n in 0..4 {
        let text = format!("reply {n}");
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let (code, text) = setup.run(&["journal", "backup", &backup, setup.config()]);
    assert_eq!(code, 0, "{text}");
    world.wait_for_sent("the last one", |sent| sent.text == "reply 3").await;
    assert_eq!(host.stop(), Some(0));
    let (code, text) = setup.run(&["journal", "restore", "--without-log", &backup, setup.config()]);
    assert!(code == 0 && text.contains("may have gone out since"), "{code} {text}");
    let host = setup.start(&["--strict"]).await;
    let states = async || -> Vec<Value> {
        let messages = host.transcript(&sams, &id).await;
        messages.iter().skip(1).map(|message| message["delivery"]["status"].clone()).collect()
    };
    let began = Instant::now();
    while states().await.iter().any(|state| state == "queued") {
        assert!(began.elapsed() < LIMIT, "{:?}", states().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Twilio can't tell repetitions: of those that the backup didn't know to be sent, nobody knows.
    assert!(states().await.contains(&json!("unconfirmed")), "{:?}", states().await);
    for n in 0..4 {
        let text = format!("reply {n}");
        let sent = world.sent().iter().filter(|sent| sent.text == text).count();
        assert_eq!(sent, 1, "{text}");
    }
    setup.stop_and_replay(host);
}

// OPS-10
#[actix_web::test]
async fn a_reply_after_a_restore_is_no_repetition_of_one_that_the_backup_doesnt_know() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    // ACS takes what has the same key for the same.
    assert_eq!(world.text(Provider::Acs, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let (code, text) = setup.run(&["journal", "backup", &backup, setup.config()]);
    assert_eq!(code, 0, "{text}");
    kim.must(json!({ "type": "reply", "conversation": id, "text": "on monday" })).await;
    world.wait_for_sent("the first", |sent| sent.text == "on monday").await;
    assert_eq!(host.stop(), Some(0));
    let (code, text) = setup.run(&["journal", "restore", "--without-log", &backup, setup.config()]);
    assert_eq!(code, 0, "{text}");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    kim.must(json!({ "type": "reply", "conversation": id, "text": "on tuesday" })).await;
    world.wait_for_sent("the second", |sent| sent.text == "on tuesday").await;
    let began = Instant::now();
    loop {
        let messages = host.transcript(&sams, &id).await;
        if messages.last().is_some_and(|last| last["delivery"]["status"] == "delivered") {
            break;
        }
        assert!(began.elapsed() < LIMIT, "its report is its own: {messages:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    setup.stop_and_replay(host);
}

// OPS-03 OPS-10
#[actix_web::test]
async fn a_restore_that_was_broken_off_is_said_and_nothing_goes_on_with_half_of_it() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let sams = setup.token("sam");
    let text = async |from: &str| emulators.world.text(Provider::Twilio, from, "hello").await;
    let host = setup.start(&["--strict"]).await;
    assert_eq!(text("+14255550101").await, 200);
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let (code, said) = setup.run(&["journal", "backup", &backup, setup.config()]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(text("+14255550102").await, 200);
    host.kill();
    // As a restore leaves it that is killed once the log was put aside.
    let ms = "taken";
    let data = setup.data();
    std::fs::write(data.join("restore.under-way"), ms).unwrap();
    for end in ["", "-wal", "-shm"] {
        let file = format!("log.sqlite{end}");
        std::fs::rename(data.join(&file), data.join(format!("left-{ms}.{file}"))).unwrap();
    }
    let config = setup.config().to_owned();
    for command in ["verify", "rebuild"] {
        let (code, said) = setup.run(&["journal", command, &config]);
        assert!(code != 0 && said.contains("a restore was broken off here"), "{command}: {said}");
        assert!(said.contains("rename left-taken.log.sqlite to log.sqlite"), "{said}");
    }
    let (code, said) = setup.run(&["run", &config]);
    assert!(code != 0 && said.contains("run cordboard journal restore again"), "{code} {said}");
    // Broken off once more: what was there is what the first has put aside.
    std::fs::write(data.join("restore.under-way"), format!("{ms}\nlater\n")).unwrap();
    std::fs::copy(&backup, data.join("left-later.log.sqlite")).unwrap();
    let (code, said) = setup.run(&["journal", "verify", &config]);
    assert!(code != 0 && said.contains("rename left-taken.log.sqlite to log.sqlite"), "{said}");
    assert!(!said.contains("left-later"), "{said}");
    std::fs::remove_file(data.join("left-later.log.sqlite")).unwrap();
    // As it says: to what leads furthest, which lies aside.
    let broken = setup.folder.path().join("broken");
    copy_files(&data, &broken);
    let (code, said) = setup.run(&["journal", "recover", &config]);
    assert!(code == 0 && said.contains("all that was acknowledged"), "{code} {said}");
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.conversations_of(&sams, "+14255550102").await.len(), 1);
    assert_eq!(host.stop(), Some(0));
    std::fs::remove_dir_all(&data).unwrap();
    copy_files(&broken, &data);
    // Or back to what was there.
    for end in ["", "-wal", "-shm"] {
        let file = format!("log.sqlite{end}");
        std::fs::rename(data.join(format!("left-{ms}.{file}")), data.join(&file)).unwrap();
    }
    std::fs::remove_file(data.join("restore.under-way")).unwrap();
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.conversations_of(&sams, "+14255550102").await.len(), 1);
    assert_eq!(host.stop(), Some(0));
    // Or with nothing: then all of it lies aside, and there is nothing to be gone on with.
    let aside = setup.folder.path().join("aside");
    copy_files(&data, &aside);
    std::fs::write(data.join("restore.under-way"), ms).unwrap();
    let host = setup.start(&["--strict", "--new-journal"]).await;
    assert_eq!(text("+14255550103").await, 200);
    host.kill();
    let host = setup.start(&["--strict", "--new-journal"]).await;
    let sams_now = setup.token("sam");
    assert_eq!(host.conversations_of(&sams_now, "+14255550103").await.len(), 1);
    assert_eq!(host.stop(), Some(0));
    for entry in std::fs::read_dir(&aside).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, data.join(path.file_name().unwrap())).unwrap();
    }
    for end in ["-wal", "-shm"] {
        for file in ["journal.sqlite", "log.sqlite"] {
            if !aside.join(format!("{file}{end}")).exists() {
                let _ = std::fs::remove_file(data.join(format!("{file}{end}")));
            }
        }
    }
    // Or on: the restore, once more.
    std::fs::write(data.join("restore.under-way"), ms).unwrap();
    let (code, said) = setup.run(&["journal", "restore", "--without-log", &backup, &config]);
    assert_eq!(code, 0, "{said}");
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.conversations_of(&sams, "+14255550101").await.len(), 1);
    assert_eq!(host.conversations_of(&sams, "+14255550102").await.len(), 0);
}

fn damage(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at..at + 4096].fill(0x5a);
    std::fs::write(file, bytes).unwrap();
}

// OPS-03
#[actix_web::test]
async fn damage_that_a_start_doesnt_meet_is_found_by_verify_and_no_backup_is_taken_on_trust() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    for n in 0..300 {
        let text = "x".repeat(400);
        assert_eq!(
            emulators.world.text(Provider::Twilio, &format!("+1425555{n:04}"), &text).await,
            200
        );
    }
    assert_eq!(host.stop(), Some(0));
    let backup = setup.folder.path().join("backup.sqlite");
    let file = backup.to_str().unwrap();
    let (code, text) = setup.run(&["journal", "backup", file, setup.config()]);
    assert!(code == 0, "{text}");
    let whole = std::fs::read(&backup).unwrap();
    // In the midst of it.
    damage(&setup.data().join("journal.sqlite"), whole.len() / 2 / 4096 * 4096);
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert!(code == 1 && text.contains("cordboard journal recover"), "{code} {text}");
    damage(&backup, whole.len() / 2 / 4096 * 4096);
    let (code, text) = setup.run(&["journal", "restore", file, setup.config()]);
    assert!(code == 3 && text.contains("isn't put in place"), "{code} {text}");
    std::fs::write(&backup, whole).unwrap();
    let (code, text) = setup.run(&["journal", "restore", file, setup.config()]);
    assert!(code == 0, "{text}");
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert!(code == 0 && text.contains("300 conversations"), "{code} {text}");
    let other = setup.folder.path().join("main.ron");
    let (code, text) = setup.run(&["journal", "restore", other.to_str().unwrap(), setup.config()]);
    assert!(code == 3 && text.contains("isn't put in place"), "{code} {text}");
}

/// What the views say, but for how far a snapshot lies behind, and for the next alarm: a row has that one or an
/// earlier one.
fn views(data: &Path) -> Vec<String> {
    let journal = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
    let queries = [
        "SELECT hex(id) || channel || customer || workstream || state || coalesce(agent, '-') ||
         occupies || asked_back || queued_at || coalesce(queue, '-')
         FROM conversations ORDER BY id",
        "SELECT hex(conversation) || agent || part || began_at || coalesce(ended_at, '-')
         FROM engagements ORDER BY conversation, began_at, agent",
        "SELECT hex(conversation) || agent FROM wrap_ups ORDER BY conversation, agent",
        "SELECT channel || customer || at FROM opt_outs ORDER BY channel, customer",
    ];
    let mut all = Vec::new();
    for query in queries {
        let mut rows = journal.prepare(query).unwrap();
        all.extend(rows.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
    }
    all
}

// OPS-03
#[actix_web::test]
async fn what_follows_from_events_is_computed_anew() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, lees, sams] = ["kim", "lee", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let world = &emulators.world;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    // Of every sort: waiting, with somebody, transferred, waiting for the customer, ended, opted out.
    for n in 0..6 {
        assert_eq!(world.text(Provider::Twilio, &format!("+1425555010{n}"), "hello").await, 200);
    }
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(kim.accept_next().await);
    }
    let mut lee = Screen::at_desk(&host.url, &lees).await;
    kim.must(json!({ "type": "reply", "conversation": ids[0], "text": "hi" })).await;
    kim.must(json!({ "type": "leave", "conversation": ids[0] })).await;
    kim.must(json!({ "type": "end", "conversation": ids[1] })).await;
    kim.must(json!({ "type": "finish_wrap_up", "conversation": ids[1] })).await;
    kim.must(json!({ "type": "transfer", "conversation": ids[2], "to": { "agent": "lee" } })).await;
    lee.accept_next().await;
    assert_eq!(world.text(Provider::Twilio, "+14255550105", "STOP").await, 200);
    let found_before = host.found(&sams, "text=hello").await;
    assert_eq!(found_before.len(), 6);
    assert_eq!(host.stop(), Some(0));
    let before = views(&setup.data());
    assert!(before.len() >= 6 + 4, "{before:?}");
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    // Lost, or never right.
    journal
        .execute_batch(
            "UPDATE conversations SET state = 4, agent = NULL, snapshot = x'00', queue = 'nowhere';
             DELETE FROM conversations WHERE id IN (SELECT id FROM conversations LIMIT 2);
             DELETE FROM engagements; DELETE FROM opt_outs; DELETE FROM wrap_ups;
             INSERT INTO texts (texts) VALUES ('delete-all');",
        )
        .unwrap();
    drop(journal);
    assert_ne!(views(&setup.data()), before);
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert!(code == 1 && text.contains("which isn't there"), "{code} {text}");
    let (code, text) = setup.run(&["journal", "rebuild", setup.config()]);
    assert!(code == 0 && text.contains("6 conversations computed anew"), "{code} {text}");
    assert_eq!(views(&setup.data()), before);
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert!(code == 0, "{text}");
    let host = setup.start(&["--strict"]).await;
    let (_, mine) = host.get(&kims, "/api/v1/conversations").await;
    assert!(!mine.as_array().unwrap().is_empty(), "{mine}");
    assert_eq!(host.found(&sams, "text=hello").await, found_before);
    let (code, text) = setup.run(&["journal", "rebuild", setup.config()]);
    assert!(code == 3 && text.contains("a host runs in"), "{code} {text}");
    drop(host);
}

// OPS-10 CH-12 SEC-04
#[actix_web::test]
async fn an_opt_out_outlives_what_it_was_said_in_and_what_is_computed_anew() {
    let mut setup = Setup::new();
    setup.workstream = "reopen_within: \"0s\",".to_owned();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let text = async |text: &str| {
        assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", text).await, 200);
    };
    text("hello").await;
    let first = host.conversations_of(&sams, "+14255550100").await[0].clone();
    host.post(&sams, &format!("/api/v1/conversations/{first}/end"), json!({})).await;
    host.until_state(&sams, &first, "closed").await;
    text("STOP").await;
    assert_eq!(host.conversations_of(&sams, "+14255550100").await.len(), 2);
    assert_eq!(host.stop(), Some(0));
    // As retention leaves it: the conversation before is there still, the one of the STOP isn't.
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    let of_the_stop = "SELECT conversation FROM events WHERE kind = 'consent_changed'";
    journal
        .execute_batch(&format!(
            "DELETE FROM conversations WHERE id IN ({of_the_stop});
             DELETE FROM events WHERE conversation IN ({of_the_stop});"
        ))
        .unwrap();
    drop(journal);
    for _ in 0..2 {
        let (code, said) = setup.run(&["journal", "rebuild", setup.config()]);
        assert!(code == 0 && said.contains("1 conversations computed anew"), "{code} {said}");
    }
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    text("hello again").await;
    let id = kim.accept_next().await;
    let reply = json!({ "type": "reply", "conversation": id, "text": "advert" });
    let refused = kim.command(reply).await;
    assert!(refused["error"].as_str().unwrap().contains("opted out"), "{refused}");
}

// OPS-10
#[actix_web::test]
async fn of_several_backups_to_one_file_one_is_whole_and_the_others_say_so() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    for n in 0..50 {
        let from = format!("+1425555{n:04}");
        assert_eq!(emulators.world.text(Provider::Twilio, &from, "hello").await, 200);
    }
    for round in 0..4 {
        let file = setup.folder.path().join(format!("backup-{round}.sqlite"));
        let file = file.to_str().unwrap();
        let several: Vec<_> = (0..3)
            .map(|_| {
                let mut command = setup.command(&["journal", "backup", file, setup.config()]);
                let piped = command.stdout(std::process::Stdio::piped());
                piped.stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let ended: Vec<_> =
            several.into_iter().map(|one| one.wait_with_output().unwrap()).collect();
        let written = ended.iter().filter(|one| one.status.success()).count();
        assert_eq!(written, 1, "{ended:?}");
        for one in ended.iter().filter(|one| !one.status.success()) {
            let said = String::from_utf8_lossy(&one.stderr).into_owned();
            assert!(said.contains("is there already"), "{said}");
        }
        let copy = rusqlite::Connection::open(file).unwrap();
        let stands = "SELECT was_stopped FROM position";
        assert_eq!(copy.query_row(stands, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }
    let (code, text) = setup.run(&["journal", "backup", "/nowhere/x", setup.config()]);
    assert!(code == 3 && text.contains("/nowhere/x can't be written"), "{code} {text}");
    assert!(!text.contains("journal.sqlite can't be used"), "{text}");
    drop(host);
}

// OPS-06
#[actix_web::test]
async fn a_stop_ends_though_somebody_holds_the_journal_and_a_prompt_holds_nobody() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    // Whoever is about to type a password keeps no host from starting.
    let mut prompt = setup
        .command(&["agent", "password", setup.config(), "--id", "kim"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let host = setup.start(&["--strict"]).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "one").await, 200);
    drop(prompt.stdin.take());
    let _ = prompt.wait();
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    journal.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    while journal.execute_batch("BEGIN IMMEDIATE").is_err() {}
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "two").await, 200);
    let began = std::time::Instant::now();
    let stopped = actix_web::rt::task::spawn_blocking(move || host.stop());
    assert_eq!(stopped.await.unwrap(), Some(0));
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
    journal.execute_batch("ROLLBACK").unwrap();
    drop(journal);
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.transcripts(&token).await, ["one", "two"]);
    drop(host);
}
