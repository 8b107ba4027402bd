//! Answers and errors as responses.

use crate::token::opaque;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use factum_core::{
    Error, ErrorKind, Version,
    wire::{Answer, AnswerCode},
};
use serde_json::json;

/// When a caller may try again what was refused for want of room or of a reachable log, in seconds.
pub(crate) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A response that ends the handling of a request before its work is done.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Response>);

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Refusal(Box::new(response))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        failed(&error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// The header with the position of a command's events, for the `Factum-After` of a query.
const TOKEN: &str = "factum-token";

/// An answer to a command as a response.
pub(super) fn answered(answer: &Answer) -> Response {
    let mut response = as_response(answer);
    let token = answer.token.as_ref().and_then(|token| HeaderValue::from_str(&opaque(&token.to_string())).ok());
    if let Some(token) = token {
        response.headers_mut().insert(TOKEN, token);
    }
    response
}

fn as_response(answer: &Answer) -> Response {
    let detail = answer.detail.as_deref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
    let body = json!({
        "command": answer.command.to_string(), "code": answer.code.as_str(), "version": answer.version.0,
        "events": answer.events, "token": answer.token.as_ref().map(|token| opaque(&token.to_string())), "refusal": detail,
    });
    let status = match answer.code {
        AnswerCode::Accepted => return with_tag(Json(body).into_response(), &entity_tag(answer.version)),
        AnswerCode::Conflict => StatusCode::PRECONDITION_FAILED,
        AnswerCode::Forbidden => StatusCode::FORBIDDEN,
        AnswerCode::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        AnswerCode::AlreadyHandled => StatusCode::CONFLICT,
        AnswerCode::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        AnswerCode::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    problem(status, answer.code.as_str(), answer.detail.as_deref().unwrap_or_default(), body)
}

/// An error as a response.
pub(crate) fn failed(error: &Error) -> Response {
    let (status, title) = match error.kind() {
        ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ErrorKind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        ErrorKind::Data => (StatusCode::INTERNAL_SERVER_ERROR, "data"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    };
    let mut response = problem(status, title, &error.to_string(), json!({}));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// A problem (RFC 9457) with members of its own.
pub(crate) fn problem(status: StatusCode, title: &str, detail: &str, members: serde_json::Value) -> Response {
    let mut body = json!({ "title": title, "status": status.as_u16(), "detail": detail });
    if let (Some(body), serde_json::Value::Object(members)) = (body.as_object_mut(), members) {
        body.extend(members);
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    (status, kind, body.to_string()).into_response()
}

pub(super) fn with_tag(mut response: Response, tag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

/// The version that a conflict or an acceptance leaves behind, as an entity tag.
pub fn entity_tag(version: Version) -> String {
    format!("\"{version}\"")
}
