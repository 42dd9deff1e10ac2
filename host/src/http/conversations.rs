//! Conversations: lists of open ones, transcripts, and what is done in them.

use actix_web::web::{self, Data, Json, Path, Query, ServiceConfig};
use cordboard_core::conversation::Summary;
use cordboard_core::ids::{ConversationId, MessageNo};
use serde::Deserialize;
use uuid::Uuid;

use crate::http::about::{About, NoteBody, ReplyBody, WrapUpBody};
use crate::http::api::{Answer, Done, done, seen};
use crate::http::caller::Caller;
use crate::http::commands::{self, Command};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::live::Transcript;
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::journal::Fits;

/// Below `/api/v1`.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/conversations").route(web::get().to(conversations)))
        .service(resource("/conversations/{id}").route(web::get().to(conversation)))
        .service(resource("/conversations/{id}/reply").route(web::post().to(reply)))
        .service(resource("/conversations/{id}/note").route(web::post().to(note)))
        .service(resource("/conversations/{id}/leave").route(web::post().to(leave)))
        .service(resource("/conversations/{id}/rejoin").route(web::post().to(rejoin)))
        .service(resource("/conversations/{id}/end").route(web::post().to(end)))
        .service(
            resource("/conversations/{id}/finish-wrap-up").route(web::post().to(finish_wrap_up)),
        );
}

/// Which conversations.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Selection {
    /// Everybody's (supervisors and light agents) instead of my own.
    #[serde(default)]
    all: bool,
    /// The most to be returned; 1 to 1000.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: u32,
}

fn default_limit() -> u32 {
    100
}

/// Open conversations, oldest first.
#[utoipa::path(get, path = "/api/v1/conversations", params(Selection), responses(
    (status = 200, body = Vec<Summary>), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn conversations(
    web: Data<Web>,
    caller: Caller,
    query: Query<Selection>,
) -> Answer<Vec<Summary>> {
    caller.must_read()?;
    if !(1..=1000).contains(&query.limit) {
        let why = format!("limit is {}; 1 to 1000", query.limit);
        return Err(ApiError::Malformed(why));
    }
    if query.all {
        caller.must_see_everything(&web.directory)?;
        let everybodys = ConversationId(Uuid::nil());
        if let Some(look) = web.directory.looks.begin(&caller.agent, everybodys) {
            caller.noted(&web.directory, "conversation.list", "everybody's", None).await?;
            look.noted();
        }
    }
    let whose = (!query.all).then_some(&caller.agent);
    let (whose, limit) = (whose.cloned(), query.limit);
    let open = web.reads.run(&caller.agent, Reach::Part, move |reader| {
        reader.open_conversations(whose.as_ref(), limit)
    });
    let open = open.await?.into_iter().map(|machine| web.directory.with_settings(machine));
    Ok(Json(open.map(|machine| machine.summary()).collect()))
}

/// Which part of a transcript.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// Before the message of this number; the newest if none is named.
    #[serde(default)]
    before: Option<u32>,
    /// The most messages; 1 to 500. A page has no more than 1 MB of them.
    #[serde(default = "a_page")]
    #[param(minimum = 1, maximum = 500, default = 200)]
    limit: u32,
}

fn a_page() -> u32 {
    200
}

/// Bytes of messages in one answer.
const MOST_OF_TRANSCRIPT: usize = 1024 * 1024;

/// One conversation with its transcript: the newest of it, or what came before a message. Where the first one
/// has a number above 1 there are earlier ones. Agents see their own, supervisors and light agents all.
#[utoipa::path(get, path = "/api/v1/conversations/{id}",
    params(("id" = Uuid, Path, description = "the conversation"), Part), responses(
    (status = 200, body = Transcript), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn conversation(
    web: Data<Web>,
    caller: Caller,
    path: Path<Uuid>,
    query: Query<Part>,
) -> Answer<Transcript> {
    if !(1..=500).contains(&query.limit) {
        let why = format!("limit is {}; 1 to 500", query.limit);
        return Err(ApiError::Malformed(why));
    }
    let id = ConversationId(*path);
    let directory = web.directory.clone();
    let before = query.before.map(MessageNo);
    let fits = Fits { messages: query.limit as usize, bytes: MOST_OF_TRANSCRIPT };
    let who = caller.agent.clone();
    let read = web.reads.run(&who, Reach::Part, move |reader| {
        let machine = seen(reader, &directory, &caller, id)?;
        let messages = reader.transcript(id, before, fits)?;
        Ok::<_, ApiError>(Transcript { conversation: machine.summary(), messages })
    });
    Ok(Json(read.await?))
}

/// Reply to the customer.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/reply", request_body = ReplyBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "on disk; its delivery follows as notices"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn reply(
    path: Path<Uuid>,
    web: Data<Web>,
    caller: Caller,
    body: Json<ReplyBody>,
) -> Done {
    let reply = About { conversation: ConversationId(*path), said: body.into_inner() };
    commands::run(&web.directory, &caller, Command::Reply(reply)).await?;
    Ok(done())
}

/// Write an internal note; customers never see it.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/note", request_body = NoteBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "on disk"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn note(path: Path<Uuid>, web: Data<Web>, caller: Caller, body: Json<NoteBody>) -> Done {
    let note = About { conversation: ConversationId(*path), said: body.into_inner() };
    commands::run(&web.directory, &caller, Command::Note(note)).await?;
    Ok(done())
}

/// Leave a conversation for now; it waits for the customer and takes no capacity.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/leave",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "left"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn leave(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
    let conversation = ConversationId(*path);
    commands::run(&web.directory, &caller, Command::Leave { conversation }).await?;
    Ok(done())
}

/// Come back to a conversation that I left. Beyond capacity only with the permission `self_assign`.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/rejoin",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "back"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn rejoin(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
    let conversation = ConversationId(*path);
    commands::run(&web.directory, &caller, Command::Rejoin { conversation }).await?;
    Ok(done())
}

/// End a conversation: resolved for the customer, wrap-up for the agent. With the permission
/// `conversation.end` anybody's, and its wrap-up, too.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/end",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "ended"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn end(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
    let conversation = ConversationId(*path);
    commands::run(&web.directory, &caller, Command::End { conversation }).await?;
    Ok(done())
}

/// Finish wrap-up: the conversation closes; or, if its customer has written meanwhile, goes on. The
/// body may be left out.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/finish-wrap-up", request_body = WrapUpBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "closed"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn finish_wrap_up(
    path: Path<Uuid>,
    web: Data<Web>,
    caller: Caller,
    body: Option<Json<WrapUpBody>>,
) -> Done {
    let said = body.map(Json::into_inner).unwrap_or_default();
    let wrap_up = About { conversation: ConversationId(*path), said };
    commands::run(&web.directory, &caller, Command::FinishWrapUp(wrap_up)).await?;
    Ok(done())
}
