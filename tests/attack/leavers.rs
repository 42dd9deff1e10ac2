//! What somebody who has left can still do, and whoever gets their name.

use serde_json::json;

use cordboard_tests::harness::{HostProcess, Setup};

use crate::sign_in::{PASSWORD, browser, client, set_password, sign_in};
use crate::tools::held;

const ANA: &str = "(id: \"ana\", name: \"Ana\"),";

fn with_ana(host: &str) -> Setup {
    let mut setup = Setup::new();
    setup.host = host.to_owned();
    setup.agents = ANA.to_owned();
    setup
}

/// Until a token is answered like this: the configuration has arrived.
async fn answers(host: &HostProcess, token: &str, status: u16) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while host.get(token, "/api/v1/me").await.0 != status {
        assert!(std::time::Instant::now() < until, "never {status}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

// SEC-06 SEC-03
#[actix_web::test]
async fn whoever_gets_the_name_doesnt_get_the_access() {
    let mut setup = with_ana("sign_ins: (removed: \"1s\"),");
    let _emulators = setup.with_emulators();
    set_password(&setup, "ana");
    let (token, root) = (setup.token("ana"), setup.token("root"));
    let host = setup.start(&["--strict"]).await;
    let (session, _) = browser(&host, "ana").await;
    let me = || session.get(format!("{}/api/v1/me", host.url)).send();
    assert_eq!(host.get(&token, "/api/v1/me").await.0, 200);
    setup.change("main.ron", ANA, "");
    answers(&host, &token, 401).await;
    assert_eq!(me().await.unwrap().status(), 401);
    host.prints("taken out of the configuration: password, tokens and sessions ended").await;
    setup.change("main.ron", "agents: [", &format!("agents: [{ANA}"));
    let before = setup.run(&["agent", "token", setup.config(), "--id", "ana"]);
    assert_eq!(before.0, 0, "{}", before.1);
    answers(&host, before.1.trim(), 200).await;
    assert_eq!(host.get(&token, "/api/v1/me").await.0, 401);
    assert_eq!(me().await.unwrap().status(), 401);
    assert_eq!(sign_in(&client(), &host, "ana", PASSWORD).await.status(), 401);
    let (_, noted) = host.get(&root, "/api/v1/audit?action=access.end").await;
    let entry = &noted["entries"][0];
    assert_eq!(
        (entry["actor"].as_str(), entry["subject"].as_str()),
        (Some("configuration"), Some("ana")),
        "{noted}"
    );
    held("a name that somebody had before", "no token, session or password of theirs works");
}

// SEC-06
#[actix_web::test]
async fn a_file_that_is_gone_by_mistake_costs_nobody_their_access() {
    let mut setup = with_ana("");
    let _emulators = setup.with_emulators();
    set_password(&setup, "ana");
    let token = setup.token("ana");
    let host = setup.start(&["--strict"]).await;
    setup.change("main.ron", ANA, "");
    answers(&host, &token, 401).await;
    // It is stopped meanwhile, and started with the wrong folder: that is said, and changes nothing.
    assert_eq!(host.stop(), Some(0));
    let forget = ["agent", "forget", setup.config(), "--id"];
    let (code, _) = setup.run(&[&forget[..], &["kim"]].concat());
    assert_eq!(code, 1, "kim is in the configuration");
    let host = setup.start(&["--strict"]).await;
    host.prints("not in the configuration, but with a password, token or session").await;
    setup.change("main.ron", "agents: [", &format!("agents: [{ANA}"));
    answers(&host, &token, 200).await;
    assert_eq!(sign_in(&client(), &host, "ana", PASSWORD).await.status(), 204);
    // On purpose.
    setup.change("main.ron", ANA, "");
    answers(&host, &token, 401).await;
    assert_eq!(setup.run(&[&forget[..], &["ana"]].concat()).0, 0);
    assert_eq!(setup.run(&[&forget[..], &["ana"]].concat()).0, 1, "there is nothing left");
}

// SEC-06 OPS-11
#[actix_web::test]
async fn tokens_of_one_agent_are_bounded() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    set_password(&setup, "kim");
    let host = setup.start(&["--strict"]).await;
    let (kim, csrf) = browser(&host, "kim").await;
    let make = || {
        let request = kim.post(format!("{}/api/v1/me/tokens", host.url));
        request.header("x-csrf-token", &csrf).json(&json!({ "name": "one more" })).send()
    };
    for n in 0..100 {
        assert_eq!(make().await.unwrap().status(), 200, "{n}");
    }
    let refused = make().await.unwrap();
    assert_eq!(refused.status(), 409);
    let why = refused.text().await.unwrap();
    assert!(why.contains("too_many") && why.contains("revoke one first"), "{why}");
    let (code, text) = setup.run(&["agent", "token", setup.config(), "--id", "kim"]);
    assert!(code == 1 && text.contains("revoke one first"), "{code} {text}");
}
