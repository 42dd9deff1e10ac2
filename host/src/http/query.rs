//! What a request says: what isn't known is refused, or a filter that was misspelt would quietly find
//! everything, and a field of a body do nothing. Which parameters a path has stands in the API's description, and is taken from there.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};

use crate::http::api::ApiDoc;
use crate::http::audit;
use crate::http::door::Shape;
use crate::http::error::ApiError;

/// Bytes of all parameters: as much as the audit log keeps of them (SEC-03).
const MOST: usize = audit::MOST_DETAILS;

/// Method and path, and the names of its parameters.
static KNOWN: LazyLock<HashMap<(&'static str, String), Known>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    // It describes everything but itself.
    let itself = ("GET", "/api/v1/openapi.json".to_owned());
    known.insert(itself, Known { names: BTreeSet::new(), takes_body: false });
    for (path, item) in ApiDoc::openapi().paths.paths {
        let PathItem { get, put, post, delete, .. } = item;
        for (method, operation) in [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete)]
        {
            let Some(operation) = operation else { continue };
            let takes_body = operation.request_body.is_some();
            let own = Known { names: names(&operation), takes_body };
            known.insert((method, path.clone()), own);
        }
    }
    known
});

struct Known {
    /// Of its parameters.
    names: BTreeSet<String>,
    takes_body: bool,
}

fn names(operation: &Operation) -> BTreeSet<String> {
    let parameters = operation.parameters.iter().flatten();
    let in_query = parameters.filter(|one| one.parameter_in == ParameterIn::Query);
    in_query.map(|one| one.name.clone()).collect()
}

/// A middleware of the API's: parameters that a path doesn't have are refused.
///
/// # Errors
/// Those of the service behind it.
pub async fn known_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match unknown(&request).or_else(|| unread(&request)) {
        None => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Some(why) => {
            let refused = ApiError::Malformed(why).error_response();
            Ok(request.into_response(refused))
        }
    }
}

/// A body that would be passed over, wholly or for want of names.
fn unread(request: &ServiceRequest) -> Option<String> {
    let shape = request.extensions().get::<Shape>().copied()?;
    match shape {
        Shape::Nothing => return None,
        Shape::Other => return Some("the body isn't a JSON object".to_owned()),
        Shape::Object => {}
    }
    let (method, pattern) = (request.method().as_str(), request.match_pattern()?);
    let mut known = KNOWN.iter().filter(|((of, path), _)| *of == method && *path == pattern);
    let takes_none = known.any(|(_, known)| !known.takes_body);
    takes_none.then(|| "it takes no body".to_owned())
}

fn unknown(request: &ServiceRequest) -> Option<String> {
    let query = request.query_string();
    if query.is_empty() {
        return None;
    }
    let method = if request.method() == "HEAD" { "GET" } else { request.method().as_str() };
    let pattern = request.match_pattern()?;
    // Where nothing is described there is no such path or method, and the answer says that instead.
    let (_, Known { names, .. }) =
        KNOWN.iter().find(|((of, path), _)| *of == method && *path == pattern)?;
    let count = query.len();
    if count > MOST {
        return Some(format!("the parameters have {count} bytes; {MOST} at most"));
    }
    let given = url::form_urlencoded::parse(query.as_bytes());
    let (name, _) = given.into_iter().find(|(name, _)| !names.contains(name.as_ref()))?;
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let shown: String = name.chars().take(60).collect();
    Some(format!("there is no parameter \"{shown}\" here; there are: {known}"))
}
