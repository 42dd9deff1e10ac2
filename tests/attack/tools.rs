//! What attackers use, and what they are measured by.

use std::time::Duration;

use cordboard_tests::emulator::{Provider, World};
use cordboard_tests::harness::HostProcess;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whether the long form is asked for.
pub fn is_long() -> bool {
    std::env::var_os("CORDBOARD_ATTACK").is_some_and(|form| form == "long")
}

/// The larger number if the long form is asked for.
pub fn times(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// A line of the table; shown with `--nocapture`.
pub fn held(what: &str, measured: &str) {
    println!("held | {what} | {measured}");
}

/// A customer of that number says "text 100"; what is answered.
pub async fn says(world: &World, number: u32) -> u16 {
    let from = format!("+14255550{number:03}");
    world.text(Provider::Twilio, &from, &format!("text {number}")).await
}

/// Megabytes that the host has in memory.
pub fn memory(host: &HostProcess) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says so");
    let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
    kilobytes.expect("a number") / 1024
}

/// A connection to the host.
pub async fn connect(url: &str) -> TcpStream {
    let address = url.trim_start_matches("http://");
    TcpStream::connect(address).await.expect("the host listens")
}

/// From one of this machine's own addresses.
pub async fn connect_from(last: u8, host: &str) -> Option<TcpStream> {
    let elsewhere = tokio::net::TcpSocket::new_v4().ok()?;
    elsewhere.bind(format!("127.0.1.{last}:0").parse().ok()?).ok()?;
    elsewhere.connect(host.trim_start_matches("http://").parse().ok()?).await.ok()
}

/// A connection on which this was sent.
pub async fn sent(url: &str, bytes: &[u8]) -> TcpStream {
    let mut connection = connect(url).await;
    // The host may have hung up already: that is what is looked at.
    let _ = connection.write_all(bytes).await;
    connection
}

/// What comes until the other end hangs up; `None` if it doesn't in time.
pub async fn until_closed(connection: &mut TcpStream, within: Duration) -> Option<String> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(within, connection.read_to_end(&mut bytes)).await;
    // A reset is an end as well.
    read.ok().map(|_| String::from_utf8_lossy(&bytes).into_owned())
}

/// The status line's number of the answer to a GET on a connection of its own.
pub async fn status(url: &str, path: &str, within: Duration) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let ask = async {
        let address = url.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address).await.ok()?;
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    };
    tokio::time::timeout(within, ask).await.ok()?
}

/// A live socket as bytes, after the handshake.
pub async fn raw_socket(url: &str, token: &str) -> TcpStream {
    let request = format!(
        "GET /api/v1/live HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let mut connection = sent(url, request.as_bytes()).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    connection
}

/// A text frame as a client sends it, masked with zeros.
pub fn text_frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short enough");
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}
