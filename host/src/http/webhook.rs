//! `/hooks/<channel>`: what providers tell. Answered 200 only when it is on disk (SEC-02).

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use cordboard_core::ids::ChannelId;
use cordboard_sdk as sdk;

use crate::http::server::Web;
use crate::ingest::{NotTaken, ingest};
use crate::plugin::Webhook;

/// The most bytes of one webhook: an Event Grid batch is at most 1024 KB.
pub const MOST_BYTES: usize = 1_100_000;

/// Takes a webhook.
pub async fn receive(request: HttpRequest, body: Bytes, web: Data<Web>) -> HttpResponse {
    let channel = channel_of(request.path()).unwrap_or_default();
    let channel = ChannelId::from(channel);
    let directory = &web.directory;
    let Some(slot) = directory.plugins.channel(&channel) else {
        return HttpResponse::NotFound().body(format!("there is no channel `{channel}`\n"));
    };
    let count = |outcome: &str| {
        directory.metrics.webhooks.with_label_values(&[channel.as_str(), outcome]).inc();
    };
    // What was taken is dealt with first; the newest waits outside, where nothing of it is lost.
    let most = directory.config().host.limits.journal_backlog;
    // What is on its way to a conversation hasn't come to the journal yet.
    let waits = directory.journal.health().waiting().max(directory.waiting.conversations.get());
    if waits > most {
        count("overloaded");
        return retry_later("more waits to be written than may");
    }
    let Ok(instance) = &slot.state else {
        count("unavailable");
        return retry_later("the channel isn't loaded");
    };
    // The URL is the public one: behind a proxy, the one that the provider called and signed.
    let query = request.query_string();
    let url = match query {
        "" => Cow::Borrowed(slot.callback_url.as_str()),
        query => Cow::Owned(format!("{}?{query}", slot.callback_url)),
    };
    let headers = request.headers().iter().filter(|(name, _)| slot.looks_at(name.as_str()));
    let webhook = Webhook {
        method: request.method().as_str(),
        url: &url,
        query,
        headers: headers
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
            .collect(),
        body: &body,
    };
    let received = match slot.receive(instance, &webhook).await {
        Ok(Ok(received)) => received,
        Ok(Err(sdk::Rejection::NotAuthentic(reason))) => {
            count("rejected");
            web.refusals.say(&channel, || {
                tracing::warn!(%channel, reason = shown(&reason), "webhook rejected");
            });
            return HttpResponse::Forbidden().finish();
        }
        Ok(Err(sdk::Rejection::TryAgain(reason))) => {
            count("unavailable");
            web.refusals.say(&channel, || {
                tracing::warn!(%channel, reason = shown(&reason), "a webhook has to come again");
            });
            return retry_later("it can't be told just now whether this is authentic");
        }
        Ok(Err(sdk::Rejection::NotUnderstood(reason))) => {
            count("malformed");
            let reason = shown(&reason);
            web.refusals.say(&channel, || {
                tracing::warn!(%channel, reason, "webhook not understood");
            });
            return HttpResponse::BadRequest().body(format!("{reason}\n"));
        }
        Err(failed) => {
            count("failed");
            tracing::error!(%channel, %failed, "webhook failed in the plugin");
            return HttpResponse::InternalServerError().body("the channel's plugin failed\n");
        }
    };
    match ingest(directory, &channel, received.events).await {
        Ok(refused) => (0..refused).for_each(|_| count("failed")),
        Err(NotTaken::Nothing) => {
            count("failed");
            return HttpResponse::InternalServerError().body("the channel's plugin failed\n");
        }
        Err(NotTaken::Later(why)) => {
            count("unavailable");
            return retry_later(&why);
        }
    }
    count("taken");
    as_response(received.response)
}

/// As much of a plugin's reason as people read: it may repeat what somebody has sent.
fn shown(reason: &str) -> String {
    const MOST: usize = 500;
    reason.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

/// The channel that a webhook's path names.
pub fn channel_of(path: &str) -> Option<&str> {
    path.strip_prefix("/hooks/")
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
