//! The console's files, embedded in the binary, and the one-time sign-in link.

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::header;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::RustEmbed;

use crate::http::accounts::{self, SESSION};
use crate::http::caller::COOKIE;
use crate::http::error::ApiError;
use crate::http::server::Web;

#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Files;

/// Scripts and styles are our own; Mantine sets styles from script, so styles may stand inline.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A file, or the page for every path of the console's own.
pub async fn file(request: HttpRequest) -> HttpResponse {
    let path = request.path().trim_start_matches('/');
    let (name, file) = match Files::get(path) {
        Some(file) if !path.is_empty() => (path, Some(file)),
        _ => ("index.html", Files::get("index.html")),
    };
    let Some(file) = file else {
        return HttpResponse::NotFound().body(
            "the console wasn't built into this binary; run `make` with Node.js installed\n",
        );
    };
    // Built files carry a hash in their name; the page itself is asked for anew.
    let caching = match name.starts_with("assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    HttpResponse::Ok()
        .content_type(file.metadata.mimetype())
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(file.data.into_owned())
}

/// Signs in with a one-time link and goes to the console.
///
/// # Errors
/// [`ApiError::Unavailable`] if the journal can't commit.
pub async fn use_link(path: Path<String>, web: Data<Web>) -> Result<HttpResponse, ApiError> {
    let journal = &web.directory.journal;
    let agent = accounts::use_link(journal, &path).await.map_err(ApiError::Unavailable)?;
    let Some(agent) = agent else {
        return Ok(HttpResponse::Gone().content_type("text/plain; charset=utf-8").body(
            "This sign-in link has been used or is older than 15 minutes.\nAsk for a new one: cordboard agent link <config> <agent>\n",
        ));
    };
    let (token, _) = accounts::new_session(journal, &agent).await.map_err(ApiError::Unavailable)?;
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .cookie(session_cookie(&web, token))
        .finish())
}

/// The session's cookie: out of scripts' reach, and not sent from other sites' pages.
pub fn session_cookie(web: &Web, token: String) -> Cookie<'static> {
    Cookie::build(COOKIE, token)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(web.directory.config().host.public_url.starts_with("https://"))
        .max_age(time::Duration::milliseconds(SESSION.0))
        .finish()
}
