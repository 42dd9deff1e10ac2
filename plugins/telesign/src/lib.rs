//! SMS through TeleSign (CH-02).
//!
//! Outbound: `POST /v1/messaging`, form-encoded, signed with the account's key. Inbound texts and
//! delivery reports arrive as JSON at one callback URL, signed over the raw body.

#![forbid(unsafe_code)]

use cordboard_sdk::http_date;
use cordboard_sdk::prelude::*;
use cordboard_sdk::signature::{from_base64_lenient, hmac_sha256, matches_base64, to_base64};
use cordboard_sdk::sms::{self, Number, NumberForm};

/// The channel's settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The account's customer ID.
    pub customer_id: String,
    /// Self-service accounts: `https://rest-api.telesign.com` (the default); full service:
    /// `https://rest-ww.telesign.com`.
    #[serde(default = "default_base_url")]
    pub base_url: String,
    /// How requests are authenticated.
    #[serde(default)]
    pub auth: Auth,
    /// `ARN` (the default, for replies), `OTP` or `MKT`.
    #[serde(default)]
    pub message_type: MessageType,
    /// The numbers customers write to: digits with country code, no `+`.
    pub numbers: Vec<Number>,
}

/// How requests are authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// The key signs each request and never travels.
    #[default]
    Digest,
    /// The key travels with each request, under TLS.
    Basic,
}

/// TeleSign's classes of traffic.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
pub enum MessageType {
    /// One-time passwords.
    OTP,
    /// Alerts, reminders, notifications; conversations too.
    #[default]
    ARN,
    /// Marketing.
    MKT,
}

impl MessageType {
    fn as_str(self) -> &'static str {
        match self {
            Self::OTP => "OTP",
            Self::ARN => "ARN",
            Self::MKT => "MKT",
        }
    }
}

fn default_base_url() -> String {
    "https://rest-api.telesign.com".to_owned()
}

struct TeleSign {
    host: Host,
    config: Config,
    api_key: Secret,
    /// The key's bytes, for signatures.
    key: Vec<u8>,
}

impl Channel for TeleSign {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "telesign",
        version: env!("CARGO_PKG_VERSION"),
        description: "SMS through TeleSign",
        channel_kind: "messaging",
        hosts: &["rest-api.telesign.com", "rest-ww.telesign.com"],
        secrets: &["api_key"],
        headers: &["authorization", "x-ts-authorization"],
        offers: &[Offer::Inbound, Offer::Outbound, Offer::DeliveryReports, Offer::OptOut],
        max_text: sms::MAX_TEXT,
        idempotent_sends: false,
    };

    async fn open(config: Config, host: Host) -> Result<Self, OpenError> {
        sms::check_numbers(&config.numbers, NumberForm::Digits, "TeleSign")?;
        let api_key = host.secret("api_key").await.map_err(OpenError::Failed)?;
        let key = from_base64_lenient(api_key.expose())
            .filter(|key| !key.is_empty())
            .ok_or_else(|| OpenError::Failed("the secret `api_key` isn't base64".to_owned()))?;
        Ok(Self { host, config, api_key, key })
    }

    async fn receive(&self, request: WebhookRequest) -> Result<Received, Rejection> {
        self.check_signature(&request)?;
        let callback: Callback = request.json()?;
        let reference_id = callback.reference_id.clone();
        let event = match callback.sub_resource.as_str() {
            "mo_sms" | "mo_mms" => Event::Message(self.own(callback.into_inbound()?)?),
            _ if callback.status.code == INBOUND => {
                Event::Message(self.own(callback.into_inbound()?)?)
            }
            "" | "sms" => Event::Delivery(callback.into_report()),
            other => {
                // Kinds that other products of theirs send to the same address: nothing of ours.
                let fields = [("sub_resource", other), ("reference_id", reference_id.as_str())];
                self.host.log(Level::Info, "callback of another product ignored", &fields);
                return Ok(Received::events([]));
            }
        };
        Ok(Received::events([event]))
    }

    async fn send(&self, message: Outbound) -> Result<Receipt, SendError> {
        if !message.media.is_empty() {
            return Err(SendError::new(
                SendErrorKind::Permanent,
                "media",
                "TeleSign SMS carries no files: send a link in the text",
            ));
        }
        let phone_number = sms::digits(&message.to);
        let sender_id = sms::digits(&message.from);
        let request = self.signed_post(
            "/v1/messaging",
            &[
                ("phone_number", &phone_number),
                ("message", &message.text),
                ("message_type", self.config.message_type.as_str()),
                ("sender_id", &sender_id),
                ("external_id", &message.reference),
                ("callback_url", &message.callback_url),
            ],
        );
        let response = self.host.http(request).await?;
        let answer = response.json::<Answer>();
        if response.status == 200 {
            return taken(answer?);
        }
        let status = answer.ok().map(|answer| answer.status);
        let (code, message) = match status {
            Some(status) => (status.code.to_string(), status.description),
            None => (response.status.to_string(), "TeleSign gave no reason".to_owned()),
        };
        Err(SendError::new(SendErrorKind::from_status(&response), code, message))
    }

    async fn verify(&self, request: VerifyRequest) -> VerifyReport {
        match sms::test_message(request, &self.host, &self.config.numbers) {
            Ok(test) => VerifyReport::from_send(self.send(test).await),
            Err(report) => report,
        }
    }
}

impl TeleSign {
    /// The signature is over the body alone: every channel with the same key would take it.
    fn own(&self, mut message: Inbound) -> Result<Inbound, Rejection> {
        message.to = sms::canonical_of(&message.to, &self.config.numbers);
        sms::check_ends(&message, &self.config.numbers)?;
        Ok(message)
    }

    /// Signature over the raw body with the account's key. Both headers carry it; the text before a
    /// colon (`TSA <customer_id>:`) isn't part of it.
    fn check_signature(&self, request: &WebhookRequest) -> Result<(), Rejection> {
        let header = request
            .header("authorization")
            .or_else(|| request.header("x-ts-authorization"))
            .ok_or_else(|| Rejection::NotAuthentic("no signature header".to_owned()))?;
        let signature = header.rsplit(':').next().unwrap_or(header);
        let digest = hmac_sha256(&self.key, &[&request.body]);
        if matches_base64(signature, &digest) {
            return Ok(());
        }
        Err(Rejection::NotAuthentic("the signature isn't that of the body".to_owned()))
    }

    fn signed_post(&self, path: &str, fields: &[(&str, &str)]) -> HttpRequest {
        let request = HttpRequest::post(format!("{}{path}", self.config.base_url))
            .form(fields.iter().copied());
        let customer_id = &self.config.customer_id;
        if self.config.auth == Auth::Basic {
            return request.basic_auth(customer_id, self.api_key.expose());
        }
        let date = http_date(self.host.now_ms());
        let nonce = self.host.unique();
        let signature =
            request_signature(&self.key, "POST", FORM, &date, &nonce, &request.body, path);
        request
            .header("date", date)
            .header("x-ts-auth-method", "HMAC-SHA256")
            .header("x-ts-nonce", nonce)
            .header("authorization", format!("TSA {customer_id}:{signature}"))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The status code of an inbound message.
const INBOUND: u32 = 1500;

/// TeleSign's request signature: lines joined by single line feeds; the body's line only if there
/// is a body.
pub fn request_signature(
    key: &[u8],
    method: &str,
    content_type: &str,
    date: &str,
    nonce: &str,
    body: &[u8],
    path: &str,
) -> String {
    let head = format!(
        "{method}\n{content_type}\n{date}\nx-ts-auth-method:HMAC-SHA256\nx-ts-nonce:{nonce}\n"
    );
    let mut parts: Vec<&[u8]> = vec![head.as_bytes()];
    if !content_type.is_empty() && !body.is_empty() {
        parts.push(body);
        parts.push(b"\n");
    }
    parts.push(path.as_bytes());
    to_base64(&hmac_sha256(key, &parts))
}

/// What an answer of 200 says by its code: it may be that the message won't go anywhere.
fn taken(answer: Answer) -> Result<Receipt, SendError> {
    let Status { code, description } = answer.status;
    match (delivery_status(code, &description), answer.reference_id) {
        (DeliveryStatus::Undelivered { code, reason }, _) => {
            Err(SendError::new(SendErrorKind::Permanent, code, reason))
        }
        (_, Some(id)) if !id.is_empty() => Ok(Receipt::sent(id)),
        _ => {
            let why = "TeleSign answered without a reference_id";
            Err(SendError::new(SendErrorKind::Uncertain, code.to_string(), why))
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    reference_id: Option<String>,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    code: u32,
    #[serde(default)]
    description: String,
}

/// Delivery reports and inbound messages share one shape; `errors` is documented as a list and as
/// an object, so it isn't read at all.
#[derive(Deserialize)]
struct Callback {
    reference_id: String,
    status: Status,
    #[serde(default)]
    sub_resource: String,
    external_id: Option<String>,
    user_response: Option<UserResponse>,
}

#[derive(Deserialize)]
struct UserResponse {
    phone_number: String,
    sender_id: String,
    #[serde(default)]
    mo_message: String,
    action: Option<String>,
    #[serde(default)]
    content: serde_json::Map<String, serde_json::Value>,
}

impl Callback {
    fn into_inbound(self) -> Result<Inbound, Rejection> {
        let said = self.user_response.ok_or_else(|| {
            Rejection::NotUnderstood("an inbound message without `user_response`".to_owned())
        })?;
        let mut text = said.mo_message;
        let mut media = Vec::new();
        for (name, value) in &said.content {
            let Some(value) = value.as_str() else { continue };
            if name.starts_with("text_") {
                text.push_str(value);
            }
            let kind =
                [("url_image_", "image/*"), ("url_video_", "video/*"), ("url_audio_", "audio/*")]
                    .into_iter()
                    .find(|(prefix, _)| name.starts_with(prefix));
            if let Some((_, content_type)) = kind {
                media.push(Media { url: value.to_owned(), content_type: content_type.to_owned() });
            }
        }
        let consent = match said.action.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("stop") => Some(Consent::OptOut),
            Some("start") => Some(Consent::OptIn),
            Some("help") => Some(Consent::Help),
            // The account doesn't have the keyword feature, or it saw no keyword.
            _ => sms::consent_keyword(&text),
        };
        Ok(Inbound {
            provider_id: self.reference_id,
            from: sms::canonical(&said.phone_number),
            to: said.sender_id,
            text,
            media,
            consent,
        })
    }

    fn into_report(self) -> DeliveryReport {
        let status = delivery_status(self.status.code, &self.status.description);
        DeliveryReport { reference: self.external_id, provider_id: self.reference_id, status }
    }
}

/// TeleSign's codes in the host's words. Codes that mean "on its way" or "nobody will ever know"
/// stay at sent.
pub fn delivery_status(code: u32, description: &str) -> DeliveryStatus {
    match code {
        200 | 201 => DeliveryStatus::Delivered,
        203 | 250 | 251 | 290 | 292 | 295 => DeliveryStatus::Sent,
        _ => DeliveryStatus::Undelivered { code: code.to_string(), reason: description.to_owned() },
    }
}

cordboard_sdk::export_channel!(TeleSign);

#[cfg(test)]
mod tests;
