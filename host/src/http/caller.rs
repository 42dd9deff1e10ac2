//! Who asks: a bearer token, or a session's cookie with its CSRF token.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use cordboard_core::ids::AgentId;
use cordboard_core::time::Timestamp;
use futures_util::future::LocalBoxFuture;
use subtle::ConstantTimeEq;

use crate::actors::Directory;
use crate::clock;
use crate::config::{Config, Permission, Role};
use crate::http::accounts::{self, hash};
use crate::http::audit::{self, Noted};
use crate::http::credentials::OnDisk;
use crate::http::door;
use crate::http::error::ApiError;
use crate::http::origin;
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
    /// What they are.
    pub role: Role,
    /// For the console; none with a bearer token.
    pub csrf: Option<String>,
    /// By what.
    pub credential: Credential,
    /// From where.
    pub address: Option<IpAddr>,
    /// When the credential was last noted as used.
    used_at: Option<Timestamp>,
    /// What the role may do and the token is for.
    permissions: BTreeSet<Permission>,
    /// Whether they may do an agent's own work, or only look.
    works: bool,
    /// Whether a token's scopes say what they may.
    is_scoped: bool,
}

/// What somebody has signed in with, by its hash.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Credential {
    /// An API token.
    Token(Vec<u8>),
    /// A session's cookie.
    Session(Vec<u8>),
}

/// What a token is for, if not for everything: this, and names of permissions.
pub const WORK: &str = "work";

impl Caller {
    /// With the permissions of today's configuration.
    fn of(
        credential: Credential,
        address: Option<IpAddr>,
        on_disk: OnDisk,
        config: &Config,
    ) -> Result<Self, ApiError> {
        let OnDisk { agent, csrf, scopes, used_at, .. } = on_disk;
        let role = config.agent(&agent).ok_or(ApiError::NotSignedIn)?.role.clone();
        let mut permissions = config.permissions.get(&role).cloned().unwrap_or_default();
        let mut works = true;
        let is_scoped = scopes.is_some();
        if let Some(scopes) = scopes {
            let scopes: Vec<&str> = scopes.split(' ').collect();
            permissions.retain(|permission| scopes.contains(&permission.as_str()));
            works = scopes.contains(&WORK);
        }
        Ok(Self { agent, role, csrf, credential, address, used_at, permissions, works, is_scoped })
    }

    /// Who this is now: the session may have ended since, the token been revoked, the role changed.
    ///
    /// # Errors
    /// [`ApiError::NotSignedIn`] if they aren't any more.
    pub async fn renewed(&self, directory: &Arc<Directory>) -> Result<Self, ApiError> {
        looked_up(self.credential.clone(), self.address, directory).await
    }

    /// The same on a thread that reads already.
    ///
    /// # Errors
    /// As above.
    pub fn renewed_by(&self, directory: &Directory, reader: &Reader) -> Result<Self, ApiError> {
        of_credential(self.credential.clone(), self.address, directory, reader)
    }

    /// Whether they may less than they might before, or are something else.
    pub fn has_lost(&self, before: &Self) -> bool {
        let keeps_all = self.permissions.is_superset(&before.permissions);
        self.role != before.role || !keeps_all || (before.works && !self.works)
    }

    /// Somebody did something with it just now: an idle session ends (SEC-06).
    pub fn note_use(&self, directory: &Directory) {
        let since = Timestamp(clock::now().0 - accounts::USE_IS_NOTED_EVERY.0);
        if self.used_at.is_none_or(|at| at < since) {
            directory.credentials.used(&self.credential, clock::now());
            accounts::note_use(&directory.journal, &self.credential);
        }
    }

    /// Whether they may.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }

    /// What they may do beside their own work.
    pub fn permissions(&self) -> impl Iterator<Item = Permission> {
        self.permissions.iter().copied()
    }

    /// Refuses those without a permission.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] names the permission.
    pub fn must(&self, permission: Permission) -> Result<(), ApiError> {
        if self.may(permission) {
            return Ok(());
        }
        let (agent, needed) = (&self.agent, permission.as_str());
        Err(ApiError::Forbidden(format!("{agent} needs the permission {needed} for this")))
    }

    /// Refuses tokens that are for looking only.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] names the scope.
    pub fn must_work(&self) -> Result<(), ApiError> {
        if self.works {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!("this token hasn't the scope {WORK}")))
    }

    /// Refuses those who didn't sign in themselves: a token makes no other tokens.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] says how it is done.
    pub fn must_be_in_person(&self) -> Result<(), ApiError> {
        match self.credential {
            Credential::Session(_) => Ok(()),
            Credential::Token(_) => Err(ApiError::Forbidden(
                "sign in with the console for this, or use `cordboard agent`".to_owned(),
            )),
        }
    }

    /// Some see everybody's conversations by permission, and light agents do, who take no work and are
    /// there to read, note and whisper (PRES-08).
    pub fn sees_everything(&self, directory: &Directory) -> bool {
        let config = directory.config();
        let is_light = config.agent(&self.agent).is_some_and(|agent| agent.settings.light);
        (is_light && !self.is_scoped) || self.may(Permission::ReadConversations)
    }

    /// Refuses tokens that are for other things than conversations.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] names the scopes.
    pub fn must_read(&self) -> Result<(), ApiError> {
        if self.works || self.may(Permission::ReadConversations) {
            return Ok(());
        }
        let read = Permission::ReadConversations.as_str();
        Err(ApiError::Forbidden(format!("this token has neither the scope {WORK} nor {read}")))
    }

    /// Refuses those who don't see everybody's conversations.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] says who does.
    pub fn must_see_everything(&self, directory: &Directory) -> Result<(), ApiError> {
        match self.sees_everything(directory) {
            true => Ok(()),
            false => self.must(Permission::ReadConversations),
        }
    }

    /// Writes into the audit log what they do (SEC-03), where what they do is in the journal, too.
    pub fn note(
        &self,
        directory: &Directory,
        action: &'static str,
        subject: &str,
        details: Option<&str>,
    ) {
        audit::note(&directory.journal, self.entry(action, subject, details));
    }

    /// The same before it is done: without its entry it isn't.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`]: it couldn't be written.
    pub async fn noted(
        &self,
        directory: &Directory,
        action: &'static str,
        subject: &str,
        details: Option<&str>,
    ) -> Result<(), ApiError> {
        let entry = self.entry(action, subject, details);
        Ok(audit::noted(&directory.journal, entry).await?)
    }

    /// The same on a thread that may wait.
    ///
    /// # Errors
    /// As above.
    pub fn noted_blocking(
        &self,
        directory: &Directory,
        action: &'static str,
        subject: &str,
    ) -> Result<(), ApiError> {
        let entry = self.entry(action, subject, None);
        Ok(audit::noted_blocking(&directory.journal, entry)?)
    }

    fn entry(&self, action: &'static str, subject: &str, details: Option<&str>) -> Noted<'_> {
        Noted {
            actor: self.agent.as_str(),
            action,
            subject: subject.to_owned(),
            address: self.address,
            details: details.filter(|details| !details.is_empty()).map(str::to_owned),
        }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await })
    }
}

async fn identify(request: &HttpRequest) -> Result<Caller, ApiError> {
    let caller = who(request).await.map_err(|error| slow_down(request, error))?;
    let web = request.app_data::<Data<Web>>().expect("every worker has it");
    let is_safe = request.method().is_safe();
    if let Some(csrf) = caller.csrf.as_ref().filter(|_| !is_safe) {
        origin::check(request, &caller, &web.directory.config().host.public_url)?;
        check_csrf(request, csrf)?;
    }
    // A page that is merely open asks for things now and then; that is no use of a session.
    if caller.csrf.is_none() || !is_safe {
        caller.note_use(&web.directory);
    }
    Ok(caller)
}

/// Wrong tokens count like wrong passwords. Right ones are let through all the same: one program with
/// an old token must not lock out everybody behind its address.
fn slow_down(request: &HttpRequest, error: ApiError) -> ApiError {
    let had_one =
        request.headers().contains_key(header::AUTHORIZATION) || request.cookie(COOKIE).is_some();
    if !matches!(error, ApiError::NotSignedIn) || !had_one {
        return error;
    }
    let web = request.app_data::<Data<Web>>().expect("every worker has it");
    let address = door::address_of(request, &web.directory.config().host);
    let now = Instant::now();
    if let Some(wait) = web.throttle.wait_of_tokens(address, now) {
        return ApiError::TooOften(wait);
    }
    web.throttle.token_failed(address, now);
    error
}

async fn who(request: &HttpRequest) -> Result<Caller, ApiError> {
    let web = request.app_data::<Data<Web>>().expect("every worker has it");
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token));
    let credential = match bearer {
        Some(token) => Credential::Token(hash(token.trim())),
        None => {
            let cookie = request.cookie(COOKIE).ok_or(ApiError::NotSignedIn)?;
            Credential::Session(hash(cookie.value()))
        }
    };
    let address = door::address_of(request, &web.directory.config().host);
    looked_up(credential, address, &web.directory).await
}

async fn looked_up(
    credential: Credential,
    address: Option<IpAddr>,
    directory: &Arc<Directory>,
) -> Result<Caller, ApiError> {
    let (edition, config) = (directory.journal.access_edition(), directory.config());
    let idle = config.host.sign_ins.idle;
    if let Some(known) = directory.credentials.known(&credential, edition, clock::now(), idle) {
        return Caller::of(credential, address, known, &config);
    }
    let own = directory.clone();
    directory.journal.look(move |reader| of_credential(credential, address, &own, reader)).await
}

fn of_credential(
    credential: Credential,
    address: Option<IpAddr>,
    directory: &Directory,
    reader: &Reader,
) -> Result<Caller, ApiError> {
    let config = directory.config();
    // Before it is read: what changes meanwhile is of a later one.
    let edition = directory.journal.access_edition();
    let idle = config.host.sign_ins.idle;
    let on_disk = OnDisk::read(&credential, clock::now(), idle, reader)?;
    directory.credentials.keep(&credential, edition, &on_disk);
    Caller::of(credential, address, on_disk, &config)
}

/// Whether somebody who is signed in asks.
pub async fn is_known(request: &HttpRequest) -> bool {
    who(request).await.is_ok()
}

/// A page of another site can make a browser send the cookie, but not read or send this header.
fn check_csrf(request: &HttpRequest, expected: &str) -> Result<(), ApiError> {
    let given = request.headers().get(CSRF_HEADER).map(header::HeaderValue::as_bytes);
    let is_right = given.is_some_and(|given| given.ct_eq(expected.as_bytes()).into());
    if is_right { Ok(()) } else { Err(ApiError::NoCsrfToken) }
}
