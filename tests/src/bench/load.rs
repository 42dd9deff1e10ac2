//! A load generator: prepared requests over kept connections, one at a time on each.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::emulator::{Accounts, Provider, twilio_webhook};

/// A request, ready to be written.
pub type Prepared = Vec<u8>;

/// Signed Twilio webhooks: `count` distinct messages, numbered from `first`, from as many customers
/// as given, one after the other.
pub fn twilio_requests(
    accounts: &Accounts,
    first: usize,
    count: usize,
    customers: usize,
) -> Vec<Prepared> {
    let path = format!("/hooks/{}", Provider::Twilio.channel());
    let url = format!("{}{path}", accounts.host_url);
    let host = accounts.host_url.trim_start_matches("http://");
    let mut fields = BTreeMap::from(
        [
            ("AccountSid", accounts.twilio_sid.as_str()),
            ("ApiVersion", "2010-04-01"),
            ("Body", "Where is my order? It was due yesterday & nobody rang."),
            ("FromCity", ""),
            ("FromCountry", "US"),
            ("NumMedia", "0"),
            ("NumSegments", "1"),
            ("SmsStatus", "received"),
            ("To", Provider::Twilio.our_number()),
            ("ToCountry", "US"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let mut requests = Vec::with_capacity(count);
    for n in first..first + count {
        let sid = format!("SM{n:032x}");
        for name in ["MessageSid", "SmsSid", "SmsMessageSid"] {
            fields.insert(name.to_owned(), sid.clone());
        }
        fields.insert("From".to_owned(), format!("+1425{:07}", n % customers));
        let signature = twilio_webhook(&accounts.twilio_token, &url, &fields);
        let mut body = form_urlencoded::Serializer::new(String::new());
        let body = body.extend_pairs(&fields).finish();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/x-www-form-urlencoded\r\nx-twilio-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        requests.push([head.into_bytes(), body.into_bytes()].concat());
    }
    requests
}

/// How a run went.
pub struct Load {
    /// Requests a second.
    pub rate: f64,
    /// Answers other than 200.
    pub failed: usize,
    /// The first of them.
    pub first_failure: Option<String>,
}

impl Load {
    /// Sends all requests over so many connections, as fast as they are answered, or at a rate.
    ///
    /// # Panics
    /// If the server goes away.
    pub async fn run(
        address: &str,
        requests: Vec<Prepared>,
        connections: usize,
        rate: Option<f64>,
    ) -> Self {
        let total = requests.len();
        let requests = Rc::new(requests);
        let next = Rc::new(Cell::new(0));
        let failed = Rc::new(RefCell::new((0, None)));
        let began = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let (requests, next, failed) = (requests.clone(), next.clone(), failed.clone());
            let address = address.to_owned();
            tasks.push(actix_web::rt::spawn(async move {
                let mut stream = TcpStream::connect(&address).await.expect("the server answers");
                stream.set_nodelay(true).expect("a TCP socket");
                let mut answer = vec![0; 4096];
                loop {
                    let number = next.get();
                    if number >= requests.len() {
                        return;
                    }
                    next.set(number + 1);
                    if let Some(rate) = rate {
                        let due = Duration::from_secs_f64(number as f64 / rate);
                        let wait = due.saturating_sub(began.elapsed());
                        if !wait.is_zero() {
                            tokio::time::sleep(wait).await;
                        }
                    }
                    stream.write_all(&requests[number]).await.expect("the server stays");
                    if let Err(answer) = is_ok(&mut stream, &mut answer).await {
                        let mut failed = failed.borrow_mut();
                        failed.0 += 1;
                        failed.1.get_or_insert(answer);
                    }
                }
            }));
        }
        for task in tasks {
            task.await.expect("the generator's own tasks");
        }
        let rate = total as f64 / began.elapsed().as_secs_f64();
        let (failed, first_failure) = failed.take();
        Self { rate, failed, first_failure }
    }
}

/// Reads one answer with a content length; one that isn't 200 comes back as text.
async fn is_ok(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), String> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("the server stays");
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        if filled >= head + 4 + length {
            let is_ok = buffer.starts_with(b"HTTP/1.1 200");
            return if is_ok {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&buffer[..filled]).into_owned())
            };
        }
    }
}
