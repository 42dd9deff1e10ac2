//! What crosses between host and channel: messages, reports, receipts and refusals.

use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::http::{HttpError, HttpErrorKind, HttpResponse};

/// A file that goes with a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Media {
    /// Where it can be fetched.
    pub url: String,
    /// MIME type.
    pub content_type: String,
}

/// What the customer said about being written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// No further messages.
    OptOut,
    /// Messages are welcome again.
    OptIn,
    /// Asked for help; changes nothing.
    Help,
}

/// A customer's message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inbound {
    /// The provider's id: the same however often it is delivered. Never empty.
    pub provider_id: String,
    /// The customer's address in canonical form; E.164 with `+` for numbers.
    pub from: String,
    /// Our address in the same form.
    pub to: String,
    /// Text, whole, whatever its length.
    pub text: String,
    /// Files.
    #[serde(default)]
    pub media: Vec<Media>,
    /// What it says about consent.
    #[serde(default)]
    pub consent: Option<Consent>,
}

impl Inbound {
    /// A plain text.
    pub fn text(
        provider_id: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            provider_id: provider_id.into(),
            from: from.into(),
            to: to.into(),
            text: text.into(),
            media: Vec::new(),
            consent: None,
        }
    }
}

/// How far a sent message has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// With the provider or on its way.
    Sent,
    /// With the customer.
    Delivered,
    /// Will not arrive.
    Undelivered {
        /// The provider's own code.
        code: String,
        /// A sentence for the agent.
        reason: String,
    },
}

/// A report on a sent message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// [`Outbound::reference`], if the provider echoes it.
    #[serde(default)]
    pub reference: Option<String>,
    /// The provider's id of the message, as in [`Receipt::provider_id`].
    pub provider_id: String,
    /// How far it has come.
    pub status: DeliveryStatus,
}

/// One thing that a webhook told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A customer wrote.
    Message(Inbound),
    /// Something happened to a sent message.
    Delivery(DeliveryReport),
}

/// What the provider gets back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WebhookResponse {
    /// HTTP status.
    pub status: u16,
    /// Header names and values.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(with = "serde_bytes", default)]
    pub body: Vec<u8>,
}

impl WebhookResponse {
    /// 200 with nothing in it.
    pub fn ok() -> Self {
        Self { status: 200, headers: Vec::new(), body: Vec::new() }
    }

    /// 200 with a body.
    pub fn body(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status: 200, headers, body: body.into() }
    }
}

/// A webhook, understood. The response goes out after the events are on disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Received {
    /// What it told, in order.
    pub events: Vec<Event>,
    /// What the provider gets back.
    pub response: WebhookResponse,
}

impl Received {
    /// Events and an empty 200.
    pub fn events(events: impl IntoIterator<Item = Event>) -> Self {
        Self { events: events.into_iter().collect(), response: WebhookResponse::ok() }
    }

    /// The same with another response.
    pub fn with_response(mut self, response: WebhookResponse) -> Self {
        self.response = response;
        self
    }
}

/// Why a webhook was turned away.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Not from the provider, or not provably: answered 403 and counted. The reason goes to the
    /// operator's log, not to the caller.
    #[error("not authentic: {0}")]
    NotAuthentic(String),
    /// From the provider, but not understood: answered 400.
    #[error("not understood: {0}")]
    NotUnderstood(String),
    /// It can't be told just now whether it is from the provider: answered 503, and the provider tries again.
    #[error("not known yet: {0}")]
    TryAgain(String),
}

/// A message to be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outbound {
    /// Ours, unique, and the same for every attempt; at most 64 letters, digits, `-` and `.`.
    pub reference: String,
    /// A UUID that follows from the reference, for providers that want one.
    pub idempotency_key: String,
    /// When it was first tried, in milliseconds since the epoch; the same for every attempt.
    pub first_attempt_ms: i64,
    /// Our address, canonical.
    pub from: String,
    /// The customer's address, canonical.
    pub to: String,
    /// Text.
    pub text: String,
    /// Files by URL.
    #[serde(default)]
    pub media: Vec<Media>,
    /// Where the provider can report, without query.
    pub callback_url: String,
}

/// The provider has taken a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Its id at the provider.
    pub provider_id: String,
}

impl Receipt {
    /// Taken under this id.
    pub fn sent(provider_id: impl Into<String>) -> Self {
        Self { provider_id: provider_id.into() }
    }
}

/// What a failed send means for the next attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendErrorKind {
    /// It was certainly not taken and may go through later.
    Retryable {
        /// The provider said when (`Retry-After`), in milliseconds.
        after_ms: Option<u64>,
    },
    /// Nobody can know whether it was taken.
    Uncertain,
    /// It will never go through.
    Permanent,
    /// The customer has opted out at the provider.
    OptedOut,
}

/// A send that failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{message} ({code})")]
pub struct SendError {
    /// What it means for the next attempt.
    pub kind: SendErrorKind,
    /// The provider's own code, kept as it is.
    pub code: String,
    /// A sentence for agent and operator.
    pub message: String,
}

impl SendError {
    /// A failure of a kind.
    pub fn new(kind: SendErrorKind, code: impl ToString, message: impl Into<String>) -> Self {
        Self { kind, code: code.to_string(), message: message.into() }
    }

    /// What an HTTP status alone says: 401, 408, 429 and 503 were not taken and are worth another try (an operator can mend
    /// a secret), other 5xx may have been taken, and so may 2xx that a plugin doesn't expect; the rest is final.
    pub fn from_status(response: &HttpResponse) -> Self {
        let kind = SendErrorKind::from_status(response);
        Self::new(kind, response.status, format!("the provider answered {}", response.status))
    }
}

impl SendErrorKind {
    /// See [`SendError::from_status`].
    pub fn from_status(response: &HttpResponse) -> Self {
        match response.status {
            401 | 408 | 429 | 503 => Self::Retryable { after_ms: response.retry_after_ms() },
            200..=299 | 500..=599 => Self::Uncertain,
            _ => Self::Permanent,
        }
    }
}

impl From<HttpError> for SendError {
    fn from(error: HttpError) -> Self {
        let kind = match error.kind {
            // An operator can allow it.
            HttpErrorKind::NotConnected | HttpErrorKind::NotAllowed => {
                SendErrorKind::Retryable { after_ms: None }
            }
            HttpErrorKind::Interrupted => SendErrorKind::Uncertain,
            HttpErrorKind::Malformed => SendErrorKind::Permanent,
        };
        let code = match error.kind {
            HttpErrorKind::NotAllowed => "not_allowed",
            _ => "http",
        };
        Self::new(kind, code, error.message)
    }
}

/// Why a plugin can't be opened with a configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum OpenError {
    /// A setting is wrong.
    #[error("{path}: {message}")]
    Config {
        /// Which, as `numbers[0].number`; empty: the whole.
        path: String,
        /// What was found and what would be right.
        message: String,
    },
    /// Something else.
    #[error("{0}")]
    Failed(String),
}

impl OpenError {
    /// A wrong setting.
    pub fn config(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { path: path.into(), message: message.into() }
    }
}

/// Asks for a test message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// Where the test message goes.
    pub to: String,
    /// From which of the channel's numbers; `None`: the first.
    #[serde(default)]
    pub from: Option<String>,
    /// As in [`Outbound`].
    pub callback_url: String,
}

impl VerifyRequest {
    /// The message to send, from the number asked for or else from this one.
    pub fn test_message(self, host: &Host, first_number: &str) -> Outbound {
        Outbound {
            reference: format!("verify.{}", host.unique()),
            idempotency_key: host.unique(),
            first_attempt_ms: host.now_ms(),
            from: self.from.unwrap_or_else(|| first_number.to_owned()),
            to: self.to,
            text: "Cordboard test message: this channel can send.".to_owned(),
            media: Vec::new(),
            callback_url: self.callback_url,
        }
    }
}

/// What came of a test message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The provider took it, so the credentials work.
    pub ok: bool,
    /// A sentence for the operator.
    pub message: String,
}

impl VerifyReport {
    /// It worked.
    pub fn passed(message: impl Into<String>) -> Self {
        Self { ok: true, message: message.into() }
    }

    /// It didn't.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { ok: false, message: message.into() }
    }

    /// What a send says about credentials.
    pub fn from_send(result: Result<Receipt, SendError>) -> Self {
        match result {
            Ok(receipt) => {
                let id = receipt.provider_id;
                Self::passed(format!("the provider took the test message as {id}"))
            }
            Err(error) => Self::failed(format!("the provider refused the test message: {error}")),
        }
    }
}

/// Whether the channel can do its work.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// Ready for messages.
    pub ok: bool,
    /// A sentence for the operator.
    pub message: String,
}
