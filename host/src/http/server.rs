//! Routes, limits, workers.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::error::{InternalError, JsonPayloadError};
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer, ResponseError};

use crate::actors::Directory;
use crate::http::error::ApiError;
use crate::http::{api, collaboration, console, live, operations, routing, search, webhook};
use crate::journal::Reader;
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
}

/// The most bytes of one API request.
const MOST_BYTES: usize = 64 * 1024;

/// Binds and starts; the server runs when it is awaited. `on_worker` runs on every worker's thread
/// before its first request.
///
/// # Errors
/// The address can't be had.
pub fn serve(
    state: Web,
    listen: &str,
    workers: usize,
    on_worker: impl Fn() + Send + Clone + 'static,
) -> std::io::Result<Server> {
    let state = Data::new(state);
    let server = HttpServer::new(move || {
        on_worker();
        let reader = Reader::open(&state.data).expect("the writer has opened the same file");
        App::new()
            .app_data(state.clone())
            .app_data(Rc::new(reader))
            .app_data(web::PayloadConfig::new(webhook::MOST_BYTES))
            .app_data(web::JsonConfig::default().limit(MOST_BYTES).error_handler(malformed_json))
            .app_data(web::PathConfig::default().error_handler(|error, _| {
                as_error(ApiError::Malformed(format!("the path can't be read: {error}")))
            }))
            .app_data(web::QueryConfig::default().error_handler(|error, _| {
                as_error(ApiError::Malformed(format!("the query can't be read: {error}")))
            }))
            .service(web::resource("/hooks/{channel}").route(web::route().to(webhook::receive)))
            .service(
                web::scope("/api/v1")
                    .configure(search::routes)
                    .configure(api::routes)
                    .configure(collaboration::routes)
                    .configure(routing::routes)
                    .service(web::resource("/live").route(web::get().to(live::open))),
            )
            .service(web::resource("/sign-in/{token}").route(web::get().to(console::use_link)))
            .service(web::resource("/health/live").route(web::get().to(operations::alive)))
            .service(web::resource("/health/ready").route(web::get().to(operations::ready)))
            .service(web::resource("/metrics").route(web::get().to(operations::metrics)))
            .default_service(web::get().to(console::file))
    });
    let server = server
        .workers(workers)
        // Frames to screens are small; waiting for more to send would cost 40 ms each.
        .tcp_nodelay(true)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(10)
        .disable_signals()
        .bind(listen)?
        .run();
    Ok(server)
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
