//! More than can be dealt with: what was taken is dealt with, and the newest waits outside.

use std::collections::BTreeMap;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

use crate::tools::{held, times};

// OPS-11
#[actix_web::test]
async fn beyond_the_journals_backlog_webhooks_are_put_off_and_nothing_is_lost() {
    let mut setup = Setup::new();
    setup.host =
        "limits: (journal_backlog: 16, connections: 100000, connections_per_address: 100000),"
            .to_owned();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    // However fast the disk is: somebody else writes into the same file, and takes their time.
    let slow = rusqlite::Connection::open(setup.data().join("log.sqlite")).unwrap();
    slow.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    slow.execute_batch("BEGIN IMMEDIATE").unwrap();
    let count = times(1000, 20_000);
    let texts: Vec<_> = (0..count)
        .map(|n| {
            let world = emulators.world.clone();
            actix_web::rt::spawn(async move {
                let (id, from) = (format!("SM{n:032}"), format!("+1425555{:04}", n % 10));
                (world.deliver(Provider::Twilio, &id, &from, &id).await, id, from)
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    slow.execute_batch("ROLLBACK").unwrap();
    let mut answers = BTreeMap::<u16, usize>::new();
    let mut put_off = Vec::new();
    for text in texts {
        let (status, id, from) = text.await.unwrap();
        *answers.entry(status).or_default() += 1;
        if status != 200 {
            put_off.push((id, from));
        }
    }
    assert!(answers.keys().all(|status| matches!(status, 200 | 503)), "{answers:?}");
    // The provider comes again.
    for (id, from) in put_off {
        while emulators.world.deliver(Provider::Twilio, &id, &from, &id).await != 200 {}
    }
    let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
    let all: u64 =
        open.as_array().unwrap().iter().map(|one| one["messages"].as_u64().unwrap()).sum();
    assert_eq!(all, count as u64, "each once");
    kim.must(json!({ "type": "activity" })).await;
    let metrics = host.text(&sams, "/metrics").await;
    let is_said =
        metrics.contains("outcome=\"overloaded\"") && metrics.contains("cordboard_journal_waiting");
    assert!(answers.contains_key(&503), "the limit doesn't limit: {answers:?}");
    assert!(is_said, "{metrics}");
    // Whoever is woken sees who waits.
    for gauge in ["waiting", "oldest_wait_seconds", "signed_in"] {
        let gauge = format!("cordboard_queue_{gauge}{{queue=\"support\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&gauge)?.parse::<f64>().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{gauge}: {value:?} in {metrics}");
    }
    held("more texts than the journal's backlog", &format!("{answers:?}, all kept"));
}
