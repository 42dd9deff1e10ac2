//! SMS and MMS through Twilio (CH-03).
//!
//! Outbound: `POST .../Messages.json`, form-encoded, basic authentication. Inbound messages and
//! status callbacks arrive as forms, signed with `X-Twilio-Signature` over URL and fields.

#![forbid(unsafe_code)]

mod unambiguous;
mod webhook_signature;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use cordboard_sdk::prelude::*;
use cordboard_sdk::sms::{self, Number, NumberForm};

use unambiguous::is_sid;
pub use webhook_signature::{Algorithm, signature};

/// The channel's settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `AC` and 32 hexadecimal digits.
    pub account_sid: String,
    /// Where the API lives.
    #[serde(default = "default_base_url")]
    pub base_url: String,
    /// Sends through a messaging service instead of from one number.
    #[serde(default)]
    pub messaging_service_sid: Option<String>,
    /// The numbers customers write to, with `+`.
    pub numbers: Vec<Number>,
}

fn default_base_url() -> String {
    "https://api.twilio.com".to_owned()
}

struct Twilio {
    host: Host,
    config: Config,
    auth_token: Secret,
    /// For accounts whose webhooks are signed with HMAC-SHA256; others have none.
    shared_key: Option<Secret>,
    /// What Twilio was asked about lately.
    asked: Mutex<VecDeque<(String, Known)>>,
    /// How many look-ups are under way.
    asking: AtomicUsize,
}

/// A place to ask, until it is dropped.
struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn begin(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let place = Self(count);
        (count.fetch_add(1, Ordering::AcqRel) < most).then_some(place)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Channel for Twilio {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "twilio",
        version: env!("CARGO_PKG_VERSION"),
        description: "SMS and MMS through Twilio",
        channel_kind: "messaging",
        hosts: &["api.twilio.com"],
        secrets: &["auth_token", "shared_key"],
        headers: &["x-twilio-signature", "x-twilio-webhooks-signature-settings"],
        offers: &[
            Offer::Inbound,
            Offer::Outbound,
            Offer::DeliveryReports,
            Offer::Media,
            Offer::OptOut,
        ],
        max_text: sms::MAX_TEXT,
        idempotent_sends: false,
    };

    async fn open(config: Config, host: Host) -> Result<Self, OpenError> {
        sms::check_numbers(&config.numbers, NumberForm::Plus, "Twilio")?;
        let hex = config.account_sid.strip_prefix("AC").unwrap_or_default();
        if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            let found = &config.account_sid;
            return Err(OpenError::config(
                "account_sid",
                format!("\"{found}\" isn't an account SID: AC and 32 hexadecimal digits"),
            ));
        }
        let auth_token = host.secret("auth_token").await.map_err(OpenError::Failed)?;
        let shared_key = host.secret("shared_key").await.ok();
        let (asked, asking) = Default::default();
        Ok(Self { host, config, auth_token, shared_key, asked, asking })
    }

    async fn receive(&self, request: WebhookRequest) -> Result<Received, Rejection> {
        check_size(&request)?;
        // With GET all of it stands in the URL, and what was signed is that.
        let is_get = request.method == "GET";
        let fields = if is_get { request.query_pairs() } else { request.form() };
        let signed = if is_get { &[] } else { fields.as_slice() };
        self.check_signature(&request, signed)?;
        let is_plain = unambiguous::is_plain(&request, &fields);
        let form = Form(fields);
        match form.get("AccountSid") {
            Some(sid) if sid == self.config.account_sid => {}
            sid => {
                let sid: String = sid.unwrap_or("none").chars().take(60).collect();
                return Err(Rejection::NotAuthentic(format!("it is of another account, {sid}")));
            }
        }
        let event = match form.get("MessageStatus") {
            Some(status) => {
                let provider_id = message_sid(&form)?.to_owned();
                let (code, text) = (form.get("ErrorCode"), form.get("ErrorMessage"));
                let status = match is_plain {
                    true => delivery_status(status, code, text),
                    false => self.known(&provider_id).await?.delivery_status(),
                };
                let reference = request.query_value("reference");
                Event::Delivery(DeliveryReport { reference, provider_id, status })
            }
            None => {
                let message = inbound(&form, &self.config.numbers)?;
                sms::check_ends(&message, &self.config.numbers)?;
                if !is_plain {
                    self.check_with_twilio(&message).await?;
                }
                Event::Message(message)
            }
        };
        let silence = WebhookResponse::body("text/xml", "<Response/>");
        Ok(Received::events([event]).with_response(silence))
    }

    async fn send(&self, message: Outbound) -> Result<Receipt, SendError> {
        let sid = &self.config.account_sid;
        let url = format!("{}/2010-04-01/Accounts/{sid}/Messages.json", self.config.base_url);
        let status_callback = format!("{}?reference={}", message.callback_url, message.reference);
        let mut fields = vec![("To", message.to.as_str())];
        match &self.config.messaging_service_sid {
            // A service's pool needn't hold the sender that a customer wrote to at another network.
            Some(service) if !message.from.contains(':') => {
                fields.push(("MessagingServiceSid", service));
            }
            _ => fields.push(("From", &message.from)),
        }
        if !message.text.is_empty() {
            fields.push(("Body", &message.text));
        }
        fields.extend(message.media.iter().map(|media| ("MediaUrl", media.url.as_str())));
        fields.push(("StatusCallback", &status_callback));
        let request = HttpRequest::post(url).form(fields).basic_auth(sid, self.auth_token.expose());

        let response = self.host.http(request).await?;
        if (200..300).contains(&response.status) {
            return Ok(Receipt::sent(response.json::<Created>()?.sid));
        }
        let problem = response.json::<Problem>().unwrap_or_default();
        let code = problem.code.unwrap_or(u32::from(response.status));
        let kind = match code {
            21610 => SendErrorKind::OptedOut,
            20429 => SendErrorKind::Retryable { after_ms: response.retry_after_ms() },
            _ => SendErrorKind::from_status(&response),
        };
        let text = problem.message.unwrap_or_else(|| "Twilio gave no reason".to_owned());
        Err(SendError::new(kind, code, text))
    }

    async fn verify(&self, request: VerifyRequest) -> VerifyReport {
        match sms::test_message(request, &self.host, &self.config.numbers) {
            Ok(test) => VerifyReport::from_send(self.send(test).await),
            Err(report) => report,
        }
    }
}

impl Twilio {
    /// The signature may hold for another message, too: Twilio is asked which it is.
    async fn check_with_twilio(&self, message: &Inbound) -> Result<(), Rejection> {
        let known = self.known(&message.provider_id).await?;
        let is_same = |one: &str, other: &str| own_form(one, &[]) == own_form(other, &[]);
        let is_theirs = known.direction == "inbound"
            && is_same(known.from.as_deref().unwrap_or_default(), &message.from)
            && is_same(known.to.as_deref().unwrap_or_default(), &message.to)
            && known.body.as_deref().unwrap_or_default().trim() == message.text.trim();
        if is_theirs {
            return Ok(());
        }
        Err(of_another())
    }

    /// A message as Twilio has it. What came in doesn't change, and is asked for once: a request may be sent again by
    /// whoever has it.
    async fn known(&self, sid: &str) -> Result<Known, Rejection> {
        const MOST_AT_ONCE: usize = 16;
        const MOST_KEPT: usize = 256;
        let kept = |asked: &VecDeque<(String, Known)>| {
            asked.iter().find(|(known, _)| known == sid).map(|(_, message)| message.clone())
        };
        if let Some(known) = kept(&self.asked.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(known);
        }
        let _place = Asking::begin(&self.asking, MOST_AT_ONCE).ok_or_else(|| {
            Rejection::TryAgain("Twilio is being asked about others just now".to_owned())
        })?;
        let known = self.look_up(sid).await?;
        if known.direction == "inbound" {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push_back((sid.to_owned(), known.clone()));
            if asked.len() > MOST_KEPT {
                asked.pop_front();
            }
        }
        Ok(known)
    }

    async fn look_up(&self, sid: &str) -> Result<Known, Rejection> {
        let Config { base_url, account_sid, .. } = &self.config;
        let url = format!("{base_url}/2010-04-01/Accounts/{account_sid}/Messages/{sid}.json");
        let request = HttpRequest::get(url).basic_auth(account_sid, self.auth_token.expose());
        let unknown = |why: String| {
            Rejection::TryAgain(format!(
                "it reads as another message, too, and Twilio can't be asked: {why}"
            ))
        };
        let response = self.host.http(request).await.map_err(|error| unknown(error.to_string()))?;
        match response.status {
            200 => response.json().map_err(|error| unknown(error.to_string())),
            404 => Err(of_another()),
            status => Err(unknown(format!("it answers {status}"))),
        }
    }

    fn check_signature(
        &self,
        request: &WebhookRequest,
        fields: &[(Cow<'_, str>, Cow<'_, str>)],
    ) -> Result<(), Rejection> {
        let reject = |reason: &str| Rejection::NotAuthentic(reason.to_owned());
        let given =
            request.header("x-twilio-signature").ok_or_else(|| reject("no signature header"))?;
        let settings = request.header("x-twilio-webhooks-signature-settings");
        let algorithm = webhook_signature::algorithm(settings)
            .ok_or_else(|| reject("a signature algorithm that this plugin doesn't know"))?;
        let secret = match algorithm {
            Algorithm::HmacSha1 => Some(&self.auth_token),
            Algorithm::HmacSha256 => self.shared_key.as_ref(),
        };
        let secret = secret
            .ok_or_else(|| reject("signed with HMAC_SHA256, but no `shared_key` is given"))?;
        if webhook_signature::is_authentic(request, fields, given, secret.expose(), algorithm) {
            return Ok(());
        }
        Err(reject("the signature isn't that of URL and fields; check the host's public_url"))
    }
}

/// Form fields by name.
struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Form<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_ref())
    }

    fn need(&self, name: &str) -> Result<&str, Rejection> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Rejection::NotUnderstood(format!("the field {name} is missing")))
    }
}

fn inbound(form: &Form<'_>, numbers: &[Number]) -> Result<Inbound, Rejection> {
    let text = form.get("Body").unwrap_or_default();
    let consent = match form.get("OptOutType") {
        Some("STOP") => Some(Consent::OptOut),
        Some("START") => Some(Consent::OptIn),
        Some("HELP") => Some(Consent::Help),
        // Without Advanced Opt-Out, Twilio blocks on the same words but doesn't say so here.
        _ => sms::consent_keyword(text),
    };
    let count: usize = form.get("NumMedia").and_then(|n| n.parse().ok()).unwrap_or(0);
    let media = (0..count.min(100)).filter_map(|n| {
        let url = form.get(&format!("MediaUrl{n}"))?.to_owned();
        let content_type = form.get(&format!("MediaContentType{n}")).unwrap_or_default();
        Some(Media { url, content_type: content_type.to_owned() })
    });
    let sid = message_sid(form)?;
    Ok(Inbound {
        provider_id: sid.to_owned(),
        from: address(form, "From", &[])?,
        to: address(form, "To", numbers)?,
        text: text.to_owned(),
        media: media.collect(),
        consent,
    })
}

/// What comes before the signature is looked at has to be cheap: Twilio sends some thirty fields, and a text of
/// 1600 characters takes 20 KB at most.
fn check_size(request: &WebhookRequest) -> Result<(), Rejection> {
    const MOST_FIELDS: usize = 200;
    const MOST_BYTES: usize = 128 * 1024;
    let bytes = request.body.len();
    if bytes > MOST_BYTES {
        return Err(Rejection::NotAuthentic(format!("it has {bytes} bytes; {MOST_BYTES} at most")));
    }
    let count = request.body.iter().filter(|byte| **byte == b'&').count() + 1;
    if count > MOST_FIELDS {
        return Err(Rejection::NotAuthentic(format!(
            "it has {count} fields; {MOST_FIELDS} at most"
        )));
    }
    Ok(())
}

/// A number, or a name as Twilio writes it at another network: `whatsapp:+14255550100`, `rcs:agent`; or the name of a
/// sender that isn't a number.
fn address(form: &Form<'_>, field: &str, numbers: &[Number]) -> Result<String, Rejection> {
    const NETWORKS: [&str; 3] = ["whatsapp:", "messenger:", "rcs:"];
    const MOST: usize = 100;
    const MOST_OF_SENDER: usize = 11;
    let given = form.need(field)?.trim();
    let is_name = |name: &str| name.len() <= MOST && name.bytes().all(|b| b.is_ascii_graphic());
    let is_sender = || {
        given.len() <= MOST_OF_SENDER
            && given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ')
    };
    let elsewhere = NETWORKS.iter().find_map(|network| given.strip_prefix(network));
    match elsewhere {
        None if is_number(given) => Ok(own_form(given, numbers)),
        None if is_sender() => Ok(given.to_owned()),
        Some(name) if !name.is_empty() && is_name(name) => Ok(own_form(given, numbers)),
        _ => {
            let shown: String = given.chars().take(60).collect();
            Err(Rejection::NotUnderstood(format!("{field} is \"{shown}\": no number")))
        }
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches('+');
    (3..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Telephone numbers have one form, also WhatsApp's; what networks call their users and pages stays as it is. The network stays
/// in front: the same number by SMS is another thread, and answered elsewhere.
fn own_form(address: &str, numbers: &[Number]) -> String {
    match address.split_once(':') {
        None if is_number(address) => sms::canonical_of(address, numbers),
        Some(("whatsapp", number)) if is_number(number) => {
            format!("whatsapp:{}", sms::canonical(number))
        }
        _ => address.to_owned(),
    }
}

/// It becomes part of an address, too.
fn message_sid<'a>(form: &'a Form<'_>) -> Result<&'a str, Rejection> {
    let sid = form.need("MessageSid")?;
    if is_sid(sid, "SM") || is_sid(sid, "MM") {
        return Ok(sid);
    }
    let shown: String = sid.chars().take(60).collect();
    let text = format!("\"{shown}\" isn't a message's SID: SM or MM and 32 hexadecimal digits");
    Err(Rejection::NotUnderstood(text))
}

/// Twilio's states in the host's words.
pub fn delivery_status(status: &str, code: Option<&str>, message: Option<&str>) -> DeliveryStatus {
    match status {
        "delivered" | "read" => DeliveryStatus::Delivered,
        "failed" | "undelivered" | "canceled" => {
            let code = code.unwrap_or(status);
            let reason = message.filter(|m| !m.is_empty()).unwrap_or_else(|| meaning(code));
            DeliveryStatus::Undelivered { code: code.to_owned(), reason: reason.to_owned() }
        }
        _ => DeliveryStatus::Sent,
    }
}

/// Status callbacks mostly carry a bare code; these are the ones agents meet.
fn meaning(code: &str) -> &'static str {
    match code {
        "21610" => "the customer has opted out",
        "30002" => "the account is suspended",
        "30003" => "the handset can't be reached",
        "30004" => "the message was blocked",
        "30005" => "the number isn't known",
        "30006" => "the number is a landline or can't be reached by the carrier",
        "30007" => "the carrier filtered the message",
        "canceled" => "the message was canceled",
        _ => "Twilio couldn't deliver the message",
    }
}

/// A message as Twilio has it.
#[derive(Clone, Deserialize)]
struct Known {
    direction: String,
    from: Option<String>,
    to: Option<String>,
    body: Option<String>,
    #[serde(default)]
    status: String,
    error_code: Option<u32>,
    error_message: Option<String>,
}

impl Known {
    fn delivery_status(&self) -> DeliveryStatus {
        let code = self.error_code.map(|code| code.to_string());
        delivery_status(&self.status, code.as_deref(), self.error_message.as_deref())
    }
}

fn of_another() -> Rejection {
    Rejection::NotAuthentic("signed for another message, which it was made of".to_owned())
}

#[derive(Deserialize)]
struct Created {
    sid: String,
}

#[derive(Default, Deserialize)]
struct Problem {
    code: Option<u32>,
    message: Option<String>,
}

cordboard_sdk::export_channel!(Twilio);

#[cfg(test)]
mod tests;
