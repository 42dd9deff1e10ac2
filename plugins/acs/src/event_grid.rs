//! Event Grid deliveries, in its own schema and as CloudEvents 1.0.

use cordboard_sdk::prelude::*;
use cordboard_sdk::sms;
use serde_json::{Value, json};

use crate::Config;

/// One event in either schema.
#[derive(Deserialize)]
pub(crate) struct GridEvent {
    /// `eventType` in Event Grid's schema, `type` in CloudEvents.
    #[serde(rename = "eventType", alias = "type")]
    event_type: String,
    /// The resource: `topic`, or `source` in CloudEvents.
    #[serde(default, alias = "source")]
    topic: String,
    #[serde(default)]
    data: Value,
}

/// The answer to a CloudEvents subscription's handshake.
pub(crate) fn allow_cloud_events(request: &WebhookRequest) -> Received {
    let origin = request.header("webhook-request-origin").unwrap_or("eventgrid.azure.net");
    let rate = request.header("webhook-request-rate").unwrap_or("120");
    let mut response = WebhookResponse::ok();
    response.headers = vec![
        ("webhook-allowed-origin".to_owned(), origin.to_owned()),
        ("webhook-allowed-rate".to_owned(), rate.to_owned()),
    ];
    Received::events([]).with_response(response)
}

/// One event or an array of them, each as it came.
pub(crate) fn parse(request: &WebhookRequest) -> Result<Vec<Value>, Rejection> {
    Ok(match request.json()? {
        Value::Array(events) => events,
        event => vec![event],
    })
}

/// Events in the host's words. A validation event is answered with its code; types that aren't
/// about SMS are passed over. Event Grid delivers many at once, of different senders: one that can't be
/// understood is logged, and the others are taken. Only if there is none that can be, it is refused.
pub(crate) fn understand(
    events: Vec<Value>,
    config: &Config,
    host: &Host,
) -> Result<Received, Rejection> {
    let mut understood = Vec::with_capacity(events.len());
    let mut response = WebhookResponse::ok();
    let (mut passed_over, mut refusal) = (0_usize, None);
    for event in events {
        match one(event, config, &mut response) {
            Ok(Some(event)) => understood.push(event),
            Ok(None) => passed_over += 1,
            // Whoever isn't who they say doesn't get anything else in either.
            Err(why @ (Rejection::NotAuthentic(_) | Rejection::TryAgain(_))) => return Err(why),
            Err(Rejection::NotUnderstood(why)) => {
                host.log(Level::Error, "an event of a batch can't be understood", &[("why", &why)]);
                refusal = Some(Rejection::NotUnderstood(why));
            }
        }
    }
    match refusal {
        Some(refusal) if understood.is_empty() && passed_over == 0 => Err(refusal),
        _ => Ok(Received::events(understood).with_response(response)),
    }
}

fn one(
    event: Value,
    config: &Config,
    response: &mut WebhookResponse,
) -> Result<Option<Event>, Rejection> {
    let event: GridEvent = serde_json::from_value(event)
        .map_err(|e| Rejection::NotUnderstood(format!("not an Event Grid delivery: {e}")))?;
    match event.event_type.as_str() {
        "Microsoft.EventGrid.SubscriptionValidationEvent" => {
            *response = validate(&event, &config.topics)?;
            Ok(None)
        }
        "Microsoft.Communication.SMSReceived" => {
            let mut message = inbound(event.data)?;
            message.to = sms::canonical_of(&message.to, &config.numbers);
            sms::check_ends(&message, &config.numbers)?;
            Ok(Some(Event::Message(message)))
        }
        "Microsoft.Communication.SMSDeliveryReportReceived" => {
            Ok(Some(Event::Delivery(report(event.data)?)))
        }
        _ => Ok(None),
    }
}

fn validate(event: &GridEvent, topics: &[String]) -> Result<WebhookResponse, Rejection> {
    let is_ours =
        topics.is_empty() || topics.iter().any(|topic| topic.eq_ignore_ascii_case(&event.topic));
    if !is_ours {
        let topic = &event.topic;
        return Err(Rejection::NotAuthentic(format!("a subscription of the topic {topic}")));
    }
    let code = event.data["validationCode"].as_str().ok_or_else(|| {
        Rejection::NotUnderstood("a validation event without `validationCode`".to_owned())
    })?;
    let body = json!({ "validationResponse": code }).to_string();
    Ok(WebhookResponse::body("application/json", body))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SmsReceived {
    #[serde(deserialize_with = "name")]
    message_id: String,
    from: String,
    to: String,
    #[serde(default)]
    message: String,
}

/// Without one, the next message would be taken for a repetition of this.
fn name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.is_empty() {
        true => Err(serde::de::Error::custom("`messageId` is empty")),
        false => Ok(name),
    }
}

fn inbound(data: Value) -> Result<Inbound, Rejection> {
    let sms: SmsReceived = from_data(data)?;
    // Numbers come with and without `+`.
    Ok(Inbound {
        provider_id: sms.message_id,
        from: sms::canonical(&sms.from),
        to: sms.to,
        consent: sms::consent_keyword(&sms.message),
        text: sms.message,
        media: Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SmsReport {
    message_id: String,
    delivery_status: String,
    #[serde(default)]
    delivery_status_details: Option<String>,
    /// Documented with a capital T.
    #[serde(default, rename = "Tag", alias = "tag")]
    tag: Option<String>,
}

fn report(data: Value) -> Result<DeliveryReport, Rejection> {
    let report: SmsReport = from_data(data)?;
    let details = report.delivery_status_details.unwrap_or_default();
    Ok(DeliveryReport {
        reference: report.tag.filter(|tag| !tag.is_empty()),
        provider_id: report.message_id,
        status: delivery_status(&report.delivery_status, &details),
    })
}

/// `Delivered` and `Failed` are documented; others seen in the wild mean failure, except those that
/// say that it is still under way.
pub fn delivery_status(status: &str, details: &str) -> DeliveryStatus {
    match status.to_ascii_lowercase().as_str() {
        "delivered" => DeliveryStatus::Delivered,
        "pending" | "sent" | "queued" | "accepted" => DeliveryStatus::Sent,
        _ => DeliveryStatus::Undelivered {
            code: status.to_owned(),
            reason: if details.is_empty() {
                "ACS couldn't deliver the message".to_owned()
            } else {
                details.to_owned()
            },
        },
    }
}

fn from_data<T: serde::de::DeserializeOwned>(data: Value) -> Result<T, Rejection> {
    serde_json::from_value(data)
        .map_err(|e| Rejection::NotUnderstood(format!("the event's data isn't as documented: {e}")))
}
