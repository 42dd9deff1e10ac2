//! Browsers send cookies along from any page, so the page that opens a socket or changes something must be ours.

use actix_web::HttpRequest;
use url::Url;

use crate::http::caller::Caller;
use crate::http::error::ApiError;

/// A page of the public address, or of the address that the browser asked, opens sockets and changes something.
pub fn check(request: &HttpRequest, caller: &Caller, public_url: &str) -> Result<(), ApiError> {
    // Without a cookie there is nothing that a page could borrow.
    match caller.csrf.is_some() {
        true => must_be_ours(request, public_url, "does nothing here"),
        false => Ok(()),
    }
}

/// A form of another site's page would sign somebody in as somebody else.
pub fn check_form(request: &HttpRequest, public_url: &str) -> Result<(), ApiError> {
    must_be_ours(request, public_url, "signs nobody in here")
}

fn must_be_ours(request: &HttpRequest, public_url: &str, what: &str) -> Result<(), ApiError> {
    let Some(origin) = request.headers().get("origin") else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    match is_ours(origin, public_url, host) {
        true => Ok(()),
        false => Err(ApiError::Forbidden(format!("a page of {origin} {what}"))),
    }
}

fn is_ours(origin: &str, public_url: &str, host: Option<&str>) -> bool {
    let Some(origin) = page(origin) else { return false };
    // Where the host is behind TLS, a page without it isn't ours: anybody on the way could have made it.
    let same_host = host.and_then(|host| page(&format!("{}://{host}", origin.scheme())));
    let public = page(public_url);
    let is_public = public.as_ref().is_some_and(|public| public.origin() == origin.origin());
    let needs_tls = public.is_some_and(|public| public.scheme() == "https");
    let is_asked = same_host.is_some_and(|asked| asked.origin() == origin.origin());
    is_public || (is_asked && (!needs_tls || origin.scheme() == "https"))
}

fn page(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-01
    #[test]
    fn only_our_own_pages_do_anything() {
        let ours = |origin: &str| is_ours(origin, "http://127.0.0.1:8080", Some("localhost:8080"));
        assert!(ours("http://127.0.0.1:8080") && ours("http://localhost:8080"));
        for other in [
            "ftp://localhost:8080",
            "null",
            "",
            "http://localhost:8081",
            "http://localhost",
            "http://evil.example",
            "http://localhost:8080.evil.example",
            "file://localhost:8080",
        ] {
            assert!(!ours(other), "{other}");
        }
        let behind_tls =
            |origin: &str| is_ours(origin, "https://desk.example", Some("desk.example"));
        assert!(behind_tls("https://desk.example") && behind_tls("https://desk.example:443"));
        assert!(!behind_tls("http://desk.example"));
    }
}
