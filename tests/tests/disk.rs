//! The disk is full: nothing is acknowledged that isn't on it, and it goes on when there is room.

use std::process::Command;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

// OPS-03 OPS-05
#[actix_web::test]
async fn a_full_disk_is_told_to_everybody_and_loses_nothing() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    // A write beyond a file's limit fails like one to a full disk, once its signal is passed over.
    setup.before = Some("trap '' XFSZ".to_owned());
    let host = setup.start(&["--strict"]).await;
    let pid = host.pid().to_string();
    let limit = |bytes: &str| {
        let limit = format!("--fsize={bytes}");
        let limited = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(limited.unwrap().success());
    };
    let mut kim = Screen::connect(&host.url, &kims).await;
    assert_eq!(world.deliver(Provider::Twilio, "first", "+14255550100", "first").await, 200);
    let conversation = kim.accept_next().await;

    let taken = 50;
    let message = |n: usize| (format!("{n:032X}"), format!("{n} {}", "x".repeat(1000)));
    for n in 0..taken {
        let (id, text) = message(n);
        assert_eq!(world.deliver(Provider::Twilio, &id, "+14255550101", &text).await, 200);
    }
    // Less than a page: nothing finds room any more, wherever it would go.
    limit("4000:unlimited");
    let refused = message(taken);
    let status = world.deliver(Provider::Twilio, &refused.0, "+14255550101", &refused.1).await;
    assert_eq!(status, 503, "providers try again");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = client.get(format!("{}/health/ready", host.url)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    let said = ready.text().await.unwrap();
    assert!(said.contains("the journal can't commit"), "{said}");
    let reply = json!({ "type": "reply", "conversation": conversation, "text": "hi" });
    let answer = kim.command(reply.clone()).await;
    assert_eq!(answer["ok"], false);
    assert!(answer["error"].as_str().unwrap().contains("journal can't commit"), "{answer}");

    // Nobody looks at others' without its entry in the audit log.
    let path = format!("/api/v1/conversations/{conversation}");
    for _ in 0..2 {
        assert_eq!(host.get(&sams, &path).await.0, 503);
    }

    limit("unlimited:unlimited");
    assert_eq!(host.get(&sams, &path).await.0, 200);
    assert_eq!(world.deliver(Provider::Twilio, &refused.0, "+14255550101", &refused.1).await, 200);
    kim.must(reply).await;
    world.wait_for_sent("the reply", |sent| sent.text == "hi").await;
    host.prints("commits again").await;

    let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
    let theirs = open.as_array().unwrap().iter().find(|c| c["customer"] == "+14255550101").unwrap();
    let path = format!("/api/v1/conversations/{}", theirs["id"].as_str().unwrap());
    let (_, seen) = host.get(&sams, &path).await;
    let texts: Vec<&str> = seen["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts.len(), taken + 1, "each once");
    assert_eq!(texts.last(), Some(&refused.1.as_str()));
    assert_eq!(host.stop(), Some(0));
}
