//! What isn't kept: what a customer wants erased, and what has been kept for as long as the configuration
//! says (SEC-04).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_core::Conversation;
use cordboard_core::conversation::{State, Summary};
use cordboard_core::ids::{ConversationId, WorkstreamId};
use cordboard_core::message::Message;
use cordboard_core::time::{Span, Timestamp};
use serde::Serialize;

use crate::actors::Directory;
use crate::clock;
use crate::journal::{
    self, Customer, Fits, Journal, JournalError, Reader, Record, Records, Rows, Trouble,
};

/// Whose data.
#[derive(Clone, Debug)]
pub struct Whose {
    /// Their address, as `+14255550100`.
    pub customer: String,
    /// On this channel only.
    pub channel: Option<String>,
}

/// What was erased.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Erased {
    /// Conversations of which nothing is left.
    pub conversations: usize,
    /// Where older copies lie that the host doesn't change, or couldn't yet, in a sentence each.
    pub left: Vec<String>,
}

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub enum NotErased {
    /// Somebody works on it, or may at any moment.
    #[error("{} of theirs {} open: end first, and what is in wrap-up has to be finished (its agent, or a supervisor who ends it once more) ({})", count(.0), is_or_are(.0), list(.0))]
    Open(Vec<ConversationId>),
    /// They would get it after they were forgotten.
    #[error("a reply to them is still to be sent: wait until it is, or has failed ({})", list(.0))]
    BeingSent(Vec<ConversationId>),
    /// Somebody was faster.
    #[error("a conversation of theirs was opened again meanwhile; end it, and erase once more")]
    OpenedAgain,
    /// There is nothing.
    #[error("nothing is kept of this customer")]
    Nothing,
    /// The journal's own.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn count(conversations: &[ConversationId]) -> String {
    match conversations.len() {
        1 => "1 conversation".to_owned(),
        count => format!("{count} conversations"),
    }
}

fn is_or_are(conversations: &[ConversationId]) -> &'static str {
    if conversations.len() == 1 { "is" } else { "are" }
}

/// Names of conversations, as many as people read.
pub fn list(conversations: &[ConversationId]) -> String {
    const MOST: usize = 20;
    let names: Vec<String> = conversations.iter().take(MOST).map(ToString::to_string).collect();
    let more = if conversations.len() > MOST { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// What is to be erased.
///
/// # Errors
/// [`NotErased`]: there is nothing, or a conversation is open.
pub fn to_erase(kept: &Customer) -> Result<Vec<ConversationId>, NotErased> {
    let open = kept.conversations.iter().filter(|(_, _, state)| *state != State::Closed);
    let open: Vec<ConversationId> = open.map(|(id, ..)| *id).collect();
    if !open.is_empty() {
        return Err(NotErased::Open(open));
    }
    if !kept.being_sent.is_empty() {
        return Err(NotErased::BeingSent(kept.being_sent.clone()));
    }
    if kept.is_nothing() {
        return Err(NotErased::Nothing);
    }
    Ok(kept.ids())
}

/// Part of what is kept of a customer: consent, then each conversation, oldest first.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Customer { address: &'a str, opted_out_on: &'a [String] },
    Conversation { conversation: Box<Summary> },
    Message { conversation: ConversationId, message: Message },
}

impl Part<'_> {
    fn write(&self, lines: &mut Vec<u8>) {
        serde_json::to_writer(&mut *lines, self).expect("plain data becomes JSON");
        lines.push(b'\n');
    }
}

/// The first line of an export: who, and where they want no messages.
pub fn head_of(whose: &Whose, kept: &Customer) -> Vec<u8> {
    let mut lines = Vec::new();
    Part::Customer { address: &whose.customer, opted_out_on: &kept.opted_out }.write(&mut lines);
    lines
}

/// A conversation, and a line for each message.
///
/// # Errors
/// [`JournalError`]: it can't be read.
pub fn conversation_of(
    reader: &Reader,
    id: ConversationId,
    with_settings: impl Fn(Conversation) -> Conversation,
) -> Result<Vec<u8>, JournalError> {
    let mut lines = Vec::new();
    if let Some(machine) = reader.conversation(id)?.map(with_settings) {
        let conversation = Box::new(machine.summary());
        Part::Conversation { conversation }.write(&mut lines);
    }
    let everything = Fits { messages: usize::MAX, bytes: usize::MAX };
    for message in reader.transcript(id, None, everything)? {
        Part::Message { conversation: id, message }.write(&mut lines);
    }
    Ok(lines)
}

/// Removes what is kept of a customer.
///
/// # Errors
/// [`NotErased`]: a conversation was opened again meanwhile, and it was left; or the journal's own.
pub async fn erase(
    records: &impl Records,
    whose: &Whose,
    conversations: Vec<ConversationId>,
) -> Result<usize, NotErased> {
    /// Others' messages come in between.
    const AT_ONCE: usize = 100;
    let mut count = 0;
    let mut rest = conversations;
    loop {
        let later = rest.split_off(rest.len().min(AT_ONCE));
        let Whose { customer, channel } = whose.clone();
        let (conversations, is_last) = (rest, later.is_empty());
        let record = Record::CustomerErased { customer, channel, conversations, is_last };
        let outcome = records.write_now(record).await?;
        if outcome.is_outdated {
            return Err(NotErased::OpenedAgain);
        }
        count += outcome.count;
        if later.is_empty() {
            return Ok(count);
        }
        rest = later;
    }
}

/// What follows on it where a journal is open: no copies are left. Where that can't be yet it is remembered, and
/// done by whoever runs next, or has it open.
pub async fn scrub(journal: &Journal, data: &Path) -> Vec<String> {
    let folder = data.to_owned();
    let mut left = tokio::task::spawn_blocking(move || copies(&folder)).await.unwrap_or_default();
    if let Err(error) = scrub_what_is_noted(journal).await {
        tracing::warn!(%error, "what was erased is gone from the tables, but not from their files yet; it is tried again");
        left.push(format!(
            "the journal's files hold what was removed a while longer: {error}; the host goes on trying"
        ));
    }
    left
}

/// The same where a host has just tried.
///
/// # Errors
/// [`JournalError`]: it can't be read.
pub fn left_by_host(reader: &Reader, data: &Path) -> Result<Vec<String>, JournalError> {
    let mut left = copies(data);
    if reader.to_scrub()?.is_some() {
        left.push(
            "the journal's files hold what was removed a while longer, as somebody reads an older state; the host goes on trying"
                .to_owned(),
        );
    }
    Ok(left)
}

/// Whatever was removed since it was done last.
///
/// # Errors
/// [`JournalError`]: somebody reads an older state; it stays noted.
async fn scrub_what_is_noted(journal: &Journal) -> Result<(), JournalError> {
    const WITHIN: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(20);
    let Some(removals) = journal.read(Reader::to_scrub).await? else { return Ok(()) };
    let has_words = journal.read(Reader::has_words_to_go).await?;
    // The texts themselves; the index holds none.
    journal.scrub().await?;
    if has_words {
        let until = Instant::now() + WITHIN;
        while journal.read(Reader::has_words_to_go).await? {
            if Instant::now() > until {
                let text = "words of what was removed are being taken out of the index";
                return Err(JournalError::new(Trouble::Held, text));
            }
            tokio::time::sleep(PAUSE).await;
        }
        journal.scrub().await?;
    }
    journal.write_now(Record::Scrubbed { removals }).await.map(drop)
}

/// Copies of the journal from before that lie beside it, in a sentence each.
pub fn copies(data: &Path) -> Vec<String> {
    let names = journal::copies(data).into_iter();
    names.map(|name| format!("{name} is a copy from before: delete it")).collect()
}

/// Removes what has been kept for long enough, for as long as the host runs, and whatever copies are left. The last
/// host was known to run at a time.
pub async fn by_rule(directory: Arc<Directory>, alive_at: Option<Timestamp>) {
    /// Soon after the start, and then now and again: what is kept for a month needn't go at the minute.
    const FIRST: Duration = Duration::from_secs(5);
    const EVERY: Duration = Duration::from_secs(600);
    const LOOK_EVERY: Duration = Duration::from_secs(10);
    let gap = alive_at.map_or(0, |at| (clock::now().0 - at.0).abs());
    let clock = Clock { gap: Span(gap) };
    let mut next = Instant::now() + FIRST;
    let mut has_said_so = false;
    loop {
        let after_jump = directory.config().host.retention.after_jump;
        if !clock.may_be_gone_by(after_jump) {
            if !has_said_so {
                tracing::warn!(
                    after_ms = after_jump.0,
                    "the clock was set, or stands far from where the last host left it: what has been kept for long enough is removed once it has run evenly for a while"
                );
            }
            has_said_so = true;
        } else if Instant::now() >= next {
            has_said_so = false;
            next = Instant::now() + EVERY;
            if let Err(error) = sweep(&directory).await {
                tracing::warn!(%error, "what needn't be kept any more couldn't be removed; it is tried again");
            }
        }
        // At the start, too: the host before may have been killed in the midst of it.
        if let Err(error) = scrub_what_is_noted(&directory.journal).await {
            tracing::info!(%error, "copies of what was removed are left in the journal's files; it is tried again");
        }
        tokio::time::sleep(LOOK_EVERY.min(next.saturating_duration_since(Instant::now()))).await;
    }
}

/// So long it is known which webhooks of erased customers there were.
const SPENT_FOR: Span = Span::seconds(365 * 24 * 3600);
/// So many rows are looked at for one record, and so many go with it.
const AT_ONCE: usize = 256;
/// Between two records: whoever waits for the journal waits behind one at most.
const PAUSE: Duration = Duration::from_millis(20);

async fn sweep(directory: &Directory) -> Result<(), JournalError> {
    let config = directory.config();
    let mut removed = 0;
    for (workstream, retention) in &config.retention {
        if let Some(kept) = retention.messages {
            removed += conversations(directory, workstream, since(kept)).await?;
        }
        let of = Some(workstream);
        removed += rows(directory, Rows::Decisions, of, since(retention.decisions)).await?;
    }
    // Nothing that was told before this run is kept any more.
    let oldest = directory.journal.read(|reader| reader.oldest_run()).await?;
    let told_since = oldest.map_or_else(clock::now, Timestamp);
    removed += rows(directory, Rows::Blanks, None, told_since).await?;
    let host = config.host.retention;
    removed += rows(directory, Rows::AgentHistory, None, since(host.agent_history)).await?;
    removed += rows(directory, Rows::Replies, None, since(host.replies)).await?;
    // As long as somebody who has kept a webhook might be believed.
    removed += rows(directory, Rows::Spent, None, since(SPENT_FOR)).await?;
    if let Some(kept) = host.audit {
        removed += rows(directory, Rows::Audit, None, since(kept)).await?;
    }
    if removed > 0 {
        tracing::info!(
            removed,
            "conversations and rows that had been kept for long enough are gone"
        );
    }
    Ok(())
}

fn since(kept: Span) -> Timestamp {
    Timestamp(clock::cautious().0.saturating_sub(kept.0))
}

/// Whether the clock may be gone by. One that was set a while ago, or that stands far from where the last host left
/// it, may be wrong: a machine that has just been started learns the time later.
struct Clock {
    /// How far it was, at the start, from when a host was last known to run.
    gap: Span,
}

impl Clock {
    /// Longer than that is worth a look at the clock.
    const USUAL: i64 = 24 * 3600 * 1000;

    fn may_be_gone_by(&self, after_jump: Span) -> bool {
        let is_usual = self.gap.0 <= Self::USUAL;
        let Some(even_for) = clock::set_ago().or((!is_usual).then(clock::since_start)) else {
            return true;
        };
        even_for.as_millis() >= u128::from(after_jump.0.unsigned_abs())
    }
}

async fn conversations(
    directory: &Directory,
    workstream: &WorkstreamId,
    before: Timestamp,
) -> Result<usize, JournalError> {
    let (mut behind, mut removed) = (None, 0);
    loop {
        let own = workstream.clone();
        let page = directory
            .journal
            .read(move |reader| reader.ended_before(&own, before, behind, AT_ONCE))
            .await?;
        let (ended, next) = page;
        if !ended.is_empty() {
            let conversations = ended.clone();
            let record = Record::ConversationsExpired { conversations, before };
            removed += directory.journal.write_now(record).await?.count;
            directory.forget(ended.into_iter());
        }
        let Some(next) = next else { return Ok(removed) };
        behind = Some(next);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn rows(
    directory: &Directory,
    rows: Rows,
    workstream: Option<&WorkstreamId>,
    before: Timestamp,
) -> Result<usize, JournalError> {
    let (mut behind, mut removed) = (0, 0);
    loop {
        let of = workstream.cloned();
        let page = directory
            .journal
            .read(move |reader| reader.rows_before(rows, of.as_ref(), before, behind, AT_ONCE))
            .await?;
        let (ids, next) = page;
        if !ids.is_empty() {
            let record = Record::RowsExpired { rows, ids };
            removed += directory.journal.write_now(record).await?.count;
        }
        let Some(next) = next else { return Ok(removed) };
        behind = next;
        tokio::time::sleep(PAUSE).await;
    }
}
