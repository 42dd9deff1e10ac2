//! Routes and what every handler can reach.

use std::path::PathBuf;
use std::sync::Arc;

use actix_server::Server;
use actix_web::error::{InternalError, JsonPayloadError};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, ResponseError};

use crate::actors::Directory;
use crate::http::door::{self, Door, Listeners, Service, Tls};
use crate::http::error::ApiError;
use crate::http::passwords::Passwords;
use crate::http::reads::Reads;
use crate::http::refusals::Refusals;
use crate::http::throttle::Throttle;
use crate::http::{
    access, api, audit, channels, collaboration, console, conversations, customers, floor, headers,
    live, me, operations, query, routing, search, webhook,
};
use crate::outbox::Backlog;
use crate::reload::Reloader;

/// What every handler can reach.
pub struct Web {
    /// Everybody.
    pub directory: Arc<Directory>,
    /// Where readers open the journal.
    pub data: PathBuf,
    /// Replies under way.
    pub backlog: Backlog,
    /// Reads the configuration again.
    pub reloader: Arc<Reloader>,
    /// Who is inside.
    pub door: Arc<Door>,
    /// Who has failed to sign in.
    pub throttle: Throttle,
    /// Checks them.
    pub passwords: Passwords,
    /// Looks things up.
    pub reads: Arc<Reads>,
    /// Says which webhooks were refused.
    pub refusals: Refusals,
}

/// The most bytes of one API request.
pub const MOST_BYTES: usize = 64 * 1024;

/// Binds and starts; the server runs when it is awaited. `on_worker` runs on every worker's thread
/// before its first request.
///
/// # Errors
/// Certificate or key can't be used.
pub fn serve(
    state: Web,
    listeners: Listeners,
    workers: usize,
    on_worker: impl Fn() + Send + Clone + 'static,
) -> anyhow::Result<Server> {
    let (door, config) = (state.door.clone(), state.directory.config());
    let state = Data::new(state);
    let has_own_address = config.host.operations.is_some();
    let (own, operators) = (state.clone(), state.clone());
    let make = move || {
        on_worker();
        App::new()
            .wrap(from_fn(door::in_time))
            .wrap(from_fn(headers::secure))
            .app_data(own.clone())
            .app_data(web::PayloadConfig::new(webhook::MOST_BYTES))
            .app_data(web::JsonConfig::default().limit(MOST_BYTES).error_handler(malformed_json))
            .app_data(web::PathConfig::default().error_handler(|error, _| {
                as_error(ApiError::Malformed(format!("the path can't be read: {error}")))
            }))
            .app_data(web::QueryConfig::default().error_handler(|error, _| {
                as_error(ApiError::Malformed(format!("the query can't be read: {error}")))
            }))
            // Told by its prefix alone: a pattern would cost more than its answer.
            .service(web::scope("/hooks").default_service(web::route().to(webhook::receive)))
            .service(
                web::scope("/api/v1")
                    .wrap(from_fn(query::known_only))
                    .configure(access::routes)
                    .configure(audit::routes)
                    .configure(customers::routes)
                    .configure(search::routes)
                    .configure(api::routes)
                    .configure(me::routes)
                    .configure(conversations::routes)
                    .configure(channels::routes)
                    .configure(floor::routes)
                    .configure(collaboration::routes)
                    .configure(routing::routes)
                    .service(web::resource("/live").route(web::get().to(live::open)))
                    .default_service(web::route().to(no_such_path)),
            )
            .service(web::resource("/sign-in/style.css").route(web::get().to(console::link_style)))
            .service(
                web::resource("/sign-in/{token}")
                    .route(web::get().to(console::show_link))
                    .route(web::post().to(console::use_link)),
            )
            .configure(|app| {
                if !has_own_address {
                    operations::routes(app);
                }
            })
            .default_service(web::route().to(console::file))
    };
    let for_operators = move || {
        App::new()
            .wrap(from_fn(door::in_time))
            .wrap(from_fn(headers::secure))
            .app_data(operators.clone())
            .configure(operations::routes)
    };
    let tls = config.host.tls.clone().map(Tls::start).transpose().map_err(anyhow::Error::msg)?;
    let everybody = Service { listener: listeners.everybody, make, tls };
    let operations =
        listeners.operations.map(|listener| Service { listener, make: for_operators, tls: None });
    Ok(door::serve(door, workers, everybody, operations)?)
}

async fn no_such_path(request: actix_web::HttpRequest) -> Result<(), ApiError> {
    Err(ApiError::NotFound(format!("path {} in this API", request.path())))
}

fn malformed_json(error: JsonPayloadError, _: &actix_web::HttpRequest) -> actix_web::Error {
    let message = match &error {
        JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
            format!("the body is longer than {MOST_BYTES} bytes")
        }
        other => format!("the body isn't the JSON expected: {other}"),
    };
    as_error(ApiError::Malformed(message))
}

fn as_error(error: ApiError) -> actix_web::Error {
    let response = error.error_response();
    InternalError::from_response(error, response).into()
}
