//! `/hooks/<channel>`: what providers tell. Answered 200 only when it is on disk (SEC-02).

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use cordboard_core::conversation::{CustomerMessage, Input};
use cordboard_core::ids::{Address, ChannelId};
use cordboard_core::message::{Consent, Delivery};
use cordboard_core::notice::ThreadKey;
use cordboard_sdk as sdk;

use crate::actors::{Answer, Deliver, Directory, Reference, To};
use crate::http::content;
use crate::http::server::Web;
use crate::journal::{JournalError, Reader, dedup_key};

/// The most bytes of one webhook: an Event Grid batch is at most 1024 KB.
pub const MOST_BYTES: usize = 1_100_000;

/// Takes a webhook.
pub async fn receive(request: HttpRequest, body: Bytes, web: Data<Web>) -> HttpResponse {
    let channel = channel_of(request.path()).unwrap_or_default();
    let channel = ChannelId::from(channel);
    let directory = &web.directory;
    let Some(slot) = directory.channel(&channel) else {
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
    let Ok(handle) = &slot.state else {
        count("unavailable");
        return retry_later("the channel isn't loaded");
    };
    let webhook = as_webhook(&request, &slot.callback_url, body);
    let received = match handle.receive(&webhook).await {
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
    // What can't be taken costs nothing of what came with it. If nothing is left of what was sent, the
    // provider tries again, and somebody sees it.
    let count_before = received.events.len();
    let mut events = received.events;
    events.retain(|event| {
        let sdk::Event::Message(message) = event else { return true };
        let Err(why) = content::check_inbound(message) else { return true };
        count("failed");
        tracing::error!(%channel, why, "a message can't be taken");
        false
    });
    if events.is_empty() && count_before > 0 {
        return HttpResponse::InternalServerError().body("the channel's plugin failed\n");
    }
    // Everything is on its way before anything is waited for; one commit takes it all.
    let mut waiting = Vec::with_capacity(events.len());
    let mut reports = Vec::new();
    for event in events {
        match event {
            sdk::Event::Message(message) => {
                waiting.push(directory.ask(inbound(&channel, message)));
            }
            sdk::Event::Delivery(report) => reports.push(report),
        }
    }
    for answer in futures_util::future::join_all(waiting).await {
        if let Answer::Unavailable(why) = answer {
            count("unavailable");
            return retry_later(&why);
        }
    }
    match settle_reports(&channel, reports, directory).await {
        Ok(true) => {}
        Ok(false) => {
            count("unavailable");
            return retry_later("a report is of something that is still being sent");
        }
        Err(Untold::Unreadable(error)) => return unreadable(directory, &error, &count),
        Err(Untold::Unavailable(why)) => {
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

fn inbound(channel: &ChannelId, message: sdk::Inbound) -> Deliver {
    let key = ThreadKey { channel: channel.clone(), customer: Address::new(message.from) };
    let dedup = dedup_key(channel.as_str(), &message.provider_id);
    let (media, lost) = content::followable(message.media);
    let mut text = content::visible(&message.text);
    if let Some(words) = lost {
        text = format!("{text}\n{words}").trim().to_owned();
    }
    let input = Input::Customer(CustomerMessage {
        provider_id: message.provider_id,
        text,
        media,
        consent: message.consent.map(|consent| match consent {
            sdk::Consent::OptOut => Consent::OptOut,
            sdk::Consent::OptIn => Consent::OptIn,
            sdk::Consent::Help => Consent::Help,
        }),
    });
    let to = To::Thread { key, own: Address::new(message.to), not: None };
    Deliver { dedup: Some(dedup), ..Deliver::new(to, input) }
}

fn unreadable(directory: &Directory, error: &JournalError, count: &impl Fn(&str)) -> HttpResponse {
    directory.journal.health().read_failed(error);
    tracing::error!(%error, "the journal can't be read");
    count("unavailable");
    retry_later("the journal can't be read")
}

/// Which reply it is on: by our own reference, or by the provider's id.
fn target_of(
    channel: &ChannelId,
    report: &sdk::DeliveryReport,
    reader: &Reader,
) -> Result<Option<Reference>, JournalError> {
    let by_reference = report.reference.as_deref().and_then(|name| name.parse::<Reference>().ok());
    let Some(reference) = by_reference else {
        let sent = reader.sent_as(channel.as_str(), &report.provider_id)?;
        return Ok(sent.map(|(conversation, message)| Reference {
            conversation,
            message,
            said_at: None,
        }));
    };
    // A name of another channel's reply is nobody's here.
    let machine = reader.conversation(reference.conversation)?;
    let is_ours = machine.is_some_and(|machine| machine.channel() == channel);
    Ok(is_ours.then_some(reference))
}

fn delivery(target: Reference, report: &sdk::DeliveryReport) -> Deliver {
    let Reference { conversation, message, said_at } = target;
    let delivery = match &report.status {
        sdk::DeliveryStatus::Sent => Delivery::Sent,
        sdk::DeliveryStatus::Delivered => Delivery::Delivered,
        sdk::DeliveryStatus::Undelivered { code, reason } => {
            let short = |text: &str| text.chars().take(content::MOST_REASON).collect::<String>();
            Delivery::Undelivered { code: short(code), reason: short(reason) }
        }
    };
    Deliver::new(To::Id(conversation), Input::Delivery { message, said_at, delivery })
}

/// Tells conversations what became of their replies. A report may outrun the commit of its own send: all that
/// may be of what is being sent on this channel just now wait together, and for no longer than a provider
/// waits. False: it is still being sent, and the provider is to come again.
async fn settle_reports(
    channel: &ChannelId,
    mut reports: Vec<sdk::DeliveryReport>,
    directory: &Directory,
) -> Result<bool, Untold> {
    const PATIENCE: Duration = Duration::from_secs(4);
    const PAUSE: Duration = Duration::from_millis(50);
    let until = Instant::now() + PATIENCE;
    while !reports.is_empty() {
        // Looked at first: what is settled between the two looks is found by the second.
        let is_sending = directory.sending.is_under_way(channel.as_str());
        let own = channel.clone();
        let with_targets = directory.journal.read(move |reader| {
            let targets =
                reports.into_iter().map(|report| Ok((target_of(&own, &report, reader)?, report)));
            targets.collect::<Result<Vec<_>, JournalError>>()
        });
        let mut told = Vec::new();
        let mut unknown = Vec::new();
        for (target, report) in with_targets.await? {
            match target {
                Some(target) => told.push(directory.ask(delivery(target, &report))),
                None => unknown.push(report),
            }
        }
        for answer in futures_util::future::join_all(told).await {
            if let Answer::Unavailable(why) = answer {
                return Err(Untold::Unavailable(why));
            }
        }
        reports = unknown;
        if !is_sending || reports.is_empty() {
            break;
        }
        if Instant::now() > until {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
    for report in reports {
        // A test message, or another system's on the account: taken and dropped.
        let provider_id = report.provider_id;
        tracing::debug!(%channel, provider_id, "report of an unknown message");
    }
    Ok(true)
}

/// Why a report couldn't be told.
enum Untold {
    Unreadable(JournalError),
    Unavailable(String),
}

impl From<JournalError> for Untold {
    fn from(error: JournalError) -> Self {
        Self::Unreadable(error)
    }
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
