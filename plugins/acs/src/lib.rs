//! SMS through Azure Communication Services (CH-04).
//!
//! Outbound: `POST /sms`, signed with the resource's key, repeatable by request id. Inbound
//! messages and delivery reports arrive from Event Grid, which signs nothing: a secret in the
//! subscription's URL says that it is ours.

#![forbid(unsafe_code)]

mod event_grid;

use cordboard_sdk::http_date;
use cordboard_sdk::prelude::*;
use cordboard_sdk::signature::{
    constant_time_eq, from_base64_lenient, hmac_sha256, sha256, to_base64,
};
use cordboard_sdk::sms::{self, Number, NumberForm};
use serde_json::json;

pub use event_grid::delivery_status;

/// The channel's settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://<name>.communication.azure.com`.
    pub endpoint: String,
    /// The API's version.
    #[serde(default = "default_api_version")]
    pub api_version: String,
    /// Topics whose subscriptions are confirmed, as Azure resource paths; empty: any that knows the
    /// webhook secret.
    #[serde(default)]
    pub topics: Vec<String>,
    /// The numbers customers write to, with `+`; short codes bare.
    pub numbers: Vec<Number>,
}

fn default_api_version() -> String {
    "2021-03-07".to_owned()
}

struct Acs {
    host: Host,
    config: Config,
    key: Vec<u8>,
    webhook_secret: Secret,
}

impl Channel for Acs {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "acs",
        version: env!("CARGO_PKG_VERSION"),
        description: "SMS through Azure Communication Services",
        channel_kind: "messaging",
        hosts: &["*.communication.azure.com"],
        secrets: &["access_key", "webhook_secret"],
        headers: &["webhook-request-origin", "webhook-request-rate"],
        offers: &[Offer::Inbound, Offer::Outbound, Offer::DeliveryReports, Offer::OptOut],
        max_text: sms::MAX_TEXT,
        idempotent_sends: true,
    };

    async fn open(mut config: Config, host: Host) -> Result<Self, OpenError> {
        sms::check_numbers(&config.numbers, NumberForm::Plus, "ACS")?;
        let is_url =
            config.endpoint.starts_with("http://") || config.endpoint.starts_with("https://");
        if !is_url {
            let found = &config.endpoint;
            return Err(OpenError::config(
                "endpoint",
                format!(
                    "\"{found}\" isn't a URL such as \"https://my-resource.communication.azure.com\""
                ),
            ));
        }
        config.endpoint.truncate(config.endpoint.trim_end_matches('/').len());
        let access_key = host.secret("access_key").await.map_err(OpenError::Failed)?;
        let webhook_secret = host.secret("webhook_secret").await.map_err(OpenError::Failed)?;
        if webhook_secret.expose().len() < 16 {
            let why = "the secret `webhook_secret` is shorter than 16 characters";
            return Err(OpenError::Failed(why.to_owned()));
        }
        let key = from_base64_lenient(access_key.expose())
            .filter(|key| !key.is_empty())
            .ok_or_else(|| OpenError::Failed("the secret `access_key` isn't base64".to_owned()))?;
        Ok(Self { host, config, key, webhook_secret })
    }

    async fn receive(&self, request: WebhookRequest) -> Result<Received, Rejection> {
        let given = request.query_value("secret").unwrap_or_default();
        if !constant_time_eq(given.as_bytes(), self.webhook_secret.expose().as_bytes()) {
            let why = "the URL's `secret` is missing or wrong";
            return Err(Rejection::NotAuthentic(why.to_owned()));
        }
        if request.method == "OPTIONS" {
            return Ok(event_grid::allow_cloud_events(&request));
        }
        let events = event_grid::parse(&request)?;
        event_grid::understand(events, &self.config, &self.host)
    }

    async fn send(&self, message: Outbound) -> Result<Receipt, SendError> {
        if !message.media.is_empty() {
            return Err(SendError::new(
                SendErrorKind::Permanent,
                "media",
                "ACS SMS carries no files: send a link in the text",
            ));
        }
        let body = json!({
            "from": message.from,
            "smsRecipients": [{
                "to": message.to,
                "repeatabilityRequestId": message.idempotency_key,
                "repeatabilityFirstSent": http_date(message.first_attempt_ms),
            }],
            "message": message.text,
            "smsSendOptions": { "enableDeliveryReport": true, "tag": message.reference },
        });
        let response = self.host.http(self.signed_post("/sms", &body)).await?;
        // The same request id makes every repetition harmless: what may have been taken is tried again, too.
        if response.status != 202 {
            return Err(failure(SendErrorKind::from_status(&response), &response));
        }
        let answer: Answer = response.json()?;
        let Some(item) = answer.value.into_iter().next() else {
            let why = "ACS answered without a result for the recipient";
            return Err(SendError::new(SendErrorKind::Uncertain, "empty", why));
        };
        if item.successful {
            return Ok(Receipt::sent(item.message_id.unwrap_or_default()));
        }
        let kind = match item.http_status_code {
            401 | 408 | 429 | 503 => SendErrorKind::Retryable { after_ms: None },
            500..=599 => SendErrorKind::Uncertain,
            _ => SendErrorKind::Permanent,
        };
        let text = item.error_message.unwrap_or_else(|| "ACS gave no reason".to_owned());
        Err(SendError::new(kind, item.http_status_code, text))
    }

    async fn verify(&self, request: VerifyRequest) -> VerifyReport {
        match sms::test_message(request, &self.host, &self.config.numbers) {
            Ok(test) => VerifyReport::from_send(self.send(test).await),
            Err(report) => report,
        }
    }
}

impl Acs {
    fn signed_post(&self, path: &str, body: &serde_json::Value) -> HttpRequest {
        let path = format!("{path}?api-version={}", self.config.api_version);
        let endpoint = &self.config.endpoint;
        let host = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host);
        let date = http_date(self.host.now_ms());
        let request = HttpRequest::post(format!("{endpoint}{path}")).json(body);
        let (hash, authorization) =
            request_signature(&self.key, "POST", &path, host, &date, &request.body);
        request
            .header("x-ms-date", date)
            .header("x-ms-content-sha256", hash)
            .header("authorization", authorization)
    }
}

/// ACS's request signature: the values of `x-ms-content-sha256` and `Authorization`. `host` carries
/// its port when that isn't the default one.
pub fn request_signature(
    key: &[u8],
    method: &str,
    path_and_query: &str,
    host: &str,
    date: &str,
    body: &[u8],
) -> (String, String) {
    let hash = to_base64(&sha256(body));
    let signed = format!("{method}\n{path_and_query}\n{date};{host};{hash}");
    let signature = to_base64(&hmac_sha256(key, &[signed.as_bytes()]));
    let authorization = format!(
        "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}"
    );
    (hash, authorization)
}

fn failure(kind: SendErrorKind, response: &HttpResponse) -> SendError {
    match response.json::<Problem>() {
        Ok(problem) => SendError::new(kind, problem.error.code, problem.error.message),
        Err(_) => SendError::new(kind, response.status, "ACS gave no reason"),
    }
}

#[derive(Deserialize)]
struct Answer {
    value: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    message_id: Option<String>,
    http_status_code: u16,
    successful: bool,
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    error: ProblemDetail,
}

#[derive(Deserialize)]
struct ProblemDetail {
    code: String,
    message: String,
}

cordboard_sdk::export_channel!(Acs);

#[cfg(test)]
mod tests;
