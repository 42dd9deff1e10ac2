//! Taking work by hand, and handing it to colleagues (ROUTE-10, ROUTE-14, CONV-03).

use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use cordboard_core::conversation::Target;
use cordboard_core::ids::ConversationId;
use uuid::Uuid;

use crate::http::about::{About, ConsultBody};
use crate::http::api::{Done, done};
use crate::http::caller::Caller;
use crate::http::commands::{self, Command};
use crate::http::error::ErrorBody;
use crate::http::server::Web;

/// What this file serves.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/conversations/{id}/take").route(web::post().to(take)))
        .service(resource("/conversations/{id}/transfer").route(web::post().to(transfer)))
        .service(resource("/conversations/{id}/consult").route(web::post().to(consult)))
        .service(resource("/conversations/{id}/end-consult").route(web::post().to(end_consult)))
        .service(resource("/conversations/{id}/take-over").route(web::post().to(take_over)));
}

/// Take a waiting conversation by hand. Within capacity members of its queue may; beyond it the
/// permission `self_assign` is needed.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/take",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "a place is set aside; the conversation follows as a notice"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn take(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
    let conversation = ConversationId(*path);
    commands::run(&web.directory, &caller, Command::Take { conversation }).await?;
    Ok(done())
}

/// Hand a conversation over. A colleague has to accept; until then it stays mine. A queue has it at
/// once.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/transfer", request_body = Target,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "asked, or queued"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn transfer(
    path: Path<Uuid>,
    web: Data<Web>,
    caller: Caller,
    body: Json<Target>,
) -> Done {
    let (conversation, to) = (ConversationId(*path), body.into_inner());
    commands::run(&web.directory, &caller, Command::Transfer { conversation, to }).await?;
    Ok(done())
}

/// Ask a colleague for advice: they see the conversation and write notes, unseen by the customer.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/consult", request_body = ConsultBody,
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "asked"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn consult(
    path: Path<Uuid>,
    web: Data<Web>,
    caller: Caller,
    body: Json<ConsultBody>,
) -> Done {
    let whom = About { conversation: ConversationId(*path), said: body.into_inner() };
    commands::run(&web.directory, &caller, Command::Consult(whom)).await?;
    Ok(done())
}

/// Take back what was asked of colleagues, and thank those who advise.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/end-consult",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "done"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn end_consult(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
    let conversation = ConversationId(*path);
    commands::run(&web.directory, &caller, Command::EndConsult { conversation }).await?;
    Ok(done())
}

/// Take a conversation over from whoever has it (permission `take_over`).
#[utoipa::path(post, path = "/api/v1/conversations/{id}/take-over",
    params(("id" = Uuid, Path, description = "the conversation")), responses(
    (status = 204, description = "it is mine"),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn take_over(path: Path<Uuid>, web: Data<Web>, caller: Caller) -> Done {
    let conversation = ConversationId(*path);
    commands::run(&web.directory, &caller, Command::TakeOver { conversation }).await?;
    Ok(done())
}
