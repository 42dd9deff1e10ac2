//! The query of a request: what isn't known is refused, or a filter that was misspelt would quietly
//! find everything.

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::ParameterIn;

use crate::http::error::ApiError;

/// The parameters of a request, all of them known.
pub struct Query<T>(pub T);

impl<T> Query<T> {
    /// The parameters.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Query<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + Known> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.query_string()).map(Self))
    }
}

/// Whose names are known: they stand in the API's description.
pub trait Known {
    /// Names of the parameters.
    fn names() -> BTreeSet<String>;
}

impl<T: IntoParams> Known for T {
    fn names() -> BTreeSet<String> {
        let params = T::into_params(|| Some(ParameterIn::Query));
        params.into_iter().map(|param| param.name).collect()
    }
}

/// Two kinds of parameters in one query.
pub struct Both<A, B>(pub A, pub B);

impl<A, B> FromRequest for Both<A, B>
where
    A: DeserializeOwned + Known,
    B: DeserializeOwned + Known,
{
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = request.query_string();
        let mut names = A::names();
        names.extend(B::names());
        let both = check(text, &names).and_then(|()| Ok(Self(part(text)?, part(text)?)));
        ready(both)
    }
}

fn read<T: DeserializeOwned + Known>(text: &str) -> Result<T, ApiError> {
    check(text, &T::names())?;
    part(text)
}

fn check(text: &str, names: &BTreeSet<String>) -> Result<(), ApiError> {
    for (name, _) in url::form_urlencoded::parse(text.as_bytes()) {
        if !names.contains(name.as_ref()) {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            let known = known.join(", ");
            let why = format!("there is no parameter \"{name}\"; there are {known}");
            return Err(ApiError::Malformed(why));
        }
    }
    Ok(())
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    actix_web::web::Query::<T>::from_query(text)
        .map(actix_web::web::Query::into_inner)
        .map_err(|error| ApiError::Malformed(format!("the query can't be read: {error}")))
}
