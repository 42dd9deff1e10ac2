//! Bodies that end: a request's body is there by a deadline, and not drop by drop; and a request that
//! came through a connection that is kept back is only for those it is kept back for.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use super::Arrival;
use crate::http::caller;
use crate::http::error::ApiError;
use crate::http::server::Web;

/// The path of the live socket.
const LIVE: &str = "/api/v1/live";

/// From then on a body has to keep to the least rate.
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
    let arrival = request.conn_data::<Arrival>().copied();
    if arrival.is_some_and(|arrival| arrival.is_kept_back) && !is_kept_back_for(&request) {
        let full = ApiError::Unavailable("all connections are taken; try again".to_owned());
        return Ok(close(request.into_response(full.error_response())));
    }
    // A screen's socket never ends; it has rules of its own.
    if request.path() == LIVE || matches!(request.parts().1, Payload::None) {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let web = request.app_data::<Data<Web>>().expect("every worker has it").clone();
    let is_late = Rc::new(Cell::new(false));
    let within = web.directory.config().host.limits.body;
    let inner = request.take_payload();
    let body = Timely::new(inner, within, is_late.clone());
    request.set_payload(Payload::Stream { payload: Box::pin(body) });
    let response = next.call(request).await?.map_into_boxed_body();
    if !is_late.get() {
        return Ok(response);
    }
    web.directory.metrics.cut_off("slow_body");
    let late = HttpResponse::RequestTimeout()
        .body(format!("the body wasn't there within {} s\n", within.as_secs_f64()));
    Ok(close(response.into_response(late)))
}

/// Health, metrics, and whoever is signed in.
fn is_kept_back_for(request: &ServiceRequest) -> bool {
    let path = request.path();
    path.starts_with("/health/") || path == "/metrics" || caller::is_known(request.request())
}

fn close(mut response: ServiceResponse) -> ServiceResponse {
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
    taken: u64,
    is_late: Rc<Cell<bool>>,
}

impl Timely {
    fn new(inner: Payload, within: Duration, is_late: Rc<Cell<bool>>) -> Self {
        Self { inner, began: Instant::now(), within, look: None, taken: 0, is_late }
    }

    fn is_too_slow(&self) -> bool {
        let elapsed = self.began.elapsed();
        let due = elapsed.as_secs().saturating_mul(LEAST_RATE);
        elapsed >= self.within || (elapsed >= RATE_COUNTS_AFTER && self.taken < due)
    }
}

impl Stream for Timely {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.inner).poll_next(context);
        if let Poll::Ready(next) = next {
            let bytes = next.as_ref().and_then(|part| part.as_ref().ok()).map_or(0, Bytes::len);
            self.taken += bytes as u64;
            return Poll::Ready(next);
        }
        let first = self.began + RATE_COUNTS_AFTER.min(self.within);
        let end = self.began + self.within;
        let mut look =
            self.look.take().unwrap_or_else(|| Box::pin(tokio::time::sleep_until(first)));
        while look.as_mut().poll(context).is_ready() {
            if self.is_too_slow() {
                self.is_late.set(true);
                let late = io::Error::from(io::ErrorKind::TimedOut);
                return Poll::Ready(Some(Err(PayloadError::Io(late))));
            }
            look.as_mut().reset(end.min(Instant::now() + LOOK_EVERY));
        }
        self.look = Some(look);
        Poll::Pending
    }
}
