//! Sockets that were opened by somebody who may no longer.

use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

use crate::tools::{held, times};

/// Whether the connection ends in time. Commands that it still takes are answered by a refusal.
async fn ends(screen: &mut Screen) -> bool {
    let end = async { while screen.try_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(8), end).await.is_ok()
}

// SEC-06 SEC-01
#[actix_web::test]
async fn a_socket_ends_with_its_authority() {
    let mut setup = Setup::new();
    setup.agents =
        "(id: \"ana\", name: \"Ana\", role: supervisor, queues: [\"support\"]),".to_owned();
    let emulators = setup.with_emulators();
    let (kims, sams, anas) = (setup.token("kim"), setup.token("sam"), setup.token("ana"));
    let (code, link) = setup.run(&["agent", "link", setup.config(), "--id", "lee"]);
    assert_eq!(code, 0, "{link}");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    emulators.world.text(Provider::Twilio, "+14255550100", "hello").await;
    let conversation = kim.accept_next().await;

    // Demoted: the next command is refused, and so is everything after it.
    let mut ana = Screen::connect(&host.url, &anas).await;
    ana.wait("snapshot").await;
    setup.change("main.ron", "name: \"Ana\", role: supervisor", "name: \"Ana\"");
    assert!(ends(&mut ana).await, "a supervisor's socket outlives the role");
    let mut ana = Screen::at_desk(&host.url, &anas).await;
    let take_over = json!({ "type": "take_over", "conversation": conversation });
    assert_eq!(ana.command(take_over).await["ok"], false);

    // Removed from the configuration.
    let mut sam = Screen::connect(&host.url, &sams).await;
    sam.wait("snapshot").await;
    setup.change("main.ron", "(id: \"sam\", name: \"Sam\", role: supervisor),", "");
    assert!(ends(&mut sam).await, "a socket outlives its agent");

    // Signed out: the session's socket ends at once.
    let mut lee = session(&host.url, link.trim()).await;
    let out =
        lee.client.post(format!("{}/api/v1/sign-out", host.url)).header("x-csrf-token", &lee.csrf);
    assert_eq!(out.send().await.unwrap().status(), 204);
    assert!(ends(&mut lee.screen).await, "a socket outlives the sign-out");

    held("sockets after demotion, removal, sign-out", "closed");
}

struct Session {
    client: reqwest::Client,
    csrf: String,
    screen: Screen,
}

/// Signs in as a browser does, and opens the socket with the cookie.
async fn session(url: &str, link: &str) -> Session {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.cookie_store(true).build().unwrap();
    let signed = client.post(link).send().await.unwrap();
    let cookie = signed.headers()["set-cookie"].to_str().unwrap().to_owned();
    let me = client.get(format!("{url}/api/v1/me")).send().await.unwrap();
    let me: serde_json::Value = me.json().await.unwrap();
    let screen = Screen::with_cookie(url, cookie.split(';').next().unwrap()).await;
    Session { client, csrf: me["csrf"].as_str().unwrap().to_owned(), screen }
}

// PRES-04 OPS-11
#[actix_web::test]
async fn sockets_that_are_torn_down_while_they_open_leave_no_screen_behind() {
    let mut setup = Setup::new();
    setup.host = "limits: (connections: 100000, connections_per_address: 100000),".to_owned();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let request = format!(
        "GET /api/v1/live HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let count = times(1500, 10_000);
    for n in 0..count {
        let connection = crate::tools::sent(&host.url, request.as_bytes()).await;
        tokio::time::sleep(Duration::from_micros(n as u64 % 16 * 200)).await;
        // Reset, not closed: nothing that was sent before is waited for.
        connection.set_zero_linger().unwrap();
        drop(connection);
    }
    let mut screens = Vec::new();
    for _ in 0..32 {
        screens.push(Screen::connect(&host.url, &token).await);
    }
    drop(screens);
    held(
        "live sockets that are reset while they open",
        &format!("{count} of them, no screen left"),
    );
}
