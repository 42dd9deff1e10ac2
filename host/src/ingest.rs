//! What a plugin has understood becomes inputs of conversations. It's taken once all of it is on disk; whoever
//! brings it may say so to the provider then, and not before (SEC-02).

use std::time::{Duration, Instant};

use cordboard_core::conversation::{CustomerMessage, Input};
use cordboard_core::ids::{Address, ChannelId};
use cordboard_core::message::{Consent, Delivery};
use cordboard_core::notice::ThreadKey;
use cordboard_sdk as sdk;

use crate::actors::{Answer, Deliver, Directory, To};
use crate::http::content;
use crate::journal::{JournalError, Reader, Reference, Target, dedup_key};

/// Why nothing of it counts as taken.
#[derive(Debug)]
pub enum NotTaken {
    /// There is nothing in it that a conversation could take: the plugin's mistake.
    Nothing,
    /// Not just now; it is to come again. Parts of it may be on disk, and are recognised then.
    Later(String),
}

/// Gives messages to their conversations and reports to the replies that they are on. How many messages
/// couldn't be taken, though others that came with them were: they cost nothing of those.
///
/// # Errors
/// [`NotTaken`].
pub async fn ingest(
    directory: &Directory,
    channel: &ChannelId,
    mut events: Vec<sdk::Event>,
) -> Result<usize, NotTaken> {
    let count = events.len();
    events.retain(|event| {
        let sdk::Event::Message(message) = event else { return true };
        let Err(why) = content::check_inbound(message) else { return true };
        tracing::error!(%channel, why, "a message can't be taken");
        false
    });
    let refused = count - events.len();
    // If nothing is left of what was sent, the provider tries again, and somebody sees it.
    if events.is_empty() && refused > 0 {
        return Err(NotTaken::Nothing);
    }
    // Everything is on its way before anything is waited for; one commit takes it all.
    let mut waiting = Vec::with_capacity(events.len());
    let mut reports = Vec::new();
    for event in events {
        match event {
            sdk::Event::Message(message) => {
                waiting.push(directory.ask(inbound(channel, message)));
            }
            sdk::Event::Delivery(report) => reports.push(report),
        }
    }
    all_taken(waiting).await?;
    give_reports(channel, reports, directory).await?;
    Ok(refused)
}

/// Returns once all of it is on disk; how many have found no conversation.
async fn all_taken(asked: Vec<impl Future<Output = Answer>>) -> Result<usize, NotTaken> {
    let mut unknown = 0;
    for answer in futures_util::future::join_all(asked).await {
        match answer {
            Answer::Unavailable(why) => return Err(NotTaken::Later(why)),
            Answer::NotFound => unknown += 1,
            _ => {}
        }
    }
    Ok(unknown)
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

/// Which reply it is on, by the provider's id.
fn target_of(
    channel: &ChannelId,
    report: &sdk::DeliveryReport,
    reader: &Reader,
) -> Result<Option<Reference>, JournalError> {
    let sent = reader.sent_as(&Target::channel(channel), &report.provider_id)?;
    Ok(sent.and_then(|name| name.parse().ok()))
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

/// Tells conversations what became of their replies. By our own reference they know them before they go out; nothing has to
/// be read for that. Another channel's reply by its name is nobody's.
async fn give_reports(
    channel: &ChannelId,
    reports: Vec<sdk::DeliveryReport>,
    directory: &Directory,
) -> Result<(), NotTaken> {
    let (mut told, mut others) = (Vec::new(), Vec::new());
    for report in reports {
        let reference = report.reference.as_deref().and_then(|name| name.parse().ok());
        match reference {
            Some(reference) => {
                let only_of = Some(channel.clone());
                told.push(directory.ask(Deliver { only_of, ..delivery(reference, &report) }));
            }
            None => others.push(report),
        }
    }
    let unknown = all_taken(told).await?;
    if unknown > 0 {
        tracing::debug!(%channel, unknown, "reports of unknown replies");
    }
    give_reports_by_id(channel, others, directory).await
}

/// The same by the provider's id. A report may outrun the commit of its own send: all that may be of what is being sent on
/// this channel just now wait together, and for no longer than a provider waits.
async fn give_reports_by_id(
    channel: &ChannelId,
    mut reports: Vec<sdk::DeliveryReport>,
    directory: &Directory,
) -> Result<(), NotTaken> {
    const PATIENCE: Duration = Duration::from_secs(4);
    const PAUSE: Duration = Duration::from_millis(50);
    let target = Target::channel(channel);
    let until = Instant::now() + PATIENCE;
    while !reports.is_empty() {
        // Looked at first: what is settled between the two looks is found by the second.
        let is_sending = directory.sending.is_under_way(&target);
        let own = channel.clone();
        let with_targets = directory.journal.read(move |reader| {
            let targets =
                reports.into_iter().map(|report| Ok((target_of(&own, &report, reader)?, report)));
            targets.collect::<Result<Vec<_>, JournalError>>()
        });
        let mut told = Vec::new();
        let mut unknown = Vec::new();
        let with_targets = with_targets
            .await
            .map_err(|_| NotTaken::Later("the journal can't be read".to_owned()))?;
        for (target, report) in with_targets {
            match target {
                Some(target) => told.push(directory.ask(delivery(target, &report))),
                None => unknown.push(report),
            }
        }
        all_taken(told).await?;
        reports = unknown;
        if !is_sending || reports.is_empty() {
            break;
        }
        if Instant::now() > until {
            let why = "a report is of something that is still being sent";
            return Err(NotTaken::Later(why.to_owned()));
        }
        tokio::time::sleep(PAUSE).await;
    }
    for report in reports {
        // A test message, or another system's on the account: taken and dropped.
        let provider_id = report.provider_id;
        tracing::debug!(%channel, provider_id, "report of an unknown message");
    }
    Ok(())
}
