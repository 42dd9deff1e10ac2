//! Finding and exporting conversations and sessions, however many there are (CONV-09).

use std::time::Duration;

use actix_web::web::{self, Data, Json, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use cordboard_core::conversation::{State, Summary};
use cordboard_core::ids::ConversationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::Directory;
use crate::config::Permission;
use crate::http::api::Answer;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::export::{self, Form, Format, Taker, csv, json_lines, streamed};
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::journal::{Filter, JournalError, Looked, Part, Phrase, Reader, Session, SessionFilter};

/// Conversations that are read at a time while exporting.
const PAGE: u32 = 500;

/// What this file serves.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/conversations/search").route(web::get().to(search)))
        .service(resource("/conversations/export").route(web::get().to(export)))
        .service(resource("/sessions/search").route(web::get().to(sessions)))
        .service(resource("/sessions/export").route(web::get().to(export_sessions)));
}

/// Which conversations. Everything that is given must hold.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct Wanted {
    /// In this state.
    state: Option<State>,
    /// On this channel.
    channel: Option<String>,
    /// In this queue now, or last.
    queue: Option<String>,
    /// Of this agent.
    agent: Option<String>,
    /// With this customer's address.
    customer: Option<String>,
    /// Begun at this time or later, milliseconds since the epoch.
    from: Option<i64>,
    /// Begun before this time.
    to: Option<i64>,
    /// With these words in a message, a note or the summary, whole and one after another; upper and lower case
    /// count alike. At most 32.
    text: Option<String>,
}

/// How many of them, and from where on.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct PageOfConversations {
    /// Behind this one: `next` of the page before.
    cursor: Option<Uuid>,
    /// The most on one page; 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
}

impl Wanted {
    fn filter(&self) -> Result<Filter, ApiError> {
        let text = self.text.as_deref().filter(|text| !text.is_empty());
        Ok(Filter {
            state: self.state,
            channel: self.channel.clone(),
            queue: self.queue.clone(),
            agent: self.agent.clone(),
            customer: self.customer.clone(),
            from: self.from,
            to: self.to,
            text: text.map(Phrase::of).transpose().map_err(ApiError::Malformed)?,
        })
    }
}

/// Whoever looks for words finds what was written by now.
async fn indexed(directory: &Directory) -> Result<(), ApiError> {
    let indexed = directory.journal.texts_indexed().await;
    indexed.map_err(|why| ApiError::Unavailable(why.to_string()))
}

/// A page ends after so long, whatever there is still to look through.
const LOOKS_FOR: Duration = Duration::from_millis(100);
/// A page ends before it has more.
const MOST_BYTES_OF_PAGE: usize = 1024 * 1024;

/// A page of conversations, the newest first.
#[derive(Serialize, ToSchema)]
pub struct Page {
    /// The page. It may have fewer than `limit`, or none, though there is a next one: a page is what is found
    /// within a tenth of a second.
    conversations: Vec<Summary>,
    /// Where the next page begins; none: this was the last.
    next: Option<Uuid>,
}

/// Find conversations, open and closed, the newest first (permission `conversation.read`).
#[utoipa::path(get, path = "/api/v1/conversations/search", params(Wanted, PageOfConversations), responses(
    (status = 200, body = Page), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn search(
    request: HttpRequest,
    web: Data<Web>,
    caller: Caller,
    query: Query<Wanted>,
    page_of: Query<PageOfConversations>,
) -> Answer<Page> {
    caller.must(Permission::ReadConversations)?;
    let limit = checked_limit(page_of.limit)?;
    let (directory, filter) = (web.directory.clone(), query.filter()?);
    let asked = Some(request.query_string());
    caller.noted(&web.directory, "conversation.search", "conversations", asked).await?;
    let cursor = page_of.cursor.map(ConversationId);
    // A customer's conversations are found by an index; whatever else is wanted is looked for everywhere.
    let reach =
        if filter.customer.is_some() && filter.text.is_none() { Reach::Part } else { Reach::All };
    if filter.text.is_some() {
        indexed(&directory).await?;
    }
    let found = web
        .reads
        .run(&caller.agent, reach, move |reader| page(reader, &directory, &filter, cursor, limit));
    let (conversations, next) = found.await?;
    Ok(Json(Page { conversations, next: next.map(|id| id.0) }))
}

fn page(
    reader: &Reader,
    directory: &Directory,
    filter: &Filter,
    cursor: Option<ConversationId>,
    limit: u32,
) -> Result<(Vec<Summary>, Option<ConversationId>), JournalError> {
    let Looked { found, next } = reader.search(filter, cursor, limit, LOOKS_FOR)?;
    let (mut page, mut bytes, mut last) = (Vec::new(), 0, None);
    for machine in found {
        let id = machine.id();
        let summary = directory.with_settings(machine).summary();
        bytes += serde_json::to_vec(&summary).map_or(0, |text| text.len());
        // Some have long texts: the rest comes with the next page.
        if bytes > MOST_BYTES_OF_PAGE && last.is_some() {
            return Ok((page, last));
        }
        page.push(summary);
        last = Some(id);
    }
    Ok((page, next))
}

/// Export conversations, all that are wanted, the newest first (permission `conversation.export`).
#[utoipa::path(get, path = "/api/v1/conversations/export", params(Wanted, Form), responses(
    (status = 200, content((String = "application/x-ndjson"), (String = "text/csv"))), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn export(
    request: HttpRequest,
    web: Data<Web>,
    caller: Caller,
    query: Query<Wanted>,
    form: Query<Form>,
) -> Result<HttpResponse, ApiError> {
    caller.must(Permission::Export)?;
    let (directory, filter) = (web.directory.clone(), query.filter()?);
    let asked = Some(request.query_string());
    caller.noted(&web.directory, "conversation.export", "conversations", asked).await?;
    if filter.text.is_some() {
        indexed(&directory).await?;
    }
    let format = form.format;
    let taker = Taker { web: &web, caller, permission: Permission::Export };
    streamed(taker, "conversations", format, move |reader, cursor| {
        let (summaries, next) = page(reader, &directory, &filter, cursor, export::PAGE)?;
        Ok((conversation_rows(summaries, format), next))
    })
}

/// Which sessions: an agent's engagement in a conversation. Everything that is given must hold.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct WantedSessions {
    /// Whose.
    agent: Option<String>,
    /// What they were there: had it, or gave advice.
    #[param(inline)]
    part: Option<Part>,
    /// In this conversation.
    conversation: Option<Uuid>,
    /// In conversations on this channel.
    channel: Option<String>,
    /// In conversations that are in this queue now, or were last.
    queue: Option<String>,
    /// In conversations with this customer's address.
    customer: Option<String>,
    /// Begun at this time or later, milliseconds since the epoch.
    from: Option<i64>,
    /// Begun before this time.
    to: Option<i64>,
    /// Only those that go on, or only those that have ended.
    open: Option<bool>,
}

/// How many of them, and from where on.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct PageOfSessions {
    /// Behind this one: `next` of the page before.
    cursor: Option<i64>,
    /// The most on one page; 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
}

impl WantedSessions {
    fn filter(&self) -> SessionFilter {
        SessionFilter {
            agent: self.agent.clone(),
            part: self.part,
            conversation: self.conversation.map(ConversationId),
            channel: self.channel.clone(),
            queue: self.queue.clone(),
            customer: self.customer.clone(),
            from: self.from,
            to: self.to,
            open: self.open,
        }
    }
}

/// A page of sessions, the newest first.
#[derive(Serialize, ToSchema)]
pub struct SessionPage {
    /// The page.
    sessions: Vec<Session>,
    /// Where the next page begins; none: this was the last.
    next: Option<i64>,
}

/// Find sessions, the newest first (permission `conversation.read`).
#[utoipa::path(get, path = "/api/v1/sessions/search", params(WantedSessions, PageOfSessions), responses(
    (status = 200, body = SessionPage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn sessions(
    request: HttpRequest,
    web: Data<Web>,
    caller: Caller,
    query: Query<WantedSessions>,
    page_of: Query<PageOfSessions>,
) -> Answer<SessionPage> {
    caller.must(Permission::ReadConversations)?;
    let asked = Some(request.query_string());
    caller.noted(&web.directory, "session.search", "sessions", asked).await?;
    let limit = checked_limit(page_of.limit)?;
    let (filter, cursor) = (query.filter(), page_of.cursor);
    let is_indexed = filter.agent.is_some() || filter.conversation.is_some();
    let reach = if is_indexed { Reach::Part } else { Reach::All };
    let found =
        web.reads.run(&caller.agent, reach, move |reader| reader.sessions(&filter, cursor, limit));
    let found = found.await?;
    let (sessions, next) = session_page(found, limit);
    Ok(Json(SessionPage { sessions, next }))
}

fn session_page(found: Vec<(i64, Session)>, limit: u32) -> (Vec<Session>, Option<i64>) {
    let next = found.last().map(|(cursor, _)| *cursor);
    let next = next.filter(|_| found.len() == limit as usize);
    (found.into_iter().map(|(_, session)| session).collect(), next)
}

fn checked_limit(limit: Option<u32>) -> Result<u32, ApiError> {
    match limit.unwrap_or(100) {
        limit if (1..=PAGE).contains(&limit) => Ok(limit),
        limit => Err(ApiError::Malformed(format!("limit is {limit}; 1 to {PAGE}"))),
    }
}

/// Export sessions, all that are wanted, the newest first: who was engaged in which conversation, from
/// when to when (permission `conversation.export`).
#[utoipa::path(get, path = "/api/v1/sessions/export", params(WantedSessions, Form), responses(
    (status = 200, content((String = "application/x-ndjson"), (String = "text/csv"))), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn export_sessions(
    request: HttpRequest,
    web: Data<Web>,
    caller: Caller,
    query: Query<WantedSessions>,
    form: Query<Form>,
) -> Result<HttpResponse, ApiError> {
    caller.must(Permission::Export)?;
    let asked = Some(request.query_string());
    caller.noted(&web.directory, "session.export", "sessions", asked).await?;
    let (filter, format) = (query.filter(), form.format);
    let taker = Taker { web: &web, caller, permission: Permission::Export };
    streamed(taker, "sessions", format, move |reader, cursor| {
        let found = reader.sessions(&filter, cursor, PAGE)?;
        let (sessions, next) = session_page(found, PAGE);
        let bytes = match format {
            Format::Ndjson => json_lines(&sessions),
            Format::Csv => csv(sessions.into_iter()),
        };
        Ok((bytes, next))
    })
}

/// A conversation's line in a CSV file.
#[derive(Serialize)]
struct ConversationLine {
    id: String,
    state: &'static str,
    channel: String,
    kind: &'static str,
    queue: String,
    customer: String,
    own: String,
    agent: String,
    priority: i32,
    tags: String,
    disposition: String,
    opened_at: i64,
    queued_at: i64,
    last_customer_at: i64,
    messages: u32,
    summary: String,
}

fn conversation_rows(summaries: Vec<Summary>, format: Format) -> Vec<u8> {
    match format {
        Format::Ndjson => json_lines(&summaries),
        Format::Csv => csv(summaries.into_iter().map(|summary| ConversationLine {
            id: summary.id.to_string(),
            state: summary.state.as_str(),
            channel: summary.channel.to_string(),
            kind: summary.kind.as_str(),
            queue: summary.queue.to_string(),
            customer: summary.customer.to_string(),
            own: summary.own.to_string(),
            agent: summary.agent.map(|agent| agent.to_string()).unwrap_or_default(),
            priority: summary.priority,
            tags: summary.tags.join(" "),
            disposition: summary.disposition.unwrap_or_default(),
            opened_at: summary.opened_at.0,
            queued_at: summary.queued_at.0,
            last_customer_at: summary.last_customer_at.0,
            messages: summary.messages,
            summary: summary.summary.unwrap_or_default(),
        })),
    }
}
