//! Errors of the API: a code for programs, a sentence for people.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use cordboard_core::agent;
use cordboard_core::conversation::Refused;
use cordboard_core::ids::{AgentId, QueueId};
use serde::Serialize;

use crate::actors::Answer;
use crate::journal::{Failed, JournalError};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody is signed in.
    #[error("sign in first: send a bearer token or the session's cookie")]
    NotSignedIn,
    /// Name or password is wrong.
    #[error("name and password don't match")]
    WrongPassword,
    /// The cookie came without the session's token.
    #[error("this request needs the header x-csrf-token with the value from GET /api/v1/me")]
    NoCsrfToken,
    /// Not with this role, or not in somebody else's conversation.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// The request can't be understood.
    #[error("{0}")]
    Malformed(String),
    /// Understood, but not now.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The agent's machine says no.
    #[error("{0}")]
    RefusedToAgent(#[from] agent::Refused),
    /// CONV-03.
    #[error("{agent} isn't a member of {queue}, and only members of a conversation's queue advise")]
    NotMember {
        /// Who was asked for.
        agent: AgentId,
        /// The conversation's queue.
        queue: QueueId,
    },
    /// Too many at once.
    #[error("{0}")]
    Busy(String),
    /// There may be no more of these.
    #[error("{0}")]
    TooMany(String),
    /// It has to have ended first.
    #[error("{0}")]
    StillOpen(String),
    /// A repeated key, but of another reply.
    #[error(
        "`client_key` has named another reply of yours here already: another text needs another key"
    )]
    KeyUsed,
    /// A sign-in link works once, for a while.
    #[error(
        "this sign-in link has been used or is older than 15 minutes; ask for a new one: cordboard agent link CONFIG --id AGENT"
    )]
    LinkUsed,
    /// Wrong too often.
    #[error("that was wrong too often; try again in {} s", .0.as_secs().max(1))]
    TooOften(std::time::Duration),
    /// The configuration's files are wrong.
    #[error("the configuration is wrong; nothing was changed\n{0}")]
    WrongConfig(String),
    /// The journal can't commit, or a channel isn't there.
    #[error("{0}")]
    Unavailable(String),
    /// The journal can't be read or written. What it says may name files of the machine: it is for the log.
    #[error("the journal can't be used; the host's log says why")]
    Journal(JournalError),
}

/// The body of every error.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// For programs: `not_signed_in`, `forbidden`, `not_found`, `malformed`, `refused`, ...
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn => "not_signed_in",
            Self::WrongPassword => "wrong_password",
            Self::NoCsrfToken => "no_csrf_token",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Malformed(_) => "malformed",
            Self::Refused(refused) => match refused {
                Refused::NotPrimary { .. } => "not_primary",
                Refused::WrongState { .. } => "wrong_state",
                Refused::TooLong { .. } => "too_long",
                Refused::TooManyWaiting { .. } => "too_many_waiting",
                Refused::OptedOut { .. } => "opted_out",
                Refused::Left => "left",
                Refused::Empty => "empty",
                Refused::OfferUnderWay { .. } => "offer_under_way",
                Refused::Yourself => "yourself",
                Refused::NoDisposition { .. } => "no_disposition",
                Refused::UnknownDisposition { .. } => "unknown_disposition",
            },
            Self::RefusedToAgent(refused) => match refused {
                agent::Refused::OfferGone { .. } => "offer_gone",
                agent::Refused::Light => "light_agent",
                agent::Refused::Offline => "offline",
                agent::Refused::NoPlace { .. } => "no_place",
                agent::Refused::AlreadyThere => "already_there",
            },
            Self::NotMember { .. } => "not_member",
            Self::TooMany(_) => "too_many",
            Self::StillOpen(_) => "still_open",
            Self::KeyUsed => "key_used",
            Self::LinkUsed => "link_used",
            Self::Busy(_) => "busy",
            Self::TooOften(_) => "too_often",
            Self::WrongConfig(_) => "wrong_config",
            Self::Unavailable(_) | Self::Journal(_) => "unavailable",
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotSignedIn | Self::WrongPassword => StatusCode::UNAUTHORIZED,
            Self::NoCsrfToken | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Refused(_)
            | Self::RefusedToAgent(_)
            | Self::NotMember { .. }
            | Self::KeyUsed
            | Self::TooMany(_)
            | Self::StillOpen(_)
            | Self::WrongConfig(_) => StatusCode::CONFLICT,
            Self::LinkUsed => StatusCode::GONE,
            Self::Busy(_) | Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::Journal(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let body = ErrorBody { code: self.code(), message: self.to_string() };
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self, Self::NotSignedIn | Self::WrongPassword) {
            response.insert_header(("www-authenticate", "Bearer"));
        }
        if let Self::TooOften(wait) = self {
            response.insert_header(("retry-after", wait.as_secs().max(1).to_string()));
        }
        if matches!(self, Self::Busy(_) | Self::Unavailable(_) | Self::Journal(_)) {
            response.insert_header(("retry-after", "5"));
        }
        response.json(body)
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Failed for ApiError {
    fn of_the_journal(&self) -> Option<&JournalError> {
        match self {
            Self::Journal(error) => Some(error),
            _ => None,
        }
    }
}

/// An answer that isn't a success, as an error.
pub fn success(answer: Answer) -> Result<(), ApiError> {
    match answer {
        Answer::Done(_) | Answer::Duplicate => Ok(()),
        Answer::Refused(refused) => Err(refused.into()),
        Answer::NotFound => Err(ApiError::NotFound("such conversation".to_owned())),
        Answer::Unavailable(why) => Err(ApiError::Unavailable(why)),
    }
}
