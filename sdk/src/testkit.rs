//! A host that isn't there: unit-test a plugin without one.
//!
//! ```
//! # #[cfg(feature = "testkit")] {
//! use cordboard_sdk::testkit::{FakeHost, run};
//! use cordboard_sdk::{HttpRequest, HttpResponse};
//!
//! let fake = FakeHost::new();
//! fake.answer(200, &[], "pong");
//! let host = fake.host();
//! let answer = run(host.http(HttpRequest::post("https://api.example.com/ping"))).unwrap();
//! assert_eq!(answer.body, b"pong");
//! assert_eq!(fake.requests()[0].url, "https://api.example.com/ping");
//! # }
//! ```

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::host::{Host, HostApi, LogLine, QueuePlace, Secret};
use crate::http::{HttpError, HttpErrorKind, HttpRequest, HttpResponse};
use crate::wire::{decode, encode};

#[derive(Default)]
struct Inside {
    secrets: HashMap<String, String>,
    store: HashMap<String, Vec<u8>>,
    places: HashMap<String, QueuePlace>,
    answers: VecDeque<Result<HttpResponse, HttpError>>,
    requests: Vec<HttpRequest>,
    log: Vec<LogLine>,
    now_ms: i64,
    uniques: VecDeque<String>,
    unique_count: u64,
}

/// Answers requests from a list and remembers them. Its clock stands still, its uniques count.
#[derive(Clone, Default)]
pub struct FakeHost {
    inside: Arc<Mutex<Inside>>,
}

impl FakeHost {
    /// No secrets, no answers, the epoch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The host to open a plugin with.
    pub fn host(&self) -> Host {
        Host::new(Arc::new(self.clone()))
    }

    /// Gives a secret a value.
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.with(|inside| inside.secrets.insert(name.to_owned(), value.to_owned()));
        self
    }

    /// Has a customer wait in line.
    pub fn waits(self, customer: &str, place: QueuePlace) -> Self {
        self.with(|inside| inside.places.insert(customer.to_owned(), place));
        self
    }

    /// Sets the clock.
    pub fn at(self, now_ms: i64) -> Self {
        self.with(|inside| inside.now_ms = now_ms);
        self
    }

    /// The next unique value.
    pub fn unique(self, value: &str) -> Self {
        self.with(|inside| inside.uniques.push_back(value.to_owned()));
        self
    }

    /// The next request gets this.
    pub fn answer(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let response = HttpResponse { status, headers, body: body.as_bytes().to_vec() };
        self.with(|inside| inside.answers.push_back(Ok(response)));
    }

    /// The next request fails.
    pub fn fail(&self, kind: HttpErrorKind) {
        let error = HttpError { kind, message: format!("{kind:?}") };
        self.with(|inside| inside.answers.push_back(Err(error)));
    }

    /// Requests so far.
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.with(|inside| inside.requests.clone())
    }

    /// Log lines so far.
    pub fn log(&self) -> Vec<LogLine> {
        self.with(|inside| inside.log.clone())
    }

    fn with<T>(&self, run: impl FnOnce(&mut Inside) -> T) -> T {
        run(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HostApi for FakeHost {
    fn call(
        &self,
        operation: &'static str,
        payload: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>> {
        let answer = self.with(|inside| match operation {
            "http" => {
                let request = decode::<HttpRequest>(&payload).expect("a request");
                inside.requests.push(request);
                let answer = inside.answers.pop_front();
                encode(&answer.expect("the test gives an answer for every request"))
            }
            "secret" => {
                let name = decode::<String>(&payload).expect("a name");
                let secret = inside.secrets.get(&name).map(Secret::new);
                encode(&secret.ok_or_else(|| format!("no secret `{name}`")))
            }
            "store_get" => {
                let key = decode::<String>(&payload).expect("a key");
                encode(&Ok::<_, String>(inside.store.get(&key)))
            }
            "store_put" => {
                let (key, value) = decode::<(String, Vec<u8>)>(&payload).expect("key and value");
                inside.store.insert(key, value);
                encode(&Ok::<(), String>(()))
            }
            "store_remove" => {
                let key = decode::<String>(&payload).expect("a key");
                inside.store.remove(&key);
                encode(&Ok::<(), String>(()))
            }
            "place_in_queue" => {
                let customer = decode::<String>(&payload).expect("an address");
                encode(&Ok::<_, String>(inside.places.get(&customer)))
            }
            other => panic!("no operation `{other}`"),
        });
        Box::pin(async move { answer })
    }

    fn ask(&self, operation: &'static str, payload: &[u8]) -> Vec<u8> {
        self.with(|inside| match operation {
            "now" => encode(&inside.now_ms),
            "unique" => {
                inside.unique_count += 1;
                let counted = format!("00000000-0000-4000-8000-{:012}", inside.unique_count);
                encode(&inside.uniques.pop_front().unwrap_or(counted))
            }
            "log" => {
                inside.log.push(decode(payload).expect("a log line"));
                Vec::new()
            }
            other => panic!("no operation `{other}`"),
        })
    }
}

/// Runs a future that never has to wait, as everything with a [`FakeHost`] is.
///
/// # Panics
/// If the future waits for something.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something that no test gives it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // ROUTE-16 PLUG-06
    #[test]
    fn a_plugin_is_told_where_a_customer_stands() {
        let place = QueuePlace { position: Some(3), waiting: 7, estimated_wait_ms: Some(60_000) };
        let host = FakeHost::new().waits("+14255550100", place.clone()).host();
        assert_eq!(run(host.place_in_queue("+14255550100")), Ok(Some(place)));
        assert_eq!(run(host.place_in_queue("+14255550101")), Ok(None));
    }
}
