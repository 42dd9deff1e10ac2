//! The audit log (SEC-03): who signed in, saw others' conversations, took data out, commanded as a
//! supervisor or administrator, or changed the configuration. Only appended to; the journal refuses
//! anything else.

use std::net::IpAddr;

use actix_web::web::{self, Data, Query, ServiceConfig};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::config::Permission;
use crate::http::api::{Answer, Done};
use crate::http::caller::Caller;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::export::{self, Format, Taker};
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::journal::{AuditEntry, AuditFilter, Journal, JournalError, Record, Records};

/// Characters of what else matters.
pub const MOST_DETAILS: usize = 2000;
/// Characters of what it was done to.
const MOST_SUBJECT: usize = 200;

/// What is written down.
pub struct Noted<'a> {
    /// Who did it.
    pub actor: &'a str,
    /// What, as `sign_in`, `conversation.read`.
    pub action: &'static str,
    /// To what or whom.
    pub subject: String,
    /// From where.
    pub address: Option<IpAddr>,
    /// What else matters.
    pub details: Option<String>,
}

fn entry(noted: Noted<'_>) -> Record {
    Record::Audit {
        at: clock::now(),
        actor: noted.actor.to_owned(),
        action: noted.action.into(),
        subject: noted.subject.chars().take(MOST_SUBJECT).collect(),
        address: noted.address.map(|address| address.to_string()),
        details: noted.details.map(|text| text.chars().take(MOST_DETAILS).collect()),
    }
}

/// Writes it down; nothing waits for it, but it is in the same journal as what it tells of.
pub fn note(journal: &Journal, noted: Noted<'_>) {
    journal.write(entry(noted), |written| {
        if let Err(error) = written {
            tracing::error!(%error, "an entry of the audit log couldn't be written");
        }
    });
}

/// The same, waited for: what leaves no trace in the journal itself isn't done without its entry.
///
/// # Errors
/// [`JournalError`]: it wasn't written, and what it tells of mustn't be done.
pub async fn noted(journal: &impl Records, noted: Noted<'_>) -> Result<(), JournalError> {
    journal.write_now(entry(noted)).await.map(drop)
}

/// The same on a thread that may wait.
///
/// # Errors
/// As above.
pub fn noted_blocking(journal: &Journal, noted: Noted<'_>) -> Result<(), JournalError> {
    let (done, written) = std::sync::mpsc::channel();
    // It is waited for below.
    journal.write(entry(noted), move |outcome| drop(done.send(outcome)));
    written.recv().unwrap_or_else(|_| Err(JournalError::ended())).map(drop)
}

/// Which entries.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedEntries {
    /// By whom.
    #[serde(default)]
    actor: Option<String>,
    /// What, as `sign_in`.
    #[serde(default)]
    action: Option<String>,
    /// To what or whom.
    #[serde(default)]
    subject: Option<String>,
    /// From this time on.
    #[serde(default)]
    from: Option<i64>,
    /// Before this time.
    #[serde(default)]
    until: Option<i64>,
}

impl WantedEntries {
    fn filter(self) -> AuditFilter {
        let Self { actor, action, subject, from, until } = self;
        AuditFilter { actor, action, subject, from, until, ..AuditFilter::default() }
    }
}

/// How many of them, and from where on.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageOfEntries {
    /// Older than this entry: the last one of the page before.
    #[serde(default)]
    before: Option<i64>,
    /// 1 to 1000.
    #[serde(default = "a_page")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: u32,
}

fn a_page() -> u32 {
    100
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
pub struct AuditPage {
    /// The latest first.
    entries: Vec<AuditEntry>,
}

/// Below `/api/v1`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/audit").route(web::get().to(audit)))
        .service(web::resource("/audit/export").route(web::get().to(export_audit)));
}

/// Who did what, the latest first (permission `audit.read`).
#[utoipa::path(get, path = "/api/v1/audit", params(WantedEntries, PageOfEntries), responses(
    (status = 200, body = AuditPage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 429, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn audit(
    web: Data<Web>,
    caller: Caller,
    query: Query<WantedEntries>,
    page: Query<PageOfEntries>,
) -> Answer<AuditPage> {
    caller.must(Permission::ReadAudit)?;
    // What was done before is on disk with it, so whoever looks finds that.
    caller.noted(&web.directory, "audit.read", "audit", None).await?;
    let PageOfEntries { before, limit } = page.into_inner();
    if !(1..=1000).contains(&limit) {
        return Err(ApiError::Malformed(format!("limit is {limit}; 1 to 1000")));
    }
    let limit = i64::from(limit);
    let filter = AuditFilter { before, limit, ..query.into_inner().filter() };
    let entries =
        web.reads.run(&caller.agent, Reach::Part, move |reader| reader.audit(&filter)).await?;
    Ok(web::Json(AuditPage { entries }))
}

/// The same as a CSV file, all of it (permission `audit.read`); that is noted, too.
#[utoipa::path(get, path = "/api/v1/audit/export", params(WantedEntries), responses(
    (status = 200, content_type = "text/csv", body = String), (status = 400, body = ErrorBody),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub async fn export_audit(web: Data<Web>, caller: Caller, query: Query<WantedEntries>) -> Done {
    caller.must(Permission::ReadAudit)?;
    let filter = query.into_inner().filter();
    caller.noted(&web.directory, "audit.export", "audit", None).await?;
    let taker = Taker { web: &web, caller, permission: Permission::ReadAudit };
    export::streamed(taker, "audit", Format::Csv, move |reader, cursor: Option<i64>| {
        const LIMIT: usize = 500;
        let page = AuditFilter { before: cursor, limit: LIMIT as i64, ..filter.clone() };
        let entries = reader.audit(&page)?;
        let next = entries.last().map(|entry| entry.id).filter(|_| entries.len() == LIMIT);
        Ok((export::csv(entries.into_iter()), next))
    })
}
