//! `/hooks/<channel>`: what providers tell. Answered 200 only when it is on disk (SEC-02).

use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use cordboard_core::conversation::{CustomerMessage, Input};
use cordboard_core::ids::{Address, ChannelId};
use cordboard_core::message::{Consent, Delivery, Media};
use cordboard_core::notice::ThreadKey;
use cordboard_sdk as sdk;

use crate::actors::{Answer, Deliver, Directory, To};
use crate::http::server::Web;
use crate::journal::{Reader, dedup_key};

/// The most bytes of one webhook: an Event Grid batch is at most 1024 KB.
pub const MOST_BYTES: usize = 1_100_000;

/// Takes a webhook.
pub async fn receive(
    request: HttpRequest,
    path: Path<String>,
    body: Bytes,
    web: Data<Web>,
) -> HttpResponse {
    let channel = ChannelId::from(path.as_str());
    let directory = &web.directory;
    let Some(slot) = directory.channel(&channel) else {
        return HttpResponse::NotFound().body(format!("there is no channel `{channel}`\n"));
    };
    let count = |outcome: &str| {
        directory.metrics.webhooks.with_label_values(&[channel.as_str(), outcome]).inc();
    };
    let Ok(handle) = &slot.state else {
        count("unavailable");
        return retry_later("the channel isn't loaded");
    };
    let webhook = as_webhook(&request, &slot.callback_url, body);
    let received = match handle.receive(&webhook).await {
        Ok(Ok(received)) => received,
        Ok(Err(sdk::Rejection::NotAuthentic(reason))) => {
            count("rejected");
            tracing::warn!(%channel, reason, "webhook rejected");
            return HttpResponse::Forbidden().finish();
        }
        Ok(Err(sdk::Rejection::NotUnderstood(reason))) => {
            count("malformed");
            tracing::warn!(%channel, reason, "webhook not understood");
            return HttpResponse::BadRequest().body(format!("{reason}\n"));
        }
        Err(failed) => {
            count("failed");
            tracing::error!(%channel, %failed, "webhook failed in the plugin");
            return HttpResponse::InternalServerError().body("the channel's plugin failed\n");
        }
    };
    let reader = request.app_data::<Rc<Reader>>().expect("every worker has one");
    // Everything is on its way before anything is waited for; one commit takes it all.
    let mut waiting = Vec::with_capacity(received.events.len());
    for event in received.events {
        let deliver = match event {
            sdk::Event::Message(message) => Some(inbound(&channel, message)),
            sdk::Event::Delivery(report) => match report_to(&channel, &report, reader) {
                Ok(deliver) => deliver,
                Err(error) => {
                    tracing::error!(%error, "the journal can't be read");
                    count("unavailable");
                    return retry_later("the journal can't be read");
                }
            },
        };
        waiting.extend(deliver.map(|deliver| directory.ask(deliver)));
    }
    for answer in futures_util::future::join_all(waiting).await {
        if let Answer::Unavailable(why) = answer {
            count("unavailable");
            return retry_later(&why);
        }
    }
    count("taken");
    as_response(received.response)
}

fn inbound(channel: &ChannelId, message: sdk::Inbound) -> Deliver {
    let key = ThreadKey { channel: channel.clone(), customer: Address::new(message.from) };
    let dedup = dedup_key(channel.as_str(), &message.provider_id);
    let media =
        message.media.into_iter().map(|m| Media { url: m.url, content_type: m.content_type });
    let input = Input::Customer(CustomerMessage {
        provider_id: message.provider_id,
        text: message.text,
        media: media.collect(),
        consent: message.consent.map(|consent| match consent {
            sdk::Consent::OptOut => Consent::OptOut,
            sdk::Consent::OptIn => Consent::OptIn,
            sdk::Consent::Help => Consent::Help,
        }),
    });
    let to = To::Thread { key, own: Address::new(message.to), not: None };
    Deliver { dedup: Some(dedup), ..Deliver::new(to, input) }
}

/// A report finds its conversation by our own reference, or by the provider's id. One that belongs
/// to nothing (a test message, another system on the account) is taken and dropped.
fn report_to(
    channel: &ChannelId,
    report: &sdk::DeliveryReport,
    reader: &Reader,
) -> rusqlite::Result<Option<Deliver>> {
    let by_reference = report.reference.as_deref().and_then(Directory::parse_reference);
    let target = match by_reference {
        Some(target) => Some(target),
        None => reader.sent_as(channel.as_str(), &report.provider_id)?,
    };
    let Some((conversation, message)) = target else {
        tracing::debug!(%channel, provider_id = report.provider_id, "report of an unknown message");
        return Ok(None);
    };
    let delivery = match &report.status {
        sdk::DeliveryStatus::Sent => Delivery::Sent,
        sdk::DeliveryStatus::Delivered => Delivery::Delivered,
        sdk::DeliveryStatus::Undelivered { code, reason } => {
            Delivery::Undelivered { code: code.clone(), reason: reason.clone() }
        }
    };
    Ok(Some(Deliver::new(To::Id(conversation), Input::Delivery { message, delivery })))
}

/// The URL is the public one: behind a proxy, the one that the provider called and signed.
fn as_webhook(request: &HttpRequest, callback_url: &str, body: Bytes) -> sdk::WebhookRequest {
    let query = request.query_string();
    let url = match query {
        "" => callback_url.to_owned(),
        query => format!("{callback_url}?{query}"),
    };
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    sdk::WebhookRequest {
        method: request.method().to_string(),
        url,
        query: query.to_owned(),
        headers: headers.collect(),
        body: body.into(),
    }
}

fn as_response(response: sdk::WebhookResponse) -> HttpResponse {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK);
    let mut builder = HttpResponse::build(status);
    for (name, value) in response.headers {
        builder.insert_header((name, value));
    }
    builder.body(response.body)
}

/// Providers try again on 503.
fn retry_later(why: &str) -> HttpResponse {
    HttpResponse::ServiceUnavailable().insert_header(("retry-after", "5")).body(format!("{why}\n"))
}
