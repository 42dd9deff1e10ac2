//! Signing in and out, and what is signed in: sessions and tokens, one's own and others' (SEC-06, SEC-07).

use std::time::Instant;

use actix_web::http::header;
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use cordboard_core::ids::AgentId;
use cordboard_core::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::config::Permission;
use crate::http::accounts::{self, NewToken, NoToken};
use crate::http::api::{Answer, Done, done};
use crate::http::audit::{self, Noted};
use crate::http::caller::{COOKIE, Caller, Credential};
use crate::http::commands;
use crate::http::console::session_cookie;
use crate::http::content;
use crate::http::device;
use crate::http::door;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::origin;
use crate::http::passwords::Asker;
use crate::http::server::Web;
use crate::http::throttle::{Name, Origin, network};
use crate::journal::{Reader, SignInView, TokenView, With};

/// Below `/api/v1`.
pub fn routes(config: &mut ServiceConfig) {
    let resource = |path: &str| web::resource(path.to_owned());
    config
        .service(resource("/sign-in").route(web::post().to(sign_in)))
        .service(resource("/sign-out").route(web::post().to(sign_out)))
        .service(resource("/me/sign-ins").route(web::get().to(my_sign_ins)))
        .service(
            resource("/me/tokens").route(web::get().to(my_tokens)).route(web::post().to(new_token)),
        )
        .service(resource("/sign-ins").route(web::get().to(sign_ins)))
        .service(resource("/tokens").route(web::get().to(tokens)))
        .service(resource("/agents/{agent}/sign-ins").route(web::delete().to(end_all)))
        .service(resource("/agents/{agent}/sign-ins/{id}").route(web::delete().to(end_one)))
        .service(resource("/agents/{agent}/tokens/{id}").route(web::delete().to(revoke)));
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    agent: String,
    password: String,
}

/// Sign in; the answer sets the session's cookie. Whoever is wrong too often waits (429, `Retry-After`).
#[utoipa::path(post, path = "/api/v1/sign-in", request_body = Credentials, security(()), responses(
    (status = 204, description = "signed in"), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn sign_in(request: HttpRequest, web: Data<Web>, body: Json<Credentials>) -> Done {
    origin::check_form(&request, &web.directory.config().host.public_url)?;
    let Credentials { agent, password } = body.into_inner();
    let address = door::address_of(&request, &web.directory.config().host);
    let known = web.directory.config().agent(&AgentId::from(agent.as_str())).is_some();
    let account = Name::new(&agent, known);
    let stored = async || {
        let name = agent.clone();
        let stored = web.directory.journal.look(move |reader| reader.account(&name)).await?;
        Ok::<_, ApiError>(stored.filter(|_| known).map(|account| account.password))
    };
    // What a browser says of itself can be looked at only with the account; of others that is read if they may try.
    let looked_up = match device::is_said(&request, &agent) {
        true => Some(stored().await?),
        false => None,
    };
    let hashed = looked_up.as_ref().and_then(Option::as_deref);
    let browser = hashed.and_then(|hashed| device::of(&request, &agent, hashed));
    let from = Origin { address, browser };
    if let Some(wait) = web.throttle.wait(&account, from, Instant::now()) {
        return Err(ApiError::TooOften(wait));
    }
    // Counted before it is known, or a hundred at once would all be the first.
    let attempt = web.throttle.attempt(&account, from, Instant::now());
    let hashed = match looked_up {
        Some(hashed) => hashed,
        None => stored().await?,
    };
    // Whoever is known has a line of their own: strangers don't fill it.
    let asker = match from.browser.is_some() || web.throttle.is_at_home(&account, address) {
        true => Asker::Known(agent.clone()),
        false => Asker::Network(address.map(network)),
    };
    let checked = web.passwords.is_right(asker, hashed.clone(), password).await;
    let is_right = checked
        .map_err(|_| ApiError::Busy("too many people sign in at once; try again".to_owned()))?;
    if !is_right {
        attempt.was_wrong();
        let noted = Noted {
            actor: "nobody",
            action: "sign_in.failed",
            subject: agent_shown(&agent),
            address,
            details: None,
        };
        audit::note(&web.directory.journal, noted);
        return Err(ApiError::WrongPassword);
    }
    attempt.was_right();
    let hashed = hashed.unwrap_or_default();
    // One is enough for a browser: each may be guessed in.
    let known_by = from.browser.is_none().then(|| device::cookie(&web, &agent, &hashed));
    let agent = AgentId::from(agent.as_str());
    let cookie = begin_session(&request, &web, &agent, With::Password(hashed)).await?;
    let cookie = cookie.ok_or(ApiError::WrongPassword)?;
    let mut answer = HttpResponse::NoContent();
    answer.cookie(cookie);
    if let Some(known_by) = known_by {
        answer.cookie(known_by);
    }
    Ok(answer.finish())
}

/// What somebody typed into the field for names; not more of it than a name has.
fn agent_shown(agent: &str) -> String {
    content::visible(agent).chars().filter(|c| !c.is_control()).take(64).collect()
}

/// Opens a session and notes it; the cookie, or none if what they sign in with doesn't hold any more.
///
/// # Errors
/// [`ApiError::Unavailable`] if the journal can't commit.
pub async fn begin_session(
    request: &HttpRequest,
    web: &Web,
    agent: &AgentId,
    with: With,
) -> Result<Option<actix_web::cookie::Cookie<'static>>, ApiError> {
    let config = web.directory.config();
    let address = door::address_of(request, &config.host);
    let device = request.headers().get(header::USER_AGENT).and_then(|device| device.to_str().ok());
    let lasts = config.host.sign_ins.last;
    let by = match with {
        With::Password(_) => "password",
        With::Link(_) => "link",
    };
    let session =
        accounts::new_session(&web.directory.journal, agent, with, lasts, address, device);
    let Some((token, _)) = session.await? else { return Ok(None) };
    // No browser has the one before it any more. Its pages see that they are somebody else's now.
    if let Some(before) = request.cookie(COOKIE) {
        accounts::end_session(&web.directory.journal, before.value()).await?;
        web.directory.authority.send_replace(());
    }
    let noted = Noted {
        actor: agent.as_str(),
        action: "sign_in",
        subject: agent.to_string(),
        address,
        details: Some(by.to_owned()),
    };
    audit::note(&web.directory.journal, noted);
    Ok(Some(session_cookie(web, token)))
}

/// Sign out: the session ends, its open sockets end, and presence goes offline.
#[utoipa::path(post, path = "/api/v1/sign-out", responses(
    (status = 204, description = "signed out"), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn sign_out(request: HttpRequest, web: Data<Web>, caller: Caller) -> Done {
    caller.must_work()?;
    // Somebody else's may come along with a token.
    if let (Some(cookie), Credential::Session(_)) = (request.cookie(COOKIE), &caller.credential) {
        let ending = accounts::end_session(&web.directory.journal, cookie.value());
        ending.await?;
        web.directory.authority.send_replace(());
    }
    caller.note(&web.directory, "sign_out", caller.agent.as_str(), None);
    // Answered once it is on disk: whoever has signed out isn't there after a restart either.
    commands::tell(&web.directory, &caller, cordboard_core::agent::Input::SignOut).await?;
    let mut gone = session_cookie(&web, String::new());
    gone.make_removal();
    Ok(HttpResponse::NoContent().cookie(gone).finish())
}

fn mine(caller: &Caller) -> Option<&[u8]> {
    match &caller.credential {
        Credential::Session(hash) => Some(hash),
        Credential::Token(_) => None,
    }
}

async fn list(
    web: &Web,
    caller: &Caller,
    agent: Option<AgentId>,
) -> Result<Vec<SignInView>, ApiError> {
    let now = clock::now();
    let idle_since = Timestamp(now.0 - web.directory.config().host.sign_ins.idle.0);
    let mine = mine(caller).map(<[u8]>::to_vec);
    let read =
        move |reader: &Reader| reader.sign_ins(agent.as_ref(), now, idle_since, mine.as_deref());
    Ok(web.directory.journal.read(read).await?)
}

/// Where I am signed in.
#[utoipa::path(get, path = "/api/v1/me/sign-ins", responses(
    (status = 200, body = Vec<SignInView>), (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn my_sign_ins(web: Data<Web>, caller: Caller) -> Answer<Vec<SignInView>> {
    caller.must_work()?;
    Ok(Json(list(&web, &caller, Some(caller.agent.clone())).await?))
}

/// Who is signed in where (permission `access.manage`).
#[utoipa::path(get, path = "/api/v1/sign-ins", responses(
    (status = 200, body = Vec<SignInView>), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn sign_ins(web: Data<Web>, caller: Caller) -> Answer<Vec<SignInView>> {
    caller.must(Permission::ManageAccess)?;
    caller.noted(&web.directory, "access.read", "sessions", None).await?;
    Ok(Json(list(&web, &caller, None).await?))
}

/// Own ones anybody may end; others' with the permission.
fn may_end(caller: &Caller, agent: &AgentId) -> Result<(), ApiError> {
    if *agent == caller.agent { caller.must_work() } else { caller.must(Permission::ManageAccess) }
}

/// End all sessions of an agent; their sockets end with them. (Others': permission `access.manage`.)
#[utoipa::path(delete, path = "/api/v1/agents/{agent}/sign-ins",
    params(("agent" = String, Path, description = "whose")), responses(
    (status = 204, description = "ended"), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn end_all(web: Data<Web>, caller: Caller, path: Path<String>) -> Done {
    let agent = AgentId::from(path.as_str());
    may_end(&caller, &agent)?;
    end(&web, &caller, &agent, None).await.map(|_| done())
}

/// End a session; its sockets end with it. (Somebody else's: permission `access.manage`.)
#[utoipa::path(delete, path = "/api/v1/agents/{agent}/sign-ins/{id}",
    params(("agent" = String, Path, description = "whose"), ("id" = String, Path, description = "which")), responses(
    (status = 204, description = "ended"), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn end_one(web: Data<Web>, caller: Caller, path: Path<(String, String)>) -> Done {
    let (agent, id) = path.into_inner();
    let agent = AgentId::from(agent.as_str());
    may_end(&caller, &agent)?;
    match end(&web, &caller, &agent, Some(&id)).await? {
        0 => Err(ApiError::NotFound("such session".to_owned())),
        _ => Ok(done()),
    }
}

async fn end(
    web: &Web,
    caller: &Caller,
    agent: &AgentId,
    id: Option<&str>,
) -> Result<usize, ApiError> {
    if let Some(id) = id {
        // Nothing is written down of what isn't there.
        let theirs = list(web, caller, Some(agent.clone())).await?;
        if !theirs.iter().any(|session| session.id == id) {
            return Ok(0);
        }
    }
    caller.noted(&web.directory, "session.end", agent.as_str(), id).await?;
    let count = accounts::end_sessions(&web.directory.journal, agent, id).await?;
    web.directory.authority.send_replace(());
    Ok(count)
}

/// My tokens; never the tokens themselves.
#[utoipa::path(get, path = "/api/v1/me/tokens", responses(
    (status = 200, body = Vec<TokenView>), (status = 401, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn my_tokens(web: Data<Web>, caller: Caller) -> Answer<Vec<TokenView>> {
    caller.must_work()?;
    let read = move |reader: &Reader| reader.tokens(Some(&caller.agent), clock::now());
    Ok(Json(web.directory.journal.read(read).await?))
}

/// Everybody's tokens (permission `access.manage`).
#[utoipa::path(get, path = "/api/v1/tokens", responses(
    (status = 200, body = Vec<TokenView>), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn tokens(web: Data<Web>, caller: Caller) -> Answer<Vec<TokenView>> {
    caller.must(Permission::ManageAccess)?;
    caller.noted(&web.directory, "access.read", "tokens", None).await?;
    let read = |reader: &Reader| reader.tokens(None, clock::now());
    Ok(Json(web.directory.journal.read(read).await?))
}

/// A token that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedToken {
    /// What it is for; 1 to 100 characters.
    name: String,
    /// What of my rights it has: `work` and names of permissions; all of them if nothing is said.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// How long it works, in milliseconds; for good if nothing is said.
    #[serde(default)]
    lasts_ms: Option<i64>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    /// Shown this once.
    token: String,
}

/// Make a token of mine. Only somebody who has signed in may: a token makes no tokens.
#[utoipa::path(post, path = "/api/v1/me/tokens", request_body = WantedToken, responses(
    (status = 200, body = MadeToken), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 409, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn new_token(
    web: Data<Web>,
    caller: Caller,
    body: Json<WantedToken>,
) -> Answer<MadeToken> {
    caller.must_be_in_person()?;
    let WantedToken { name, scopes, lasts_ms } = body.into_inner();
    let wanted = NewToken { name: name.clone(), scopes, lasts: lasts_ms.map(Span) };
    // Before it is there: nobody has a token that nobody was seen to make.
    wanted.check().map_err(ApiError::Malformed)?;
    caller.noted(&web.directory, "token.make", caller.agent.as_str(), Some(&name)).await?;
    // Whoever was signed out or left meanwhile makes none.
    let by = match &caller.credential {
        Credential::Session(hash) => Some(hash.clone()),
        Credential::Token(_) => None,
    };
    let made = accounts::new_token(&web.directory.journal, &caller.agent, by, wanted).await;
    let token = made.map_err(|why| match why {
        NoToken::Wrong(_) => ApiError::Malformed(why.to_string()),
        NoToken::TooMany => ApiError::TooMany(why.to_string()),
        NoToken::SignedOut => ApiError::NotSignedIn,
        NoToken::Unavailable(_) => ApiError::Unavailable(why.to_string()),
    })?;
    Ok(Json(MadeToken { token }))
}

/// Revoke a token; sockets that it opened end. (Somebody else's: permission `access.manage`.)
#[utoipa::path(delete, path = "/api/v1/agents/{agent}/tokens/{id}",
    params(("agent" = String, Path, description = "whose"), ("id" = String, Path, description = "which")), responses(
    (status = 204, description = "revoked"), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn revoke(web: Data<Web>, caller: Caller, path: Path<(String, String)>) -> Done {
    let (agent, id) = path.into_inner();
    let agent = AgentId::from(agent.as_str());
    may_end(&caller, &agent)?;
    let own = agent.clone();
    let theirs = move |reader: &Reader| reader.tokens(Some(&own), clock::now());
    if !web.directory.journal.read(theirs).await?.iter().any(|token| token.id == id) {
        return Err(ApiError::NotFound("such token".to_owned()));
    }
    caller.noted(&web.directory, "token.revoke", agent.as_str(), Some(&id)).await?;
    let count = accounts::revoke_tokens(&web.directory.journal, &agent, Some(&id)).await?;
    web.directory.authority.send_replace(());
    match count {
        0 => Err(ApiError::NotFound("such token".to_owned())),
        _ => Ok(done()),
    }
}
