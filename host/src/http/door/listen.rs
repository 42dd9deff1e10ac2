//! Listeners, workers, and the way of a connection to the service behind the door.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use anyhow::Context;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::{Door, Full, Tls};
use crate::config::HostConfig;

/// From connecting, or from its first byte, to the end of a request's head.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// Between requests.
pub(super) const KEPT_ALIVE: Duration = Duration::from_secs(75);
/// For the rest of a body that nobody wants to read, and for the last bytes of an answer.
const GOODBYE: Duration = Duration::from_secs(1);
/// Seconds for requests under way when the host stops.
const STOPPING: u64 = 10;
/// Connections to the address for operators, if it is one of its own.
const OPERATORS: usize = 64;
/// Connections that are refused just now; a part of the descriptors that are kept back.
const AT_THE_DOOR: usize = 64;
/// Connections that the kernel has accepted and we haven't.
const BACKLOG: u32 = 1024;

/// Addresses that are ours, though nobody answers yet.
pub struct Listeners {
    /// For everybody.
    pub everybody: TcpListener,
    /// For health and metrics, if they have one of their own.
    pub operations: Option<TcpListener>,
}

impl Listeners {
    /// Takes the configured addresses.
    ///
    /// # Errors
    /// One can't be had; it is named.
    pub fn bind(host: &HostConfig) -> anyhow::Result<Self> {
        let bind = |address: &String| {
            bind(address).with_context(|| {
                format!("can't listen on {address}; is another host running there?")
            })
        };
        let operations = host.operations.as_ref().map(bind).transpose()?;
        Ok(Self { everybody: bind(&host.listen)?, operations })
    }
}

/// What answers the requests of one listener; made anew on each worker's thread.
pub struct Service<F> {
    /// Where it listens.
    pub listener: TcpListener,
    /// Makes it.
    pub make: F,
    /// If it speaks TLS.
    pub tls: Option<Arc<Tls>>,
}

/// Binds and starts; the server runs when it is awaited.
///
/// # Errors
/// A listener can't be used.
pub fn serve<F, I, S, B, G, J, T, C>(
    door: Arc<Door>,
    workers: usize,
    everybody: Service<F>,
    operations: Option<Service<G>>,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
    G: Fn() -> J + Send + Clone + 'static,
    J: IntoServiceFactory<T, Request>,
    T: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    T::InitError: std::fmt::Debug,
    T::Response: Into<Response<C>> + 'static,
    C: MessageBody + 'static,
{
    let mut server = Server::build()
        .workers(workers)
        // The door counts, and refuses; but only what a worker has taken. What comes faster waits outside, or it would
        // take the descriptors that the journal needs.
        .max_concurrent_connections(
            door.room.saturating_add(AT_THE_DOOR).min(usize::MAX >> 1) / workers + 1,
        )
        .shutdown_timeout(STOPPING)
        .disable_signals();
    server = listen(server, door.clone(), everybody)?;
    if let Some(operations) = operations {
        // Its own places: whoever fills the others doesn't keep operators out.
        let own = Arc::new(Door::new(door.directory.clone(), OPERATORS));
        server = listen(server, own, operations)?;
    }
    Ok(server.run())
}

fn listen<F, I, S, B>(
    server: ServerBuilder,
    door: Arc<Door>,
    service: Service<F>,
) -> io::Result<ServerBuilder>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
{
    let signal = server.graceful_shutdown_signal();
    let Service { listener, make, tls } = service;
    let name = listener.local_addr()?.to_string();
    server.listen(name, listener, move || {
        let (door, tls, signal) = (door.clone(), tls.clone(), signal.clone());
        let app = make().into_factory().map_err(|error: Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let signal = signal.clone();
                async move { signal.notified().await }
            })
            .keep_alive(KeepAlive::Timeout(KEPT_ALIVE))
            .client_request_timeout(HEAD)
            .client_disconnect_timeout(GOODBYE)
            .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
                data.insert(connection.arrival());
            })
            .finish(map_config(app, |()| AppConfig::default()));
        fn_service(move |io: TcpStream| admit(door.clone(), tls.clone(), io)).and_then(http)
    })
}

fn bind(address: &str) -> io::Result<TcpListener> {
    let address: std::net::SocketAddr = address.parse().map_err(io::Error::other)?;
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // The port of a host that was stopped just now may be taken again.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

async fn admit(
    door: Arc<Door>,
    tls: Option<Arc<Tls>>,
    io: TcpStream,
) -> Result<(Connection, Protocol, Option<std::net::SocketAddr>), DispatchError> {
    let peer = io.peer_addr().ok();
    // Frames to screens are small; waiting for more to send would cost 40 ms each.
    let _ = io.set_nodelay(true);
    match door.admit(peer) {
        Ok(place) => {
            let connection = match tls {
                None => Connection::plain(io, place),
                Some(tls) => {
                    let hurries = || place.is_kept_back || door.is_crowded();
                    let accepted = tls.accept(io, hurries).await.map_err(DispatchError::Io)?;
                    Connection::tls(accepted, place)
                }
            };
            Ok((connection, Protocol::Http1, peer))
        }
        Err(full) => {
            let (why, metric) = match full {
                Full::InAll => ("all connections are taken", "full"),
                Full::OfOneAddress => {
                    ("one address holds as many connections as it may", "full_address")
                }
            };
            door.directory.metrics.cut_off(metric);
            tracing::debug!(?peer, "a connection was refused: {why}");
            Err(DispatchError::Io(io::Error::other(why)))
        }
    }
}
