//! Bodies that end: a request's body is there by a deadline, and not drop by drop; and a request that
//! came through a connection that is kept back is only for those it is kept back for.

use std::cell::Cell;
use std::collections::hash_map::Entry;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, Sleep};

use super::{Arrival, Door, Stage};
use crate::http::error::ApiError;
use crate::http::server::{MOST_BYTES, Web};
use crate::http::{caller, webhook};

/// The path of the live socket.
const LIVE: &str = "/api/v1/live";

/// A body has to keep to the least rate over so long.
const RATE_COUNTS_AFTER: Duration = Duration::from_secs(5);
/// Bytes a second.
const LEAST_RATE: u64 = 1024;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A middleware: what it lets through ends in time.
///
/// # Errors
/// Those of the service behind it.
pub async fn in_time(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let arrival = request.conn_data::<Arrival>().cloned();
    let is_socket = request.path() == LIVE;
    if let Some(arrival) = &arrival {
        arrival.set(Stage::Served);
    }
    let is_kept_back = arrival.as_ref().is_some_and(|arrival| arrival.is_kept_back);
    if is_kept_back && !is_kept_back_for(&request).await {
        let full = ApiError::Unavailable("all connections are taken; try again".to_owned());
        return Ok(close(request.into_response(full.error_response()), arrival));
    }
    // A screen's socket never ends; it has rules of its own.
    if is_socket {
        let response = next.call(request).await?;
        if let Some(arrival) = arrival
            && response.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            arrival.set(Stage::Socket);
        }
        return Ok(response.map_into_boxed_body());
    }
    if matches!(request.parts().1, Payload::None) {
        let response = next.call(request).await?.map_into_boxed_body();
        // It makes room for the next one that needs it.
        return Ok(if is_kept_back { close(response, arrival) } else { response });
    }
    let web = request.app_data::<Data<Web>>().expect("every worker has it").clone();
    // Nothing is collected for whom there is nothing.
    if let Some(channel) = webhook::channel_of(request.path())
        && web.directory.plugins.channel(&channel.into()).is_none()
    {
        let unknown = HttpResponse::NotFound().body(format!("there is no channel `{channel}`\n"));
        return Ok(close(request.into_response(unknown), arrival));
    }
    let end = Rc::new(Cell::new(End::Fine));
    let config = web.directory.config();
    let within = config.host.limits.body;
    let inner = request.take_payload();
    // Until the answer: what was collected lives as long.
    let address = super::address_of(request.request(), &config.host);
    let held = Rc::new(Held { door: web.door.clone(), address, bytes: Cell::new(0) });
    let body = Timely::new(inner, within, end.clone(), held.clone());
    if request.path().starts_with("/api/") {
        // All of it first: who asks and what they may is looked up once it is there.
        let (body, failed) = collected(body).await;
        request.extensions_mut().insert(Shape::of(&body));
        request.set_payload(match failed {
            None => Payload::from(body),
            Some(error) => {
                Payload::Stream { payload: Box::pin(stream::once(std::future::ready(Err(error)))) }
            }
        });
    } else {
        request.set_payload(Payload::Stream { payload: Box::pin(body) });
    }
    let response = next.call(request).await?.map_into_boxed_body();
    drop(held);
    let (metric, answer) = match end.get() {
        End::Fine if is_kept_back => return Ok(close(response, arrival)),
        End::Fine => return Ok(response),
        End::Late => {
            let (seconds, rate) = (within.as_secs_f64(), LEAST_RATE);
            let why = format!(
                "the body wasn't there within {seconds} s, or came slower than {rate} bytes a second\n"
            );
            ("slow_body", HttpResponse::RequestTimeout().body(why))
        }
        End::NoRoom => {
            let full =
                ApiError::Unavailable("too much is being sent at once; try again".to_owned());
            ("bodies", full.error_response())
        }
    };
    web.directory.metrics.cut_off(metric);
    Ok(close(response.into_response(answer), arrival))
}

/// What comes, up to one byte more than may be, and why it broke off.
async fn collected(mut body: Timely) -> (Bytes, Option<PayloadError>) {
    let mut all = BytesMut::new();
    while all.len() <= MOST_BYTES {
        match body.next().await {
            None => break,
            Some(Ok(part)) => all.extend_from_slice(&part),
            Some(Err(error)) => return (Bytes::new(), Some(error)),
        }
    }
    (all.freeze(), None)
}

/// What a body of the API is at first sight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Nothing, or an object with nothing in it.
    Nothing,
    /// An object.
    Object,
    /// Something else: no field of it would have a name.
    Other,
}

impl Shape {
    fn of(body: &[u8]) -> Self {
        let mut visible = body.iter().filter(|byte| !byte.is_ascii_whitespace());
        match (visible.next(), visible.next()) {
            (None, _) | (Some(b'{'), Some(b'}')) => Self::Nothing,
            (Some(b'{'), _) => Self::Object,
            _ => Self::Other,
        }
    }
}

/// The most bytes of bodies at once: some sixty of the largest, and thousands of usual ones.
const MOST_AT_ONCE: usize = 64 * 1024 * 1024;
/// One address may have one of so many parts of what others leave: a quarter of all, if it is alone, and however
/// many take all they can, there is room for one more.
const PARTS: usize = 4;
/// Kept back for bodies of usual size.
const KEPT_BACK: usize = 16 * 1024 * 1024;
const USUAL: usize = 64 * 1024;

/// How a body ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Fine,
    Late,
    NoRoom,
}

/// Bytes that a request's body takes of what all may.
struct Held {
    door: Arc<Door>,
    address: Option<IpAddr>,
    bytes: Cell<usize>,
}

impl Held {
    /// Whether there is room for so many more.
    fn add(&self, count: usize) -> bool {
        self.bytes.set(self.bytes.get() + count);
        let all = self.door.bodies.fetch_add(count, Ordering::Relaxed) + count;
        let most = if self.bytes.get() <= USUAL { MOST_AT_ONCE } else { MOST_AT_ONCE - KEPT_BACK };
        let of_one = self.address.map_or(0, |address| {
            let mut of = self.door.bodies_of.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = of.entry(address).or_default();
            *bytes += count;
            *bytes
        });
        let left_by_others = most.saturating_sub(all) + of_one;
        all <= most && of_one <= left_by_others / PARTS
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.door.bodies.fetch_sub(self.bytes.get(), Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut of = self.door.bodies_of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut bytes) = of.entry(address) {
            *bytes.get_mut() -= self.bytes.get();
            if *bytes.get() == 0 {
                bytes.remove();
            }
        }
    }
}

/// Health, metrics, and whoever is signed in.
async fn is_kept_back_for(request: &ServiceRequest) -> bool {
    let path = request.path();
    path.starts_with("/health/") || path == "/metrics" || caller::is_known(request.request()).await
}

fn close(mut response: ServiceResponse, arrival: Option<Arrival>) -> ServiceResponse {
    if let Some(arrival) = arrival {
        arrival.is_over.store(true, Ordering::Release);
    }
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.response_mut().head_mut().set_connection_type(actix_http::ConnectionType::Close);
    response
}

/// A body that fails where it takes too long. One that is there at once never sets a timer.
struct Timely {
    inner: Payload,
    began: Instant,
    within: Duration,
    look: Option<Pin<Box<Sleep>>>,
    /// Since the last look, and when that was.
    taken: u64,
    looked: Instant,
    end: Rc<Cell<End>>,
    held: Rc<Held>,
}

impl Timely {
    fn new(inner: Payload, within: Duration, end: Rc<Cell<End>>, held: Rc<Held>) -> Self {
        let began = Instant::now();
        Self { inner, began, within, look: None, taken: 0, looked: began, end, held }
    }

    /// What came at once at the beginning doesn't pay for what comes no more.
    fn is_too_slow(&mut self) -> bool {
        let elapsed = self.looked.elapsed();
        let due = elapsed.as_secs().saturating_mul(LEAST_RATE);
        let is_slow = elapsed >= RATE_COUNTS_AFTER && self.taken < due;
        if elapsed >= RATE_COUNTS_AFTER {
            (self.looked, self.taken) = (Instant::now(), 0);
        }
        self.began.elapsed() >= self.within || is_slow
    }
}

impl Stream for Timely {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.inner).poll_next(context);
        if let Poll::Ready(next) = next {
            let bytes = next.as_ref().and_then(|part| part.as_ref().ok()).map_or(0, Bytes::len);
            self.taken += bytes as u64;
            if !self.held.add(bytes) {
                self.end.set(End::NoRoom);
                let full = io::Error::from(io::ErrorKind::OutOfMemory);
                return Poll::Ready(Some(Err(PayloadError::Io(full))));
            }
            return Poll::Ready(next);
        }
        let first = (self.began + RATE_COUNTS_AFTER.min(self.within)).max(Instant::now());
        let end = self.began + self.within;
        let mut look =
            self.look.take().unwrap_or_else(|| Box::pin(tokio::time::sleep_until(first)));
        while look.as_mut().poll(context).is_ready() {
            if let Some(stood) = super::stood_still(look.deadline()) {
                // It was this thread that stood still: what came meanwhile hasn't been looked at.
                self.began += stood;
                self.looked += stood;
                look.as_mut().reset(Instant::now() + LOOK_EVERY);
                continue;
            }
            if self.is_too_slow() {
                self.end.set(End::Late);
                let late = io::Error::from(io::ErrorKind::TimedOut);
                return Poll::Ready(Some(Err(PayloadError::Io(late))));
            }
            look.as_mut().reset(end.min(Instant::now() + LOOK_EVERY));
        }
        self.look = Some(look);
        Poll::Pending
    }
}
