//! Frames that are longer than they may be, or in more pieces.

use std::time::{Duration, Instant};

use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::tools::{held, memory, raw_socket, text_frame, times};

// OPS-11
#[actix_web::test]
async fn a_frame_that_declares_four_gigabytes_fills_nothing() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let before = memory(&host);
    let mut most = before;
    for opcode in [0x81_u8, 0x82, 0x01] {
        let mut socket = raw_socket(&host.url, &token).await;
        let mut head = vec![opcode, 0x80 | 127];
        head.extend(4_000_000_000_u64.to_be_bytes());
        head.extend([0; 4]);
        socket.write_all(&head).await.unwrap();
        let chunk = vec![b'x'; 1 << 20];
        let began = Instant::now();
        // What comes in the second in which it hangs up is thrown away, however much it is.
        while began.elapsed() < Duration::from_secs(6) && socket.write_all(&chunk).await.is_ok() {
            most = most.max(memory(&host));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "a frame of 4 GB is taken");
        most = most.max(memory(&host));
    }
    assert!(most < before + 32, "{before} to {most} MB");
    held("a frame that declares 4 GB, streamed", &format!("{before} to {most} MB"));
    // A frame within the limit is read, however small its pieces arrive.
    let mut kim = Screen::at_desk(&host.url, &token).await;
    kim.must(json!({ "type": "activity" })).await;
    let mut slow = raw_socket(&host.url, &token).await;
    let blanks = " ".repeat(40_000);
    let text = format!("{{ \"type\": \"presence\", {blanks} \"status\": \"busy\" }}");
    for piece in text_frame(&text).chunks(1000) {
        slow.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    kim.wait_for("busy", |frame| frame["presence"]["status"] == "busy").await;
}

// OPS-11
#[actix_web::test]
async fn commands_without_end_whose_answers_nobody_reads_wait_outside() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let before = memory(&host);
    let mut socket = raw_socket(&host.url, &token).await;
    let frames = text_frame(r#"{"type":"activity"}"#).repeat(2000);
    let mut sent = 0;
    for _ in 0..times(500, 5000) {
        let write = tokio::time::timeout(Duration::from_secs(2), socket.write_all(&frames)).await;
        if !matches!(write, Ok(Ok(()))) {
            break;
        }
        sent += 2000;
    }
    let after = memory(&host);
    assert!(after < before + 48, "{before} to {after} MB after {sent} commands");
    held("commands whose answers nobody reads", &format!("{sent} sent, {before} to {after} MB"));
}
