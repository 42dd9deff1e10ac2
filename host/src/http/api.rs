//! The description of the REST API under `/api/v1`, and what its parts share.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Json, ServiceConfig};
use cordboard_core::Conversation;
use cordboard_core::ids::ConversationId;
use cordboard_core::notice::Notice;
use utoipa::OpenApi;

use crate::actors::{BoardFrame, Directory};
use crate::http::caller::Caller;
use crate::http::commands::Command;
use crate::http::error::ApiError;
use crate::http::live::FirstFrame;
use crate::http::{
    access, audit, channels, collaboration, conversations, customers, floor, live, me, routing,
    search,
};
use crate::journal::Reader;

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
        me::me, me::set_presence, me::accept, me::refuse, conversations::conversations,
        conversations::conversation, conversations::reply, conversations::note,
        conversations::leave, conversations::rejoin, conversations::end,
        conversations::finish_wrap_up, channels::channels, channels::verify_channel,
        floor::agents, floor::queues,
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

/// The description itself.
pub fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("/openapi.json").route(web::get().to(openapi)));
}

async fn openapi() -> HttpResponse {
    static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| {
        Bytes::from(ApiDoc::openapi().to_json().expect("a description becomes JSON"))
    });
    HttpResponse::Ok().content_type("application/json").body(DESCRIPTION.clone())
}

/// A conversation as it is on disk, under its present settings.
pub(super) fn stored(
    reader: &Reader,
    directory: &Directory,
    id: ConversationId,
) -> Result<Conversation, ApiError> {
    let machine = reader.conversation(id)?;
    let machine = machine.map(|machine| directory.with_settings(machine));
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
        if let Some(look) = directory.looks.begin(&caller.agent, id) {
            caller.noted_blocking(directory, "conversation.read", &id.to_string())?;
            look.noted();
        }
    }
    Ok(machine)
}

pub(super) fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
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
