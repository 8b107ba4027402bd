//! What a request is answered.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use factum_core::Error;
use factum_schemas::rules::Refusal;
use serde::Serialize;

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Confluent's code for trouble behind the API.
const BACKEND: u32 = 50001;

/// Why there is no answer, with Confluent's error code.
#[derive(Debug)]
pub(super) struct Failure {
    code: u32,
    message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: u32,
    message: &'a str,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Failure { code: status.as_u16().into(), message: message.into() }
    }

    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    pub(super) fn no_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not have that method")
    }

    /// The work itself ended early.
    pub(super) fn broken(error: &tokio::task::JoinError) -> Self {
        tracing::error!(%error, "a request to the registry broke off");
        Failure { code: BACKEND, message: "the registry failed; its log says why".to_owned() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure { code: refusal.code(), message: refusal.message().to_owned() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, "the registry's log could not be used");
        Failure { code: BACKEND, message: error.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // A code is a status, or a status and two digits.
        let status = if self.code < 1_000 { self.code } else { self.code / 100 };
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let body = json(&Body { error_code: self.code, message: &self.message });
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body).into_response()
    }
}

/// A value as the API's JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => raw(text),
        Err(error) => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Text that is JSON already.
pub(super) fn raw(text: String) -> Response {
    ([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response()
}
