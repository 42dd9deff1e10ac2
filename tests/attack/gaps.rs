//! A batch of the log that can't be read any more, and whole ones behind it.

use std::path::Path;
use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup, eventually};
use serde_json::json;

use crate::tools::held;

fn newest(log: &Path) -> i64 {
    let log = rusqlite::Connection::open(log).unwrap();
    log.query_row("SELECT max(position) FROM batches", [], |row| row.get(0)).unwrap()
}

/// What the host had to write by then is in the log.
async fn comes_to_rest(log: &Path) -> i64 {
    let mut at = newest(log);
    loop {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = newest(log);
        if now == at {
            return at;
        }
        at = now;
    }
}

// OPS-03 OPS-10 CH-12
#[actix_web::test]
async fn what_a_log_has_behind_a_lost_batch_is_gone_on_with() {
    const LOST: &str = "+14255550101";
    const ENDED: &str = "+14255550102";
    const NEW: &str = "+14255550103";
    const BEGUN: &str = "+14255550104";
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let says = async |from: &str, text: &str| {
        assert_eq!(world.text(Provider::Twilio, from, text).await, 200, "{text}");
    };
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    says(LOST, "hello lost").await;
    let lost = kim.accept_next().await;
    says(ENDED, "hello ended").await;
    let ended = kim.accept_next().await;
    assert_eq!(host.stop(), Some(0));
    let tables = setup.data().join("journal.sqlite");
    let before = setup.folder.path().join("before.sqlite");
    std::fs::copy(&tables, &before).unwrap();

    let host = setup.start(&["--strict"]).await;
    let log = setup.data().join("log.sqlite");
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    says(NEW, "before the gap").await;
    let from = comes_to_rest(&log).await;
    says(LOST, "in the gap").await;
    says(BEGUN, "begun in the gap").await;
    kim.must(json!({ "type": "end", "conversation": ended })).await;
    kim.must(json!({ "type": "finish_wrap_up", "conversation": ended })).await;
    let to = comes_to_rest(&log).await;
    says(LOST, "behind the gap").await;
    kim.must(json!({ "type": "reply", "conversation": lost, "text": "an answer" })).await;
    let answers = || world.sent().iter().filter(|sent| sent.text == "an answer").count();
    eventually("it goes out", || (answers() == 1).then_some(())).await;
    says(LOST, "STOP").await;
    says(ENDED, "and again").await;
    says(BEGUN, "begun and behind").await;
    says(NEW, "new behind the gap").await;
    comes_to_rest(&log).await;
    assert_eq!(host.stop(), Some(0));

    // The tables are of before, and the log's pages were where the disk is bad.
    std::fs::copy(&before, &tables).unwrap();
    let batches = rusqlite::Connection::open(&log).unwrap();
    let gone = batches
        .execute("DELETE FROM batches WHERE position > ?1 AND position <= ?2", [from, to])
        .unwrap();
    assert!(gone > 2, "{gone}");
    drop(batches);
    let recover = ["journal", "recover", setup.config()];
    let (code, said) = setup.run(&recover);
    let gap = format!("(without batches {} to {to})", from + 1);
    assert!(code == 3 && said.contains(&gap), "{code} {said}");
    assert!(said.contains(&format!("{gone} batches that were acknowledged are missing")), "{said}");
    let (code, said) = setup.run(&[&recover[..], &["--accept-loss"]].concat());
    assert!(code == 0 && said.contains(&gap), "{code} {said}");
    assert!(said.contains("2 conversations lack what stood there"), "{said}");
    assert!(said.contains(&lost) && said.contains(&ended), "{said}");
    assert!(said.contains("1 conversations began there"), "{said}");
    let (code, said) = setup.run(&["journal", "verify", setup.config()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = setup.run(&recover);
    assert!(code == 0 && said.contains("nothing is wrong"), "{code} {said}");
    assert!(said.contains(&format!("has given up {gone} batches")), "{said}");

    let host = setup.start(&["--strict"]).await;
    let texts = host.transcripts(&sams).await;
    let has = |text: &str| texts.iter().any(|known| known == text);
    for there in ["hello lost", "behind the gap", "an answer", "STOP", "hello ended", "and again"] {
        assert!(has(there), "{there}: {texts:?}");
    }
    assert!(has("before the gap") && has("new behind the gap"), "{texts:?}");
    for missing in ["in the gap", "begun in the gap", "begun and behind"] {
        assert!(!has(missing), "{missing}: {texts:?}");
    }
    let (ids, answered) = (host.conversations_of(&sams, LOST).await, host.transcript(&sams, &lost));
    assert_eq!(ids, [&*lost], "it goes on");
    let answer = answered.await.into_iter().find(|one| one["text"] == "an answer").unwrap();
    assert_ne!(answer["delivery"]["status"], "queued", "{answer}");
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let reply = json!({ "type": "reply", "conversation": lost, "text": "an offer" });
    let refused = kim.command(reply.clone()).await;
    assert!(refused["error"].as_str().unwrap().contains("opted out"), "{refused}");
    says(LOST, "START").await;
    host.until_conversation(&sams, &lost, |it| it["opted_out"] == false).await;
    kim.must(reply).await;
    // What was ended there was begun anew behind it: that is what counts.
    let summary = host.conversation(&sams, &ended).await;
    assert_eq!(summary["state"], "open", "{summary}");
    says(ENDED, "ended once more").await;
    says(BEGUN, "begun once more").await;
    says(NEW, "and new").await;
    let texts = host.transcripts(&sams).await;
    for there in ["START", "an offer", "ended once more", "begun once more", "and new"] {
        assert!(texts.iter().any(|text| text == there), "{there}: {texts:?}");
    }
    assert_eq!(answers(), 1, "nothing goes out twice");
    assert_eq!(host.stop(), Some(0));
    let (code, said) = setup.run(&["journal", "verify", setup.config()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = setup.run(&["journal", "rebuild", setup.config()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = setup.replay();
    assert!(code == 0 && said.contains("the same byte for byte"), "{said}");
    held("batches of the log that are lost, and whole ones behind them", "those are gone on with");
}
