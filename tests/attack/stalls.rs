//! What keeps a thread busy that others wait for.

use std::time::{Duration, Instant};

use cordboard_tests::harness::Setup;
use tokio::io::AsyncWriteExt;

use crate::tools::{held, sent, status, until_closed};

// SEC-02 OPS-11
#[actix_web::test]
async fn a_form_of_a_quarter_million_fields_keeps_nobody_waiting() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let host = setup.start(&["--strict"]).await;
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let name = |n: usize| {
        let digit = |at: u32| letters[n / letters.len().pow(at) % letters.len()];
        [digit(0), digit(1), digit(2)].iter().collect::<String>()
    };
    let form = (0..letters.len().pow(3)).map(name).collect::<Vec<_>>().join("&");
    assert!(form.len() > 900_000);
    let client = reqwest::Client::new();
    let began = Instant::now();
    let posts = (0..4).map(|n| {
        let post = client.post(format!("{}/hooks/sms-twilio", host.url)).body(form.clone());
        // With a signature or without.
        let post = if n % 2 == 0 { post } else { post.header("x-twilio-signature", "x") };
        post.header("content-type", "application/x-www-form-urlencoded").send()
    });
    let posts = futures_util::future::join_all(posts);
    let looks = async {
        for _ in 0..20 {
            let alive = status(&host.url, "/health/live", Duration::from_secs(2)).await;
            assert_eq!(alive, Some(200), "{:?}", began.elapsed());
        }
    };
    let (answers, ()) = futures_util::future::join(posts, looks).await;
    for answer in answers {
        assert_eq!(answer.unwrap().status(), 403);
    }
    held("forms of 238,000 fields", "refused; health is answered meanwhile");
}

// OPS-11 PLUG-01
#[actix_web::test]
async fn who_sent_in_time_isnt_late_because_the_host_stood_still() {
    let mut setup = Setup::new();
    setup.host = "limits: (body: \"2s\"),".to_owned();
    let _emulators = setup.with_emulators();
    setup.with_panicky();
    let host = setup.start(&["--strict"]).await;
    let head = |length: usize| {
        format!("POST /hooks/odd HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(sent(&host.url, format!("{}hel", head(5)).as_bytes()).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Each worker has some of both.
    let mut stalls = Vec::new();
    for _ in 0..4 {
        stalls.push(sent(&host.url, format!("{}stand 3000", head(10)).as_bytes()).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for connection in &mut slow {
        connection.write_all(b"lo").await.unwrap();
    }
    for mut connection in slow {
        let answer = until_closed(&mut connection, Duration::from_millis(8000)).await;
        // It is kept open; what has come by then is looked at.
        assert!(answer.is_none(), "{answer:?}");
    }
    let metrics =
        reqwest::get(format!("{}/metrics", host.url)).await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("slow_body"), "{metrics}");
    let taken = "cordboard_webhooks_total{channel=\"odd\",outcome=\"taken\"} 8";
    assert!(metrics.contains(taken), "{metrics}");
    host.prints("kept a thread to itself").await;
    held(
        "a plugin that keeps its thread for three seconds",
        "said; bodies that came meanwhile count",
    );
}
