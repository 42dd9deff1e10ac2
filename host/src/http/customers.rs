//! What is kept of a customer: taken out, and erased (SEC-04).

use std::time::Duration;

use actix_web::web::{self, Data, Json, Query, ServiceConfig};
use cordboard_core::ids::ConversationId;
use serde::Deserialize;

use crate::config::Permission;
use crate::http::api::{Answer, Done};
use crate::http::caller::Caller;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::export::{self, Format, Taker};
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::journal::{Customer, Reader};
use crate::keeping::{self, Erased, NotErased, Whose};

/// Below `/api/v1`.
pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::resource("/customers/data")
            .route(web::get().to(export_customer))
            .route(web::delete().to(erase_customer)),
    );
}

/// Whose.
#[derive(Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedCustomer {
    /// Their address, as `+14255550100`.
    customer: String,
    /// On this channel only; on all of them if it isn't given.
    #[serde(default)]
    channel: Option<String>,
}

/// Whoever erases waits for so long.
const PATIENCE: Duration = Duration::from_secs(60);

impl WantedCustomer {
    fn whose(self) -> Result<Whose, ApiError> {
        const MOST: usize = 1024;
        let Self { customer, channel } = self;
        if customer.is_empty() || customer.len() > MOST {
            let text = format!("customer has {} bytes; 1 to {MOST}", customer.len());
            return Err(ApiError::Malformed(text));
        }
        Ok(Whose { customer, channel })
    }
}

/// What is kept of a customer, one JSON object a line (permission `customer.data`); that is noted in the audit
/// log.
#[utoipa::path(get, path = "/api/v1/customers/data", params(WantedCustomer), responses(
    (status = 200, content_type = "application/x-ndjson", body = String), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn export_customer(web: Data<Web>, caller: Caller, query: Query<WantedCustomer>) -> Done {
    caller.must(Permission::CustomerData)?;
    let whose = query.into_inner().whose()?;
    let kept = kept(&web, &caller, &whose).await?;
    // Also of nobody: whoever asks for one number after the other is seen.
    note(&web, &caller, "customer.export", &kept.ids()).await?;
    if kept.is_nothing() {
        return Err(NotErased::Nothing.into());
    }
    let directory = web.directory.clone();
    let taker = Taker { web: &web, caller, permission: Permission::CustomerData };
    // A conversation a page.
    export::streamed(taker, "customer", Format::Ndjson, move |reader, cursor: Option<usize>| {
        let at = cursor.unwrap_or(0);
        let mut lines = if at == 0 { keeping::head_of(&whose, &kept) } else { Vec::new() };
        if let Some((id, ..)) = kept.conversations.get(at) {
            let with_settings = |machine| directory.with_settings(machine);
            lines.extend(keeping::conversation_of(reader, *id, with_settings)?);
        }
        let next = (at + 1 < kept.conversations.len()).then_some(at + 1);
        Ok((lines, next))
    })
}

/// Erase what is kept of a customer, for good (permission `customer.data`). Conversations must have ended. How
/// much agents have done and who has done what stays, without the person.
#[utoipa::path(delete, path = "/api/v1/customers/data", params(WantedCustomer), responses(
    (status = 200, body = Erased), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn erase_customer(
    web: Data<Web>,
    caller: Caller,
    query: Query<WantedCustomer>,
) -> Answer<Erased> {
    caller.must(Permission::CustomerData)?;
    let whose = query.into_inner().whose()?;
    let kept = kept(&web, &caller, &whose).await?;
    if kept.is_nothing() {
        // Somebody may have erased them a moment ago, and not have heard what is left.
        let data = web.directory.config().host.data.clone();
        let left = web.directory.journal.read(move |reader| keeping::left_by_host(reader, &data));
        let left = left.await?;
        if web.directory.journal.read(Reader::to_scrub).await?.is_some() {
            return Ok(Json(Erased { conversations: 0, left }));
        }
    }
    let ids = keeping::to_erase(&kept)?;
    note(&web, &caller, "customer.erase", &ids).await?;
    let directory = web.directory.clone();
    // To its end, whoever hangs up: half erased isn't erased.
    let erasing = actix_web::rt::spawn(async move {
        let erases = keeping::erase(&directory.journal, &whose, ids.clone());
        let erased = directory.erased.while_some_are(&directory.journal, erases).await;
        // Also of those that were removed before somebody opened one again.
        directory.forget(ids.into_iter());
        let left = keeping::scrub(&directory.journal, &directory.config().host.data).await;
        Ok::<_, NotErased>(Erased { conversations: erased?, left })
    });
    let ended = |_| ApiError::Unavailable("it came to grief; the log says more".to_owned());
    let late = |_| {
        let text = "it takes long, and goes on; ask again what is left of them";
        ApiError::Unavailable(text.to_owned())
    };
    let erased = tokio::time::timeout(PATIENCE, erasing).await.map_err(late)?;
    Ok(Json(erased.map_err(ended)??))
}

async fn kept(web: &Web, caller: &Caller, whose: &Whose) -> Result<Customer, ApiError> {
    let whose = whose.clone();
    web.reads
        .run(&caller.agent, Reach::Part, move |reader| {
            reader.customer(&whose.customer, whose.channel.as_deref())
        })
        .await
}

/// Which conversations, not whose: that is to be forgotten.
async fn note(
    web: &Web,
    caller: &Caller,
    action: &'static str,
    ids: &[ConversationId],
) -> Result<(), ApiError> {
    caller.noted(&web.directory, action, "customer", Some(&keeping::list(ids))).await
}

impl From<NotErased> for ApiError {
    fn from(error: NotErased) -> Self {
        match error {
            NotErased::Nothing => Self::NotFound("customer of whom anything is kept".to_owned()),
            NotErased::Open(_) | NotErased::OpenedAgain | NotErased::BeingSent(_) => {
                Self::StillOpen(error.to_string())
            }
            NotErased::Journal(error) => error.into(),
        }
    }
}
