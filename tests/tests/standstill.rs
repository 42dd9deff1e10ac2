//! Plugins that keep their threads to themselves: it costs nobody but them (PLUG-04).

use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

async fn ready(url: &str) -> (u16, String) {
    let asked = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = asked.get(format!("{url}/health/ready")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

// PLUG-04 OPS-06 OPS-09
#[actix_web::test]
async fn a_reply_that_stands_still_stops_no_other_channel() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    setup.with_panicky();
    let kims = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let world = &emulators.world;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = client.post(format!("{}/hooks/odd", host.url)).body("hello").send();
    assert_eq!(post.await.unwrap().status(), 200);
    let odd = kim.accept_next().await;
    assert_eq!(world.text(Provider::Twilio, "+14255550101", "hello").await, 200);
    let other = kim.accept_next().await;
    kim.must(json!({ "type": "reply", "conversation": odd, "text": "stand 60000" })).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    kim.must(json!({ "type": "reply", "conversation": other, "text": "an answer" })).await;
    world.wait_for_sent("the other's", |sent| sent.text == "an answer").await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    host.prints("the plugin of channel odd keeps its threads to itself (send)").await;
    // Its other calls have other threads: the host is ready, and metrics say which isn't as it should be.
    assert_eq!(ready(&host.url).await.0, 200);
    let metrics = host.text(&kims, "/metrics").await;
    assert!(metrics.contains("cordboard_plugin_instances{state=\"stuck\"} 1"), "{metrics}");
    // A host that is to end does.
    let began = Instant::now();
    assert_eq!(host.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

// PLUG-04 SEC-02 OPS-06
#[actix_web::test]
async fn webhooks_that_stand_still_stop_nobody_and_their_channel_is_opened_anew() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    setup.with_panicky();
    let [kims, roots] = ["kim", "root"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let world = &emulators.world;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let url = format!("{}/hooks/odd", host.url);
    let standing: Vec<_> = (0..6)
        .map(|_| {
            let post = reqwest::Client::new().post(&url).body("stand 120000");
            actix_web::rt::spawn(async move { post.send().await.map(|answer| answer.status()) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Everybody else's work goes on meanwhile.
    for n in 0..40 {
        let began = Instant::now();
        let from = format!("+1425555{n:04}");
        assert_eq!(world.text(Provider::Twilio, &from, "hello").await, 200);
        if n < 3 {
            kim.accept_next().await;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{n}: {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, why) = ready(&host.url).await;
    assert!(status == 503 && why.contains("the plugin of channel odd"), "{status} {why}");
    host.prints("channel odd was opened anew").await;
    let hello = reqwest::Client::new().post(&url).body("hello").send();
    let hello = tokio::time::timeout(Duration::from_secs(5), hello).await;
    assert_eq!(hello.expect("its threads are others by now").unwrap().status(), 200);
    assert_eq!(ready(&host.url).await.0, 200);
    let metrics = host.text(&roots, "/metrics").await;
    assert!(metrics.contains("cordboard_plugin_instances{state=\"draining\"} 1"), "{metrics}");
    drop(standing);
    let began = Instant::now();
    assert_eq!(host.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

// PLUG-04 CH-12
#[actix_web::test]
async fn what_waits_behind_calls_that_stand_still_is_done_by_those_that_come_after() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    setup.with_panicky();
    let kims = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    let url = format!("{}/hooks/odd", host.url);
    let post = async |body: &'static str| {
        let answer = reqwest::Client::new().post(&url).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(post("hello").await.0, 200);
    let id = kim.accept_next().await;
    // What it asks of the host is answered, whatever thread it asks on.
    let (status, place) = post("place").await;
    assert!(status == 200 && place.starts_with("Ok("), "{status} {place}");
    assert_eq!(post("keep a 10").await.0, 200);
    assert_eq!(post("go").await.0, 200);
    let standing: Vec<_> = (0..4)
        .map(|_| {
            let stands = reqwest::Client::new().post(&url).body("stand 60000").send();
            actix_web::rt::spawn(async move { drop(stands.await) })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ready(&host.url).await.0, 503);
    for text in ["as one", "as two"] {
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let said = host.transcript(&kims, &id).await;
        let fates: Vec<&str> =
            said[1..].iter().filter_map(|one| one["delivery"]["status"].as_str()).collect();
        assert!(!fates.contains(&"unconfirmed"), "it never began: {fates:?}");
        if fates == ["sent", "sent"] {
            break;
        }
        assert!(Instant::now() < until, "{fates:?} {}", host.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(standing);
    assert_eq!(host.stop(), Some(0));
}
