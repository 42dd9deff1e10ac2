//! Who asks: a bearer token, or a session's cookie with its CSRF token.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use cordboard_core::ids::AgentId;
use subtle::ConstantTimeEq;

use crate::actors::Directory;
use crate::clock;
use crate::config::{Permission, Role};
use crate::http::accounts::hash;
use crate::http::error::ApiError;
use crate::http::server::Web;
use crate::journal::Reader;

/// The session's cookie.
pub const COOKIE: &str = "cordboard_session";
/// What unsafe requests with the cookie must carry.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub agent: AgentId,
    /// What they may do.
    pub role: Role,
    /// For the console; none with a bearer token.
    pub csrf: Option<String>,
}

impl Caller {
    /// Refuses those of a lower role.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] names the role that is needed.
    pub fn needs(&self, role: Role) -> Result<(), ApiError> {
        if self.role >= role {
            return Ok(());
        }
        let (agent, needed) = (&self.agent, role.as_str());
        Err(ApiError::Forbidden(format!("{agent} needs the role {needed} for this")))
    }
}

impl Caller {
    /// Supervisors see everybody's conversations, and so do light agents, who take no work and are there
    /// to read, note and whisper (PRES-08).
    pub fn sees_everything(&self, directory: &Directory) -> bool {
        let config = directory.config();
        let is_light = config.agent(&self.agent).is_some_and(|agent| agent.settings.light);
        is_light || self.role >= Role::Supervisor
    }

    /// Refuses those who don't see everybody's conversations.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] says who does.
    pub fn must_see_everything(&self, directory: &Directory) -> Result<(), ApiError> {
        if self.sees_everything(directory) { Ok(()) } else { self.needs(Role::Supervisor) }
    }
}

impl Caller {
    /// Refuses those without a permission.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] names the permission.
    pub fn must(&self, directory: &Directory, permission: Permission) -> Result<(), ApiError> {
        if directory.config().permits(self.role, permission) {
            return Ok(());
        }
        let (agent, needed) = (&self.agent, permission.as_str());
        Err(ApiError::Forbidden(format!("{agent} needs the permission {needed} for this")))
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(identify(request))
    }
}

fn identify(request: &HttpRequest) -> Result<Caller, ApiError> {
    let web = request.app_data::<Data<Web>>().expect("every worker has it");
    let reader = request.app_data::<Rc<Reader>>().expect("every worker has one");
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let (agent, csrf) = match bearer {
        Some(token) => {
            let owner = reader.token(&hash(token.trim()))?.ok_or(ApiError::NotSignedIn)?;
            (owner.agent, None)
        }
        None => {
            let cookie = request.cookie(COOKIE).ok_or(ApiError::NotSignedIn)?;
            let session = reader.session(&hash(cookie.value()), clock::now())?;
            let session = session.ok_or(ApiError::NotSignedIn)?;
            check_csrf(request, &session.csrf)?;
            (session.agent, Some(session.csrf))
        }
    };
    let config = web.directory.config();
    let role = config.agent(&agent).ok_or(ApiError::NotSignedIn)?.role;
    Ok(Caller { agent, role, csrf })
}

/// A page of another site can make a browser send the cookie, but not read or send this header.
fn check_csrf(request: &HttpRequest, expected: &str) -> Result<(), ApiError> {
    if request.method().is_safe() {
        return Ok(());
    }
    let given = request.headers().get(CSRF_HEADER).map(header::HeaderValue::as_bytes);
    let is_right = given.is_some_and(|given| given.ct_eq(expected.as_bytes()).into());
    if is_right { Ok(()) } else { Err(ApiError::NoCsrfToken) }
}
