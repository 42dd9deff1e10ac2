//! Headers that every answer has (SEC-06).

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::http::server::Web;
use crate::http::webhook;

/// A year, as browsers want it before they remember it for good.
const HTTPS_ONLY: &str = "max-age=31536000";

/// A middleware: what an answer says itself stays.
///
/// # Errors
/// Those of the service behind it.
pub async fn secure(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_https =
        request.app_data::<Data<Web>>().is_some_and(|web| web.directory.config().host.is_https());
    let is_webhook = webhook::channel_of(request.path()).is_some();
    let mut response = next.call(request).await?;
    // Providers' programs read those, thousands a second, and no browser.
    let is_for_a_program = is_webhook && response.status().is_success();
    let headers = response.headers_mut();
    let mut add = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if is_for_a_program {
        return Ok(response);
    }
    // Not `same-origin`: a browser then names no origin with a form either, and ours couldn't be told
    // from another site's.
    add(header::REFERRER_POLICY, "same-origin");
    add(header::X_FRAME_OPTIONS, "DENY");
    // Nobody but the console's own files is worth keeping, and those say so themselves.
    add(header::CACHE_CONTROL, "no-store");
    add(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    if is_https {
        add(header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
    }
    Ok(response)
}
