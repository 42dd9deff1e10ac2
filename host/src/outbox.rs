//! The outbox: replies that are on disk and have to reach the provider.
//!
//! One lane per conversation keeps their order; lanes run side by side, limited per channel. A send
//! of which nobody knows how it ended is repeated only if the provider recognises repetitions: so that an
//! attempt begins is on disk before it does. For a reply that can go out at once that stands in the same commit as
//! the reply itself (two commits a reply); one that has to wait for others gets a mark of its own (three).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cordboard_core::conversation::Input;
use cordboard_core::ids::{Address, ChannelId, ConversationId};
use cordboard_core::message::Delivery;
use cordboard_core::notice::ThreadKey;
use cordboard_sdk::{Media, Outbound, SendError, SendErrorKind};
use dashmap::DashMap;
use rand::Rng;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::actors::{Answer, Deliver, Directory, Reference, To};
use crate::clock;
use crate::grief::{Part, contained_future};
use crate::journal::{JournalError, OutboxRow, Reader, Record};
use crate::plugin::ChannelSlot;

/// Sends under way per channel.
const SIDE_BY_SIDE: usize = 32;
/// Attempts before a reply counts as undelivered: with the waits between them, about 23 minutes.
const MOST_ATTEMPTS: u32 = 13;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A reply on a channel that isn't configured waits for so long from the start on: an operator may have made a mistake.
const CHANNEL_MAY_COME_BACK: Duration = Duration::from_secs(3600);

/// Replies that are not settled yet.
#[derive(Clone, Default)]
pub struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// None.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What goes wrong with sends is said, but not by the thousand: once a minute by channel and code.
#[derive(Default)]
pub struct Complaints(DashMap<(String, String), Complaint>);

struct Complaint {
    said_at: Instant,
    unsaid: u64,
}

impl Complaints {
    const ONCE_IN: Duration = Duration::from_secs(60);
    /// Codes are providers'.
    const MOST: usize = 1000;

    /// Says it, with how often that was the case since it was said last.
    fn say(&self, row: &OutboxRow, code: &str, becomes: &str, why: Option<&str>) {
        let key = (row.channel.clone(), code.to_owned());
        let mut unsaid = 0;
        if let Some(mut known) = self.0.get_mut(&key) {
            if known.said_at.elapsed() < Self::ONCE_IN {
                known.unsaid += 1;
                return;
            }
            unsaid = std::mem::take(&mut known.unsaid);
            known.said_at = Instant::now();
        } else {
            if self.0.len() >= Self::MOST {
                self.0.clear();
            }
            self.0.insert(key, Complaint { said_at: Instant::now(), unsaid: 0 });
        }
        let (channel, reply) = (row.channel.as_str(), reference(row).to_string());
        let why = why.unwrap_or_default();
        tracing::warn!(channel, reply, code, unsaid, why, "a reply couldn't be sent: {becomes}");
    }
}

/// Sends whose outcome isn't on disk yet, by channel: a provider may report one before that.
#[derive(Clone, Default)]
pub struct Sending(Arc<DashMap<String, usize>>);

/// One of them, until it is dropped.
pub struct UnderWay(Sending, String);

impl Sending {
    fn begin(&self, channel: &str) -> UnderWay {
        *self.0.entry(channel.to_owned()).or_default() += 1;
        UnderWay(self.clone(), channel.to_owned())
    }

    /// Whether one more would go out at once.
    pub fn has_room(&self, channel: &str) -> bool {
        self.0.get(channel).is_none_or(|count| *count < SIDE_BY_SIDE / 2)
    }

    /// Whether there is any on this channel.
    pub fn is_under_way(&self, channel: &str) -> bool {
        self.0.get(channel).is_some_and(|count| *count > 0)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(mut count) = self.0.0.get_mut(&self.1) {
            *count -= 1;
        }
    }
}

/// What the outbox is told.
pub enum ToSend {
    /// A reply that is on disk.
    Row(Box<OutboxRow>),
    /// Some may never have been told of: look at what is on disk.
    LookAgain,
    /// Whether anybody is there (OPS-09).
    Ping(oneshot::Sender<()>),
}

#[derive(Default)]
struct Lanes {
    rows: HashMap<ConversationId, VecDeque<OutboxRow>>,
    /// In a lane, or being sent: nothing is sent by two at a time.
    known: HashSet<i64>,
}

impl Lanes {
    /// The next of a lane; one that is empty goes.
    fn next_of(&mut self, conversation: ConversationId) -> Option<OutboxRow> {
        let next = self.rows.get_mut(&conversation).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.rows.remove(&conversation);
        }
        next
    }
}

/// Runs until the host stops. Must run on an arbiter.
pub async fn run(
    mut inbox: mpsc::UnboundedReceiver<ToSend>,
    directory: Arc<Directory>,
    backlog: Backlog,
) {
    let outbox = Outbox { lanes: Rc::default(), limits: RefCell::default(), directory, backlog };
    while let Some(message) = inbox.recv().await {
        match message {
            ToSend::Row(row) => outbox.take(*row),
            ToSend::LookAgain => outbox.look_again().await,
            // Whoever asked may have given up.
            ToSend::Ping(answer) => drop(answer.send(())),
        }
    }
}

struct Outbox {
    lanes: Rc<RefCell<Lanes>>,
    limits: RefCell<HashMap<String, Rc<Semaphore>>>,
    directory: Arc<Directory>,
    backlog: Backlog,
}

impl Outbox {
    /// Whatever is open on disk and in no lane. A row leaves its lane only once it is settled there.
    async fn look_again(&self) {
        match self.directory.journal.read(Reader::outbox).await {
            Ok(rows) => rows.into_iter().for_each(|row| self.take(row)),
            Err(error) => {
                tracing::error!(%error, "the outbox can't be read; it is looked at again in a moment");
                let directory = self.directory.clone();
                actix::spawn(async move {
                    tokio::time::sleep(FIRST_WAIT).await;
                    directory.look_at_outbox_again();
                });
            }
        }
    }

    fn take(&self, row: OutboxRow) {
        let mut lanes = self.lanes.borrow_mut();
        if !lanes.known.insert(row.id) {
            return;
        }
        self.backlog.0.fetch_add(1, Ordering::Relaxed);
        let conversation = row.conversation;
        let mut limits = self.limits.borrow_mut();
        let limit = limits.entry(row.channel.clone());
        let limit = limit.or_insert_with(|| Rc::new(Semaphore::new(SIDE_BY_SIDE))).clone();
        if let Some(lane) = lanes.rows.get_mut(&conversation) {
            lane.push_back(row);
            return;
        }
        lanes.rows.insert(conversation, VecDeque::from([row]));
        drop(lanes);
        let (lanes, directory) = (self.lanes.clone(), self.directory.clone());
        let backlog = self.backlog.clone();
        actix::spawn(async move {
            loop {
                let next = lanes.borrow_mut().next_of(conversation);
                let Some(row) = next else { return };
                let id = row.id;
                settle_whatever_happens(row, &directory, &limit).await;
                backlog.0.fetch_sub(1, Ordering::Relaxed);
                forget_once_seen(id, &lanes, &directory);
            }
        });
    }
}

/// Whoever looks at what is open on disk (`look_again`) must not find it there once nobody knows of it.
fn forget_once_seen(id: i64, lanes: &Rc<RefCell<Lanes>>, directory: &Arc<Directory>) {
    let (lanes, directory) = (lanes.clone(), directory.clone());
    actix::spawn(async move {
        while directory.journal.caught_up().await.is_err() {}
        lanes.borrow_mut().known.remove(&id);
    });
}

/// What an attempt means for the reply.
enum Verdict {
    Settled { delivery: Delivery, provider_id: Option<String>, opted_out: bool },
    Again { after: Duration },
}

/// A panic in the midst of sending is like a host that stopped in it: whether the provider has the reply
/// isn't known, and the next attempt goes by that. The lane goes on (OPS-09).
async fn settle_whatever_happens(mut row: OutboxRow, directory: &Directory, limit: &Semaphore) {
    const MOST: u32 = 3;
    for attempt in 1..=MOST {
        let sending = settle(row.clone(), directory, limit);
        let Err(why) = contained_future(Part::Outbox, sending).await else { return };
        directory.came_to_grief(Part::Outbox, &reference(&row).to_string(), &attempt, &why);
        row.attempting = true;
        tokio::time::sleep(FIRST_WAIT).await;
    }
    // The row stays on disk, and the next start tries again.
    tracing::error!(reply = %reference(&row), "sending came to grief each time");
}

/// Tries until the reply's fate is known and on disk.
async fn settle(mut row: OutboxRow, directory: &Directory, limit: &Semaphore) {
    loop {
        let at_once = limit.try_acquire();
        let has_waited = at_once.is_err();
        let permit = match at_once {
            Ok(permit) => Ok(permit),
            Err(_) => limit.acquire().await,
        };
        let under_way = directory.sending.begin(&row.channel);
        let verdict = attempt(&mut row, has_waited, directory).await;
        drop(permit);
        match verdict {
            Verdict::Again { after } => {
                drop(under_way);
                tokio::time::sleep(after).await;
            }
            Verdict::Settled { delivery, provider_id, opted_out } => {
                record(&row, delivery, provider_id, directory).await;
                drop(under_way);
                if opted_out {
                    tell_opted_out(&row, directory).await;
                }
                return;
            }
        }
    }
}

async fn attempt(row: &mut OutboxRow, has_waited: bool, directory: &Directory) -> Verdict {
    let channel = ChannelId::from(row.channel.as_str());
    let slot = directory.plugins.channel(&channel);
    // Channels are configured at the start.
    if slot.is_none() && clock::since_start() > CHANNEL_MAY_COME_BACK {
        // Whoever wrote it hears that, and nothing of it is kept for good.
        let why = format!("the channel {channel} isn't configured any more");
        return ended(row, "no_channel", why);
    }
    let Some((slot, handle)) = slot.and_then(|slot| {
        let handle = slot.state.clone().ok()?;
        Some((slot, handle))
    }) else {
        // The channel isn't there now: an operator is at it, and the reply waits.
        if std::mem::take(&mut row.is_marked) {
            unmark(row, directory).await;
        }
        return Verdict::Again { after: LONGEST_WAIT.min(Duration::from_secs(5)) };
    };
    let repeatable = handle.manifest().idempotent_sends;
    if row.attempting && !repeatable {
        return unconfirmed("the host stopped while the message was being sent");
    }
    // One mark is enough for all repetitions of what may be repeated.
    let came_marked = std::mem::take(&mut row.is_marked);
    let is_marked = came_marked || (repeatable && row.first_attempt_at.is_some());
    if !is_marked && let Err(error) = mark(row, directory).await {
        tracing::warn!(%error, "the outbox waits for the journal");
        return Verdict::Again { after: FIRST_WAIT };
    }
    // Perhaps they don't want it any more (CH-12).
    if has_waited || !came_marked {
        match has_opted_out(row, channel, directory).await {
            Ok(false) => {}
            Ok(true) => {
                return ended(row, "opted_out", "the customer has opted out since".to_owned());
            }
            Err(error) => {
                tracing::warn!(%error, "the outbox waits for the journal");
                return Verdict::Again { after: FIRST_WAIT };
            }
        }
    }
    row.attempts += 1;
    let result = handle.send(&outbound(row, &slot)).await;
    // What a provider says may name the customer; what is ours to mend is said as it is.
    let problem = result.as_ref().err().map(|error| {
        let ours = (error.code == "not_allowed").then(|| error.message.clone());
        (error.code.clone(), ours)
    });
    let verdict = match result {
        Ok(receipt) => settled(Delivery::Sent, Some(receipt.provider_id)),
        Err(error) if repeatable && error.kind == SendErrorKind::Uncertain => {
            // It may be with the provider already, whatever becomes of its repetition.
            row.attempting = true;
            judge(&error, row, repeatable)
        }
        Err(error) => judge(&error, row, repeatable),
    };
    let outcome = match &verdict {
        Verdict::Again { .. } => "retried",
        Verdict::Settled { delivery: Delivery::Undelivered { .. }, .. } => "undelivered",
        Verdict::Settled { delivery: Delivery::Unconfirmed, .. } => "unconfirmed",
        Verdict::Settled { .. } => "sent",
    };
    directory.metrics.sends.with_label_values(&[row.channel.as_str(), outcome]).inc();
    if let Some((code, ours)) = problem {
        let becomes = match verdict {
            Verdict::Again { .. } => "it is tried again",
            Verdict::Settled { .. } => outcome,
        };
        directory.complaints.say(row, &code, becomes, ours.as_deref());
    }
    if matches!(verdict, Verdict::Again { .. }) && !repeatable {
        unmark(row, directory).await;
    }
    verdict
}

async fn has_opted_out(
    row: &OutboxRow,
    channel: ChannelId,
    directory: &Directory,
) -> Result<bool, JournalError> {
    let thread = ThreadKey { channel, customer: Address::new(row.recipient.as_str()) };
    let read = directory.journal.read(move |reader| reader.thread(&thread));
    Ok(read.await?.opted_out)
}

/// What a provider says of somebody's wish is true of their whole thread: the conversation that goes on hears it as
/// well as the one that the reply is of.
async fn tell_opted_out(row: &OutboxRow, directory: &Directory) {
    let channel = ChannelId::from(row.channel.as_str());
    let thread = ThreadKey { channel, customer: Address::new(row.recipient.as_str()) };
    let newest = directory.journal.read(move |reader| reader.thread(&thread)).await;
    let newest = newest.ok().and_then(|known| known.newest);
    for id in std::iter::once(row.conversation).chain(newest.filter(|id| *id != row.conversation)) {
        directory.deliver(Deliver::new(To::Id(id), Input::OptedOut { opted_out: true }));
    }
}

fn judge(error: &SendError, row: &OutboxRow, repeatable: bool) -> Verdict {
    let undelivered =
        || Delivery::Undelivered { code: error.code.clone(), reason: error.message.clone() };
    match error.kind {
        SendErrorKind::Uncertain if !repeatable => unconfirmed(&error.message),
        SendErrorKind::Uncertain | SendErrorKind::Retryable { .. } => {
            if row.attempts >= MOST_ATTEMPTS {
                return settled(undelivered(), None);
            }
            let asked = match error.kind {
                SendErrorKind::Retryable { after_ms } => after_ms.map(Duration::from_millis),
                _ => None,
            };
            Verdict::Again { after: asked.unwrap_or_else(|| wait(row.attempts)) }
        }
        SendErrorKind::Permanent => settled(undelivered(), None),
        SendErrorKind::OptedOut => {
            Verdict::Settled { delivery: undelivered(), provider_id: None, opted_out: true }
        }
    }
}

/// It isn't tried again: it was certainly not taken, or may have been.
fn ended(row: &OutboxRow, code: &str, reason: String) -> Verdict {
    if row.attempting {
        return unconfirmed(&reason);
    }
    settled(Delivery::Undelivered { code: code.to_owned(), reason }, None)
}

fn settled(delivery: Delivery, provider_id: Option<String>) -> Verdict {
    Verdict::Settled { delivery, provider_id, opted_out: false }
}

fn unconfirmed(why: &str) -> Verdict {
    tracing::warn!(
        why,
        "a reply may or may not have been sent, and the provider can't be asked twice"
    );
    settled(Delivery::Unconfirmed, None)
}

/// Doubles from one second, with a fifth of jitter either way.
fn wait(attempts: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(LONGEST_WAIT).mul_f64(rand::rng().random_range(0.8..1.2))
}

fn reference(row: &OutboxRow) -> Reference {
    Reference { conversation: row.conversation, message: row.message, said_at: row.body.said_at }
}

fn outbound(row: &OutboxRow, slot: &ChannelSlot) -> Outbound {
    let reference = reference(row).to_string();
    let media = row
        .body
        .media
        .iter()
        .map(|media| Media { url: media.url.clone(), content_type: media.content_type.clone() });
    Outbound {
        idempotency_key: idempotency_key(&reference).to_string(),
        reference,
        first_attempt_ms: row.first_attempt_at.unwrap_or_else(clock::now).0,
        from: row.sender.clone(),
        to: row.recipient.clone(),
        text: row.body.text.clone(),
        media: media.collect(),
        callback_url: slot.callback_url.clone(),
    }
}

/// A UUID that follows from the reference, so that every attempt has the same.
fn idempotency_key(reference: &str) -> Uuid {
    let bytes = crate::journal::unique_key("idempotency", reference);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Puts on disk that an attempt begins, so that a crash in the middle is known afterwards.
async fn mark(row: &mut OutboxRow, directory: &Directory) -> Result<(), JournalError> {
    let first_attempt_at = row.first_attempt_at.unwrap_or_else(clock::now);
    let begins = Record::SendBegins { row: row.id, first_attempt_at };
    directory.journal.write_now(begins).await?;
    row.first_attempt_at = Some(first_attempt_at);
    Ok(())
}

/// The attempt ended and certainly sent nothing.
async fn unmark(row: &mut OutboxRow, directory: &Directory) {
    if let Err(error) = directory.journal.write_now(Record::SendEnds { row: row.id }).await {
        tracing::warn!(%error, "the end of an attempt couldn't be written");
    }
}

/// Tells the conversation, and settles the row in the same transaction.
async fn record(
    row: &OutboxRow,
    delivery: Delivery,
    provider_id: Option<String>,
    directory: &Directory,
) {
    loop {
        let (message, said_at) = (row.message, row.body.said_at);
        let input = Input::Delivery { message, said_at, delivery: delivery.clone() };
        let mut deliver = Deliver::new(To::Id(row.conversation), input);
        deliver.settles = Some((row.id, provider_id.clone()));
        match directory.ask(deliver).await {
            Answer::Unavailable(error) => {
                tracing::warn!(error, "a send's outcome waits for the journal");
                tokio::time::sleep(FIRST_WAIT).await;
            }
            // Its workstream isn't configured any more, or it was erased: nobody is there who could hear it, and
            // what is left of it mustn't keep its customer from being erased.
            Answer::NotFound => {
                let given_up = Record::SendGivenUp { row: row.id };
                match directory.journal.write_now(given_up).await {
                    Ok(_) => return,
                    Err(error) => {
                        tracing::warn!(%error, "a send's outcome waits for the journal");
                        tokio::time::sleep(FIRST_WAIT).await;
                    }
                }
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_bounds() {
        assert!(wait(1) < Duration::from_millis(1300));
        assert!(wait(4) > Duration::from_secs(6));
        assert!(wait(60) <= LONGEST_WAIT.mul_f64(1.2));
    }

    #[test]
    fn every_attempt_has_the_same_key() {
        assert_eq!(idempotency_key("c.1"), idempotency_key("c.1"));
        assert_ne!(idempotency_key("c.1"), idempotency_key("c.2"));
        assert_eq!(idempotency_key("c.1").get_version_num(), 8);
    }
}
