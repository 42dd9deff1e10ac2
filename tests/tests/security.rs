//! Who may do what, what is turned away, and what is never printed.

use cordboard_tests::emulator::{Provider, telesign_callback};
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

const CUSTOMER: &str = "+14255550100";

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().cookie_store(true);
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

// SEC-02 OPS-02 CH-02
#[actix_web::test]
async fn forged_webhooks_are_turned_away_and_secrets_are_never_printed() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let token = setup.token("root");
    let kims = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    let client = client();
    let hook = |provider: Provider| format!("{}/hooks/{}", host.url, provider.channel());

    let body = json!({ "reference_id": "x", "status": { "code": 1500 }, "sub_resource": "mo_sms",
        "user_response": { "phone_number": "14255550100", "sender_id": "15550001001", "mo_message": "hi" } })
    .to_string();
    let accounts = &world.accounts;
    let right = telesign_callback(&accounts.telesign_customer, &accounts.telesign_key, &body);
    let wrong = telesign_callback(&accounts.telesign_customer, "b3RoZXIga2V5", &body);
    let post = |header: Option<String>, body: String| {
        let mut request = client.post(hook(Provider::Telesign)).body(body);
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        async { request.send().await.unwrap() }
    };
    for (header, sent) in [
        (None, body.clone()),
        (Some(wrong), body.clone()),
        (Some(right.clone()), body.replace("hi", "ho")),
        (Some("TSA x:".to_owned()), String::new()),
    ] {
        let response = post(header, sent).await;
        assert_eq!(response.status().as_u16(), 403);
        assert_eq!(response.text().await.unwrap(), "", "the caller learns nothing");
    }
    assert_eq!(post(Some(right.clone()), body.clone()).await.status().as_u16(), 200);
    // A replay is taken and changes nothing.
    assert_eq!(post(Some(right), body).await.status().as_u16(), 200);
    let conversation = kim.accept_next().await;
    let (_, seen) = host.get(&kims, &format!("/api/v1/conversations/{conversation}")).await;
    assert_eq!(seen["messages"].as_array().unwrap().len(), 1);

    assert_eq!(
        client.post(hook(Provider::Twilio)).body("Body=x").send().await.unwrap().status(),
        403
    );
    let acs = format!("{}?secret=wrong", hook(Provider::Acs));
    assert_eq!(client.post(acs).body("[]").send().await.unwrap().status(), 403);
    assert_eq!(client.post(format!("{}/hooks/none", host.url)).send().await.unwrap().status(), 404);
    let large = client.post(hook(Provider::Acs)).body(vec![b'x'; 1_200_000]).send().await.unwrap();
    assert_eq!(large.status().as_u16(), 413);
    let (_, channels) = host.get(&token, "/api/v1/channels").await;
    assert_eq!(channels[0]["rejected"], 4);

    // Everything that can be printed, after traffic through every door.
    for provider in Provider::ALL {
        for n in 0..20 {
            world.text(provider, &format!("+142555502{n:02}"), "traffic").await;
        }
    }
    kim.must(json!({ "type": "reply", "conversation": conversation, "text": "hello" })).await;
    world.wait_for_sent("hello", |sent| sent.text == "hello").await;
    let (status, verified) = host
        .post(&token, "/api/v1/channels/sms-telesign/verify", json!({ "to": "+14255550199" }))
        .await;
    assert_eq!((status, verified["ok"].as_bool()), (200, Some(true)), "{verified}");
    host.prints("webhook rejected").await;
    let mut printed = host.log();
    for path in [
        "/api/v1/channels",
        "/api/v1/agents",
        "/api/v1/me",
        "/api/v1/openapi.json",
        "/api/v1/conversations?all=true&limit=1000",
    ] {
        printed += &host.get(&token, path).await.1.to_string();
    }
    for path in ["/metrics", "/health/ready", "/"] {
        printed +=
            &client.get(format!("{}{path}", host.url)).send().await.unwrap().text().await.unwrap();
    }
    printed += &setup.run(&["check", setup.config()]).1;
    printed += &setup.run(&["plugin", "list", setup.config()]).1;
    for secret in accounts.secrets() {
        assert!(!printed.contains(&secret), "a secret was printed");
    }
    let journal = std::fs::read(setup.data().join("journal.sqlite")).unwrap();
    let wal = std::fs::read(setup.data().join("journal.sqlite-wal")).unwrap_or_default();
    let stored = String::from_utf8_lossy(&[journal, wal].concat()).into_owned();
    assert!(!stored.contains(&token) && !stored.contains(&kims), "tokens are stored as hashes");
    assert_eq!(host.stop(), Some(0));
}

// SEC-01 CONV-07
#[actix_web::test]
async fn accounts_roles_sessions_and_tokens() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kims, lees, sams) = (setup.token("kim"), setup.token("lee"), setup.token("sam"));
    let password = |text: &str| {
        use std::io::Write;
        use std::process::Stdio;
        let mut child = setup
            .command(&["agent", "password", setup.config(), "--id", "kim"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait().unwrap().code()
    };
    assert_eq!(password("short\n"), Some(1));
    assert_eq!(password("correct horse battery\n"), Some(0));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    emulators.world.text(Provider::Twilio, CUSTOMER, "hello").await;
    let conversation = kim.accept_next().await;
    let path = format!("/api/v1/conversations/{conversation}");

    // Roles: another agent sees nothing of it and does nothing to it; a supervisor sees and ends.
    assert_eq!(host.get(&lees, &path).await.0, 404);
    for action in ["reply", "note"] {
        let (status, error) =
            host.post(&lees, &format!("{path}/{action}"), json!({ "text": "x" })).await;
        // Not even that there is one.
        assert_eq!((status, error["code"].as_str()), (404, Some("not_found")), "{action}");
    }
    assert_eq!(host.post(&lees, &format!("{path}/end"), json!({})).await.0, 404);
    assert_eq!(host.get(&lees, "/api/v1/agents").await.0, 403);
    assert_eq!(host.get(&lees, "/api/v1/conversations?all=true").await.0, 403);
    assert_eq!(host.get(&sams, &path).await.0, 200);
    let agents = host.get(&sams, "/api/v1/agents").await.1;
    assert_eq!(agents[0]["capacity"][2]["used"], 1, "{agents}");
    let verify = json!({ "to": "+14255550199" });
    assert_eq!(host.post(&sams, "/api/v1/channels/sms-acs/verify", verify).await.0, 403);
    assert_eq!(host.post(&sams, &format!("{path}/end"), json!({})).await.0, 204);
    assert_eq!(host.get("cb_nonsense", "/api/v1/me").await.0, 401);

    // Password, cookie, CSRF.
    let client = client();
    let url = |path: &str| format!("{}{path}", host.url);
    let sign_in = |password: &str| {
        let body = json!({ "agent": "kim", "password": password });
        client.post(url("/api/v1/sign-in")).json(&body).send()
    };
    assert_eq!(sign_in("wrong").await.unwrap().status(), 401);
    let signed = sign_in("correct horse battery").await.unwrap();
    let cookie = signed.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let me: serde_json::Value =
        client.get(url("/api/v1/me")).send().await.unwrap().json().await.unwrap();
    let csrf = me["csrf"].as_str().unwrap();
    let presence = || client.put(url("/api/v1/me/presence")).json(&json!({ "status": "busy" }));
    assert_eq!(presence().send().await.unwrap().status(), 403);
    assert_eq!(presence().header("x-csrf-token", "guess").send().await.unwrap().status(), 403);
    // Nor from another site's page, whatever that knows.
    let from = |origin: &str| presence().header("x-csrf-token", csrf).header("origin", origin);
    for other in ["https://evil.example", "null", &host.url.replace("http", "ftp")] {
        assert_eq!(from(other).send().await.unwrap().status(), 403, "{other}");
    }
    assert_eq!(from(&host.url).send().await.unwrap().status(), 204);
    kim.wait_for("busy", |f| f["presence"]["status"] == "busy").await;
    // Another site's page can't open the socket with the cookie.
    let socket = client
        .get(url("/api/v1/live"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", "https://evil.example");
    assert_eq!(socket.send().await.unwrap().status(), 403);
    let out = client.post(url("/api/v1/sign-out")).header("x-csrf-token", csrf).send();
    assert_eq!(out.await.unwrap().status(), 204);
    let after = client.get(url("/api/v1/me")).header("cookie", cookie).send().await.unwrap();
    assert_eq!(after.status(), 401, "the session is gone, not only the cookie");

    // A link works once.
    let (_, link) = setup.run(&["agent", "link", setup.config(), "--id", "kim"]);
    assert_eq!(client.post(link.trim()).send().await.unwrap().status(), 303);
    assert_eq!(client.get(url("/api/v1/me")).send().await.unwrap().status(), 200);
    assert_eq!(client.get(link.trim()).send().await.unwrap().status(), 410);
    assert_eq!(host.stop(), Some(0));
}
