use super::*;

fn problems(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.ron"), text).unwrap();
    match load(folder.path()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .0
            .iter()
            .map(|p| format!("{}:{} {}: {}", p.line, p.column, p.path, p.message))
            .collect(),
    }
}

fn expect(found: &[String], start: &str, part: &str) {
    let hit = found.iter().any(|p| p.starts_with(start) && p.contains(part));
    assert!(hit, "{start} … {part} in {found:#?}");
}

// OPS-01
#[test]
fn a_file_of_another_shape_is_no_empty_configuration() {
    for text in [
        "x", "1", "[]", "\"x\"", "true", "Some(1)", "", "{}", "'x'", "x(1)", "(1, 2)", "None",
        "(5)", "(\"x\")", "([])", "((x))", "((1))", "(())", "(,)",
    ] {
        assert!(!problems(text).is_empty(), "{text:?} is taken for a configuration");
    }
    for text in ["()", "( )", "(\n// nothing yet\n)", "(/* nothing */)"] {
        assert_eq!(problems(text), Vec::<String>::new(), "{text:?}");
    }
    for section in ["agents", "queues", "channels", "workstreams", "skills", "hours", "strategies"]
    {
        for value in ["5", "\"x\"", "()", "{}", "(id: \"x\")", "true"] {
            let text = format!("({section}: {value})");
            let found = problems(&text);
            expect(&found, "1:", "is a list");
            assert_eq!(found.len(), 1, "{text}: {found:#?}");
        }
        assert_eq!(problems(&format!("({section}: [])")), Vec::<String>::new());
    }
    let deep = format!("(queues: {}1{})", "[".repeat(500), "]".repeat(500));
    expect(&problems(&deep), "1:", "nested so deeply");
}

// OPS-01
#[test]
fn one_mistake_is_one_error() {
    let text = r#"(
    workstreams: [(id: "sms", kind: messaging, queue: "support", offer_timout: "30s")],
    queues: [(id: "support", ordr: oldest_first)],
    skills: [(id: "german", x: 1)],
    channels: [(id: "c", plugin: "p", workstream: "sms")],
    agents: [(id: "kim", queues: ["support"], skills: {"german": 2})],
)"#;
    let found = problems(text);
    assert_eq!(found.len(), 3, "{found:#?}");
    expect(&found, "2:", "offer_timout");
    expect(&found, "3:", "ordr");
    expect(&found, "4:", "`x`");
}

// OPS-01
#[test]
fn only_files_are_read_and_links_dont_go_round() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.ron"), "(queues: [(id: \"support\")])").unwrap();
    std::os::unix::fs::symlink(folder.path(), path("loop")).unwrap();
    assert_eq!(load(folder.path()).unwrap().queues.len(), 1);
    let pipe = std::process::Command::new("mkfifo").arg(path("pipe.ron")).status().unwrap();
    assert!(pipe.success());
    std::fs::write(path("large.ron"), "x".repeat(5_000_000)).unwrap();
    let errors = load(folder.path()).unwrap_err().to_string();
    assert!(errors.contains("pipe.ron:1:1: isn't a regular file"), "{errors}");
    assert!(errors.contains("has 5000000 bytes; at most 4194304"), "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

/// The sample configuration with one thing changed: it is what it was, or it is refused. Never is less
/// of it read without a word.
// OPS-01
#[test]
fn what_is_changed_by_chance_is_read_whole_or_refused() {
    let sample = include_str!("../../../../config/cordboard.ron");
    let whole = || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.ron"), sample).unwrap();
        load(folder.path()).unwrap()
    };
    let (queues, labels) = (whole().queues.len(), whole().labels.len());
    let mut rng = fastrand::Rng::with_seed(7);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ron");
    let bits =
        ["(", ")", "[", "]", ",", ":", "\"", "x", "1", "//", "/*", "", "()", "[]", "None", "\u{0}"];
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..3000 {
        let mut text: Vec<char> = sample.chars().collect();
        let at = rng.usize(..text.len());
        let end = (at + rng.usize(..4)).min(text.len());
        text.splice(at..end, bits[rng.usize(..bits.len())].chars());
        std::fs::write(&file, text.into_iter().collect::<String>()).unwrap();
        match load(folder.path()) {
            Err(errors) => {
                refused += 1;
                assert!(!errors.0.is_empty() && errors.0.len() < 40, "{errors}");
            }
            Ok(config) => {
                taken += 1;
                // A comment may swallow one; a section never goes.
                assert!(config.queues.len() + 1 >= queues && config.labels.len() + 1 >= labels);
                assert_eq!(config.workstreams.len(), 1);
            }
        }
    }
    assert!(taken > 300 && refused > 300, "{taken} taken, {refused} refused");
}

// OPS-01 ROUTE-02
#[test]
fn every_error_is_reported_with_its_place_and_what_would_be_right() {
    let found = problems(
        r#"(
    queues: [(id: "support"), (id: "Support Desk"), (id: "support", order: Random)],
    workstreams: [
        (id: "sms", kind: "messaging", queue: "suport", offer_timeout: "30"),
        (id: "web", kind: chat, queue: "sales", units: 0),
    ],
    agents: [(id: "kim", queues: ["support", "nowhere"], colour: "red"), (id: "lee", queues: ["nowhere"])],
    quues: [],
)"#,
    );
    let expect = |start: &str, part: &str| expect(&found, start, part);
    expect("2:36 queues[1].id", "isn't a name");
    expect("2:", "Random");
    expect("4:", "workstreams[0]");
    expect("5:40 workstreams[1].queue", "no queue \"sales\"; known:");
    expect("5:56 workstreams[1].units", "0 is too small; from 1 to 10000");
    expect("7:", "colour");
    expect("7:95 agents[1].queues[0]", "nowhere");
    expect("8:12 quues", "no such section");
}

// ROUTE-02 ROUTE-11 HOURS-01 PRES-01 PRES-08
#[test]
fn a_rule_that_names_something_unknown_is_refused_at_its_place() {
    let found = problems(
        r#"(
    skills: [(id: "german")],
    fields: (contact: ["tier"]),
    hours: [
        (id: "office", zone: "Europe/Berlin", week: (mon: ["9-17"])),
        (id: "moon", zone: "Luna/Tranquility", week: ()),
    ],
    queues: [(id: "support", strategy: plugin("lots"), hours: "ofice",
        overflow: [(when: WaitedFor("5m"), then: Queue("suport"))])],
    workstreams: [(id: "sms", kind: messaging, queue: "support", rules: [
        (name: "a", when: [Channel(["fax"]), Contact("teir", Is("gold"))], queue: "sales"),
        (name: "b", when: [Not(Within("never")), Country(["Germany"])], skills: {"french": 12}),
    ])],
    agents: [(id: "kim", queues: ["support"], light: true, skills: {"german": 0})],
    presence: (labels: [(id: "home", status: offline)]),
)"#,
    );
    let expect = |start: &str, part: &str| expect(&found, start, part);
    expect("5:", "\"09:00-17:30\"");
    expect("6:28 hours[1].zone", "Europe/Berlin");
    expect("8:40 queues[0].strategy", "no strategy \"lots\"; none is configured");
    expect("8:63 queues[0].hours", "no set of hours \"ofice\"; known:");
    expect("9:50 queues[0].overflow[0].then", "no queue \"suport\"; known: support");
    expect("11:28 workstreams[0].rules[0].when[0]", "no channel \"fax\"");
    expect("11:46 workstreams[0].rules[0].when[1]", "no contact field \"teir\"; known: tier");
    expect("11:83 workstreams[0].rules[0].queue", "no queue \"sales\"");
    expect("12:28 workstreams[0].rules[1].when[0]", "no set of hours \"never\"");
    expect("12:50 workstreams[0].rules[1].when[1]", "\"DE\"");
    expect("12:", "no skill \"french\"; known: german");
    expect("12:", "12 is too large; from 1 to 10");
    expect("14:34 agents[0].queues", "light agent");
    expect("14:", "german: 0 is too small; from 1 to 10");
    expect("15:46 presence.labels[0].status", "isn't chosen");
}

// ROUTE-11
#[test]
fn a_moment_has_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"(
    queues: [(id: "support", overflow: [
        (when: waited_for("10s"), then: message("one")),
        (when: waited_for("20s"), then: message("two")),
        (when: waited_for("20s"), then: end("enough")),
        (when: waited_for("10s"), then: message("three"))])],
)"#;
    std::fs::write(folder.path().join("main.ron"), text).unwrap();
    let problems = load(folder.path()).unwrap_err().to_string();
    let expected = "6:16: queues[0].overflow[3].when: rule 0 sends a message at the same moment";
    assert!(problems.contains(expected), "{problems}");
    assert!(!problems.contains("overflow[2]"), "{problems}");
}

// OPS-01
#[test]
fn every_number_has_a_range_and_a_place() {
    let found = problems(
        r#"(
    queues: [(id: "support", relax: [(after: "1ms", to: 11)], overflow: [
        (when: waited_for("1ms"), then: message("hello")), (when: longer_than(1000001), then: end(None))])],
    workstreams: [(id: "sms", kind: messaging, queue: "support", priority: 1001,
        offer_timeout: "0s", end_after: "0s", inactivity: "0s", wrap_up_limit: "0s", affinity: "25h",
        wrap_up: for("0s"), on_offline: return_after("0s"), consult_search: "2h", reopen_within: "4000d",
        rules: [(name: "a", when: [], units: 0, priority: -1001)])],
    presence: (grace: "0s", idle: (after: "0s", status: online), missed_offers: (limit: 0), most_labels: 1, default: busy,
        labels: [(id: "a", status: away), (id: "b", status: away)]),
    capacity: (chat: 10001, units: 1000001),
    agents: [(id: "kim", queues: ["support"], grace: "2h", capacity: (email: 10001))],
    host: (keep_routing_log: "4000d"),
    channels: [(id: "x", plugin: "x", workstream: "sms", max_text: 0)],
)"#,
    );
    for start in [
        "2:46 queues[0].relax[0].after: 1ms is too small; from 100ms to 30d",
        "2:57 queues[0].relax[0].to: 11 is too large",
        "3:16 queues[0].overflow[0].when: 1ms is too small",
        "3:67 queues[0].overflow[1].when: 1000001 is too large",
        "4:76 workstreams[0].priority: 1001 is too large; from -1000 to 1000",
        "5:24 workstreams[0].offer_timeout: 0s is too small; from 1s to 7d",
        "5:41 workstreams[0].end_after: 0s is too small",
        "5:59 workstreams[0].inactivity: 0s is too small",
        "5:80 workstreams[0].wrap_up_limit: 0s is too small",
        "5:96 workstreams[0].affinity: 25h is too large; from 0s to 1d",
        "6:18 workstreams[0].wrap_up: 0s is too small",
        "6:41 workstreams[0].on_offline: 0s is too small",
        "6:77 workstreams[0].consult_search: 2h is too large",
        "6:98 workstreams[0].reopen_within: 4000d is too large",
        "7:46 workstreams[0].rules[0].units: 0 is too small",
        "7:59 workstreams[0].rules[0].priority: -1001 is too small",
        "8:23 presence.grace: 0s is too small",
        "8:43 presence.idle.after: 0s is too small",
        "8:57 presence.idle.status: `online` isn't what somebody is set to",
        "8:89 presence.missed_offers.limit: 0 is too small",
        "8:118 presence.default: `busy` isn't a default",
        "9:17 presence.labels: 2 labels; at most 1",
        "10:22 capacity.chat: 10001 is too large",
        "10:36 capacity.units: 1000001 is too large",
        "11:54 agents[0].grace: 2h is too large",
        "11:78 agents[0].capacity.email: 10001 is too large",
        "12:30 host.keep_routing_log: 4000d is too large",
        "13:68 channels[0].max_text: 0 is too small",
    ] {
        assert!(found.iter().any(|p| p.starts_with(start)), "{start} in {found:#?}");
    }
}

// OPS-01
#[test]
fn the_spellings_of_earlier_versions_are_still_read() {
    let text = |old: bool| {
        let (names, env) = match old {
            true => (["OldestFirst", "WaitedFor", "Queue", "For", "ReturnAfter"], "Env"),
            false => (["oldest_first", "waited_for", "queue", "for", "return_after"], "env"),
        };
        let [order, waited, queue, wrap_up, offline] = names;
        let (text, is) = if old { ("Text", "Is") } else { ("text", "is") };
        format!(
            r#"(queues: [(id: "a", order: {order}, overflow: [(when: {waited}("5m"), then: {queue}("b"))]), (id: "b")],
                workstreams: [(id: "sms", kind: messaging, queue: "a", wrap_up: {wrap_up}("30s"),
                    on_offline: {offline}("2m"), rules: [(name: "r", when: [{text}({is}("x"))])])],
                channels: [(id: "x", plugin: "x", workstream: "sms", secrets: {{"k": {env}("K")}})])"#
        )
    };
    let read = |text: String| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.ron"), text).unwrap();
        let config = load(folder.path()).unwrap();
        let workstream = config.workstreams[&"sms".into()].clone();
        (workstream, config.queues[0].settings.clone(), config.channels[0].opens.secrets.clone())
    };
    assert_eq!(read(text(true)), read(text(false)));
}

#[test]
fn text_that_is_no_ron_is_named_with_its_place() {
    let found = problems("(queues: [");
    assert!(found[0].starts_with("1:10") && found[0].contains("RON"), "{found:?}");
    // Its parts aren't missed by others.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.ron"), "(queues: [(id: \"support\")").unwrap();
    let agents = r#"(agents: [(id: "kim", queues: ["support"])])"#;
    std::fs::write(folder.path().join("b.ron"), agents).unwrap();
    let found = load(folder.path()).unwrap_err().0;
    assert!(found.len() == 1 && found[0].file.ends_with("a.ron"), "{found:?}");
}

// OPS-01
#[test]
fn what_stands_twice_counts_neither_way() {
    for (text, name) in [
        ("(permissions: {agent: [],\n agent: [self_assign]})", "agent"),
        ("(agents: [(id: \"kim\", skills: {\"german\": 3,\n \"german\": 1})])", "german"),
        ("(queues: [(id: \"a\")],\n queues: [(id: \"b\")])", "queues"),
        ("(queues: [(id: \"a\",\n id: \"b\")])", "id"),
        (
            "(channels: [(id: \"c\", plugin: \"p\", workstream: \"w\", config: (a: (x: 1,\n x: 2)))])",
            "x",
        ),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        expect(&found, "2:", &format!("`{name}` stands twice"));
    }
    let secret =
        "(channels: [(id: \"c\", plugin: \"p\", workstream: \"w\", secrets: {\"key\": \"222\"})])";
    let found = problems(secret);
    expect(&found, "1:", "env(\"NAME\"), file(\"PATH\") or credential(\"NAME\")");
    assert!(!found.iter().any(|said| said.contains("222")), "{found:?}");
}

// OPS-01
#[test]
fn what_people_are_shown_can_be_seen() {
    let long = "x".repeat(101);
    for (name, why) in [
        ("", "can be seen"),
        ("\\u{200b}", "can be seen"),
        ("Kim\\nLee", "on one line"),
        ("Ki\\u{200b}m", "on one line"),
        ("Kim\\u{2028}", "on one line"),
        ("Kim \\u{202e}eeL", "U+202E"),
        (long.as_str(), "101 characters; at most 100"),
    ] {
        for section in [
            format!("agents: [(id: \"kim\", name: \"{name}\")]"),
            format!("queues: [(id: \"help\", name: \"{name}\")]"),
            format!("presence: (labels: [(id: \"desk\", name: \"{name}\", status: online)])"),
        ] {
            let found = problems(&format!("(\n{section})"));
            expect(&found, "", why);
            assert_eq!(found.len(), 1, "{section}: {found:#?}");
        }
    }
    expect(&problems("(\nskills: [(id: \"a\u{202e}b\")])"), "2:", "U+202E, which nobody can see");
    // As an editor of another system writes it.
    assert_eq!(
        problems("\u{feff}(queues: [(id: \"help\", name: \"Zoë 👨\u{200d}👩\")])"),
        Vec::<String>::new()
    );
}

// OPS-11
#[test]
fn not_everybody_is_a_proxy() {
    for everybody in ["0.0.0.0/0", "::/0"] {
        let found = problems(&format!("(host: (proxies: [\"10.0.0.0/8\", \"{everybody}\"]))"));
        expect(&found, "1:", "is everybody");
        assert!(found[0].contains("host.proxies[1]"), "{found:?}");
    }
}
