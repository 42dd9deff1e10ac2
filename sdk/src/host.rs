//! What the host does for a plugin.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::http::{HttpError, HttpErrorKind, HttpRequest, HttpResponse};
use crate::wire::{decode, encode};

/// The two doors that lead to the host: the real one behind the ABI, and the testkit's.
pub trait HostApi: Send + Sync + 'static {
    /// Does something that takes time: `http`, `secret`, `store_get`, `store_put`, `store_remove`, `place_in_queue`.
    fn call(
        &self,
        operation: &'static str,
        payload: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

    /// Does something at once: `now`, `unique`, `log`.
    fn ask(&self, operation: &'static str, payload: &[u8]) -> Vec<u8>;
}

/// Where a customer stands in line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueuePlace {
    /// From 1; `None`: they are being offered to an agent at this moment.
    pub position: Option<u32>,
    /// How many wait in that queue.
    pub waiting: u32,
    /// How long they will probably wait from now on, in milliseconds; `None` before anybody has waited
    /// there.
    pub estimated_wait_ms: Option<i64>,
}

/// How loud a log line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For whoever hunts a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warn,
    /// Something is broken.
    Error,
}

/// A line for the host's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// Short, lower case, no full stop.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// A value that never shows itself in `Debug` output.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; keep it out of messages.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The host, seen from a plugin. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    api: Arc<dyn HostApi>,
}

impl Host {
    /// Bytes of a key in a channel's own small store, at most.
    pub const MOST_KEY: usize = 256;
    /// Bytes of a value there, at most.
    pub const MOST_VALUE: usize = 64 * 1024;

    /// For the glue and the testkit.
    pub fn new(api: Arc<dyn HostApi>) -> Self {
        Self { api }
    }

    /// Makes a request with the host's pool, TLS and timeouts. Redirects are not followed.
    ///
    /// # Errors
    /// [`HttpError`] says whether something may have been written.
    pub async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.api.call("http", encode(&request)).await;
        decode::<Result<HttpResponse, HttpError>>(&answer)
            .unwrap_or_else(|message| Err(HttpError { kind: HttpErrorKind::Interrupted, message }))
    }

    /// A secret that the manifest names and the operator has given a source.
    ///
    /// # Errors
    /// A sentence that names the secret and what is missing.
    pub async fn secret(&self, name: &str) -> Result<Secret, String> {
        let answer = self.api.call("secret", encode(&name)).await;
        decode::<Result<Secret, String>>(&answer)?
    }

    /// A value from this channel's own small store.
    ///
    /// # Errors
    /// A sentence, if the store can't be read.
    pub async fn store_get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let answer = self.api.call("store_get", encode(&key)).await;
        decode::<Result<Option<Vec<u8>>, String>>(&answer)?
    }

    /// Puts a value into this channel's own small store: keys up to 256 bytes, values up to 64 KiB, and no more than
    /// 1,000 values or 4 MiB of them together.
    ///
    /// # Errors
    /// A sentence, if it is too large, the store is full, or it can't be written.
    pub async fn store_put(&self, key: &str, value: &[u8]) -> Result<(), String> {
        // The host would say so too, once it has all of it.
        if value.len() > Self::MOST_VALUE {
            return Err(format!("a value of {} bytes; at most {}", value.len(), Self::MOST_VALUE));
        }
        let answer = self.api.call("store_put", encode(&(key, value))).await;
        decode::<Result<(), String>>(&answer)?
    }

    /// Removes a value from this channel's own small store; that there is none is no error.
    ///
    /// # Errors
    /// A sentence, if it can't be written.
    pub async fn store_remove(&self, key: &str) -> Result<(), String> {
        let answer = self.api.call("store_remove", encode(&key)).await;
        decode::<Result<(), String>>(&answer)?
    }

    /// Where a customer of this channel stands in the line, by their address; `None`: they don't wait
    /// for an agent (ROUTE-16). For a page that says "you are number 3".
    ///
    /// # Errors
    /// A sentence, if the host can't say now.
    pub async fn place_in_queue(&self, customer: &str) -> Result<Option<QueuePlace>, String> {
        let answer = self.api.call("place_in_queue", encode(&customer)).await;
        decode::<Result<Option<QueuePlace>, String>>(&answer)?
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        decode(&self.api.ask("now", &[])).unwrap_or(0)
    }

    /// A new random UUID, for nonces.
    pub fn unique(&self) -> String {
        decode(&self.api.ask("unique", &[])).unwrap_or_default()
    }

    /// Writes a line to the host's log, with the channel's name on it.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let line = LogLine { level, message: message.to_owned(), fields };
        self.api.ask("log", &encode(&line));
    }
}
