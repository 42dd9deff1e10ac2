//! Requests that never end, connections that are only held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tools::{connect_from, held, is_long, memory, says, sent, status, times, until_closed};

const POST: &str = "POST /hooks/sms-twilio HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n";

fn with_limits(limits: &str) -> Setup {
    let mut setup = Setup::new();
    setup.host = format!("limits: ({limits}),");
    setup
}

// OPS-11
#[actix_web::test]
async fn bodies_that_dont_end_are_ended() {
    let mut setup = with_limits("body: \"2s\"");
    let _emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let began = Instant::now();
    let mut paths = Vec::new();
    for head in [
        POST.to_owned(),
        POST.replace("/hooks/sms-twilio", "/api/v1/sign-in"),
        // Nobody reads these: answered at once.
        POST.replace("/hooks/sms-twilio", "/hooks/nobody"),
        POST.replace("POST /hooks/sms-twilio", "GET /health/live"),
        // An upgrade is no way around it.
        POST.replace("host: h", "host: h\r\nconnection: upgrade\r\nupgrade: websocket"),
        POST.replace("content-length: 1000", "transfer-encoding: chunked"),
    ] {
        paths.push(sent(&host.url, format!("{head}Body=1234").as_bytes()).await);
    }
    for mut path in paths {
        let answer = until_closed(&mut path, Duration::from_secs(8)).await;
        assert!(answer.is_some(), "a connection is held by a body that doesn't end");
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut late = sent(&host.url, format!("{POST}Body=1234").as_bytes()).await;
    let answer = until_closed(&mut late, Duration::from_secs(8)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("within 2 s"), "{answer}");
    held("bodies that don't end", &format!("closed after {seconds:.1} s, limit 2 s"));
}

// OPS-11
#[actix_web::test]
async fn a_body_that_comes_drop_by_drop_is_ended_before_its_deadline() {
    let mut setup = with_limits("body: \"60s\"");
    let _emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let mut dripping = sent(&host.url, POST.as_bytes()).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if dripping.write_all(b"x").await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    assert!((4.0..15.0).contains(&seconds), "{seconds} s");
    held("a body of ten bytes a second", &format!("closed after {seconds:.1} s, limit 60 s"));
}

/// Whether it is alive, says the next answer.
async fn answered(path: &mut TcpStream) -> bool {
    let mut answer = vec![0; 4096];
    let mut filled = 0;
    while !answer[..filled].ends_with(b"alive\n") {
        let read = path.read(&mut answer[filled..]).await.unwrap();
        if read == 0 {
            return false;
        }
        filled += read;
    }
    answer.starts_with(b"HTTP/1.1 200")
}

// OPS-11
#[actix_web::test]
async fn heads_that_dont_end_are_ended_also_on_a_kept_connection() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let mut first = sent(&host.url, b"GET /health/live HTT").await;
    assert!(until_closed(&mut first, Duration::from_secs(15)).await.is_some());
    // On a connection that is kept: silent in the midst of a head, or byte by byte.
    const WHOLE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: h\r\n\r\n";
    let began = Instant::now();
    let mut kept = Vec::new();
    for drips in [false, true, true] {
        let mut path = sent(&host.url, WHOLE).await;
        assert!(answered(&mut path).await);
        path.write_all(b"GET /hea").await.unwrap();
        kept.push((path, drips));
    }
    // One that asks again and again is kept.
    let mut busy = sent(&host.url, WHOLE).await;
    while began.elapsed() < Duration::from_secs(16) {
        for (path, drips) in &mut kept {
            if *drips {
                let _ = path.write_all(b"x").await;
            }
        }
        assert!(answered(&mut busy).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
        busy.write_all(WHOLE).await.unwrap();
    }
    for (mut path, drips) in kept {
        let closed = until_closed(&mut path, Duration::from_millis(500)).await;
        assert!(closed.is_some(), "a head that doesn't end holds a connection; dripping: {drips}");
    }
    let metrics =
        reqwest::get(format!("{}/metrics", host.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("cut_off_total{why=\"slow_head\"} 3"), "{metrics}");
    held("heads that don't end", "closed after 10 s, also on a kept connection");
    if !is_long() {
        return;
    }
    let half = [WHOLE, b"GET /hea"].concat();
    let mut path = sent(&host.url, &half).await;
    assert!(answered(&mut path).await);
    assert!(until_closed(&mut path, Duration::from_secs(100)).await.is_some());
}

// OPS-11
#[actix_web::test]
async fn one_address_cant_lock_the_others_out() {
    let mut setup = with_limits("connections: 100000, connections_per_address: 100, body: \"60s\"");
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    let mut crowd = Vec::new();
    for _ in 0..times(1000, 15_000) {
        crowd.push(sent(&host.url, format!("{POST}Body=1234").as_bytes()).await);
    }
    // Another address of this machine.
    let elsewhere = tokio::net::TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let address = host.url.trim_start_matches("http://").parse().unwrap();
    let mut other = elsewhere.connect(address).await.unwrap();
    other
        .write_all(b"GET /health/live HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = until_closed(&mut other, Duration::from_secs(5)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    kim.must(json!({ "type": "activity" })).await;
    let (held_open, count) =
        (std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count(), crowd.len());
    assert!(held_open < 300, "{held_open} descriptors");
    drop(crowd);
    // Those that are gone make room.
    let until = Instant::now() + Duration::from_secs(10);
    while status(&host.url, "/health/live", Duration::from_secs(2)).await != Some(200) {
        assert!(Instant::now() < until, "places aren't given back");
    }
    held(
        "unfinished bodies from one address",
        &format!("{count} connections, {held_open} descriptors"),
    );
}

// OPS-11
#[actix_web::test]
async fn the_last_connections_are_for_health_and_for_those_who_are_signed_in() {
    let mut setup = with_limits("connections: 64, connections_per_address: 1000, body: \"60s\"");
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut crowd = Vec::new();
    for n in 0..50 {
        let mut path = connect_from(10 + n / 3, &host.url).await.unwrap();
        path.write_all(format!("{POST}Body=1234").as_bytes()).await.unwrap();
        crowd.push(path);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let within = Duration::from_secs(5);
    assert_eq!(status(&host.url, "/health/live", within).await, Some(200));
    assert_eq!(status(&host.url, "/", within).await, Some(503));
    let mut kim = Screen::at_desk(&host.url, &token).await;
    kim.must(json!({ "type": "activity" })).await;
    assert_eq!(host.get(&token, "/api/v1/me").await.0, 200);
    // Beyond the last one there is no more, and it says which limit it was.
    let mut further = Vec::new();
    for n in 0..30 {
        further.extend(connect_from(40 + n, &host.url).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(further);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let metrics = host.text(&token, "/metrics").await;
    assert!(metrics.contains("cut_off_total{why=\"full\"}"), "{metrics}");
    held("all connections taken", "health and signed-in agents are served, others get 503");
}

// OPS-11
#[actix_web::test]
async fn bodies_that_are_nearly_there_dont_fill_the_memory() {
    let mut setup = with_limits("body: \"60s\"");
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let before = memory(&host);
    let mut crowd = Vec::new();
    for n in 0..times(200, 480) {
        // Every other one for a channel that isn't there.
        let hook = if n % 2 == 0 { "sms-twilio" } else { "nosuch" };
        let head =
            format!("POST /hooks/{hook} HTTP/1.1\r\nhost: h\r\ncontent-length: 1090001\r\n\r\n");
        let mut connection = sent(&host.url, head.as_bytes()).await;
        let body = vec![b'x'; 1_090_000];
        let write = connection.write_all(&body);
        // One that is refused isn't read to its end.
        let _ = tokio::time::timeout(Duration::from_millis(300), write).await;
        crowd.push(connection);
    }
    let after = memory(&host);
    assert!(after < before + 160, "{before} to {after} MB");
    assert_eq!(status(&host.url, "/health/live", Duration::from_secs(5)).await, Some(200));
    let count = crowd.len();
    drop(crowd);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let taken = emulators.world.text(Provider::Twilio, "+14255550100", "hi").await;
    assert_eq!(taken, 200, "there is room again");
    held(
        "bodies of a megabyte whose last byte doesn't come",
        &format!("{count} of them, {before} to {after} MB"),
    );
}

// OPS-11
#[actix_web::test]
async fn a_chunked_body_that_goes_on_after_its_answer_is_cut_off() {
    let mut setup = with_limits("body: \"1s\"");
    let _emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let head = POST.replace("content-length: 1000", "transfer-encoding: chunked");
    let mut dripping = sent(&host.url, head.as_bytes()).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15)
        && dripping.write_all(b"1\r\nx\r\n").await.is_ok()
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    assert!(seconds < 10.0, "{seconds} s");
    held("a chunked body that goes on after its answer", &format!("cut off after {seconds:.1} s"));
}

// OPS-11 OPS-05
#[actix_web::test]
async fn operators_have_places_of_their_own_and_idlers_dont_keep_the_last_ones() {
    let operations = format!("127.0.0.1:{}", cordboard_tests::harness::free_port());
    let mut setup = with_limits("connections: 64, connections_per_address: 1000");
    setup.host += &format!("operations: \"{operations}\",");
    setup.starts_when = Some(format!("http://{operations}/health/live"));
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut idlers = Vec::new();
    for n in 0..80 {
        idlers.extend(connect_from(10 + n / 2, &host.url).await);
    }
    let within = Duration::from_secs(2);
    let own = format!("http://{operations}");
    assert_eq!(status(&own, "/health/ready", within).await, Some(200));
    // Those who hold a last one and want nothing are gone in a moment.
    let until = Instant::now() + Duration::from_secs(6);
    let client = reqwest::Client::new();
    loop {
        let me = client.get(format!("{}/api/v1/me", host.url)).bearer_auth(&token).send().await;
        if me.is_ok_and(|answer| answer.status() == 200) {
            break;
        }
        assert!(Instant::now() < until, "idlers keep the last connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    held("idlers on every connection", "operators and signed-in agents get in");
}

// OPS-11
#[actix_web::test]
async fn several_addresses_that_send_without_end_leave_room_for_others() {
    const ADDRESSES: u8 = 6;
    let mut setup = with_limits("body: \"60s\"");
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let mut crowd = Vec::new();
    // Large ones first, then whatever still fits beside them.
    for (length, count) in [(65_000, 256), (8_000, 60), (1_000, 60), (120, 60), (15, 60)] {
        let head = format!(
            "POST /hooks/sms-telesign HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n",
            length + 1
        );
        let all = [head.as_bytes(), &vec![b'x'; length]].concat();
        for n in 0..count * usize::from(ADDRESSES) {
            let last = u8::try_from(n % usize::from(ADDRESSES)).unwrap() + 1;
            let Some(mut path) = connect_from(last, &host.url).await else { continue };
            // One that is refused isn't read to its end.
            let write = path.write_all(&all);
            let _ = tokio::time::timeout(Duration::from_millis(100), write).await;
            crowd.push(path);
        }
    }
    let mut taken = 0;
    for n in 0..20 {
        let from = format!("+142555501{n:02}");
        let status = emulators.world.text(Provider::Twilio, &from, "hello").await;
        taken += usize::from(status == 200);
    }
    assert_eq!(taken, 20, "of 20 texts");
    let count = crowd.len();
    held(
        "bodies that don't end, of every size, from six addresses",
        &format!("{count} of them; others' texts are taken"),
    );
}

/// However few connections a host has, by its settings or by its descriptors.
// OPS-11
#[actix_web::test]
async fn one_address_that_holds_connections_leaves_most_to_others() {
    let mut setup = with_limits("connections: 120");
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, url) = (stop.clone(), host.url.clone());
    // Whatever is cut is opened again at once.
    let holding = actix_web::rt::spawn(async move {
        let (mut crowd, mut opened) = (Vec::new(), 0);
        while !stopped.load(Ordering::Relaxed) {
            for n in 0..20 {
                opened += 1;
                crowd.extend(connect_from(2 + n % 2, &url).await);
            }
            let over = crowd.len().saturating_sub(150);
            crowd.drain(..over);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        opened
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    for n in 0..20 {
        let from = format!("+142555501{n:02}");
        // Once: a provider that tries again would get through somehow.
        let id = format!("SM{n:032x}");
        let status = emulators.world.deliver(Provider::Twilio, &id, &from, "hello").await;
        assert_eq!(status, 200, "text {n}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&host.url, "/health/ready", Duration::from_secs(5)).await, Some(200));
    stop.store(true, Ordering::Relaxed);
    let opened = holding.await.unwrap();
    held(
        "connections that two addresses open again and again, of 120 in all",
        &format!("{opened} of them; others' texts are taken"),
    );
}

// OPS-11
#[actix_web::test]
async fn several_addresses_that_hold_connections_leave_some_to_others() {
    let mut setup = with_limits("connections: 400, connections_per_address: 40");
    let emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let mut crowd = Vec::new();
    for round in 0..3 {
        for last in 1..=15 {
            for _ in 0..40 {
                let Some(mut path) = connect_from(last, &host.url).await else { continue };
                let _ = path.write_all(b"G").await;
                crowd.push(path);
            }
        }
        for n in 0..5 {
            let from = format!("+142555501{round}{n}");
            let status = emulators.world.text(Provider::Twilio, &from, "hello").await;
            assert_eq!(status, 200, "with {} held connections", crowd.len());
        }
    }
    held(
        "connections that are only held, from fifteen addresses",
        &format!("{} of them; others' texts are taken", crowd.len()),
    );
}

/// A host that the harness hasn't started.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// OPS-11
#[actix_web::test]
async fn a_host_that_may_open_next_to_nothing_says_so_and_one_with_little_lets_people_in() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let runs = |most: u32| {
        let script = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
        let own = setup.command(&["run", setup.config()]);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script]).arg(own.get_program()).args(own.get_args());
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let refused = runs(64).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("64 descriptors"), "{said}");
    assert!(!setup.data().join("journal.sqlite").exists(), "nothing was begun");
    let _host = Ends(runs(128).stdout(std::process::Stdio::null()).spawn().unwrap());
    while status(&setup.url, "/health/ready", Duration::from_secs(5)).await != Some(200) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // More than it can have, until they are shut out; then the honest ones.
    let mut crowd = Vec::new();
    for n in 0..90 {
        crowd.extend(connect_from(2 + n % 9, &setup.url).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(crowd);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(says(&emulators.world, 100).await, 200);
    held("a host that may have 64 descriptors, and one with 128", "refused; lets people in");
}
