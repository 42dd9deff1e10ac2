//! Plugins, their settings and their secrets change while work flows (PLUG-03, ROUTE-17).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cordboard_tests::emulator::{Emulators, Failure, Provider, World};
use cordboard_tests::harness::{HostProcess, Screen, Setup, eventually, library, plugin_folder};
use serde_json::{Value, json};

/// The number that moves from one provider to the other.
const OURS: &str = "+15550002002";

/// Puts a version of a plugin where the host looks for it, as whoever deploys one does: whole, at once.
fn deploy(file: &Path, content: &[u8]) {
    let partial = file.with_extension("partial");
    std::fs::write(&partial, content).unwrap();
    std::fs::rename(&partial, file).unwrap();
}

/// As metrics have it.
async fn counted(host: &HostProcess, token: &str, name: &str) -> u64 {
    let metrics = host.text(token, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
}

async fn comes_to(host: &HostProcess, token: &str, name: &str, count: u64) {
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while counted(host, token, name).await < count {
        assert!(tokio::time::Instant::now() < until, "{name} {count}: {}", host.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn swaps(channel: &str, outcome: &str) -> String {
    format!("cordboard_plugin_swaps_total{{channel=\"{channel}\",outcome=\"{outcome}\"}}")
}

async fn channel(host: &HostProcess, token: &str, id: &str) -> Value {
    let (_, all) = host.get(token, "/api/v1/channels").await;
    all.as_array().unwrap().iter().find(|one| one["id"] == id).cloned().unwrap_or_default()
}

/// One channel whose provider, credentials and plugin version change.
struct Line {
    setup: Setup,
    emulators: Emulators,
    twilio: PathBuf,
    content: Vec<u8>,
    /// What the text of its configuration was written from.
    swaps: usize,
    provider: Provider,
    token: String,
}

impl Line {
    /// With these terms for swaps.
    fn with(swaps: &str) -> Self {
        let mut setup = Setup::new();
        setup.host = format!("swaps: ({swaps})");
        let emulators = setup.with_emulators();
        emulators.world.moves_to(Provider::Telesign, "line", OURS);
        emulators.world.moves_to(Provider::Twilio, "line", OURS);
        let twilio = setup.folder.path().join("libtwilio.so");
        let content = std::fs::read(library(&plugin_folder(), "twilio")).unwrap();
        deploy(&twilio, &content);
        let token = emulators.world.accounts.twilio_token.clone();
        let line =
            Self { setup, emulators, twilio, content, swaps: 0, provider: Provider::Twilio, token };
        std::fs::write(line.setup.folder.path().join("line.secret"), &line.token).unwrap();
        line.write();
        line
    }

    fn world(&self) -> World {
        self.emulators.world.clone()
    }

    fn write(&self) {
        let accounts = &self.emulators.world.accounts;
        let url = &self.emulators.urls[&self.provider];
        let allowed = url.trim_start_matches("http://");
        let channel = match self.provider {
            Provider::Telesign => format!(
                "plugin: \"telesign\", config: (customer_id: \"{}\", base_url: \"{url}\", numbers: [(number: \"{}\", type: \"local\")]), secrets: {{\"api_key\": env(\"TELESIGN_API_KEY\")}}",
                accounts.telesign_customer,
                OURS.trim_start_matches('+')
            ),
            _ => format!(
                "plugin: \"{}\", config: (account_sid: \"{}\", base_url: \"{url}\", numbers: [(number: \"{OURS}\", type: \"local\", description: \"{}\")]), secrets: {{\"auth_token\": file(\"line.{}\")}}",
                self.twilio.display(),
                accounts.twilio_sid,
                self.swaps,
                self.token
            ),
        };
        let channel = format!(
            "(channels: [(id: \"line\", workstream: \"sms\", allow_hosts: [\"{allowed}\"], {channel})])"
        );
        let secret = self.setup.folder.path().join(format!("line.{}", self.token));
        std::fs::write(secret, &self.token).unwrap();
        // Whole, at once: what is half written is wrong, and would be said.
        let partial = self.setup.folder.path().join("channels.partial");
        std::fs::write(&partial, channel).unwrap();
        std::fs::rename(partial, self.setup.folder.path().join("channels.ron")).unwrap();
    }

    /// A version, credentials, a provider: one after the other. The provider changes first what it signs with.
    fn swap(&mut self) {
        self.swaps += 1;
        match (self.swaps % 4, self.provider) {
            (1, Provider::Twilio) => {
                let version = [&self.content[..], format!("{}", self.swaps).as_bytes()].concat();
                deploy(&self.twilio, &version);
                return;
            }
            (2, Provider::Twilio) => {
                self.token = format!("{:032x}", self.swaps);
                self.emulators.world.promote_twilio_token(&self.token);
            }
            (3, _) => self.provider = Provider::Telesign,
            _ => self.provider = Provider::Twilio,
        }
        self.write();
    }
}

// PLUG-03 ROUTE-17
#[actix_web::test]
async fn a_hundred_swaps_under_load_lose_nothing_and_double_nothing() {
    const CUSTOMERS: usize = 4;
    const SWAPS: usize = 100;
    let mut line = Line::with("watch: \"1s\"");
    let (kims, roots) = (line.setup.token("kim"), line.setup.token("root"));
    let host = line.setup.start(&["--strict"]).await;
    let world = line.world();
    let number = |customer: usize| format!("+1425555010{customer}");
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let mut ids = Vec::new();
    for customer in 0..CUSTOMERS {
        assert_eq!(world.text(Provider::Twilio, &number(customer), "hello").await, 200);
        ids.push(kim.accept_next().await);
    }
    // Customers write through whoever has the number just now, and the agent answers all the time.
    let provider = Arc::new(AtomicUsize::new(0));
    let ends = Arc::new(AtomicBool::new(false));
    let writes = |customer: usize| {
        let (world, provider, ends) = (world.clone(), provider.clone(), ends.clone());
        let from = number(customer);
        actix_web::rt::spawn(async move {
            let mut count = 0;
            while !ends.load(Ordering::Relaxed) {
                let by = [Provider::Twilio, Provider::Telesign][provider.load(Ordering::Relaxed)];
                assert_eq!(world.text(by, &from, &format!("m{count}")).await, 200, "m{count}");
                count += 1;
            }
            count
        })
    };
    let customers: Vec<_> = (0..CUSTOMERS).map(writes).collect();
    let (answering, ended) = (ids.clone(), ends.clone());
    let answers = actix_web::rt::spawn(async move {
        let mut count = 0;
        while !ended.load(Ordering::Relaxed) {
            for (customer, id) in answering.iter().enumerate() {
                let text = format!("r{customer}-{count}");
                kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
            }
            count += 1;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        count
    });
    let swapped = swaps("line", "swapped");
    for count in 1..=SWAPS {
        line.swap();
        comes_to(&host, &roots, &swapped, count as u64).await;
        provider.store(usize::from(line.provider == Provider::Telesign), Ordering::Relaxed);
    }
    ends.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for customer in customers {
        written.push(customer.await.unwrap());
    }
    let answered: usize = answers.await.unwrap();
    assert!(written.iter().all(|count| *count > SWAPS / 2) && answered > SWAPS, "{written:?}");
    eventually("all replies", || {
        let sent = world.sent();
        (sent.len() >= CUSTOMERS * answered).then_some(())
    })
    .await;
    let mut by_customer: HashMap<String, Vec<String>> = HashMap::new();
    for sent in world.sent() {
        assert_eq!(sent.times, 1, "{sent:?}");
        by_customer.entry(sent.to).or_default().push(sent.text);
    }
    for (customer, id) in ids.iter().enumerate() {
        let replies: Vec<String> =
            (0..answered).map(|count| format!("r{customer}-{count}")).collect();
        assert_eq!(by_customer[&number(customer)], replies, "each once, in order");
        let transcript = host.transcript(&kims, id).await;
        let texts = transcript.iter().filter(|one| one["role"] == "customer");
        let texts: Vec<&str> = texts.filter_map(|one| one["text"].as_str()).skip(1).collect();
        let said: Vec<String> = (0..written[customer]).map(|count| format!("m{count}")).collect();
        assert_eq!(texts, said, "each once, in order");
    }
    assert_eq!(counted(&host, &roots, &swaps("line", "rolled_back")).await, 0, "{}", host.log());
    assert_eq!(counted(&host, &roots, &swaps("line", "refused")).await, 0, "{}", host.log());
    // What was replaced is closed, and nothing of it is left but its code. The last one was given what was on its way to the
    // one of before, until the new one has got something itself.
    assert_eq!(world.text(line.provider, &number(0), "the last").await, 200);
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    for state in ["draining", "on_trial"] {
        let name = format!("cordboard_plugin_instances{{state=\"{state}\"}}");
        while counted(&host, &roots, &name).await > 0 {
            assert!(tokio::time::Instant::now() < until, "{state}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(counted(&host, &roots, "cordboard_plugin_libraries").await >= 25);
    line.setup.stop_and_replay(host);
}

// PLUG-03
#[actix_web::test]
async fn credentials_that_dont_work_are_taken_back_and_cost_nothing() {
    let mut line = Line::with("watch: \"20s\", least_failures: 2");
    let (kims, roots) = (line.setup.token("kim"), line.setup.token("root"));
    let host = line.setup.start(&["--strict"]).await;
    let world = line.world();
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    // Somebody has mistyped it: the provider signs with the right one, and refuses this one.
    let right = std::mem::replace(&mut line.token, "0".repeat(32));
    line.write();
    comes_to(&host, &roots, &swaps("line", "swapped"), 1).await;
    assert_eq!(channel(&host, &roots, "line").await["on_trial"], true);
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "while it is wrong").await, 200);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "an answer" })).await;
    comes_to(&host, &roots, &swaps("line", "rolled_back"), 1).await;
    let view = channel(&host, &roots, "line").await;
    let refused = view["refused"].as_str().unwrap();
    assert!(view["on_trial"] == false && view["ok"] == true, "{view}");
    assert!(refused.contains("channels[0].secrets") && refused.contains("channels.ron"), "{view}");
    assert!(host.log().contains("the one of before was put back"), "{}", host.log());
    world.wait_for_sent("the answer", |sent| sent.text == "an answer").await;
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "and after it").await, 200);
    let (_, desk) = host.get(&roots, "/api/v1/desk").await;
    assert!(desk["problems"].to_string().contains("line"), "{desk}");
    // It isn't tried again by itself, whatever else changes; and isn't in the way of that.
    line.setup.change("main.ron", "\"Lee\"", "\"Leigh\"");
    host.prints("agents: lee").await;
    assert_eq!(counted(&host, &roots, &swaps("line", "swapped")).await, 1);
    // Somebody who asks wants it tried again; with the right one it is in force.
    let (code, said) = line.setup.run(&["reload", line.setup.config()]);
    assert!(code == 0 && said.contains("plugins: line is twilio"), "{code} {said}");
    line.token = right;
    line.write();
    comes_to(&host, &roots, &swaps("line", "swapped"), 3).await;
    assert_eq!(channel(&host, &roots, "line").await["refused"], Value::Null);
    let texts = host.transcripts(&roots).await;
    for text in ["hello", "while it is wrong", "an answer", "and after it"] {
        assert_eq!(texts.iter().filter(|known| *known == text).count(), 1, "{text}: {texts:?}");
    }
    assert_eq!(host.stop(), Some(0));
}

// PLUG-03 ROUTE-17
#[actix_web::test]
async fn further_changes_keep_the_one_that_works_and_it_is_put_back() {
    let mut line = Line::with("watch: \"20s\", least_failures: 2");
    let (kims, roots) = (line.setup.token("kim"), line.setup.token("root"));
    let host = line.setup.start(&["--strict"]).await;
    let world = line.world();
    let texts = async |text: &str| world.text(Provider::Twilio, "+14255550100", text).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(texts("hello").await, 200);
    let id = kim.accept_next().await;
    // A mistyped token, and then a new version, while the provider signs with the right one.
    let right = std::mem::replace(&mut line.token, "0".repeat(32));
    line.write();
    comes_to(&host, &roots, &swaps("line", "swapped"), 1).await;
    assert_eq!(texts("first").await, 200);
    deploy(&line.twilio, &[&line.content[..], b"next"].concat());
    comes_to(&host, &roots, &swaps("line", "swapped"), 2).await;
    assert_eq!(texts("second").await, 200);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "an answer" })).await;
    comes_to(&host, &roots, &swaps("line", "rolled_back"), 1).await;
    let view = channel(&host, &roots, "line").await;
    let refused = view["refused"].as_str().unwrap();
    assert!(refused.contains("channels[0].secrets") && refused.contains("libtwilio.so"), "{view}");
    world.wait_for_sent("the answer", |sent| sent.text == "an answer").await;
    assert_eq!(texts("third").await, 200);
    // The configuration is right again: the complaint goes, and what is new is taken.
    line.token.clone_from(&right);
    line.write();
    comes_to(&host, &roots, &swaps("line", "swapped"), 3).await;
    assert_eq!(channel(&host, &roots, "line").await["refused"], Value::Null);

    // The provider has other credentials and signs with them; then it fails. That says nothing of them.
    line.token = "3".repeat(32);
    world.promote_twilio_token(&line.token);
    line.write();
    comes_to(&host, &roots, &swaps("line", "swapped"), 4).await;
    assert_eq!(texts("fourth").await, 200);
    world.fail_next([Failure::Status(500, None); 4]);
    for n in 0..4 {
        let reply = json!({ "type": "reply", "conversation": id, "text": format!("late {n}") });
        kim.must(reply).await;
    }
    eventually("they have failed", || {
        world.requests().iter().any(|(_, body)| body.contains("late+3")).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counted(&host, &roots, &swaps("line", "rolled_back")).await, 1);
    assert_eq!(texts("fifth").await, 200);

    // Whoever is told that all is well goes on by it.
    std::fs::remove_file(line.setup.folder.path().join(format!("line.{}", line.token))).unwrap();
    let (code, said) = line.setup.run(&["reload", line.setup.config()]);
    assert!(code == 1 && said.contains("not taken: channel line"), "{code} {said}");
    assert!(channel(&host, &roots, "line").await["refused"].is_string());
    line.write();
    let (code, said) = line.setup.run(&["reload", line.setup.config()]);
    assert!(code == 0 && said.contains("nothing has changed"), "{code} {said}");
    assert_eq!(channel(&host, &roots, "line").await["refused"], Value::Null);
    assert_eq!(host.stop(), Some(0));
}

// PLUG-03 PLUG-04 OPS-06
#[actix_web::test]
async fn a_library_that_never_comes_back_from_being_loaded_ends_the_host_loudly() {
    let setup = Setup::new();
    setup.write_main();
    setup.with_panicky();
    let host = setup.start(&["--strict"]).await;
    // It does in the host what it doesn't in the probe: the panicky one behind it would be all right.
    let manifest = r#"{"abi":1,"sdk":"0.1.0","plugin_kind":"channel","name":"panicky","version":"1.0.0","description":"","channel_kind":"messaging","hosts":[],"secrets":[],"offers":[],"max_text":160,"idempotent_sends":false}"#;
    let folder = setup.folder.path();
    let code = format!(
        "#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n\
         __attribute__((used, section(\".cordboard.manifest\"))) const char manifest[] = \"{}\";\n\
         __attribute__((constructor)) static void begin(void) {{ char line[4096] = {{0}}; FILE *f = fopen(\"/proc/self/cmdline\", \"r\");\n\
         size_t n = fread(line, 1, 4095, f); fclose(f); if (!memmem(line, n, \"plugin-probe\", 12)) sleep(100000); }}\n",
        manifest.replace('"', "\\\"")
    );
    std::fs::write(folder.join("stands.c"), format!("#define _GNU_SOURCE\n{code}")).unwrap();
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wl,--no-as-needed", "-o"]).arg(folder.join("stands.so"));
    cc.arg(folder.join("stands.c")).arg(library(&plugin_folder(), "panicky"));
    cc.arg(format!("-Wl,-rpath,{}", plugin_folder().display()));
    assert!(cc.status().expect("a C compiler").success());
    let before = library(&plugin_folder(), "panicky").display().to_string();
    setup.change("odd.ron", &before, &folder.join("stands.so").display().to_string());
    let until = std::time::Instant::now() + Duration::from_secs(80);
    let pid = host.pid();
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while is_there() {
        assert!(std::time::Instant::now() < until, "it doesn't end: {}", host.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(host.log().contains("stands still while it is loaded"), "{}", host.log());
}

// PLUG-03 PLUG-07
#[actix_web::test]
async fn what_cant_be_opened_leaves_what_runs_in_its_place() {
    let line = Line::with("watch: \"1s\"");
    let roots = line.setup.token("root");
    let host = line.setup.start(&["--strict"]).await;
    let world = line.world();
    let works = async || world.text(Provider::Twilio, "+14255550100", "hello").await == 200;
    deploy(&line.twilio, &line.content[..line.content.len() / 2]);
    comes_to(&host, &roots, &swaps("line", "refused"), 1).await;
    let view = channel(&host, &roots, "line").await;
    assert!(
        view["ok"] == true && view["refused"].as_str().unwrap().contains("truncated"),
        "{view}"
    );
    assert!(works().await);
    // A file that is wrong keeps nothing else from changing, and isn't looked at again by itself.
    line.setup.change("main.ron", "\"Lee\"", "\"Leigh\"");
    host.prints("agents: lee").await;
    assert_eq!(counted(&host, &roots, &swaps("line", "refused")).await, 1);
    // Another plugin under its name is none of its versions.
    let other = std::fs::read(library(&plugin_folder(), "keep_experts")).unwrap();
    deploy(&line.twilio, &other);
    comes_to(&host, &roots, &swaps("line", "refused"), 2).await;
    assert!(works().await);
    deploy(&line.twilio, &[&line.content[..], b"next"].concat());
    comes_to(&host, &roots, &swaps("line", "swapped"), 1).await;
    assert_eq!(channel(&host, &roots, "line").await["refused"], Value::Null);
    assert!(works().await);
    // What the configuration asks for and can't have changes nothing at all.
    line.setup.change("main.ron", "\"Leigh\"", "\"Lee\"");
    line.setup.change("channels.ron", "account_sid", "account");
    let (code, said) = line.setup.run(&["reload", line.setup.config()]);
    assert!(code == 1 && said.contains("unknown field `account`"), "{code} {said}");
    assert!(said.contains("nothing was changed"), "{said}");
    assert!(works().await);
    assert_eq!(host.stop(), Some(0));
    let (code, said) = line.setup.run(&["reload", line.setup.config()]);
    assert!(code == 3 && said.contains("no host runs"), "{code} {said}");
}

// PLUG-03 ROUTE-05 ROUTE-17 CH-15
#[actix_web::test]
async fn channels_and_strategies_come_and_go_while_work_flows() {
    let mut setup = Setup::new();
    setup.queues = "strategy: plugin(\"experts\")),".to_owned();
    setup.sections.push_str(
        "strategies: [(id: \"experts\", plugin: \"keep-experts\", config: (other_skill: 1))],",
    );
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (kims, roots) = (setup.token("kim"), setup.token("root"));
    let all = std::fs::read_to_string(setup.folder.path().join("channels.ron")).unwrap();
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let reload = async || {
        let (status, change) = host.post(&roots, "/api/v1/config/reload", json!({})).await;
        assert!(status == 200 && change["after_restart"] == json!([]), "{status} {change}");
    };
    assert_eq!(world.text(Provider::Acs, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    // The channel goes: nobody can write to it, and what is said there waits.
    let last = all.rfind("(id: \"sms-acs\"").unwrap();
    setup.write("channels.ron", &format!("{}])", &all[..last]));
    reload().await;
    assert_eq!(world.deliver(Provider::Acs, "one", "+14255550100", "gone").await, 404);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "are you there?" })).await;
    host.prints("the channel sms-acs isn't configured any more").await;
    // And comes back, for another workstream: what waited goes out, and the conversation goes on.
    setup.change(
        "main.ron",
        "workstreams: [",
        "workstreams: [(id: \"other\", kind: messaging, queue: \"support\"),",
    );
    setup.write(
        "channels.ron",
        &all.replace(
            "plugin: \"acs\", workstream: \"sms\"",
            "plugin: \"acs\", workstream: \"other\"",
        ),
    );
    reload().await;
    world.wait_for_sent("what waited", |sent| sent.text == "are you there?").await;
    assert_eq!(world.text(Provider::Acs, "+14255550100", "here I am").await, 200);
    assert_eq!(host.transcript(&kims, &id).await.last().unwrap()["text"], "here I am");
    // A new one, and a strategy with other settings, one that is gone, and one that is new.
    setup.with_panicky();
    setup.change("main.ron", "other_skill: 1", "other_skill: 2");
    reload().await;
    comes_to(
        &host,
        &roots,
        "cordboard_plugin_swaps_total{strategy=\"experts\",outcome=\"swapped\"}",
        1,
    )
    .await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |body: &str| {
        let hook = client.post(format!("{}/hooks/odd", host.url)).body(body.to_owned());
        hook.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("a first").await, 200);
    kim.accept_next().await;
    std::fs::remove_file(setup.folder.path().join("odd.ron")).unwrap();
    reload().await;
    assert_eq!(post("a second").await, 404);
    host.prints("closed, as it should be").await;
    setup.change("main.ron", "\"experts\", plugin", "\"masters\", plugin");
    setup.change("main.ron", "plugin(\"experts\")", "plugin(\"masters\")");
    reload().await;
    let metrics = host.text(&roots, "/metrics").await;
    assert!(
        metrics.contains("{strategy=\"masters\"}") && !metrics.contains("{strategy=\"experts\"}")
    );
    // It is asked where there is a choice.
    let _lee = Screen::at_desk(&host.url, &setup.token("lee")).await;
    assert_eq!(world.text(Provider::Twilio, "+14255550101", "who takes this?").await, 200);
    comes_to(&host, &roots, "cordboard_plugin_calls_total{strategy=\"masters\"}", 2).await;
    setup.stop_and_replay(host);
}

// PLUG-03 PLUG-04
#[actix_web::test]
async fn a_call_in_flight_ends_where_it_began() {
    let setup = Setup::new();
    setup.write_main();
    setup.with_panicky();
    let roots = setup.token("root");
    let host = setup.start(&["--strict"]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/hooks/odd", host.url);
    let stands = client.post(&url).body("stand 2000");
    let standing = actix_web::rt::spawn(async move { stands.send().await.unwrap().status() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    setup.change("odd.ron", "config: ()", "config: (), allow_hosts: [\"example.com\"]");
    let (status, change) = host.post(&roots, "/api/v1/config/reload", json!({})).await;
    assert!(status == 200 && change["plugins"].to_string().contains("allow_hosts"), "{change}");
    assert!(!standing.is_finished(), "it stands still");
    assert!(!host.log().contains("closed, as it should be"), "nor is it closed");
    assert_eq!(client.post(&url).body("hello").send().await.unwrap().status(), 200);
    assert_eq!(standing.await.unwrap(), 200);
    assert_eq!(host.stop(), Some(0));
}
