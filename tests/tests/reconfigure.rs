//! The configuration changes while work flows (ROUTE-17); afterwards the journal is replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{HostProcess, Screen, Setup, data_of};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const CUSTOMERS: usize = 150;
const CHANGES: usize = 15;
/// How long each version stays, and for how many milliseconds the one before may still be seen: what
/// was decided may have taken so long to be told.
const STAYS: Duration = Duration::from_millis(500);
const SLACK: i64 = 250;
const AGENTS: [&str; 4] = ["ann", "bob", "cat", "dan"];
const QUEUES: [&str; 3] = ["one", "two", "three"];

/// What a configuration says of who may have what.
#[derive(Debug, Default)]
struct Version {
    /// When it was written.
    from: i64,
    /// Queues by agent.
    members: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// How much German each agent knows.
    german: BTreeMap<&'static str, i64>,
    capacity: BTreeMap<&'static str, usize>,
    /// Queues that ask for no German once an item has waited for a while.
    relaxed: BTreeSet<&'static str>,
}

/// A configuration at random: members, skills, capacity, rules, strategies, hours, relaxation.
fn routing(rng: &mut StdRng) -> (String, Version) {
    let mut version = Version { from: now(), ..Version::default() };
    let some = |rng: &mut StdRng| QUEUES.choose(rng).copied().unwrap_or("one");
    let agents: String = AGENTS
        .iter()
        .map(|agent| {
            let theirs: BTreeSet<&str> =
                QUEUES.iter().filter(|_| rng.random_bool(0.7)).copied().collect();
            let queues: Vec<String> = theirs.iter().map(|q| format!("\"{q}\"")).collect();
            version.members.insert(*agent, theirs);
            let german = if rng.random_bool(0.6) { rng.random_range(1..=5) } else { 0 };
            version.german.insert(*agent, german);
            let skill = if german > 0 { format!("\"german\": {german}") } else { String::new() };
            let capacity = rng.random_range(1..=40);
            version.capacity.insert(*agent, capacity);
            format!(
                "(id: \"{agent}\", queues: [{}], skills: {{{skill}}}, capacity: (messaging: {capacity})),",
                queues.join(", ")
            )
        })
        .collect();
    let queues: String = QUEUES
        .iter()
        .map(|queue| {
            let strategies = [
                "highest_spare_capacity",
                "round_robin",
                "longest_idle",
                "most_skilled",
                "least_active",
            ];
            let strategy = strategies.choose(rng).unwrap();
            let relax = if rng.random_bool(0.5) { "(after: \"200ms\", to: 0)" } else { "" };
            version.relaxed.extend((!relax.is_empty()).then_some(*queue));
            let hours = if rng.random_bool(0.2) { "hours: \"never\"," } else { "" };
            format!("(id: \"{queue}\", strategy: {strategy}, relax: [{relax}], {hours}),")
        })
        .collect();
    let rules: String = (0..rng.random_range(2..6))
        .map(|n| {
            let (word, queue) = (rng.random_range(0..4), some(rng));
            let (priority, level) = (rng.random_range(0..5), rng.random_range(1..=4));
            let skills = match rng.random_bool(0.8) {
                true => format!("\"german\": {level}"),
                false => String::new(),
            };
            format!("(name: \"rule {n}\", when: [Text(Contains(\"{word}\"))], queue: \"{queue}\", priority: {priority}, skills: {{{skills}}}),")
        })
        .collect();
    let default = some(rng);
    let text = format!(
        r#"(workstreams: [(id: "sms", kind: messaging, queue: "{default}", offer_timeout: "1s", rules: [{rules}])],
        queues: [{queues}], agents: [{agents}], skills: [(id: "german")],
        hours: [(id: "never", zone: "UTC", week: ())])"#
    );
    (text, version)
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is after 1970").as_millis() as i64
}

/// Every offer went to somebody who was a member, knew enough and had a place in a configuration that
/// was in force then, or had just been replaced.
async fn everything_went_to_those_who_may_have_it(
    host: &HostProcess,
    token: &str,
    conversations: &[Value],
    versions: &[Version],
) {
    let mut offers = Vec::new();
    let (mut accepted, mut closed) = (Vec::new(), Vec::new());
    for conversation in conversations {
        let id = conversation["id"].as_str().unwrap();
        let (_, why) = host.get(token, &format!("/api/v1/conversations/{id}/why")).await;
        let mut needs = 0;
        for step in why["steps"].as_array().unwrap() {
            let (at, sentence) = (step["at"].as_i64().unwrap(), step["sentence"].as_str().unwrap());
            if sentence.contains(": queue ") {
                let level = sentence.split_once("skills german ").map_or("0", |(_, level)| level);
                needs = level.parse::<i64>().unwrap();
            }
            if let Some(agent) = sentence.strip_suffix(" accepted it") {
                accepted.push((agent.to_owned(), at));
            }
            if sentence == "it closed" {
                let (agent, _) = accepted.last().expect("somebody had it");
                closed.push((agent.clone(), at));
            }
            if let Some((queue, rest)) = sentence.split_once(" offered it to ") {
                let agent = rest.split(':').next().unwrap();
                offers.push((queue.to_owned(), agent.to_owned(), needs, at));
            }
        }
    }
    let mut certain = 0;
    for (queue, agent, needs, at) in &offers {
        let (queue, agent) = (queue.as_str(), agent.as_str());
        let before = |times: &[(String, i64)]| {
            times.iter().filter(|(who, when)| who == agent && when < at).count()
        };
        let held = before(&accepted).saturating_sub(before(&closed));
        let in_force: Vec<&Version> = versions
            .iter()
            .enumerate()
            .filter(|(index, version)| {
                let until = versions.get(index + 1).map_or(i64::MAX, |next| next.from + SLACK);
                (version.from..until).contains(at)
            })
            .map(|(_, version)| version)
            .collect();
        let may = in_force.iter().any(|version| {
            version.members[agent].contains(queue)
                && (version.german[agent] >= *needs || version.relaxed.contains(queue))
                && held < version.capacity[agent]
        });
        let facts = |version: &&Version| {
            let is_member = version.members[agent].contains(queue);
            let is_relaxed = version.relaxed.contains(queue);
            let (german, capacity) = (version.german[agent], version.capacity[agent]);
            let age = at - version.from;
            format!(
                "{age} ms after a version with member {is_member}, german {german}, relaxed {is_relaxed}, capacity {capacity}"
            )
        };
        let in_words: Vec<String> = in_force.iter().map(facts).collect();
        assert!(
            may,
            "{queue} offered {agent}, who held {held}, an item with german {needs}: {in_words:#?}"
        );
        certain += usize::from(
            in_force.len() == 1 && in_force[0].from != versions[versions.len() - 1].from,
        );
    }
    let skilled = offers.iter().filter(|(_, _, needs, _)| *needs > 0).count();
    let count = offers.len();
    println!(
        "{count} offers, {certain} of them while one version only was in force, {skilled} for German"
    );
    assert!(count >= conversations.len() && certain > count / 4 && skilled > 0);
}

/// By the clock of the decisions: everybody may have everything from then on, so what waited was offered
/// within a second (ROUTE-17), and nothing was left for later.
async fn everything_was_offered_within_a_second(host: &HostProcess, token: &str, opened_at: i64) {
    let mut last = opened_at;
    for conversation in all(host, token).await {
        let id = conversation["id"].as_str().unwrap();
        last = last.max(host.when(token, id, "offered it to").await);
    }
    let took = last - opened_at;
    println!("the last item was offered {took} ms after the last change was written");
    assert!((1..=1000).contains(&took), "{took} ms");
}

/// What lets everything through: every agent may have everything.
fn open() -> String {
    let agents: String = AGENTS
        .iter()
        .map(|a| format!("(id: \"{a}\", queues: [\"one\", \"two\", \"three\"], skills: {{\"german\": 9}}, capacity: (messaging: 200, units: 1000)),"))
        .collect();
    format!(
        r#"(workstreams: [(id: "sms", kind: messaging, queue: "one")],
        queues: [(id: "one"), (id: "two"), (id: "three")], agents: [{agents}],
        skills: [(id: "german")], hours: [(id: "never", zone: "UTC", week: ())])"#
    )
}

/// Accepts what is offered, and ends what comes from every other customer.
async fn work(mut screen: Screen) {
    while let Some(frame) = screen.try_next().await {
        let conversation = &frame["id"];
        let ends =
            frame["customer"].as_str().is_some_and(|number| number.ends_with(['0', '2', '4']));
        let command = match (frame["type"].as_str(), frame["state"].as_str()) {
            (Some("offer"), _) => json!({ "type": "accept", "offer": frame["offer"] }),
            (Some("conversation"), Some("active")) if ends => {
                json!({ "type": "end", "conversation": conversation })
            }
            (Some("conversation"), Some("wrap_up")) => {
                json!({ "type": "finish_wrap_up", "conversation": conversation })
            }
            _ => continue,
        };
        if !screen.try_send(&command).await {
            return;
        }
    }
}

async fn all(host: &HostProcess, token: &str) -> Vec<Value> {
    let (_, page) = host.get(token, "/api/v1/conversations/search?limit=500").await;
    page["conversations"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

// ROUTE-17 ROUTE-20 CAP-04 OPS-07 OPS-08
#[actix_web::test]
async fn nothing_is_lost_or_doubled_while_everything_changes() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let listen = setup.url.trim_start_matches("http://").to_owned();
    let plugins = cordboard_tests::harness::plugin_folder().display().to_string();
    setup.write(
        "main.ron",
        &format!(
            r#"(host: (listen: "{listen}", data: "data", plugins: "{plugins}"),
            agents: [(id: "sam", role: supervisor), (id: "root", role: administrator)])"#
        ),
    );
    let mut rng = StdRng::seed_from_u64(17);
    setup.write("routing.ron", &open());
    let tokens: Vec<String> = AGENTS.iter().map(|agent| setup.token(agent)).collect();
    let (sams, roots) = (setup.token("sam"), setup.token("root"));
    let mut versions = Vec::new();
    let mut change = |setup: &Setup| {
        let (text, version) = routing(&mut rng);
        versions.push(version);
        setup.write("routing.ron", &text);
    };
    change(&setup);
    let host = setup.start(&[]).await;
    let screens: Vec<_> = {
        let mut screens = Vec::new();
        for token in &tokens {
            let screen = Screen::connect(&host.url, token).await;
            screens.push(tokio::task::spawn_local(work(screen)));
        }
        screens
    };

    for n in 0..CUSTOMERS {
        let provider = [Provider::Telesign, Provider::Twilio, Provider::Acs][n % 3];
        let number = format!("+1425555{n:04}");
        assert_eq!(world.text(provider, &number, &format!("hello {}", n % 10)).await, 200);
        if n % (CUSTOMERS / CHANGES) == 0 {
            change(&setup);
            // At once, as the watcher waits until files have settled. It comes to the same after.
            let (status, answer) = host.post(&roots, "/api/v1/config/reload", json!({})).await;
            assert_eq!(status, 200, "{answer}");
        }
        tokio::time::sleep(STAYS * CHANGES as u32 / CUSTOMERS as u32).await;
    }
    // A file that is wrong changes nothing.
    setup.write("routing.ron", "(queues: [(id: \"one\", strategy: by_lot)])");
    let (status, answer) = host.post(&roots, "/api/v1/config/reload", json!({})).await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("routing.ron:1:"), "{answer}");
    assert_eq!(all(&host, &sams).await.len(), CUSTOMERS);

    // After the last change everything has an agent.
    let opened_at = now();
    setup.write("routing.ron", &open());
    let began = Instant::now();
    let open = loop {
        let conversations = all(&host, &sams).await;
        let open = conversations.iter().filter(|c| c["state"] == "open").count();
        if open == 0 || began.elapsed() > Duration::from_secs(15) {
            break open;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    versions.push(Version {
        from: opened_at,
        members: AGENTS.iter().map(|agent| (*agent, BTreeSet::from(QUEUES))).collect(),
        german: AGENTS.iter().map(|agent| (*agent, 9)).collect(),
        capacity: AGENTS.iter().map(|agent| (*agent, 200)).collect(),
        relaxed: BTreeSet::new(),
    });
    assert_eq!(open, 0);
    everything_was_offered_within_a_second(&host, &sams, opened_at).await;

    let conversations = all(&host, &sams).await;
    let customers: BTreeSet<&str> =
        conversations.iter().map(|c| c["customer"].as_str().unwrap()).collect();
    assert_eq!((conversations.len(), customers.len()), (CUSTOMERS, CUSTOMERS));
    everything_went_to_those_who_may_have_it(&host, &sams, &conversations, &versions).await;
    // The ledgers say what the conversations say (CAP-04).
    // Nothing is being ended any more.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let conversations = all(&host, &sams).await;
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for conversation in conversations.iter().filter(|one| one["state"] != "closed") {
        *held.entry(conversation["agent"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let (_, agents) = host.get(&sams, "/api/v1/agents").await;
    for agent in agents.as_array().unwrap() {
        let id = agent["id"].as_str().unwrap();
        assert_eq!(agent["capacity"][2]["used"], held.get(id).copied().unwrap_or(0), "{id}");
    }
    screens.iter().for_each(|screen| screen.abort());
    setup.stop_and_replay(host);

    let data = setup.data().display().to_string();
    let (code, text) = setup.run(&["simulate", setup.config(), "--traffic", &data]);
    assert!(code == 0 && text.contains(&format!("{CUSTOMERS} customers")), "{text}");
    a_record_that_says_something_else_is_noticed(&setup);
}

/// Each part of the record is changed by a word, and changed back.
fn a_record_that_says_something_else_is_noticed(setup: &Setup) {
    let journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    // Of the same length, so that what is changed can still be read.
    let changes = [
        ("events", "kind = 'classified'", "it was classified as"),
        ("events", "kind = 'queued'", "it should have been"),
        ("decisions", "1", "differs"),
    ];
    for (table, rows, complaint) in changes {
        let query = format!("SELECT rowid, body FROM {table} WHERE {rows}");
        let mut statement = journal.prepare(&query).unwrap();
        let bodies = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let bodies: Vec<(i64, Vec<u8>)> = bodies.map(Result::unwrap).collect();
        let queue = b"\xa5queue\xa3one";
        let place = |body: &[u8]| body.windows(queue.len()).position(|part| part == queue);
        let found = bodies.into_iter().find_map(|(row, body)| Some((row, place(&body)?, body)));
        let (row, place, body) = found.expect("queue `one` was used");
        let mut changed = body.clone();
        changed[place + queue.len() - 1] = b'x';
        let write = |body: &[u8]| {
            let statement = format!("UPDATE {table} SET body = ?1 WHERE rowid = ?2");
            journal.execute(&statement, rusqlite::params![body, row]).unwrap();
        };
        write(&changed);
        let (code, text) = setup.replay();
        assert!(code != 0 && text.contains(complaint), "{table} {rows}: {text}");
        write(&body);
    }
    assert_eq!(setup.replay().0, 0);
}

// ROUTE-17 ROUTE-19
#[actix_web::test]
async fn work_of_agents_and_queues_that_are_gone_finds_a_way() {
    let mut setup = Setup::new();
    setup.agents = "(id: \"brief\", queues: [\"support\"]),".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let (briefs, kims) = (setup.token("brief"), setup.token("kim"));
    let host = setup.start(&[]).await;
    let mut brief = Screen::connect(&host.url, &briefs).await;
    world.text(Provider::Telesign, "+14255550101", "one").await;
    let held = brief.accept_next().await;
    world.text(Provider::Telesign, "+14255550102", "two").await;
    let left = brief.accept_next().await;
    brief.must(json!({ "type": "leave", "conversation": left })).await;

    // Configured no longer: what they held goes back at once.
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    setup.change("main.ron", "(id: \"brief\", queues: [\"support\"]),", "");
    assert_eq!(kim.accept_next().await, held);
    setup.stop_and_replay(host);

    // After a restart nobody knows them; the customer of the other conversation is routed anew.
    let host = setup.start(&[]).await;
    let mut kim = Screen::connect(&host.url, &kims).await;
    world.text(Provider::Telesign, "+14255550102", "hello?").await;
    assert_eq!(kim.accept_next().await, left);

    // A queue that is gone gives its items back; their workstream has another one.
    kim.must(json!({ "type": "presence", "label": "lunch" })).await;
    world.text(Provider::Telesign, "+14255550103", "three").await;
    let sams = setup.token("sam");
    let waits = |n: usize| {
        let (host, sams) = (&host, &sams);
        async move {
            for _ in 0..500 {
                let (_, queues) = host.get(sams, "/api/v1/queues").await;
                let waiting: u64 =
                    queues.as_array().unwrap().iter().map(|q| q["waiting"].as_u64().unwrap()).sum();
                if waiting == n as u64 {
                    return queues;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("{n} never waited");
        }
    };
    waits(1).await;
    let text = std::fs::read_to_string(setup.folder.path().join("main.ron")).unwrap();
    setup.write("main.ron", &text.replace("\"support\"", "\"help\""));
    loop {
        let queues = waits(1).await;
        if queues[0]["id"] == "help" {
            break;
        }
    }
    kim.must(json!({ "type": "presence" })).await;
    assert_eq!(kim.wait("offer").await["queue"], "help");
    setup.stop_and_replay(host);
}

// ROUTE-17
#[actix_web::test]
async fn files_in_new_folders_and_folders_that_are_swapped_are_seen() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let sams = setup.token("sam");
    let host = setup.start(&[]).await;
    let knows = |name: &'static str| {
        let (host, sams) = (&host, &sams);
        async move {
            for _ in 0..500 {
                let (_, agents) = host.get(sams, "/api/v1/agents").await;
                if agents.as_array().unwrap().iter().any(|agent| agent["id"] == name) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("{name} never came:\n{}", host.log());
        }
    };
    let agent = |name: &str| format!("(agents: [(id: \"{name}\", queues: [\"support\"])])");
    let root = setup.folder.path();
    // What an editor keeps beside a file isn't read, however wrong it is.
    setup.write(".#more.ron", "((");
    std::fs::create_dir(root.join("more")).unwrap();
    setup.write("more/new.ron", &agent("new"));
    knows("new").await;
    setup.write("more/newer.ron", &agent("newer"));
    knows("newer").await;

    // As Kubernetes mounts it: links to a hidden folder, which is swapped at once.
    for (folder, name) in [("..one", "first"), ("..two", "second")] {
        std::fs::create_dir(root.join(folder)).unwrap();
        setup.write(&format!("{folder}/mounted.ron"), &agent(name));
    }
    let link = |from: &str, to: &str| std::os::unix::fs::symlink(from, root.join(to)).unwrap();
    link("..one", "..data");
    link("..data/mounted.ron", "mounted.ron");
    knows("first").await;
    link("..two", "..data_tmp");
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    knows("second").await;
    setup.stop_and_replay(host);
}

// ROUTE-17 CAP-04
#[actix_web::test]
async fn whose_workstream_is_configured_again_is_counted_again() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    assert_eq!(host.stop(), Some(0));
    // A start without channel and workstream: nobody knows what it takes of whom.
    let channels = setup.folder.path().join("channels.ron");
    std::fs::rename(&channels, channels.with_extension("aside")).unwrap();
    setup.change("main.ron", "(id: \"sms\", kind", "(id: \"mail\", kind");
    let host = setup.start(&["--strict"]).await;
    let held = async || {
        let (_, agents) = host.get(&sams, "/api/v1/agents").await;
        let kim = agents.as_array().unwrap().iter().find(|one| one["id"] == "kim").cloned();
        kim.unwrap()["capacity"][2]["used"].as_u64().unwrap()
    };
    assert_eq!(held().await, 0);
    setup.change(
        "main.ron",
        "workstreams: [",
        "workstreams: [(id: \"sms\", kind: messaging, queue: \"support\"), ",
    );
    host.prints("routing was made anew").await;
    let began = Instant::now();
    while held().await != 1 {
        assert!(began.elapsed() < Duration::from_secs(10), "kim's place isn't counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    host.until_state(&sams, &id, "active").await;
    setup.stop_and_replay(host);
}

// CONV-07 SEC-04 CONV-06
#[actix_web::test]
async fn what_belongs_to_nothing_that_is_configured_can_be_seen_ended_and_erased() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, sams, roots] = ["kim", "sam", "root"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let [held, waits] = ["+14255550100", "+14255550101"];
    assert_eq!(emulators.world.text(Provider::Twilio, held, "hello").await, 200);
    let kims_own = kim.accept_next().await;
    kim.must(json!({ "type": "presence", "status": "do_not_disturb" })).await;
    assert_eq!(emulators.world.text(Provider::Twilio, waits, "nobody comes").await, 200);
    let nobodys = host.conversations_of(&sams, waits).await.pop().unwrap();
    assert_eq!(host.stop(), Some(0));
    let channels = setup.folder.path().join("channels.ron");
    std::fs::rename(&channels, channels.with_extension("aside")).unwrap();
    setup.change("main.ron", "(id: \"sms\", kind", "(id: \"mail\", kind");
    let host = setup.start(&["--strict"]).await;
    assert!(host.log().contains("until somebody ends them"), "{}", host.log());

    // Whose it is sees it, and so does whoever may see all.
    let mut kim = Screen::connect(&host.url, &kims).await;
    let open = kim.wait("snapshot").await["conversations"].to_string();
    assert!(open.contains(&kims_own), "{open}");
    for (id, state) in [(&kims_own, "active"), (&nobodys, "open")] {
        host.until_state(&sams, id, state).await;
    }
    // What is learned of it makes nobody go round in circles.
    let path = format!("/api/v1/conversations/{nobodys}");
    let flags = json!({ "flags": { "repeat_customer": true } });
    let (status, said) = host.put(&sams, &format!("{path}/attributes"), flags).await;
    assert_eq!(status, 204, "{said}");
    let (status, refused) = host.delete(&roots, &data_of(waits)).await;
    assert_eq!((status, &refused["code"]), (409, &json!("still_open")), "{refused}");
    assert_eq!(host.post(&sams, &format!("{path}/end"), json!({})).await.0, 204);
    // Whoever it is handed on to has it; and then it is ended, and nothing is to be waited for.
    let mut lee = Screen::at_desk(&host.url, &setup.token("lee")).await;
    let to = json!({ "queue": "support" });
    kim.must(json!({ "type": "transfer", "conversation": kims_own, "to": to })).await;
    assert_eq!(lee.accept_next().await, kims_own);
    lee.must(json!({ "type": "end", "conversation": kims_own })).await;
    for (id, customer) in [(&kims_own, held), (&nobodys, waits)] {
        host.until_state(&sams, id, "closed").await;
        let (status, erased) = host.delete(&roots, &data_of(customer)).await;
        assert_eq!((status, &erased["conversations"]), (200, &json!(1)), "{erased}");
    }
    setup.stop_and_replay(host);
}

/// What is looked up whenever it is needed is in force at once, is said, and noted.
// SEC-03
#[actix_web::test]
async fn settings_of_the_host_that_change_are_said_and_noted() {
    let mut setup = Setup::new();
    setup.host = "limits: (connections: 1000), sign_ins: (idle: \"1h\"),".to_owned();
    let _emulators = setup.with_emulators();
    let root = setup.token("root");
    let host = setup.start(&["--strict"]).await;
    setup.change("main.ron", "connections: 1000", "connections: 900");
    // Whoever was first, the file's watcher or we, the audit log has it once.
    let (status, change) = host.post(&root, "/api/v1/config/reload", json!({})).await;
    assert_eq!(status, 200, "{change}");
    let noted = async || {
        let (_, found) = host.get(&root, "/api/v1/audit?action=config.change").await;
        found["entries"].to_string().matches("host.limits").count()
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while noted().await == 0 {
        assert!(std::time::Instant::now() < until, "{change}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(noted().await, 1);
    assert!(host.log().contains("settings: host.limits"), "{}", host.log());
    // So are names, which people know each other by.
    setup.change("main.ron", "name: \"Support\"", "name: \"Help\"");
    let (_, change) = host.post(&root, "/api/v1/config/reload", json!({})).await;
    setup.change("main.ron", "name: \"Kim\"", "name: \"Kim K.\"");
    let (status, also) = host.post(&root, "/api/v1/config/reload", json!({})).await;
    assert_eq!(status, 200, "{also}");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let said = || {
        let log = host.log();
        log.contains("queues: support") && log.contains("agents: kim")
    };
    while !said() {
        assert!(std::time::Instant::now() < until, "{change} {}", host.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(host.stop(), Some(0));
}
