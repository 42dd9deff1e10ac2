//! Finding and exporting conversations and sessions, however many there are (CONV-09).

use std::sync::Arc;

use actix_web::web::{self, Bytes, Data, Json, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use cordboard_core::conversation::{State, Summary};
use cordboard_core::ids::ConversationId;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::Directory;
use crate::config::Role;
use crate::http::api::{Answer, reader};
use crate::http::caller::Caller;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::server::Web;
use crate::journal::{Filter, Reader, Session, fold_sessions};

/// Conversations that are read at a time while exporting.
const PAGE: u32 = 500;

/// What this file serves.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/conversations/search").route(web::get().to(search)))
        .service(resource("/conversations/export").route(web::get().to(export)))
        .service(resource("/sessions/export").route(web::get().to(sessions)));
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
    /// With this text in a message or note, exactly as it is written.
    text: Option<String>,
    /// Behind this one: `next` of the page before.
    cursor: Option<Uuid>,
    /// The most on one page; 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
}

impl Wanted {
    fn filter(&self) -> Filter {
        Filter {
            state: self.state,
            channel: self.channel.clone(),
            queue: self.queue.clone(),
            agent: self.agent.clone(),
            customer: self.customer.clone(),
            from: self.from,
            to: self.to,
            text: self.text.clone().filter(|text| !text.is_empty()),
        }
    }
}

/// A page of conversations, the newest first.
#[derive(Serialize, ToSchema)]
pub struct Page {
    /// The page.
    conversations: Vec<Summary>,
    /// Where the next page begins; none: this was the last.
    next: Option<Uuid>,
}

/// Find conversations, open and closed, the newest first (supervisors).
#[utoipa::path(get, path = "/api/v1/conversations/search", params(Wanted), responses(
    (status = 200, body = Page), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn search(
    request: HttpRequest,
    web: Data<Web>,
    caller: Caller,
    query: Query<Wanted>,
) -> Answer<Page> {
    caller.needs(Role::Supervisor)?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=PAGE).contains(&limit) {
        return Err(ApiError::Malformed(format!("limit is {limit}; 1 to {PAGE}")));
    }
    let cursor = query.cursor.map(ConversationId);
    let (conversations, next) =
        page(&reader(&request), &web.directory, &query.filter(), cursor, limit)?;
    Ok(Json(Page { conversations, next: next.map(|id| id.0) }))
}

fn page(
    reader: &Reader,
    directory: &Directory,
    filter: &Filter,
    cursor: Option<ConversationId>,
    limit: u32,
) -> rusqlite::Result<(Vec<Summary>, Option<ConversationId>)> {
    let machines = reader.search(filter, cursor, limit)?;
    let next = machines.last().map(|machine| machine.id());
    let next = next.filter(|_| machines.len() == limit as usize);
    let known = machines.into_iter().filter_map(|machine| directory.with_settings(machine));
    Ok((known.map(|machine| machine.summary()).collect(), next))
}

/// How an export is written.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Ndjson,
    /// Comma-separated, with a line of names.
    Csv,
}

/// In which form.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct Form {
    /// `ndjson` or `csv`.
    #[param(inline)]
    format: Format,
}

/// Export conversations, all that are wanted, the newest first (supervisors).
#[utoipa::path(get, path = "/api/v1/conversations/export", params(Wanted, Form), responses(
    (status = 200, content((String = "application/x-ndjson"), (String = "text/csv"))), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn export(
    web: Data<Web>,
    caller: Caller,
    query: Query<Wanted>,
    form: Query<Form>,
) -> Result<HttpResponse, ApiError> {
    caller.needs(Role::Supervisor)?;
    Ok(streamed(web, query.filter(), form.format, conversation_rows))
}

/// Export sessions: who was engaged in which conversation, from when to when (supervisors).
#[utoipa::path(get, path = "/api/v1/sessions/export", params(Wanted, Form), responses(
    (status = 200, content((String = "application/x-ndjson"), (String = "text/csv"))), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn sessions(
    web: Data<Web>,
    caller: Caller,
    query: Query<Wanted>,
    form: Query<Form>,
) -> Result<HttpResponse, ApiError> {
    caller.needs(Role::Supervisor)?;
    Ok(streamed(web, query.filter(), form.format, session_rows))
}

/// What a page of conversations becomes in a file.
type Rows = fn(&Reader, Vec<Summary>, Format) -> rusqlite::Result<Vec<u8>>;

/// Page by page: a million conversations are never in memory together.
fn streamed(web: Data<Web>, filter: Filter, format: Format, rows: Rows) -> HttpResponse {
    let directory = web.directory.clone();
    let data = web.data.clone();
    let filter = Arc::new(filter);
    let pages = stream::unfold(Some(None), move |position| {
        let (directory, data, filter) = (directory.clone(), data.clone(), filter.clone());
        async move {
            let cursor: Option<ConversationId> = position?;
            let read = web::block(move || {
                let reader = Reader::open(&data)?;
                let (summaries, next) = page(&reader, &directory, &filter, cursor, PAGE)?;
                let mut bytes = rows(&reader, summaries, format)?;
                if cursor.is_some() && matches!(format, Format::Csv) {
                    // The names stand once, at the top.
                    let names = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |n| n + 1);
                    bytes.drain(..names);
                }
                Ok::<_, rusqlite::Error>((bytes, next))
            });
            match read.await {
                Ok(Ok((bytes, next))) => Some((Ok(Bytes::from(bytes)), next.map(Some))),
                Ok(Err(error)) => {
                    tracing::error!(%error, "the journal can't be read");
                    Some((Err(actix_web::error::ErrorServiceUnavailable("")), None))
                }
                Err(_) => None,
            }
        }
    });
    let content_type = match format {
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv",
    };
    HttpResponse::Ok().content_type(content_type).streaming(pages)
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
}

fn conversation_rows(
    _: &Reader,
    summaries: Vec<Summary>,
    format: Format,
) -> rusqlite::Result<Vec<u8>> {
    Ok(match format {
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
        })),
    })
}

fn session_rows(
    reader: &Reader,
    summaries: Vec<Summary>,
    format: Format,
) -> rusqlite::Result<Vec<u8>> {
    let mut sessions: Vec<Session> = Vec::new();
    for summary in summaries {
        sessions.extend(fold_sessions(summary.id, reader.events(summary.id)?.into_iter()));
    }
    Ok(match format {
        Format::Ndjson => json_lines(&sessions),
        Format::Csv => csv(sessions.into_iter()),
    })
}

fn json_lines<T: Serialize>(items: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        serde_json::to_writer(&mut bytes, item).expect("plain data becomes JSON");
        bytes.push(b'\n');
    }
    bytes
}

fn csv<T: Serialize>(items: impl Iterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for item in items {
        writer.serialize(item).expect("flat data becomes a line");
    }
    writer.into_inner().expect("writing to memory can't fail")
}
