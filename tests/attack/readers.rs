//! Much to read, many who read, and what can't be read.

use std::process::Command;
use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tools::{held, sent, times};

const CUSTOMER: &str = "+14255550100";

// CONV-06 OPS-11
#[actix_web::test]
async fn a_long_conversation_is_never_sent_in_one_piece() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    emulators.world.text(Provider::Twilio, CUSTOMER, "the first").await;
    let id = kim.accept_next().await;
    let count = 1100;
    for n in 1..count {
        let text = format!("{n} {}", "x".repeat(1500));
        assert_eq!(emulators.world.text(Provider::Twilio, CUSTOMER, &text).await, 200);
    }
    drop(kim);
    let mut kim = Screen::connect(&host.url, &token).await;
    let snapshot = kim.wait("snapshot").await;
    let newest = snapshot["conversations"][0]["messages"].as_array().unwrap();
    assert!(newest.len() <= 100, "{}", newest.len());
    assert_eq!(newest.last().unwrap()["no"], count);
    // Page by page all of it is there, once.
    let path = format!("/api/v1/conversations/{id}");
    let (mut before, mut seen, mut largest) = (String::new(), Vec::new(), 0);
    loop {
        let (status, page) = host.get(&token, &format!("{path}{before}")).await;
        assert_eq!(status, 200, "{page}");
        largest = largest.max(page.to_string().len());
        let numbers = page["messages"].as_array().unwrap().iter();
        let numbers: Vec<u64> = numbers.map(|one| one["no"].as_u64().unwrap()).collect();
        let first = numbers[0];
        seen.splice(0..0, numbers);
        if first == 1 {
            break;
        }
        before = format!("?before={first}");
    }
    assert_eq!(seen, (1..=count).collect::<Vec<u64>>());
    assert!(largest < 2_000_000, "{largest}");
    for wrong in ["?limit=0", "?limit=501", "?before=x", "?after=1"] {
        assert_eq!(host.get(&token, &format!("{path}{wrong}")).await.0, 400, "{wrong}");
    }
    held("a conversation of 1.6 MB", &format!("pages of at most {} KB", largest / 1024));
}

// OPS-11 CONV-09
#[actix_web::test]
async fn searches_keep_no_text_waiting() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let (kims, sams) = (setup.token("kim"), setup.token("sam"));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    emulators.world.text(Provider::Twilio, CUSTOMER, "hello").await;
    kim.accept_next().await;
    assert_eq!(host.stop(), Some(0));
    // What a search looks through: a conversation that somebody has written in for years.
    let mut journal = rusqlite::Connection::open(setup.data().join("journal.sqlite")).unwrap();
    let transaction = journal.transaction().unwrap();
    let message = "SELECT conversation, at, body FROM events WHERE kind = 'message_received'";
    let (id, at, body): (Vec<u8>, i64, Vec<u8>) = transaction
        .query_row(message, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    let insert = "INSERT INTO events (conversation, version, at, kind, body)
        VALUES (?1, ?2, ?3, 'message_received', ?4)";
    for n in 1..times(150_000, 600_000) {
        let values = rusqlite::params![id, n as i64 + 1000, at, body];
        transaction.prepare_cached(insert).unwrap().execute(values).unwrap();
    }
    transaction.commit().unwrap();
    let host = setup.start(&["--strict"]).await;
    let path = "/api/v1/conversations/search?text=nobody%20wrote%20this";
    // The first text takes what a plugin, and an emulator, do once.
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550209", "first").await, 200);
    // Some are torn down at once: what they asked for goes on, in its turn.
    for _ in 0..6 {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {sams}\r\n\r\n");
        let connection = sent(&host.url, request.as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        connection.set_zero_linger().unwrap();
    }
    let began = std::time::Instant::now();
    let searches = futures_util::future::join_all((0..6).map(|_| host.get(&sams, path)));
    let texts = async {
        let mut longest = Duration::ZERO;
        for n in 0..5 {
            let from = format!("+1425555020{n}");
            let began = std::time::Instant::now();
            assert_eq!(emulators.world.text(Provider::Twilio, &from, "quick?").await, 200);
            longest = longest.max(began.elapsed());
        }
        longest
    };
    let searched = async {
        let found = searches.await;
        (found, began.elapsed())
    };
    let ((found, all), longest) = futures_util::future::join(searched, texts).await;
    assert!(found.iter().all(|(status, _)| matches!(status, 200 | 429)), "{found:?}");
    assert!(longest * 4 < all, "a text waited {longest:?} of {all:?}");
    let (all, longest) = (all.as_millis(), longest.as_millis());
    held("searches at once", &format!("six took {all} ms, a text meanwhile {longest} ms at most"));
}

// OPS-09 OPS-05
#[actix_web::test]
async fn a_journal_that_cant_be_read_isnt_ready() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    setup.environment.push(("CORDBOARD_PANIC", "read=1".to_owned()));
    let host = setup.start(&["--strict"]).await;
    let status = emulators.world.deliver(Provider::Twilio, "SM1", CUSTOMER, "hello").await;
    assert_eq!(status, 503, "the provider comes again");
    let ready = reqwest::get(format!("{}/health/ready", host.url)).await.unwrap();
    assert_eq!(ready.status(), 503);
    let why = ready.text().await.unwrap();
    assert!(why.contains("the journal couldn't be read"), "{why}");
}

// PLUG-01 OPS-02
#[actix_web::test]
async fn a_plugin_that_is_no_file_is_refused() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let folder = setup.folder.path();
    let pipe = folder.join("libpipe.so");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", folder.join("libzero.so")).unwrap();
    let mut before = "telesign".to_owned();
    for name in ["libpipe.so", "libzero.so"] {
        let path = folder.join(name).display().to_string();
        let plugin = |name: &str| format!("plugin: \"{name}\"");
        setup.change("channels.ron", &plugin(&before), &plugin(&path));
        before = path;
        let checked = setup.command(&["check", setup.config()]).output();
        let output = checked.unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1), "{text}");
        assert!(text.contains("isn't a regular file"), "{text}");
    }
    held("plugins that are pipes and devices", "refused");
}

// CH-04 OPS-11
#[actix_web::test]
async fn what_cant_be_taken_costs_its_neighbours_nothing() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let sams = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let long = "x".repeat(300);
    let wrong: [(&str, String); 3] = [
        ("", "no sender".to_owned()),
        (&long, "a long one".to_owned()),
        (CUSTOMER, "x".repeat(100_001)),
    ];
    let count = wrong.len();
    for (n, (from, text)) in wrong.into_iter().enumerate() {
        let good =
            |side: u8| (format!("{n}{side}"), format!("+142555503{n}{side}"), "good".to_owned());
        let events = [good(1), (format!("{n}2"), from.to_owned(), text), good(3)];
        assert_eq!(emulators.world.deliver_acs_batch(&events).await, 200);
    }
    let (_, open) = host.get(&sams, "/api/v1/conversations?all=true").await;
    assert_eq!(open.as_array().unwrap().len(), count * 2, "{open}");
    let metrics = host.text(&sams, "/metrics").await;
    assert!(metrics.contains("outcome=\"failed\"} 3"), "{metrics}");
    held("a bad event in a batch", "dropped and counted; the others are taken");
}

// OPS-11
#[actix_web::test]
async fn bodies_of_one_address_leave_room_for_the_others() {
    let mut setup = Setup::new();
    setup.host = "limits: (body: \"60s\"),".to_owned();
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let address: std::net::SocketAddr = host.url.trim_start_matches("http://").parse().unwrap();
    let part = vec![b'x'; 1_040_000];
    let head = "POST /hooks/sms-telesign HTTP/1.1\r\nhost: h\r\ncontent-length: 1048576\r\n\r\n";
    let mut crowd = Vec::new();
    for _ in 0..80 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let Ok(mut connection) = socket.connect(address).await else { continue };
        // Those beyond its share are cut off under way.
        let _ = connection.write_all(head.as_bytes()).await;
        let _ = connection.write_all(&part).await;
        crowd.push(connection);
    }
    for n in 0..10 {
        let from = format!("+1425555040{n}");
        assert_eq!(emulators.world.text(Provider::Twilio, &from, "from elsewhere").await, 200);
    }
    // One that has sent much and sends no more is ended as well, long before its deadline.
    let ended = async {
        for connection in &mut crowd {
            let mut answer = Vec::new();
            let _ = connection.read_to_end(&mut answer).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("bodies that stall are ended");
    held("bodies of a megabyte that stall, from one address", "16 MB of them; ended within 20 s");
}

// SEC-01 SEC-03 SEC-07
#[actix_web::test]
async fn scopes_hold_everywhere_and_pages_are_only_read() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let scoped = |agent: &str, scope: &str| {
        let line = ["agent", "token", setup.config(), "--id", agent, "--scope", scope];
        setup.run(&line).1.trim().to_owned()
    };
    let (kims, sams) = (scoped("kim", "self_assign"), scoped("sam", "attributes_set"));
    let host = setup.start(&["--strict"]).await;
    emulators.world.text(Provider::Twilio, CUSTOMER, "hello").await;
    for token in [&kims, &sams] {
        for path in ["/api/v1/waiting", "/api/v1/conversations"] {
            let (status, answer) = host.get(token, path).await;
            assert_eq!(status, 403, "{path}: {answer}");
        }
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for method in ["POST", "DELETE", "TRACE"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client.request(method.clone(), &host.url).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method}");
    }
    // Guessing links writes nothing.
    let written = |metrics: String| {
        let line = metrics.lines().find(|line| line.starts_with("cordboard_journal_writes_total"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap()
    };
    let metrics = || async {
        written(reqwest::get(format!("{}/metrics", host.url)).await.unwrap().text().await.unwrap())
    };
    let before = metrics().await;
    for n in 0..40 {
        let url = format!("{}/sign-in/guess-{n}", host.url);
        let answer = client.post(url).send().await.unwrap();
        assert!(matches!(answer.status().as_u16(), 410 | 429), "{answer:?}");
    }
    // The host's own sign of life is among them.
    assert!(metrics().await - before < 20.0, "guesses are written");
}
