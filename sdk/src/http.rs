//! HTTP, both ways: webhooks that come in, and requests that the host makes for a plugin.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::messages::Rejection;

/// A webhook as it arrived, body untouched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WebhookRequest {
    /// Upper case.
    pub method: String,
    /// The public URL that the provider called: configured base, path and query.
    pub url: String,
    /// The query, without `?`.
    #[serde(default)]
    pub query: String,
    /// Lower-case names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The bytes that signatures are made over.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl WebhookRequest {
    /// The first header of this name. In a host it is there only if the plugin's manifest lists it
    /// ([`crate::Manifest::headers`]); a test that makes its own request has whatever it puts there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The value of a query parameter.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The query's parameters, in order, repeated ones repeated.
    pub fn query_pairs(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query.as_bytes()).collect()
    }

    /// The form fields of the body, in order, repeated ones repeated. What isn't escaped isn't copied.
    pub fn form(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(&self.body).collect()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Rejection::NotUnderstood`] with the place of the mistake.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_slice(&self.body)
            .map_err(|e| Rejection::NotUnderstood(format!("the body isn't the JSON expected: {e}")))
    }
}

/// A request that the host shall make.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Upper case.
    pub method: String,
    /// Absolute; its host must be one that the manifest names or the operator allows.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// The whole exchange; 10 s by default.
    pub timeout_ms: u64,
}

impl HttpRequest {
    /// A request with an empty body.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 10_000,
        }
    }

    /// A POST.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets body and content type to JSON.
    pub fn json<T: Serialize>(self, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("a plugin's own types become JSON");
        self.body("application/json", body)
    }

    /// Sets body and content type to a form.
    pub fn form<'a>(self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        self.body("application/x-www-form-urlencoded", form.finish())
    }

    /// Sets body and content type.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Basic authentication.
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        self.header("authorization", format!("Basic {credentials}"))
    }
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Lower-case names and values.
    pub headers: Vec<(String, String)>,
    /// At most 4 MiB; a longer one is an error.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`HttpErrorKind::Interrupted`]: an answer came, but what it says can't be known.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|e| HttpError {
            kind: HttpErrorKind::Interrupted,
            message: format!("the provider's answer isn't the JSON expected: {e}"),
        })
    }

    /// `Retry-After` in whole seconds, as milliseconds; at most a day.
    pub fn retry_after_ms(&self) -> Option<u64> {
        let seconds: u64 = self.header("retry-after")?.trim().parse().ok()?;
        Some(seconds.min(86_400) * 1000)
    }
}

/// What a failed request means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpErrorKind {
    /// The host isn't among those allowed to this channel.
    NotAllowed,
    /// The request itself is wrong (URL, method, header).
    Malformed,
    /// No connection: nothing was written.
    NotConnected,
    /// Something may have been written; what became of it is unknown.
    Interrupted,
}

/// A request that got no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct HttpError {
    /// What it means.
    pub kind: HttpErrorKind,
    /// A sentence.
    pub message: String,
}
