//! Channels as operators see them, and test messages.

use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use cordboard_sdk::{VerifyReport, VerifyRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Permission;
use crate::http::api::Answer;
use crate::http::caller::Caller;
use crate::http::content;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::server::Web;

/// Below `/api/v1`.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/channels").route(web::get().to(channels)))
        .service(resource("/channels/{id}/verify").route(web::post().to(verify_channel)));
}

/// A channel as operators see it.
#[derive(Serialize, ToSchema)]
pub struct ChannelView {
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
    /// Why another plugin, or the same with other settings, isn't in its place that should be (PLUG-03).
    refused: Option<String>,
    /// It is new in its place: the one of before is kept, and put back if this one fails.
    on_trial: bool,
    /// Panics of the plugin so far.
    panics: u64,
    /// Webhooks that were not authentic.
    rejected: u64,
}

/// All channels with their callback URLs.
#[utoipa::path(get, path = "/api/v1/channels", responses(
    (status = 200, body = Vec<ChannelView>), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub async fn channels(web: Data<Web>, caller: Caller) -> Answer<Vec<ChannelView>> {
    caller.must_read()?;
    let directory = &web.directory;
    let config = directory.config();
    let views = config.channels.iter().filter_map(|config| {
        let slot = directory.plugins.channel(&config.id)?;
        let handle = slot.state.as_ref().ok();
        Some(ChannelView {
            id: config.id.to_string(),
            plugin: handle.map(|h| format!("{} {}", h.manifest().name, h.manifest().version)),
            callback_url: slot.callback_url.clone(),
            ok: handle.is_some(),
            problem: slot.state.as_ref().err().cloned(),
            refused: slot.refused().map(str::to_owned),
            on_trial: slot.is_on_trial(),
            panics: slot.counters.panics(),
            rejected: slot.counters.rejected(),
        })
    });
    Ok(Json(views.collect()))
}

/// Where a test message goes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBody {
    /// The recipient's number, E.164 with `+`.
    to: String,
    /// From which of the channel's numbers; the first if none is named.
    #[serde(default)]
    from: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub struct VerifyView {
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
pub async fn verify_channel(
    path: Path<String>,
    web: Data<Web>,
    caller: Caller,
    body: Json<VerifyBody>,
) -> Answer<VerifyView> {
    caller.must(Permission::VerifyChannel)?;
    let slot = web.directory.plugins.channel(&path.as_str().into());
    let slot = slot.ok_or_else(|| ApiError::NotFound(format!("channel `{path}`")))?;
    let handle = slot.state.clone().map_err(ApiError::Unavailable)?;
    let VerifyBody { to, from } = body.into_inner();
    let digits = to.strip_prefix('+').unwrap_or_default();
    if !(8..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        let shown: String = to.chars().take(60).collect();
        let why = format!("{shown:?} isn't a number such as \"+14251234567\"");
        return Err(ApiError::Malformed(why));
    }
    content::check_text(
        "`from`",
        from.as_deref().unwrap_or_default(),
        Some(content::MOST_ADDRESS),
    )?;
    let request = VerifyRequest { to, from, callback_url: slot.callback_url.clone() };
    caller.noted(&web.directory, "channel.verify", path.as_str(), Some(&request.to)).await?;
    let report: VerifyReport =
        handle.verify(&request).await.map_err(|e| ApiError::Unavailable(e.to_string()))?;
    Ok(Json(VerifyView { ok: report.ok, message: report.message }))
}
