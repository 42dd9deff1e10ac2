//! The REST API under `/api/v1`, and its OpenAPI description.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path, Query, ServiceConfig};
use cordboard_core::Conversation;
use cordboard_core::conversation::Summary;
use cordboard_core::ids::ConversationId;
use cordboard_core::message::Media;
use cordboard_core::notice::{Notice, OfferView, Usage};
use cordboard_core::presence::{BaseStatus, Presence};
use cordboard_core::time::Timestamp;
use cordboard_sdk::{VerifyReport, VerifyRequest};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use uuid::Uuid;

use crate::actors::{BoardFrame, Directory, LookAtAgent, LookAtQueue};
use crate::config::{Permission, Role};
use crate::http::caller::Caller;
use crate::http::commands::{self, Command};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::live::{FirstFrame, Transcript};
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::http::{access, audit, collaboration, customers, live, routing, search};
use crate::journal::{Fits, Reader};

pub(super) type Answer<T> = Result<Json<T>, ApiError>;
pub(super) type Done = Result<HttpResponse, ApiError>;

/// The description, as served and as the console's types are made from.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cordboard",
        description = "Conversations, agents and channels. Times are milliseconds since the epoch. Sign in with a bearer token (`cordboard agent token`) or with the console's cookie and the header `x-csrf-token`."
    ),
    paths(
        me, set_presence, accept, refuse, conversations, conversation, reply,
        note, leave, rejoin, end, finish_wrap_up, channels, verify_channel, agents, queues,
        collaboration::take, collaboration::transfer, collaboration::consult,
        collaboration::end_consult, collaboration::take_over, routing::why, routing::why_not,
        routing::waiting, routing::set_attributes, routing::desk, routing::reload,
        search::search, search::export, search::sessions, search::export_sessions,
        access::sign_in, access::sign_out, access::my_sign_ins, access::sign_ins, access::end_all,
        access::end_one, access::my_tokens, access::tokens, access::new_token, access::revoke,
        audit::audit, audit::export_audit, customers::export_customer,
        customers::erase_customer, live::open
    ),
    components(schemas(Notice, FirstFrame, BoardFrame, live::AnswerFrame, Command)),
    modifiers(&Security),
    security(("token" = []))
)]
pub struct ApiDoc;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = openapi.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", bearer);
    }
}

/// Everything below `/api/v1` but the WebSocket.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/openapi.json").route(web::get().to(openapi)))
        .service(resource("/me").route(web::get().to(me)))
        .service(resource("/me/presence").route(web::put().to(set_presence)))
        .service(resource("/offers/{offer}/accept").route(web::post().to(accept)))
        .service(resource("/offers/{offer}/refuse").route(web::post().to(refuse)))
        .service(resource("/conversations").route(web::get().to(conversations)))
        .service(resource("/conversations/{id}").route(web::get().to(conversation)))
        .service(resource("/conversations/{id}/reply").route(web::post().to(reply)))
        .service(resource("/conversations/{id}/note").route(web::post().to(note)))
        .service(resource("/conversations/{id}/leave").route(web::post().to(leave)))
        .service(resource("/conversations/{id}/rejoin").route(web::post().to(rejoin)))
        .service(resource("/conversations/{id}/end").route(web::post().to(end)))
        .service(
            resource("/conversations/{id}/finish-wrap-up").route(web::post().to(finish_wrap_up)),
        )
        .service(resource("/channels").route(web::get().to(channels)))
        .service(resource("/channels/{id}/verify").route(web::post().to(verify_channel)))
        .service(resource("/agents").route(web::get().to(agents)))
        .service(resource("/queues").route(web::get().to(queues)));
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok().json(ApiDoc::openapi())
}

/// A conversation as it is on disk, under its present settings.
pub(super) fn stored(
    reader: &Reader,
    directory: &Directory,
    id: ConversationId,
) -> Result<Conversation, ApiError> {
    let machine = reader.conversation(id)?;
    let machine = machine.and_then(|machine| directory.with_settings(machine));
    machine.ok_or_else(|| ApiError::NotFound("such conversation".to_owned()))
}

/// The same, for somebody who may see it. Whoever may not doesn't learn either that it is there; of those
/// who may see others' it is noted (SEC-03) before they see it: for threads that may wait.
pub(super) fn seen(
    reader: &Reader,
    directory: &Directory,
    caller: &Caller,
    id: ConversationId,
) -> Result<Conversation, ApiError> {
    caller.must_read()?;
    let machine = stored(reader, directory, id)?;
    if !machine.takes_part(&caller.agent) && !machine.has_wrap_up_of(&caller.agent) {
        if !caller.sees_everything(directory) {
            return Err(ApiError::NotFound("such conversation".to_owned()));
        }
        // A screen that looks again and again is one look.
        if directory.looks.is_new(&caller.agent, id, Instant::now()) {
            let noted = caller.noted_blocking(directory, "conversation.read", &id.to_string());
            noted.inspect_err(|_| directory.looks.forget(&caller.agent, id))?;
        }
    }
    Ok(machine)
}

pub(super) fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
struct Me {
    /// The name they sign in with.
    agent: String,
    /// For people.
    name: String,
    /// What they may do.
    role: Role,
    /// Takes no work; reads, notes and whispers (PRES-08).
    light: bool,
    /// To be sent as `x-csrf-token` with every unsafe request that carries the cookie.
    csrf: Option<String>,
}

/// Who am I?
#[utoipa::path(get, path = "/api/v1/me", responses(
    (status = 200, body = Me), (status = 401, body = ErrorBody)))]
async fn me(web: Data<Web>, caller: Caller) -> Json<Me> {
    let config = web.directory.config();
    let config = config.agent(&caller.agent);
    Json(Me {
        agent: caller.agent.to_string(),
        name: config.map(|agent| agent.name.clone()).unwrap_or_default(),
        light: config.is_some_and(|agent| agent.settings.light),
        role: caller.role,
        csrf: caller.csrf,
    })
}

/// A status, or `null` for the computed one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PresenceChoice {
    /// The base status; the label's own if only a label is given.
    #[serde(default)]
    status: Option<BaseStatus>,
    /// One of the configured labels, by its name there (PRES-01).
    #[serde(default)]
    label: Option<String>,
}

/// Choose my presence. A program that has no screen connected is signed in by this, for the grace
/// (150 s unless it is set otherwise) from the last time: what it has must be told again before that.
#[utoipa::path(put, path = "/api/v1/me/presence", request_body = PresenceChoice, responses(
    (status = 204, description = "chosen"), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 409, body = ErrorBody)))]
async fn set_presence(web: Data<Web>, caller: Caller, body: Json<PresenceChoice>) -> Done {
    let PresenceChoice { status, label } = body.into_inner();
    commands::run(&web.directory, &caller, Command::Presence { status, label }).await?;
    Ok(done())
}

fn offer_id(text: &str) -> Result<cordboard_core::ids::OfferId, ApiError> {
    text.to_owned().try_into().map_err(ApiError::Malformed)
}

/// Accept an offer made to me.
#[utoipa::path(post, path = "/api/v1/offers/{offer}/accept",
    params(("offer" = String, Path, description = "as in the offer's notice: `queue.17`")), responses(
    (status = 204, description = "accepted; the conversation follows as a notice"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn accept(path: Path<String>, web: Data<Web>, caller: Caller) -> Done {
    let offer = offer_id(&path)?;
    commands::run(&web.directory, &caller, Command::Accept { offer }).await?;
    Ok(done())
}

/// Refuse an offer made to me.
#[utoipa::path(post, path = "/api/v1/offers/{offer}/refuse",
    params(("offer" = String, Path, description = "as in the offer's notice: `queue.17`")), responses(
    (status = 204, description = "refused"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn refuse(path: Path<String>, web: Data<Web>, caller: Caller) -> Done {
    let offer = offer_id(&path)?;
    commands::run(&web.directory, &caller, Command::Refuse { offer }).await?;
    Ok(done())
}

/// Which conversations.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Selection {
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
async fn conversations(
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
        if web.directory.looks.is_new(&caller.agent, ConversationId(Uuid::nil()), Instant::now()) {
            let noted =
                caller.noted(&web.directory, "conversation.list", "everybody's", None).await;
            let everybodys = ConversationId(Uuid::nil());
            noted.inspect_err(|_| web.directory.looks.forget(&caller.agent, everybodys))?;
        }
    }
    let whose = (!query.all).then_some(&caller.agent);
    let (whose, limit) = (whose.cloned(), query.limit);
    let open = web.reads.run(&caller.agent, Reach::Part, move |reader| {
        reader.open_conversations(whose.as_ref(), limit)
    });
    let open = open.await?.into_iter().filter_map(|machine| web.directory.with_settings(machine));
    Ok(Json(open.map(|machine| machine.summary()).collect()))
}

/// Which part of a transcript.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Part {
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
async fn conversation(
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
    let before = query.before.map(cordboard_core::ids::MessageNo);
    let fits = Fits { messages: query.limit as usize, bytes: MOST_OF_TRANSCRIPT };
    let who = caller.agent.clone();
    let read = web.reads.run(&who, Reach::Part, move |reader| {
        let machine = seen(reader, &directory, &caller, id)?;
        let messages = reader.transcript(id, before, fits)?;
        Ok::<_, ApiError>(Transcript { conversation: machine.summary(), messages })
    });
    Ok(Json(read.await?))
}

/// A reply.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplyBody {
    /// The text; at most what the channel takes (SMS: 1600 characters).
    #[serde(default)]
    text: String,
    /// Files, by URL.
    #[serde(default)]
    media: Vec<Media>,
    /// Your own name for it: a repeated reply with the same key is sent once.
    #[serde(default)]
    client_key: Option<String>,
}

/// Reply to the customer.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/reply", request_body = ReplyBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "on disk; its delivery follows as notices"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn reply(path: Path<Uuid>, web: Data<Web>, caller: Caller, body: Json<ReplyBody>) -> Done {
    let conversation = ConversationId(*path);
    let ReplyBody { text, media, client_key } = body.into_inner();
    let command = Command::Reply { conversation, text, media, client_key };
    commands::run(&web.directory, &caller, command).await?;
    Ok(done())
}

/// A note.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    /// The text.
    text: String,
}

/// Write an internal note; customers never see it.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/note", request_body = NoteBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "on disk"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn note(path: Path<Uuid>, web: Data<Web>, caller: Caller, body: Json<NoteBody>) -> Done {
    let conversation = ConversationId(*path);
    let text = body.into_inner().text;
    commands::run(&web.directory, &caller, Command::Note { conversation, text }).await?;
    Ok(done())
}

/// Leave a conversation for now; it waits for the customer and takes no capacity.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/leave",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "left"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn leave(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
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
async fn rejoin(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
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
async fn end(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
    let conversation = ConversationId(*path);
    commands::run(&web.directory, &caller, Command::End { conversation }).await?;
    Ok(done())
}

/// How it ended.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct WrapUpBody {
    /// A wrap-up code of the workstream.
    disposition: Option<String>,
    /// What it was about; at most 4000 characters.
    summary: Option<String>,
}

/// Finish wrap-up: the conversation closes; or, if its customer has written meanwhile, goes on. The
/// body may be left out.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/finish-wrap-up", request_body = WrapUpBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "closed"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn finish_wrap_up(
    path: Path<Uuid>,
    web: Data<Web>,
    caller: Caller,
    body: Option<Json<WrapUpBody>>,
) -> Done {
    let conversation = ConversationId(*path);
    let WrapUpBody { disposition, summary } = body.map(Json::into_inner).unwrap_or_default();
    let command = Command::FinishWrapUp { conversation, disposition, summary };
    commands::run(&web.directory, &caller, command).await?;
    Ok(done())
}

/// A channel as operators see it.
#[derive(Serialize, ToSchema)]
struct ChannelView {
    /// Its name.
    id: String,
    /// The plugin and its version; none while it isn't loaded.
    plugin: Option<String>,
    /// What the provider has to call (CH-15).
    callback_url: String,
    /// Ready for messages.
    ok: bool,
    /// Why not.
    problem: Option<String>,
    /// Panics of the plugin so far.
    panics: u64,
    /// Webhooks that were not authentic.
    rejected: u64,
}

/// All channels with their callback URLs.
#[utoipa::path(get, path = "/api/v1/channels", responses(
    (status = 200, body = Vec<ChannelView>), (status = 401, body = ErrorBody)))]
async fn channels(web: Data<Web>, _caller: Caller) -> Json<Vec<ChannelView>> {
    let directory = &web.directory;
    let config = directory.config();
    let views = config.channels.iter().filter_map(|config| {
        let slot = directory.channel(&config.id)?;
        let handle = slot.state.as_ref().ok();
        Some(ChannelView {
            id: config.id.to_string(),
            plugin: handle.map(|h| format!("{} {}", h.manifest().name, h.manifest().version)),
            callback_url: slot.callback_url.clone(),
            ok: handle.is_some(),
            problem: slot.state.as_ref().err().cloned(),
            panics: handle.map_or(0, |h| h.panics()),
            rejected: handle.map_or(0, |h| h.rejected()),
        })
    });
    Json(views.collect())
}

/// Where a test message goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyBody {
    /// The recipient's number, E.164 with `+`.
    to: String,
    /// From which of the channel's numbers; the first if none is named.
    #[serde(default)]
    from: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
struct VerifyView {
    /// The provider took it, so the credentials work.
    ok: bool,
    /// A sentence.
    message: String,
}

/// Send a test message (permission `channel.verify`).
#[utoipa::path(post, path = "/api/v1/channels/{id}/verify", request_body = VerifyBody,
    params(("id" = String, Path, description = "the channel")), responses(
    (status = 200, body = VerifyView), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn verify_channel(
    path: Path<String>,
    web: Data<Web>,
    caller: Caller,
    body: Json<VerifyBody>,
) -> Answer<VerifyView> {
    caller.must(Permission::VerifyChannel)?;
    let slot = web.directory.channel(&path.as_str().into());
    let slot = slot.ok_or_else(|| ApiError::NotFound(format!("channel `{path}`")))?;
    let handle = slot.state.clone().map_err(ApiError::Unavailable)?;
    let VerifyBody { to, from } = body.into_inner();
    let digits = to.strip_prefix('+').unwrap_or_default();
    if digits.len() < 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let why = format!("\"{to}\" isn't a number such as \"+14251234567\"");
        return Err(ApiError::Malformed(why));
    }
    let request = VerifyRequest { to, from, callback_url: slot.callback_url.clone() };
    caller.note(&web.directory, "channel.verify", path.as_str(), Some(&request.to));
    let report: VerifyReport =
        handle.verify(&request).await.map_err(|e| ApiError::Unavailable(e.to_string()))?;
    Ok(Json(VerifyView { ok: report.ok, message: report.message }))
}

/// An agent as supervisors see them.
#[derive(Serialize, ToSchema)]
struct AgentRow {
    /// The name they sign in with.
    id: String,
    /// For people.
    name: String,
    /// Status.
    presence: Presence,
    /// Load.
    #[schema(value_type = Vec<Usage>)]
    capacity: [Usage; 4],
    /// Offers that are out.
    offers: Vec<OfferView>,
}

/// All agents (permission `agent.read`).
#[utoipa::path(get, path = "/api/v1/agents", responses(
    (status = 200, body = Vec<AgentRow>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
async fn agents(web: Data<Web>, caller: Caller) -> Answer<Vec<AgentRow>> {
    caller.must(Permission::ReadAgents)?;
    let mut rows = Vec::new();
    for config in &web.directory.config().agents {
        let Some(actor) = web.directory.agent(&config.id) else { continue };
        let Ok(view) = actor.send(LookAtAgent).await else { continue };
        rows.push(AgentRow {
            id: view.id.to_string(),
            name: config.name.clone(),
            presence: view.presence,
            capacity: view.capacity,
            offers: view.offers,
        });
    }
    Ok(Json(rows))
}

/// A queue as supervisors see it.
#[derive(Serialize, ToSchema)]
struct QueueRow {
    /// Its name in the configuration.
    id: String,
    /// For people.
    name: String,
    /// Items that wait or are offered.
    waiting: usize,
    /// Since when the oldest waits.
    oldest: Option<Timestamp>,
    /// Members that are signed in.
    signed_in: usize,
    /// How long an item that came now would probably wait, in milliseconds; none while nothing
    /// waits, or before anybody has waited.
    estimated_wait_ms: Option<i64>,
}

/// All queues (permission `agent.read`).
#[utoipa::path(get, path = "/api/v1/queues", responses(
    (status = 200, body = Vec<QueueRow>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
async fn queues(web: Data<Web>, caller: Caller) -> Answer<Vec<QueueRow>> {
    caller.must(Permission::ReadAgents)?;
    let mut rows = Vec::new();
    for config in &web.directory.config().queues {
        let Some(actor) = web.directory.queue(&config.id) else { continue };
        let Ok(view) = actor.send(LookAtQueue).await else { continue };
        rows.push(QueueRow {
            id: view.id.to_string(),
            name: config.name.clone(),
            waiting: view.items,
            oldest: view.oldest,
            signed_in: view.signed_in,
            estimated_wait_ms: view.estimate.map(|wait| wait.0),
        });
    }
    Ok(Json(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_is_built_from_the_present_description() {
        let committed = include_str!("../../console/openapi.json");
        let present = ApiDoc::openapi().to_pretty_json().unwrap();
        assert!(committed.trim() == present, "the API has changed: run `make openapi`");
    }
}
