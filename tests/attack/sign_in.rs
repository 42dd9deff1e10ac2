//! Guessing, flooding, and what becomes of links, sessions and tokens.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{HostProcess, Screen, Setup};
use reqwest::Client;
use serde_json::{Value, json};

use crate::tools::{held, memory, times};

pub const PASSWORD: &str = "correct horse battery";

pub fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().no_proxy().cookie_store(true);
    builder.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub fn set_password(setup: &Setup, agent: &str) {
    let mut child = setup
        .command(&["agent", "password", setup.config(), "--id", agent])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

pub async fn sign_in(
    client: &Client,
    host: &HostProcess,
    agent: &str,
    password: &str,
) -> reqwest::Response {
    let body = json!({ "agent": agent, "password": password });
    client.post(format!("{}/api/v1/sign-in", host.url)).json(&body).send().await.unwrap()
}

/// A browser that is signed in, and its token against forgery.
pub async fn browser(host: &HostProcess, agent: &str) -> (Client, String) {
    let client = client();
    assert_eq!(sign_in(&client, host, agent, PASSWORD).await.status(), 204);
    let me: Value =
        client.get(format!("{}/api/v1/me", host.url)).send().await.unwrap().json().await.unwrap();
    (client, me["csrf"].as_str().unwrap().to_owned())
}

// SEC-07 OPS-11
#[actix_web::test]
async fn a_flood_of_wrong_passwords_keeps_no_text_waiting() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    set_password(&setup, "lee");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    let before = memory(&host);
    let attackers = client();
    let flood: Vec<_> = (0..times(200, 2000))
        .map(|n| {
            let (client, url) = (attackers.clone(), format!("{}/api/v1/sign-in", host.url));
            actix_web::rt::spawn(async move {
                let agent = ["kim", "lee", "sam", "root", "nobody"][n % 5];
                let body = json!({ "agent": agent, "password": "wrong" });
                client
                    .post(url)
                    .json(&body)
                    .send()
                    .await
                    .map(|answer| answer.status().as_u16())
                    .unwrap_or(0)
            })
        })
        .collect();
    let began = Instant::now();
    emulators.world.text(Provider::Twilio, "+14255550100", "in the midst of it").await;
    let waited = began.elapsed();
    kim.accept_next().await;
    let mut answers = std::collections::BTreeMap::<u16, usize>::new();
    for attempt in flood {
        *answers.entry(attempt.await.unwrap()).or_default() += 1;
    }
    let after = memory(&host);
    assert!(answers.keys().all(|status| matches!(status, 401 | 429)), "{answers:?}");
    // Of each account five are free, however many come at once; the others are turned away unchecked.
    assert!(answers[&401] <= 5 * 6 + 50, "{answers:?}");
    assert!(answers[&429] > 100, "{answers:?}");
    assert!(after < before + 100, "{before} to {after} MB");
    held(
        "wrong passwords at once",
        &format!(
            "{answers:?}; a text took {} ms meanwhile; {before} to {after} MB",
            waited.as_millis()
        ),
    );
}

// SEC-07
#[actix_web::test]
async fn guessing_gets_slower_and_the_right_one_gets_in_from_elsewhere() {
    let mut setup = Setup::new();
    setup.host = "proxies: [\"127.0.0.1\"],".to_owned();
    let _emulators = setup.with_emulators();
    set_password(&setup, "kim");
    let host = setup.start(&["--strict"]).await;
    let from = |address: &str, password: &str| {
        let body = json!({ "agent": "kim", "password": password });
        let request = client().post(format!("{}/api/v1/sign-in", host.url)).json(&body);
        request.header("x-forwarded-for", format!("1.2.3.4, {address}")).send()
    };
    let mut refused = None;
    for _ in 0..30 {
        let answer = from("203.0.113.9", "wrong").await.unwrap();
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status(), 401);
    }
    let refused = refused.expect("guessing is slowed down");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=4).contains(&wait), "{wait}");
    // Not even the right one, from there, for now; what stands first in the header is made up.
    assert_eq!(from("203.0.113.9", PASSWORD).await.unwrap().status(), 429);
    assert_eq!(from("203.0.113.10", PASSWORD).await.unwrap().status(), 204);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(from("203.0.113.9", PASSWORD).await.unwrap().status(), 204);
    held("guessing a password", "slowed down by account and address; its owner gets in");
}

// SEC-07
#[actix_web::test]
async fn whoever_guesses_everywhere_keeps_nobody_out_of_the_browser_they_had() {
    let mut setup = Setup::new();
    setup.host = "proxies: [\"127.0.0.1\"],".to_owned();
    let _emulators = setup.with_emulators();
    set_password(&setup, "kim");
    let host = setup.start(&["--strict"]).await;
    let browser = reqwest::Client::builder().no_proxy().cookie_store(true).build().unwrap();
    let signs_in = async |client: &Client, address: &str, password: &str| {
        let body = json!({ "agent": "kim", "password": password });
        let request = client.post(format!("{}/api/v1/sign-in", host.url)).json(&body);
        request.header("x-forwarded-for", address).send().await.unwrap().status().as_u16()
    };
    assert_eq!(signs_in(&browser, "198.51.100.1", PASSWORD).await, 204);
    // From as many networks as they like.
    let stranger = client();
    for n in 0..70 {
        let address = format!("10.{n}.1.1");
        let answer = signs_in(&stranger, &address, "wrong").await;
        assert!([401, 429].contains(&answer), "{answer}");
    }
    assert_eq!(signs_in(&stranger, "10.1.1.1", PASSWORD).await, 429, "guessing costs time");
    assert_eq!(signs_in(&browser, "203.0.113.77", PASSWORD).await, 204, "a new place");
    // A browser that says so itself isn't believed.
    let body = json!({ "agent": "kim", "password": PASSWORD });
    let request = stranger.post(format!("{}/api/v1/sign-in", host.url)).json(&body);
    let cookies = request.header("x-forwarded-for", "198.51.100.1").send().await.unwrap();
    let cookies = cookies.headers().get_all("set-cookie").iter();
    let names = cookies.filter_map(|cookie| cookie.to_str().ok()?.split('=').next());
    let theirs: Vec<&str> = names.filter(|name| name.starts_with("cordboard_device_")).collect();
    let made_up = format!("{}=00000000000000000000000000000000.00", theirs.concat());
    let body = json!({ "agent": "kim", "password": PASSWORD });
    let request = stranger.post(format!("{}/api/v1/sign-in", host.url)).json(&body);
    let request = request.header("x-forwarded-for", "10.1.1.1").header("cookie", made_up);
    assert_eq!(request.send().await.unwrap().status(), 429);
    // Nor does one guess better in a real one.
    let mut guesses = 0;
    while signs_in(&browser, "203.0.113.77", "wrong").await == 401 {
        guesses += 1;
        assert!(guesses < 20, "guessing is never slowed down");
    }
    held("guessing from everywhere", "their own browser gets in, wherever it is");
}

// SEC-07
#[actix_web::test]
async fn wrong_tokens_are_counted_and_right_ones_get_through() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut answers = Vec::new();
    for n in 0..60 {
        answers.push(host.get(&format!("cb_guess{n}"), "/api/v1/me").await.0);
    }
    assert_eq!((answers[0], answers[59]), (401, 429));
    assert_eq!(host.get(&token, "/api/v1/me").await.0, 200);
    held("wrong tokens", "429 after 50; a right one from the same address is served");
}

// SEC-07
#[actix_web::test]
async fn a_sign_in_link_survives_a_preview_and_works_once() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let (_, link) = setup.run(&["agent", "link", setup.config(), "--id", "kim"]);
    let link = link.trim();
    let host = setup.start(&["--strict"]).await;
    let client = client();
    for _ in 0..3 {
        let page = client.get(link).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(!page.headers().contains_key("set-cookie"));
        assert!(page.text().await.unwrap().contains("Sign in as Kim"));
        assert_eq!(client.head(link).send().await.unwrap().status().as_u16() / 100, 4);
    }
    let signed = client.post(link).send().await.unwrap();
    assert_eq!(signed.status(), 303);
    assert_eq!(client.get(format!("{}/api/v1/me", host.url)).send().await.unwrap().status(), 200);
    assert_eq!(client.post(link).send().await.unwrap().status(), 410);
    assert_eq!(client.get(link).send().await.unwrap().status(), 410);
    held("a sign-in link that a mail filter opens", "still works, once");
}

// SEC-06 SEC-07 SEC-03
#[actix_web::test]
async fn sessions_and_tokens_are_listed_ended_and_noted() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    for agent in ["kim", "root"] {
        set_password(&setup, agent);
    }
    let host = setup.start(&["--strict"]).await;
    let url = |path: &str| format!("{}/api/v1{path}", host.url);
    let (kim, csrf) = browser(&host, "kim").await;
    let (elsewhere, _) = browser(&host, "kim").await;
    let list = |client: &Client, path: &str| {
        let request = client.get(url(path)).send();
        async { request.await.unwrap().json::<Value>().await.unwrap() }
    };
    let mine = list(&kim, "/me/sign-ins").await;
    assert_eq!(mine.as_array().unwrap().len(), 2, "{mine}");
    let other =
        mine.as_array().unwrap().iter().find(|session| session["is_mine"] == false).unwrap();
    assert_eq!(other["address"], "127.0.0.1");
    let id = other["id"].as_str().unwrap();
    let delete = |client: &Client, csrf: &str, path: &str| {
        client.delete(url(path)).header("x-csrf-token", csrf).send()
    };
    assert_eq!(
        delete(&kim, &csrf, &format!("/agents/kim/sign-ins/{id}")).await.unwrap().status(),
        204
    );
    assert_eq!(
        delete(&kim, &csrf, &format!("/agents/kim/sign-ins/{id}")).await.unwrap().status(),
        404
    );
    assert_eq!(elsewhere.get(url("/me")).send().await.unwrap().status(), 401);
    assert_eq!(delete(&kim, &csrf, "/agents/root/sign-ins").await.unwrap().status(), 403);
    assert_eq!(kim.get(url("/sign-ins")).send().await.unwrap().status(), 403);

    // A token of one's own: for less than everything, for a while, seen in the list, and revoked.
    let make = |body: Value| {
        let request = kim.post(url("/me/tokens")).header("x-csrf-token", &csrf).json(&body).send();
        async { request.await.unwrap() }
    };
    for wrong in [
        json!({ "name": "" }),
        json!({ "name": "x", "scopes": ["everything"] }),
        json!({ "name": "x", "lasts_ms": 0 }),
        json!({ "name": "x", "for_ever": true }),
    ] {
        let refused = make(wrong.clone()).await;
        assert_eq!(refused.status(), 400, "{wrong}");
    }
    let looks: Value =
        make(json!({ "name": "wallboard", "scopes": ["agent.read"] })).await.json().await.unwrap();
    let looks = looks["token"].as_str().unwrap().to_owned();
    let brief: Value = make(json!({ "name": "brief", "scopes": ["work"], "lasts_ms": 3000 }))
        .await
        .json()
        .await
        .unwrap();
    let brief = brief["token"].as_str().unwrap().to_owned();
    assert_eq!(host.get(&looks, "/api/v1/me").await.0, 200);
    // It may look, but kim's role has no right to look at everybody, and a scope adds none.
    assert_eq!(host.get(&looks, "/api/v1/agents").await.0, 403);
    let presence = json!({ "status": "away" });
    assert_eq!(host.put(&looks, "/api/v1/me/presence", presence.clone()).await.0, 403);
    assert_eq!(host.put(&brief, "/api/v1/me/presence", presence).await.0, 204);
    let nested = host.post(&brief, "/api/v1/me/tokens", json!({ "name": "another" })).await;
    assert_eq!(nested.0, 403, "a token makes no tokens");
    let mut screen = Screen::at_desk(&host.url, &brief).await;
    let tokens = list(&kim, "/me/tokens").await;
    let names: Vec<&str> =
        tokens.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"wallboard") && names.contains(&"brief"), "{tokens}");
    assert!(!tokens.to_string().contains(&looks[3..20]), "never the token itself");
    let of = |name: &str| {
        tokens.as_array().unwrap().iter().find(|token| token["name"] == name).unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        delete(&kim, &csrf, &format!("/agents/kim/tokens/{}", of("wallboard")))
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(host.get(&looks, "/api/v1/me").await.0, 401);
    // Its time is over: the token's, and so its socket's.
    let end = async { while screen.try_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(12), end).await.expect("a socket outlives its token");
    assert_eq!(host.get(&brief, "/api/v1/me").await.0, 401);

    // From the command line, beside the running host.
    let made = setup
        .run(&[
            "agent",
            "token",
            setup.config(),
            "--id",
            "lee",
            "--name",
            "crm",
            "--scope",
            "work",
            "--lasts",
            "90d",
        ])
        .1;
    assert_eq!(host.get(made.trim(), "/api/v1/me").await.0, 200);
    let (_, listed) = setup.run(&["agent", "tokens", setup.config(), "--id", "lee"]);
    assert!(listed.contains("crm") && listed.contains("work; until 20"), "{listed}");
    let id = listed.split_whitespace().next().unwrap();
    let revoke = |token: &str| {
        setup.run(&["agent", "revoke", setup.config(), "--id", "lee", "--token", token])
    };
    let lasting = setup.run(&["agent", "token", setup.config(), "--id", "lee", "--lasts", "5x"]);
    assert!(lasting.0 == 1 && lasting.1.contains("such as"), "{}", lasting.1);
    assert_eq!(revoke("crm").0, 0, "by its name, {id}");
    assert_eq!(host.get(made.trim(), "/api/v1/me").await.0, 401);
    assert_eq!(setup.run(&["agent", "revoke", setup.config(), "--id", "lee", "--token", id]).0, 1);
    let (_, link) = setup.run(&["agent", "link", setup.config(), "--id", "kim"]);
    assert_eq!(setup.run(&["agent", "sign-out", setup.config(), "--id", "kim"]).0, 0);
    assert_eq!(kim.get(url("/me")).send().await.unwrap().status(), 401);
    // Nor does one come in again who was put out.
    assert_eq!(client().post(link.trim()).send().await.unwrap().status(), 410);

    // What was done is noted, and only some may read it.
    let (root, root_csrf) = browser(&host, "root").await;
    assert_eq!(sign_in(&client(), &host, "kim", "wrong").await.status(), 401);
    let all = list(&root, "/audit?limit=1000").await;
    let actions: Vec<&str> = all["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    for action in ["sign_in", "sign_in.failed", "session.end", "token.make", "token.revoke"] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
    // Who may what, and what the command line did, is there as well.
    setup.change(
        "main.ron",
        "(id: \"lee\", name: \"Lee\",",
        "(id: \"lee\", name: \"Lee\", role: administrator,",
    );
    host.prints("the configuration has changed").await;
    // It is on its way to the disk by then.
    let began = Instant::now();
    loop {
        let changes = list(&root, "/audit?action=config.change").await.to_string();
        if changes.contains("lee is administrator; was agent") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{changes}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let line = list(&root, "/audit?actor=command%20line&limit=1000").await.to_string();
    for action in ["token.make", "token.revoke", "password.set", "session.end"] {
        assert!(line.contains(action), "{action} in {line}");
    }
    let of_kim = list(&root, "/audit?actor=kim&action=token.revoke").await;
    assert_eq!(of_kim["entries"].as_array().unwrap().len(), 1, "{of_kim}");
    assert_eq!(root.get(url("/audit?actr=kim")).send().await.unwrap().status(), 400);
    assert_eq!(root.get(url("/audit/export?limit=2")).send().await.unwrap().status(), 400);
    let file = root.get(url("/audit/export")).send().await.unwrap();
    assert!(file.headers()["content-disposition"].to_str().unwrap().contains("audit.csv"));
    assert!(file.text().await.unwrap().starts_with("id,at,actor,action"));
    let everybody = list(&root, "/sign-ins").await;
    assert_eq!(everybody.as_array().unwrap().len(), 1, "{everybody}");
    let all_tokens = list(&root, "/tokens").await;
    assert!(all_tokens.as_array().unwrap().is_empty(), "{all_tokens}");
    assert_eq!(delete(&root, &root_csrf, "/agents/root/sign-ins").await.unwrap().status(), 204);
    assert_eq!(root.get(url("/me")).send().await.unwrap().status(), 401);
    held("sessions and tokens", "listed, ended, revoked, noted; sockets end with them");
}

// SEC-06
#[actix_web::test]
async fn a_session_ends_by_itself_and_an_open_page_doesnt_keep_it() {
    let mut setup = Setup::new();
    setup.host = "sign_ins: (last: \"1h\", idle: \"1m\"),".to_owned();
    let _emulators = setup.with_emulators();
    set_password(&setup, "kim");
    let host = setup.start(&["--strict"]).await;
    let (kim, _) = browser(&host, "kim").await;
    let me = || kim.get(format!("{}/api/v1/me", host.url)).send();
    assert_eq!(me().await.unwrap().status(), 200);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(me().await.unwrap().status(), 200, "looking doesn't count as use");
    tokio::time::sleep(Duration::from_secs(22)).await;
    assert_eq!(me().await.unwrap().status(), 401);
    held("an idle session", "ended");
}

// SEC-01
#[actix_web::test]
async fn a_role_of_ones_own_may_what_it_names() {
    let mut setup = Setup::new();
    setup.sections =
        "permissions: {agent: [self_assign], lead: [agent_read, conversation_read]},".to_owned();
    setup.agents = "(id: \"ana\", name: \"Ana\", role: lead),".to_owned();
    let emulators = setup.with_emulators();
    let (kims, anas) = (setup.token("kim"), setup.token("ana"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    emulators.world.text(Provider::Twilio, "+14255550100", "hello").await;
    let conversation = kim.accept_next().await;
    let path = format!("/api/v1/conversations/{conversation}");
    assert_eq!(host.get(&anas, &path).await.0, 200);
    assert_eq!(host.get(&anas, "/api/v1/agents").await.0, 200);
    assert_eq!(host.get(&anas, "/api/v1/conversations/search").await.0, 200);
    let (status, refused) = host.post(&anas, &format!("{path}/take-over"), json!({})).await;
    assert_eq!((status, refused["code"].as_str()), (403, Some("forbidden")), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("take_over"), "{refused}");
    assert_eq!(host.get(&anas, "/api/v1/conversations/export").await.0, 403);
    assert_eq!(host.get(&anas, "/api/v1/me").await.1["role"], "lead");
    setup.change("main.ron", "role: lead", "role: boss");
    let (code, text) = setup.run(&["check", setup.config()]);
    assert!(
        code == 1
            && text.contains("there is no role \"boss\"; there are administrator, agent, lead"),
        "{text}"
    );
    setup.change("main.ron", "agent_read", "agent_raed");
    let (_, text) = setup.run(&["check", setup.config()]);
    assert!(
        text.contains("there is no permission \"agent_raed\"; there are self_assign"),
        "{text}"
    );
}

// SEC-07
#[actix_web::test]
async fn no_session_of_an_old_password_outlives_its_change() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    set_password(&setup, "kim");
    let host = setup.start(&["--strict"]).await;
    let attempts: Vec<_> = (0..8)
        .map(|n| {
            let url = host.url.clone();
            actix_web::rt::spawn(async move {
                tokio::time::sleep(Duration::from_millis(15 * n)).await;
                let client = client();
                let body = json!({ "agent": "kim", "password": PASSWORD });
                let sign_in = client.post(format!("{url}/api/v1/sign-in")).json(&body);
                (sign_in.send().await.unwrap().status(), client)
            })
        })
        .collect();
    let mut change = setup
        .command(&["agent", "password", setup.config(), "--id", "kim"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    change.stdin.take().unwrap().write_all(b"another horse battery").unwrap();
    // Not waited for on the thread that has to sign in.
    let changed = actix_web::rt::task::spawn_blocking(move || change.wait());
    assert_eq!(changed.await.unwrap().unwrap().code(), Some(0));
    let mut signed_in = 0;
    for attempt in attempts {
        let (status, client) = attempt.await.unwrap();
        signed_in += usize::from(status == 204);
        let me = client.get(format!("{}/api/v1/me", host.url)).send().await.unwrap();
        assert_eq!(me.status(), 401, "signed in with the old password ({status})");
    }
    let text = format!("{signed_in} of 8 signed in meanwhile, none of them stays");
    held("sign-ins while the password is changed", &text);
}

// SEC-01 SEC-06
#[actix_web::test]
async fn authority_is_looked_up_once_the_body_is_there() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let body = r#"{"status":"away"}"#;
    let head = format!(
        "PUT /api/v1/me/presence HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len() + 10
    );
    let mut connection = crate::tools::sent(&host.url, head.as_bytes()).await;
    connection.write_all(&[b' '; 10]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (code, _) = setup.run(&["agent", "revoke", setup.config(), "--id", "kim"]);
    assert_eq!(code, 0);
    connection.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    held("a body that comes once its token is revoked", "401");
}

// SEC-06 OPS-11
#[actix_web::test]
async fn an_export_ends_with_the_right_to_it_and_one_holds_little_and_few() {
    use tokio::io::AsyncReadExt;

    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    emulators.world.text(Provider::Twilio, "+14255550100", "hello").await;
    let id = kim.accept_next().await;
    kim.must(json!({ "type": "end", "conversation": id })).await;
    let summary = "\u{1f600}".repeat(3900);
    let finish = json!({ "type": "finish_wrap_up", "conversation": id, "summary": summary });
    kim.must(finish).await;
    assert_eq!(host.stop(), Some(0));
    // As if years of it: the same conversation under other names.
    let mut journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    let row = "SELECT id, snapshot FROM conversations";
    let (old, snapshot): (Vec<u8>, Vec<u8>) =
        journal.query_row(row, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let at = snapshot.windows(16).position(|part| part == old);
    let at = at.expect("a snapshot holds its conversation's name");
    let transaction = journal.transaction().unwrap();
    let copy = "INSERT INTO conversations SELECT ?1, channel, customer, workstream, state, agent, occupies,
        asked_back, queued_at, wake_at, version, ?2, ticket, queue FROM conversations WHERE id = ?3";
    for n in 1..=2000_u16 {
        let mut new = old.clone();
        new[6..8].copy_from_slice(&(0x7000 | n).to_be_bytes());
        if new == old {
            continue;
        }
        let mut snapshot = snapshot.clone();
        snapshot[at..at + 16].copy_from_slice(&new);
        transaction.execute(copy, rusqlite::params![new, snapshot, old]).unwrap();
    }
    transaction.commit().unwrap();
    let host = setup.start(&["--strict"]).await;
    let request = format!(
        "GET /api/v1/conversations/export HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer {sams}\r\n\r\n"
    );
    let before = memory(&host);
    let mut readers = Vec::new();
    for _ in 0..20 {
        readers.push(crate::tools::sent(&host.url, request.as_bytes()).await);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = memory(&host).saturating_sub(before);
    assert!(grown < 80, "{grown} MB for exports that nobody reads");
    let mut refused = 0;
    let mut head = [0; 12];
    for reader in &mut readers {
        reader.read_exact(&mut head).await.unwrap();
        refused += usize::from(head.ends_with(b"429"));
    }
    assert_eq!(refused, 16, "four at a time");
    let (code, _) = setup.run(&["agent", "revoke", setup.config(), "--id", "sam"]);
    assert_eq!(code, 0);
    let mut taken = 0;
    for mut reader in readers {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), reader.read_to_end(&mut rest));
        if ended.await.is_ok() {
            taken = taken.max(rest.len());
        }
    }
    let all = 2000 * summary.len();
    assert!(taken < all * 3 / 4, "{taken} of {all} bytes were taken out");
    held("exports whose token is revoked", &format!("broken off; {grown} MB for four of them"));
}
