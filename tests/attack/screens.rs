//! Screens that don't read.

use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};

use crate::tools::{held, memory, raw_socket, times};

// OPS-11 CONV-06
#[actix_web::test]
async fn a_screen_that_doesnt_read_is_cut_off_and_comes_back_by_a_snapshot() {
    let mut setup = Setup::new();
    setup.host = "limits: (screen_patience: \"3s\", screen_backlog: 262144),".to_owned();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    emulators.world.text(Provider::Twilio, "+14255550100", "first").await;
    let conversation = kim.accept_next().await;
    let sleepers = 5;
    let mut asleep = Vec::new();
    for _ in 0..sleepers {
        asleep.push(raw_socket(&host.url, &token).await);
    }
    let before = memory(&host);
    let long = "x".repeat(1500);
    let mut texts = 0;
    let until = Instant::now() + Duration::from_secs(60);
    let cut_off = |metrics: &str| {
        let lines = metrics.lines().filter(|line| {
            line.contains("why=\"screen_backlog\"") || line.contains("why=\"not_reading\"")
        });
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        counts.sum::<usize>()
    };
    // Kernel buffers take some megabytes before anything waits with us.
    loop {
        for _ in 0..200 {
            emulators.world.text(Provider::Twilio, "+14255550100", &long).await;
            texts += 1;
        }
        let metrics = host.text(&token, "/metrics").await;
        if cut_off(&metrics) >= sleepers && texts >= times(1, 20_000) {
            break;
        }
        assert!(
            Instant::now() < until || texts < times(1, 20_000),
            "after {texts} texts:\n{metrics}"
        );
    }
    let after = memory(&host);
    assert!(after < before + 64, "{before} to {after} MB");
    held(
        "screens that don't read",
        &format!("{sleepers} of them, {texts} texts of 1.5 KB, {before} to {after} MB"),
    );
    drop(kim);
    let mut back = Screen::connect(&host.url, &token).await;
    let snapshot = back.wait("snapshot").await;
    assert_eq!(snapshot["conversations"][0]["conversation"]["id"], conversation.as_str());
    let messages = snapshot["conversations"][0]["messages"].as_array().unwrap();
    let last = messages.last().unwrap()["no"].as_u64().unwrap();
    assert_eq!(last, texts as u64 + 1, "nothing is missing");
    assert!(messages.len() >= 100, "the newest part of it");
}

// OPS-11
#[actix_web::test]
async fn one_agent_has_so_many_screens_and_no_more() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut screens = Vec::new();
    for _ in 0..32 {
        screens.push(Screen::at_desk(&host.url, &token).await);
    }
    let socket = reqwest::Client::new()
        .get(format!("{}/api/v1/live", host.url))
        .bearer_auth(&token)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = socket.send().await.unwrap();
    assert_eq!(answer.status(), 429);
    assert!(answer.text().await.unwrap().contains("32 screens"));
    screens.pop().unwrap().close().await;
    held("screens of one agent", "the 33rd is refused");
}
