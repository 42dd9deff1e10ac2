//! The console's files, embedded in the binary, and the one-time sign-in link.

use std::time::Instant;

use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::{Method, header};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use cordboard_core::ids::AgentId;
use cordboard_core::time::Span;
use rust_embed::RustEmbed;

use crate::clock;
use crate::http::caller::COOKIE;
use crate::http::device;
use crate::http::error::ApiError;
use crate::http::origin;
use crate::http::server::Web;
use crate::http::{access, accounts, door};
use crate::journal::{Account, Reader, With};
use serde_bytes::ByteBuf;

#[derive(RustEmbed)]
#[folder = "console/dist"]
#[allow_missing = true]
struct Files;

/// Stands in the page where its nonce belongs.
const NONCE: &str = "__NONCE__";

/// Scripts and styles are our own: files, and what the page's script makes with its nonce.
fn policy(nonce: &str) -> String {
    let of_page = match nonce {
        "" => String::new(),
        nonce => format!(" 'nonce-{nonce}'"),
    };
    format!(
        "default-src 'self'; script-src 'self'; style-src 'self'{of_page}; img-src 'self' data: https:; \
         connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
}

/// A file, or the page for every path of the console's own.
pub async fn file(request: HttpRequest) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "GET, HEAD"))
            .finish();
    }
    let path = request.path().trim_start_matches('/');
    if path.starts_with("assets/") {
        return asset(&request, path);
    }
    if !path.is_empty() && path != "index.html" {
        return HttpResponse::NotFound().body("there is no such page; the console is at /\n");
    }
    let Some(page) = Files::get("index.html") else {
        return HttpResponse::NotFound().body(
            "the console wasn't built into this binary; run `make` with Node.js installed\n",
        );
    };
    let nonce = accounts::random();
    let page = String::from_utf8_lossy(&page.data).replace(NONCE, &nonce);
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        // It names the built files, so it is asked for anew.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy(&nonce)))
        .body(page)
}

/// A built file; its name carries a hash of it. What it is compressed to lies beside it.
fn asset(request: &HttpRequest, path: &str) -> HttpResponse {
    let Some(plain) = Files::get(path) else {
        return HttpResponse::NotFound().body("there is no such file\n");
    };
    let accepted = request.headers().get_all(header::ACCEPT_ENCODING);
    let accepted: Vec<&str> = accepted.filter_map(|value| value.to_str().ok()).collect();
    let takes = |encoding: &str| {
        let names = accepted.iter().flat_map(|list| list.split(','));
        names
            .map(|name| name.split(';').next().unwrap_or_default().trim())
            .any(|name| name == encoding)
    };
    let compressed = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, end)| {
        let file = takes(encoding).then(|| Files::get(&format!("{path}.{end}"))).flatten()?;
        Some((encoding, file))
    });
    let mut response = HttpResponse::Ok();
    response
        .content_type(plain.metadata.mimetype())
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy("")));
    match compressed {
        Some((encoding, file)) => response
            .insert_header((header::CONTENT_ENCODING, encoding))
            .body(file.data.into_owned()),
        None => response.body(plain.data.into_owned()),
    }
}

/// The page that a one-time link leads to. It signs nobody in: programs that look at links before
/// people do (mail filters, previews) would use it up (SEC-07).
///
/// # Errors
/// [`ApiError::Unavailable`] if the journal can't be read.
pub async fn show_link(
    request: HttpRequest,
    path: Path<String>,
    web: Data<Web>,
) -> Result<HttpResponse, ApiError> {
    let agent = whose_link(&web, &path).await?;
    let config = web.directory.config();
    let Some(agent) = agent.as_ref().and_then(|agent| config.agent(agent)) else {
        return Err(too_late(&request, &web));
    };
    let page = include_str!("sign_in.html").replace("{name}", &escaped(&agent.name));
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ))
        .body(page))
}

/// Whose link it is, if it can still be used.
async fn whose_link(web: &Web, link: &str) -> Result<Option<AgentId>, ApiError> {
    let hash = accounts::hash(link);
    let read = move |reader: &Reader| reader.sign_in_link(&hash, clock::now());
    Ok(web.directory.journal.read(read).await?)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A link that doesn't work counts as a failure of the address.
fn too_late(request: &HttpRequest, web: &Web) -> ApiError {
    let address = door::address_of(request, &web.directory.config().host);
    let now = Instant::now();
    if let Some(wait) = web.throttle.wait_of_tokens(address, now) {
        return ApiError::TooOften(wait);
    }
    web.throttle.token_failed(address, now);
    ApiError::LinkUsed
}

/// Signs in with a one-time link and goes to the console.
///
/// # Errors
/// [`ApiError::LinkUsed`]; [`ApiError::Unavailable`] if the journal can't commit.
pub async fn use_link(
    request: HttpRequest,
    path: Path<String>,
    web: Data<Web>,
) -> Result<HttpResponse, ApiError> {
    origin::check_form(&request, &web.directory.config().host.public_url)?;
    // Guessing writes nothing.
    let agent = whose_link(&web, &path).await?;
    let is_known = |agent: &AgentId| web.directory.config().agent(agent).is_some();
    let Some(agent) = agent.filter(is_known) else { return Err(too_late(&request, &web)) };
    // The link is used up as the session begins, or neither.
    let with = With::Link(ByteBuf::from(accounts::hash(&path)));
    let cookie = access::begin_session(&request, &web, &agent, with).await?;
    let Some(cookie) = cookie else { return Err(too_late(&request, &web)) };
    let mut answer = HttpResponse::SeeOther();
    answer.insert_header((header::LOCATION, "/")).cookie(cookie);
    // Who has a password may want to use it here the next time.
    let name = agent.clone();
    let account = web.directory.journal.read(move |reader| reader.account(name.as_str())).await?;
    let is_known =
        |account: &Account| device::of(&request, agent.as_str(), &account.password).is_some();
    if let Some(account) = account.filter(|account| !is_known(account)) {
        answer.cookie(device::cookie(&web, agent.as_str(), &account.password));
    }
    Ok(answer.finish())
}

/// How the page of a link looks.
pub async fn link_style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(include_str!("sign_in.css"))
}

/// The session's cookie.
pub fn session_cookie(web: &Web, token: String) -> Cookie<'static> {
    cookie(web, COOKIE.to_owned(), token, web.directory.config().host.sign_ins.last)
}

/// A cookie of ours: out of scripts' reach, and not sent from other sites' pages.
pub fn cookie(web: &Web, name: String, value: String, lasts: Span) -> Cookie<'static> {
    Cookie::build(name, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(web.directory.config().host.is_https())
        .max_age(time::Duration::milliseconds(lasts.0))
        .finish()
}
