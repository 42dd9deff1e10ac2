//! What is written into fields by those who mean no good, and what a running host reads of its files.

use cordboard_tests::emulator::{Failure, Provider};
use cordboard_tests::harness::{Screen, Setup, library, plugin_folder};
use serde_json::{Value, json};

use crate::tools::held;

// CONV-04 ROUTE-02
#[actix_web::test]
async fn fields_take_what_belongs_there_and_no_more() {
    let mut setup = Setup::new();
    setup.sections = "fields: (contact: [\"tier\"]),".to_owned();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    emulators.world.text(Provider::Twilio, "+14255550100", "hello").await;
    let id = kim.accept_next().await;
    let path = |action: &str| format!("/api/v1/conversations/{id}/{action}");
    let picture = |url: &str| json!({ "url": url, "content_type": "image/png" });
    let mut tried = 0;
    for (action, body) in [
        ("reply", json!({ "text": "\u{200b}\u{2060}" })),
        ("reply", json!({ "text": "a\u{0}b" })),
        ("reply", json!({ "text": "pay \u{202e}DOG" })),
        ("reply", json!({ "text": "x", "media": [picture("javascript:alert(1)")] })),
        ("reply", json!({ "text": "x", "media": [picture("http://files.example/x")] })),
        ("reply", json!({ "text": "x", "media": vec![picture("https://files.example/x"); 11] })),
        (
            "reply",
            json!({ "text": "x", "media": [picture(&format!("https://a.example/{}", "x".repeat(3000)))] }),
        ),
        ("reply", json!({ "text": "x", "client_key": "k".repeat(300) })),
        ("note", json!({ "text": "n".repeat(10_001) })),
        ("note", json!({ "text": "\u{feff}" })),
        ("finish-wrap-up", json!({ "summary": "s".repeat(4001) })),
    ] {
        let (status, refused) = host.post(&kims, &path(action), body.clone()).await;
        assert_eq!(
            (status, refused["code"].as_str()),
            (400, Some("malformed")),
            "{action} {body}: {refused}"
        );
        tried += 1;
    }
    for attributes in [
        json!({ "contact": { "colour": "red" } }),
        json!({ "context": { "tier": "gold" } }),
        json!({ "contact": { "tier": "x".repeat(60_000) } }),
        json!({ "contact": { "tier": "a\u{0}" } }),
        json!({ "language": "x".repeat(1000) }),
    ] {
        let (status, refused) = host.put(&sams, &path("attributes"), attributes.clone()).await;
        assert_eq!(status, 400, "{attributes}: {refused}");
        tried += 1;
    }
    let fine = json!({ "contact": { "tier": "gold" } });
    assert_eq!(host.put(&sams, &path("attributes"), fine).await.0, 204);
    assert_eq!(host.post(&kims, &path("reply"), json!({ "text": "👩‍👩‍👧 שלום" })).await.0, 204);
    // A path that isn't there, and a parameter that isn't known, are said to be wrong.
    let (status, wrong) = host.get(&kims, "/api/v1/nonsense").await;
    assert_eq!((status, wrong["code"].as_str()), (404, Some("not_found")), "{wrong}");
    let (status, wrong) = host.get(&sams, "/api/v1/conversations/search?custmer=x").await;
    assert_eq!(status, 400);
    let known = wrong["message"].as_str().unwrap();
    assert!(known.contains("no parameter \"custmer\"") && known.contains("customer"), "{wrong}");
    assert_eq!(host.get(&sams, "/api/v1/conversations/export?formt=csv").await.0, 400);
    for path in ["/api/v1/me?x=1", "/api/v1/desk?foo=1", "/api/v1/agents?x="] {
        assert_eq!(host.get(&sams, path).await.0, 400, "{path}");
    }
    assert_eq!(host.post(&kims, &path("reply?x=1"), json!({ "text": "x" })).await.0, 400);
    for path in ["/api/v2/x", "//api/v1/me", "/nonsense"] {
        assert_eq!(host.get(&sams, path).await.0, 404, "{path}");
    }
    // A name for a reply is that of one text.
    let reply = |text: &str| json!({ "text": text, "client_key": "zz" });
    assert_eq!(host.post(&kims, &path("reply"), reply("price is 10")).await.0, 204);
    assert_eq!(host.post(&kims, &path("reply"), reply("price is 10")).await.0, 204);
    let (status, other) = host.post(&kims, &path("reply"), reply("price is 100")).await;
    assert_eq!((status, other["code"].as_str()), (409, Some("key_used")), "{other}");
    let file = reqwest::Client::new()
        .get(format!("{}/api/v1/conversations/export?format=csv", host.url))
        .bearer_auth(&sams)
        .send()
        .await
        .unwrap();
    let headers = file.headers().clone();
    assert!(
        headers["content-disposition"].to_str().unwrap().contains("conversations.csv"),
        "{headers:?}"
    );
    assert_eq!(
        (&headers["x-content-type-options"], &headers["cache-control"]),
        (&"nosniff".parse().unwrap(), &"no-store".parse().unwrap())
    );
    // Of a stranger's conversation it isn't even said that it is there.
    let lees = setup.token("lee");
    let unknown = format!("/api/v1/conversations/{}", uuid::Uuid::nil());
    for action in ["", "/why"] {
        let theirs = host.get(&lees, &format!("/api/v1/conversations/{id}{action}")).await;
        assert_eq!(theirs, host.get(&lees, &format!("{unknown}{action}")).await);
        assert_eq!(theirs.0, 404);
    }
    held("fields that hold what they shouldn't", &format!("{tried} refused, each with a sentence"));
}

// SEC-02 PLUG-01
#[actix_web::test]
async fn a_message_without_an_id_is_refused_and_seen() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    setup.with_panicky();
    let token = setup.token("root");
    let host = setup.start(&["--strict"]).await;
    let client = reqwest::Client::new();
    let post = |body: String| client.post(format!("{}/hooks/odd", host.url)).body(body).send();
    // Its plugin takes the body for the message's id.
    assert_eq!(post(String::new()).await.unwrap().status(), 500);
    assert_eq!(post("x".repeat(100_000)).await.unwrap().status(), 500);
    assert_eq!(post("one".to_owned()).await.unwrap().status(), 200);
    let metrics = host.text(&token, "/metrics").await;
    assert!(
        metrics.contains("cordboard_webhooks_total{channel=\"odd\",outcome=\"failed\"} 2"),
        "{metrics}"
    );
    host.prints("a message without `provider_id`").await;
    let (_, open) = host.get(&token, "/api/v1/conversations?all=true").await;
    assert_eq!(open.as_array().unwrap().len(), 1, "{open}");
    held("messages without an id, or with one of 100,000 characters", "500, logged, counted");
}

// ROUTE-17 PLUG-03
#[actix_web::test]
async fn a_reload_asks_plugins_too_and_says_what_waits_for_a_restart_each_time() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let (root, kims) = (setup.token("root"), setup.token("kim"));
    let host = setup.start(&["--strict"]).await;
    let reload = async || host.post(&root, "/api/v1/config/reload", json!({})).await;
    let is_agent = async || host.get(&kims, "/api/v1/me").await.1["role"] == "agent";
    assert!(is_agent().await);
    // What only the plugin knows to be wrong changes nothing else either.
    setup.change("channels.ron", "\"+15550002002\"", "\"15550002002\"");
    setup.change("main.ron", "(id: \"kim\",", "(id: \"kim\", role: supervisor,");
    let (status, refused) = reload().await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused.to_string().contains("isn't in the right form"), "{refused}");
    assert!(is_agent().await);
    setup.change("channels.ron", "\"15550002002\"", "\"+15550002002\"");
    setup.change("main.ron", "data: \"data\"", "data: \"elsewhere\"");
    for _ in 0..3 {
        let (status, change) = reload().await;
        assert_eq!(status, 200, "{change}");
        let waits = change["after_restart"].to_string();
        assert!(waits.contains("host.data differs"), "{change}");
    }
    assert!(!is_agent().await, "the rest is in force");
    setup.change("main.ron", "data: \"elsewhere\"", "data: \"data\"");
    let (_, change) = reload().await;
    assert_eq!(change["after_restart"], json!([]), "{change}");
}

// OPS-02 PLUG-05
#[actix_web::test]
async fn a_secret_that_has_changed_is_read_and_a_wrong_one_costs_no_reply() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let file = setup.folder.path().join("twilio.secret");
    let right = emulators.world.accounts.twilio_token.clone();
    std::fs::write(&file, "somebody else's").unwrap();
    setup.change("channels.ron", "Env(\"TWILIO_AUTH_TOKEN\")", "file(\"twilio.secret\")");
    let (root, kims) = (setup.token("root"), setup.token("kim"));
    let host = setup.start(&["--strict"]).await;
    // What the provider signs is another secret's to us.
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 403);
    std::fs::write(&file, right).unwrap();
    let (status, change) = host.post(&root, "/api/v1/config/reload", json!({})).await;
    let others = change["plugins"].to_string();
    assert!(status == 200 && others.contains("the content of its secrets"), "{change}");
    assert!(!others.contains(&emulators.world.accounts.twilio_token), "{change}");
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    // The provider doesn't know us just now.
    emulators.world.fail_next([Failure::Status(401, None)]);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "hi" })).await;
    host.prints("a reply couldn't be sent: it is tried again").await;
    emulators.world.wait_for_sent("the reply", |sent| sent.text == "hi").await;
    assert_eq!(host.stop(), Some(0));
    held("a wrong secret", "read again once it is right; replies wait until then");
}

// PLUG-07
#[actix_web::test]
async fn a_library_under_another_name_or_a_rotten_copy_isnt_run() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    // The plugins of this build, but somebody has put another one under twilio's name.
    let plugins = tempfile::tempdir().unwrap();
    for name in ["telesign", "acs"] {
        std::fs::copy(library(&plugin_folder(), name), library(plugins.path(), name)).unwrap();
    }
    std::fs::copy(library(&plugin_folder(), "panicky"), library(plugins.path(), "twilio")).unwrap();
    let (from, to) = (plugin_folder().display().to_string(), plugins.path().display().to_string());
    setup.change("main.ron", &from, &to);
    let (code, text) = setup.run(&["check", setup.config()]);
    assert!(
        code == 1
            && text.contains("it is the plugin \"panicky\", and the configuration says \"twilio\""),
        "{text}"
    );
    let (code, text) = setup.run(&["run", setup.config(), "--strict"]);
    assert!(code == 1 && text.contains("\"panicky\""), "{code} {text}");
    // Without --strict the others run; readiness says which one doesn't, and no path of this machine.
    let host = setup.start(&[]).await;
    let ready = host.text("", "/health/ready").await;
    assert!(ready.contains("channel sms-twilio isn't loaded") && !ready.contains('/'), "{ready}");
    assert_eq!(host.stop(), Some(0));
    setup.change("main.ron", &to, &from);
    // A copy that was cut or written over doesn't kill the host, and isn't run.
    let cache = setup.data().join("plugins");
    for rot in [0_usize, 4096] {
        let host = setup.start(&["--strict"]).await;
        assert_eq!(host.text("", "/health/ready").await, "ready\n");
        assert_eq!(host.stop(), Some(0));
        for entry in std::fs::read_dir(&cache).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            match rot {
                0 => bytes.truncate(bytes.len() / 2),
                at => bytes[at] ^= 0xff,
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.text("", "/health/ready").await, "ready\n");
    held("libraries under other names, rotten copies", "refused; copied anew");
}

// OPS-01 ROUTE-17
#[actix_web::test]
async fn files_of_another_shape_change_nothing_on_a_running_host() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    setup.write("ana.ron", "(agents: [(id: \"ana\", queues: [\"support\"])])");
    let root = setup.token("root");
    let host = setup.start(&["--strict"]).await;
    let reload = || host.post(&root, "/api/v1/config/reload", json!({}));
    let has_ana = async || {
        let (_, agents) = host.get(&root, "/api/v1/agents").await;
        agents.as_array().unwrap().iter().any(|agent: &Value| agent["id"] == "ana")
    };
    let large = "x".repeat(5_000_000);
    for wrong in
        ["(5)", "(())", "([])", "x", "1", "[]", "(agents: 5)", "", &large, "(((((", "(agents: {})"]
    {
        setup.write("ana.ron", wrong);
        let (status, refused) = reload().await;
        assert_eq!(
            (status, refused["code"].as_str()),
            (409, Some("wrong_config")),
            "{}",
            &wrong[..wrong.len().min(20)]
        );
        assert!(has_ana().await);
    }
    setup.write("ana.ron", "()");
    assert_eq!(reload().await.0, 200);
    assert!(!has_ana().await, "an empty file is one, and says so");
    held("configuration files of another shape", "refused; nobody is removed by them");
}

// CH-11 SEC-02
#[actix_web::test]
async fn a_report_that_outruns_its_send_counts_and_one_of_another_channel_doesnt() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    setup.with_panicky();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    let hook = format!("{}/hooks/odd", host.url);
    let post = |body: String| {
        let request = reqwest::Client::new().post(&hook).body(body).send();
        async { request.await.unwrap().status().as_u16() }
    };
    assert_eq!(post("hello".to_owned()).await, 200);
    let id = kim.accept_next().await;
    let calls = async || {
        let metrics = host.text(&token, "/metrics").await;
        let calls = "cordboard_plugin_calls_total{channel=\"odd\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(calls));
        line.unwrap().parse::<u32>().unwrap()
    };
    let before = calls().await;
    kim.must(json!({ "type": "reply", "conversation": id, "text": "as P1" })).await;
    // Its provider has it, and reports before it has answered.
    while calls().await == before {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let report = actix_web::rt::spawn(post("report P1".to_owned()));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!report.is_finished(), "it is kept until the send is settled");
    assert_eq!(post("go".to_owned()).await, 200);
    assert_eq!(report.await.unwrap(), 200);
    let delivered =
        |frame: &Value| frame["type"] == "delivery" && frame["delivery"]["status"] == "delivered";
    kim.wait_for("delivered", delivered).await;
    // Another channel's reply by its name.
    emulators.world.set_reports(false);
    emulators.world.text(Provider::Twilio, "+14255550100", "hello").await;
    let other = kim.accept_next().await;
    kim.must(json!({ "type": "reply", "conversation": other, "text": "hi" })).await;
    let sent = emulators.world.wait_for_sent("hi", |sent| sent.text == "hi").await;
    assert_eq!(post(format!("report X {}", sent.reference)).await, 200);
    assert!(!kim.sees(std::time::Duration::from_millis(500), delivered).await, "not its business");
    held("reports that outrun their send, or name another channel's reply", "kept; passed over");
}

// SEC-03 CONV-09
#[actix_web::test]
async fn what_is_misspelt_or_too_long_is_refused_and_nothing_is_done() {
    let mut setup = Setup::new();
    setup.queues = "), (id: \"billing\"),".to_owned();
    setup.agents = "(id: \"bill\", queues: [\"billing\"]),".to_owned();
    let emulators = setup.with_emulators();
    let [kims, sams, roots, bills] = ["kim", "sam", "root", "bill"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    emulators.world.text(Provider::Twilio, "+14255550100", "hello").await;
    // Who may not see it doesn't learn that it is there, whatever they try.
    let id = host.conversations_of(&sams, "+14255550100").await.remove(0);
    for action in ["take", "take-over", "end", "leave", "rejoin", "end-consult"] {
        let path = format!("/api/v1/conversations/{id}/{action}");
        assert_eq!(host.post(&bills, &path, json!({})).await.0, 404, "{action}");
    }
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(kim.accept_next().await, id);
    for command in [
        json!({ "type": "reply", "conversation": id, "text": "hi", "clientKey": "same" }),
        json!({ "type": "finish_wrap_up", "conversation": id, "dispositon": "solved" }),
        json!({ "type": "presence", "statuss": "away" }),
        json!({ "type": "watch", "on": true, "off": false }),
        json!({ "type": "nonsense" }),
        json!({ "type": "activity", "x": 1 }),
        json!({ "type": "reply", "conversation": id, "text": "hi",
            "media": [{ "url": "https://a.example/x", "content_type": "image/png", "x": 1 }] }),
        json!({ "conversation": id }),
    ] {
        let answer = kim.command(command.clone()).await;
        assert_eq!(answer["ok"], false, "{command}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("isn't a command"), "{answer}");
    }
    // Fields without names, of other names, or of what takes none.
    let path = |action: &str| format!("/api/v1/conversations/{id}/{action}");
    for (token, action, body) in [
        (&kims, "reply", json!(["array text"])),
        (&kims, "note", json!(["x"])),
        (&kims, "end", json!({ "disposition": "solved" })),
        (&kims, "leave", json!("now")),
    ] {
        let (status, refused) = host.post(token, &path(action), body.clone()).await;
        assert_eq!(status, 400, "{action} {body}: {refused}");
    }
    let flags = json!({ "flags": { "bad_actor": true } });
    assert_eq!(host.put(&sams, &path("attributes"), flags).await.0, 204);
    for body in [
        json!({ "contacts": { "tier": "gold" } }),
        json!({ "flag": { "bad_actor": true } }),
        json!({ "flags": { "bogus": true } }),
        json!([]),
    ] {
        let (status, refused) = host.put(&sams, &path("attributes"), body.clone()).await;
        assert_eq!(status, 400, "{body}: {refused}");
    }
    let why = host.why(&sams, &id).await;
    let told = why.to_string().matches("more became known about the customer").count();
    assert_eq!(told, 1, "{why}");
    assert_eq!(host.put(&kims, "/api/v1/me/presence", json!(["away"])).await.0, 400);
    assert_eq!(host.transcript(&sams, &id).await.len(), 1);
    assert_eq!(host.conversation(&sams, &id).await["state"], "active");
    // Padding doesn't hide from the audit log what was looked for.
    let customer = "customer=%2B14255550100";
    for path in [
        format!("/api/v1/conversations/search?{}{customer}", "&".repeat(2000)),
        format!("/api/v1/conversations/export?from={}&{customer}", "0".repeat(2000)),
        format!("/api/v1/sessions/search?{}{customer}", "&".repeat(2000)),
    ] {
        let (status, refused) = host.get(&sams, &path).await;
        assert_eq!(status, 400, "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("2000 at most"), "{refused}");
    }
    for path in ["conversations/export?limit=7", "sessions/export?cursor=1"] {
        assert_eq!(host.get(&sams, &format!("/api/v1/{path}")).await.0, 400, "{path}");
    }
    // What isn't there leaves no entry; who asks for a customer leaves one, found or not.
    let entries = async || {
        let (_, page) = host.get(&roots, "/api/v1/audit?limit=1000").await;
        page["entries"].as_array().unwrap().iter().map(|e| e["action"].clone()).collect::<Vec<_>>()
    };
    for id in ["nothing", &"z".repeat(2000)] {
        for what in ["tokens", "sign-ins"] {
            let path = format!("/api/v1/agents/kim/{what}/{id}");
            assert_eq!(host.delete(&kims, &path).await.0, 404);
        }
    }
    let nowhere = "/api/v1/conversations/01a2153e-0509-7578-af2c-f6cd90ee94dc";
    assert_eq!(host.put(&sams, &format!("{nowhere}/attributes"), json!({})).await.0, 404);
    assert_eq!(host.post(&sams, &format!("{nowhere}/take-over"), json!({})).await.0, 404);
    assert_eq!(host.post(&sams, &format!("{nowhere}/note"), json!({ "text": "n" })).await.0, 404);
    let nobody = "/api/v1/customers/data?customer=%2B14255559999";
    assert_eq!(host.get(&roots, nobody).await.0, 404);
    let noted = entries().await;
    let count = |action: &str| noted.iter().filter(|noted| *noted == action).count();
    assert_eq!(count("attributes.set"), 1, "{noted:?}");
    for action in ["token.revoke", "session.end", "conversation.take_over", "conversation.note"] {
        assert_eq!(count(action), 0, "{action}: {noted:?}");
    }
    assert_eq!(count("customer.export"), 1, "{noted:?}");
    // A test message goes to a number, from one of the channel's.
    let verify = "/api/v1/channels/sms-twilio/verify";
    let long = json!({ "to": format!("+{}", "1".repeat(60_000)) });
    let (status, refused) = host.post(&roots, verify, long).await;
    assert!(status == 400 && refused.to_string().len() < 500, "{status} {refused}");
    let foreign = json!({ "to": "+14255550100", "from": "+19998887777" });
    let (_, report) = host.post(&roots, verify, foreign).await;
    assert_eq!(report["ok"], false, "{report}");
    assert!(report["message"].as_str().unwrap().contains("isn't among"), "{report}");
    // Whatever is sent unsigned, a sentence of it is kept.
    let client = reqwest::Client::new();
    let length = host.log().len();
    for _ in 0..50 {
        let form =
            client.post(format!("{}/hooks/sms-twilio", host.url)).body("x".repeat(1_000_000));
        assert_eq!(form.send().await.unwrap().status(), 403);
    }
    let grown = host.log().len() - length;
    assert!(grown < 20_000, "{grown} bytes");
    held("what is misspelt, padded, or names nothing", "refused; no entry, no effect, few words");
}

// OPS-11 OPS-08
#[actix_web::test]
async fn what_is_refused_leaves_nothing_on_the_disk() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    let long = format!("{}.1", "q".repeat(60_000));
    let answer = kim.command(json!({ "type": "refuse", "offer": long })).await;
    assert_eq!(answer["ok"], false);
    assert!(answer.to_string().len() < 1000, "it isn't said back");
    for n in 0..500 {
        let offer = format!("{}.{n}", "q".repeat(150));
        assert_eq!(kim.command(json!({ "type": "refuse", "offer": offer })).await["ok"], false);
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    // Not in the tables, not in the log, nor in what lies beside them.
    for file in std::fs::read_dir(setup.data()).unwrap().map(|file| file.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let is_there = bytes.windows(100).any(|part| part.iter().all(|byte| *byte == b'q'));
        assert!(!is_there, "{}", file.display());
    }
    setup.stop_and_replay(host);
}
