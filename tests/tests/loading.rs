//! Plugins that aren't: each gives one error that names file and cause, and the host goes on.

use std::path::{Path, PathBuf};
use std::process::Command;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup, library, plugin_folder};

/// A library of C, with a manifest if one is given.
fn c_library(folder: &Path, name: &str, manifest: Option<&str>, code: &str) -> PathBuf {
    let source = folder.join(format!("{name}.c"));
    let section = manifest.map(|json| {
        let json = json.replace('"', "\\\"");
        format!(
            "__attribute__((used, section(\".cordboard.manifest\"))) const char manifest[] = \"{json}\";\n"
        )
    });
    std::fs::write(&source, format!("{}{code}", section.unwrap_or_default())).unwrap();
    let file = folder.join(format!("{name}.so"));
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&file).arg(&source).status();
    assert!(built.expect("a C compiler").success());
    file
}

fn manifest(abi: u32) -> String {
    format!(
        r#"{{"abi":{abi},"sdk":"0.1.0","plugin_kind":"channel","name":"odd","version":"1.0.0","description":"odd","channel_kind":"messaging","hosts":[],"secrets":[],"offers":[],"max_text":160,"idempotent_sends":false}}"#
    )
}

fn channel(file: &Path) -> String {
    let file = file.display();
    format!("(channels: [(id: \"odd\", plugin: \"{file}\", workstream: \"sms\", config: ())])")
}

// PLUG-03 PLUG-04 OPS-01 OPS-05
#[actix_web::test]
async fn what_is_no_plugin_is_named_and_the_host_goes_on_without_it() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let folder = setup.folder.path().to_owned();
    let text = folder.join("text.so");
    std::fs::write(&text, "I am a text file").unwrap();
    let whole = std::fs::read(library(&plugin_folder(), "twilio")).unwrap();
    let truncated = folder.join("truncated.so");
    std::fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    let abort =
        "#include <stdlib.h>\n__attribute__((constructor)) static void die(void) { abort(); }";
    let cases = [
        (text, "isn't a shared library"),
        (truncated, "truncated"),
        (c_library(&folder, "plain", None, "int x;"), "not a Cordboard plugin"),
        (
            c_library(&folder, "aborts", Some(&manifest(1)), abort),
            "killed the process that tried it out (signal: 6",
        ),
        (
            c_library(&folder, "elder", Some(&manifest(99)), "int x;"),
            "plugin ABI 99, this host speaks 1",
        ),
        (c_library(&folder, "hollow", Some(&manifest(1)), "int x;"), "exports no plugin module"),
        (folder.join("missing.so"), "No such file"),
    ];
    for (file, cause) in &cases {
        setup.write("odd.ron", &channel(file));
        let (code, output) = setup.run(&["check", setup.config()]);
        assert_eq!(code, 1, "{output}");
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(output.contains(name) && output.contains(cause), "{cause}: {output}");
        assert!(output.contains("odd.ron:1:33"), "its place: {output}");

        let strict = setup.run(&["run", setup.config(), "--strict"]);
        assert_eq!(strict.0, 1, "{}", strict.1);
        assert!(strict.1.contains(cause), "{}", strict.1);
    }

    // Without --strict the other channels work, and readiness says what is missing.
    setup.write("odd.ron", &channel(&cases[3].0));
    let token = setup.token("kim");
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &token).await;
    assert_eq!(emulators.world.text(Provider::Acs, "+14255550100", "hello").await, 200);
    kim.accept_next().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = client.get(format!("{}/health/ready", host.url)).send().await.unwrap();
    assert_eq!(ready.status().as_u16(), 503);
    assert!(ready.text().await.unwrap().contains("channel odd isn't loaded"));
    let hook = client.post(format!("{}/hooks/odd", host.url)).send().await.unwrap();
    assert_eq!(hook.status().as_u16(), 503, "the provider tries again");
    assert_eq!(host.stop(), Some(0));
}

// CH-02 OPS-01 OPS-02 PLUG-07
#[actix_web::test]
async fn a_plugins_complaint_about_a_setting_has_its_place_in_the_file() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let wrong = |config: &str, further: &str| {
        format!(
            "(\n  channels: [\n    (id: \"odd\", plugin: \"telesign\", workstream: \"sms\",\n     config: (\n       customer_id: \"x\",\n       {config}\n     ), {further}),\n  ],\n)"
        )
    };
    let key = "secrets: {\"api_key\": Env(\"TELESIGN_API_KEY\")}";
    let cases = [
        (
            wrong("numbers: [(number: \"+14251234567\", type: \"local\")]", key),
            "\"+14251234567\"",
            "14251234567",
        ),
        (
            wrong("numbers: [(number: \"14251234567\", type: \"landline\")]", key),
            "\"landline\"",
            "toll_free",
        ),
        (wrong("number: \"14251234567\"", key), "\"14251234567\"", "unknown field `number`"),
        (
            wrong("numbers: [(number: \"14251234567\", type: \"local\")]", ""),
            "(id: \"odd\"",
            "api_key",
        ),
        (
            wrong(
                "numbers: [(number: \"14251234567\", type: \"local\")]",
                "secrets: {\"api_key\": Env(\"NOWHERE\")}",
            ),
            "(id: \"odd\"",
            "NOWHERE",
        ),
        (
            wrong("numbers: []", &format!("{key}, sha256: \"{}\"", "ab".repeat(32))),
            "\"abab",
            "pins abab",
        ),
    ];
    for (text, value, part) in cases {
        let before = &text[..text.find(value).unwrap()];
        let column = before.rsplit('\n').next().unwrap().len() + 1;
        let place = format!("odd.ron:{}:{column}", before.matches('\n').count() + 1);
        setup.write("odd.ron", &text);
        let (code, output) = setup.run(&["check", setup.config()]);
        assert_eq!(code, 1);
        assert!(output.contains(&place) && output.contains(part), "{place} {part}: {output}");
    }
}

// PLUG-06
#[test]
fn the_command_line_explains_itself() {
    let setup = Setup::new();
    setup.write_main();
    let (code, help) = setup.run(&["--help"]);
    assert_eq!(code, 0);
    for word in ["run", "check", "plugin", "agent", "Exit codes"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert!(!help.contains("plugin-probe"));
    assert_eq!(setup.run(&["fly"]).0, 2);

    let file = library(&plugin_folder(), "twilio");
    let (code, manifest) = setup.run(&["plugin", "inspect", file.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(manifest.contains("auth_token") && manifest.contains("1600 characters"), "{manifest}");

    let add = [
        "agent",
        "add",
        setup.config(),
        "--id",
        "ada",
        "--name",
        "Ada \"L\"",
        "--queue",
        "support",
    ];
    let (code, output) = setup.run(&add);
    assert_eq!(code, 0, "{output}");
    assert_eq!(setup.run(&add).0, 1, "never overwritten");
    assert_eq!(setup.run(&["check", setup.config()]).0, 0);
    let nowhere = ["agent", "add", setup.config(), "--id", "bob", "--name", "Bob", "--queue", "x"];
    let (code, output) = setup.run(&nowhere);
    assert_eq!(code, 1);
    assert!(output.contains("there is no queue \"x\"; known: support"), "{output}");
    assert_eq!(setup.run(&["check", setup.config()]).0, 0, "taken back");
    let (code, output) = setup.run(&["agent", "token", setup.config(), "--id", "nobody"]);
    assert_eq!(code, 1);
    assert!(output.contains("known: ada, kim"), "{output}");
}

// The benchmarks aren't run with the tests; what they start with has to be right all the same.
// OPS-03
#[actix_web::test]
async fn what_benchmarks_start_with_is_taken_and_found_as_it_is() {
    let (setup, _, agents) = cordboard_tests::bench::setup();
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.stop(), Some(0));
    let config = cordboard_tests::bench::loaded(&setup).unwrap();
    cordboard_tests::bench::fill(&config, 64, &agents).unwrap();
    let sam = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let (_, rows) = host.get(&sam, "/api/v1/agents").await;
    let used = |row: &serde_json::Value| row["capacity"][2]["used"].as_u64().unwrap_or(0);
    let held: u64 = rows.as_array().unwrap().iter().map(used).sum();
    assert_eq!(held, 64);
    // None of them was woken: they go by the settings that are in force.
    let metrics = host.text(&sam, "/metrics").await;
    assert!(metrics.contains("cordboard_live_conversations 0\n"), "{metrics}");
    setup.stop_and_replay(host);
}
