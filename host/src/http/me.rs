//! Who I am, my presence, and the offers that are made to me.

use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use cordboard_core::presence::BaseStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Role;
use crate::http::api::{Done, done};
use crate::http::caller::Caller;
use crate::http::commands::{self, Command};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::server::Web;

/// Below `/api/v1`.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/me").route(web::get().to(me)))
        .service(resource("/me/presence").route(web::put().to(set_presence)))
        .service(resource("/offers/{offer}/accept").route(web::post().to(accept)))
        .service(resource("/offers/{offer}/refuse").route(web::post().to(refuse)));
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub struct Me {
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
pub async fn me(web: Data<Web>, caller: Caller) -> Json<Me> {
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
pub struct PresenceChoice {
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
pub async fn set_presence(web: Data<Web>, caller: Caller, body: Json<PresenceChoice>) -> Done {
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
pub async fn accept(path: Path<String>, web: Data<Web>, caller: Caller) -> Done {
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
pub async fn refuse(path: Path<String>, web: Data<Web>, caller: Caller) -> Done {
    let offer = offer_id(&path)?;
    commands::run(&web.directory, &caller, Command::Refuse { offer }).await?;
    Ok(done())
}
