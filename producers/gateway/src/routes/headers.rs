//! What a request says in its headers and its path.

use super::{Refusal, problem};
use axum::{
    body::Bytes,
    extract::rejection::BytesRejection,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use factum_core::{AggregateId, Error, Result, TimestampMs, Version};
use factum_schemas::parse_json;
use serde_json::json;
use std::time::Duration;

/// How long a command's answer is waited for when the request says nothing.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// The longest that a request may ask to wait.
const MAX_WAIT: Duration = Duration::from_secs(55);
/// The header with the time at which a command occurred.
pub const OCCURRED: &str = "factum-occurred";

/// The header with the id of the conversation that a command belongs to.
pub const CORRELATION: &str = "factum-correlation-id";
/// The header with the id of the event that caused a command.
pub const CAUSATION: &str = "factum-causation-id";

/// The JSON of a body.
///
/// # Errors
/// 415 for another content type: a page of another origin may send plain text
/// without asking, but not JSON. 400 when it is no JSON.
pub(super) fn json_body(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<serde_json::Value, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
        let detail = format!("the content type is {kind:?}; `Content-Type: application/json` is expected");
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type", &detail, json!({})).into());
    }
    let body = body.map_err(IntoResponse::into_response)?;
    Ok(parse_json(&body)?)
}

/// What is wrong with an id here is the caller's.
pub(super) fn aggregate_id(id: String) -> Result<AggregateId> {
    AggregateId::new(id).map_err(|error| Error::invalid(error.to_string()))
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let value = headers.get(name).map(HeaderValue::to_str).transpose();
    value.map_err(|_| Error::invalid(format!("the header {name} is not text")))
}

pub(super) fn parse_tag(tag: &str) -> Result<Version> {
    let number = tag.trim().trim_start_matches("W/").trim_matches('"');
    let version = number.parse().map(Version);
    version.map_err(|_| Error::invalid(format!("If-Match {tag:?} is not a version: \"3\" is expected")))
}

pub(super) fn parse_time(time: &str) -> Result<TimestampMs> {
    let parsed = time.parse::<jiff::Timestamp>().map(|time| TimestampMs(time.as_millisecond()));
    parsed.map_err(|_| Error::invalid(format!("{OCCURRED} {time:?} is not a time: 2026-01-31T12:00:00Z is expected")))
}

/// What a `Prefer` header (RFC 7240) asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preference {
    /// To wait so long for the answer.
    Wait(Duration),
    /// To be told as soon as the log has the command.
    Respond,
}

pub(super) fn preference(headers: &HeaderMap) -> Result<Preference> {
    let Some(prefer) = text(headers, "prefer")? else { return Ok(Preference::Wait(DEFAULT_WAIT)) };
    let mut parts = prefer.split(',').map(str::trim);
    if parts.clone().any(|part| part == "respond-async") {
        return Ok(Preference::Respond);
    }
    match parts.find_map(|part| part.strip_prefix("wait=")).map(str::parse) {
        None => Ok(Preference::Wait(DEFAULT_WAIT)),
        Some(Ok(seconds)) => Ok(Preference::Wait(Duration::from_secs(seconds).min(MAX_WAIT))),
        Some(Err(_)) => Err(Error::invalid(format!("Prefer {prefer:?}: wait is a number of seconds"))),
    }
}

pub(super) fn wait_of(headers: &HeaderMap) -> Result<Duration> {
    Ok(match preference(headers)? {
        Preference::Wait(wait) => wait,
        Preference::Respond => DEFAULT_WAIT,
    })
}
