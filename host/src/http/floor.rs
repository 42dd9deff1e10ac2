//! Agents and queues as supervisors see them.

use actix_web::web::{self, Data, Json, ServiceConfig};
use cordboard_core::notice::{OfferView, Usage};
use cordboard_core::presence::Presence;
use cordboard_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::actors::{LookAtAgent, LookAtQueue};
use crate::config::Permission;
use crate::http::api::Answer;
use crate::http::caller::Caller;
use crate::http::error::ErrorBody;
use crate::http::server::Web;

/// Below `/api/v1`.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/agents").route(web::get().to(agents)))
        .service(resource("/queues").route(web::get().to(queues)));
}

/// An agent as supervisors see them.
#[derive(Serialize, ToSchema)]
pub struct AgentRow {
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
pub async fn agents(web: Data<Web>, caller: Caller) -> Answer<Vec<AgentRow>> {
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
pub struct QueueRow {
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
pub async fn queues(web: Data<Web>, caller: Caller) -> Answer<Vec<QueueRow>> {
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
