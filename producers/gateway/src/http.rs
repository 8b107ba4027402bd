//! The HTTP interface of the process that holds the log.
//!
//! Paths (DESIGN §5): `POST /{context}/{aggregate}/{id}/commands/{Command}`
//! with the command's fields as JSON, `GET /{context}/{aggregate}/{id}`,
//! (`?at_version=`, `?at_time=`), `GET /{context}/{aggregate}/{id}/history`, `GET /views/{name}`; and of our own
//! `POST /{context}/{aggregate}/commands` for many commands at once, `GET /audit` and
//! `GET /correlations/{id}`. An aggregate
//! type `bank.account` is `/bank/account`.
//!
//! `Idempotency-Key` is the command's id, `If-Match` the expected version,
//! `Prefer: wait=SECONDS` (RFC 7240) how long to wait for the answer,
//! `Factum-Occurred` (RFC 3339) when it occurred, `Factum-Correlation-Id` its conversation and
//! `Factum-Causation-Id` the event that caused it; `Factum-After` names positions, as replies tell
//! them, that a view's rows have to include. What was not accepted is
//! `application/problem+json` (RFC 9457).

use crate::{
    BatchError, CommandBody, HistoryRequest, MAX_EVENTS, Outgoing, PublishAllRequest, PublishRequest, QueryRequest,
    Service, Stop, past_routes,
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use factum_core::{
    AggregateId, Error, ErrorKind, Result, TimestampMs, Version,
    wire::{Answer, AnswerCode, TraceContext},
};
use factum_schemas::parse_json;
use serde::Deserialize;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// How long a command's answer is waited for when the request says nothing.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// The longest that a request may ask to wait.
const MAX_WAIT: Duration = Duration::from_secs(55);
/// The most commands in one request.
pub const MAX_BATCH: usize = 1_000;
/// The header with the time at which a command occurred.
pub const OCCURRED: &str = "factum-occurred";
/// The header with positions that a view is to have passed.
const AFTER: &str = "factum-after";
/// The header with the id of the conversation that a command belongs to.
pub const CORRELATION: &str = "factum-correlation-id";
/// The header with the id of the event that caused a command.
pub const CAUSATION: &str = "factum-causation-id";

pub(crate) type Shared = State<Arc<dyn Service>>;

/// The routes of a service.
pub fn router(service: Arc<dyn Service>) -> Router {
    Router::new()
        .route("/views/{name}", get(query))
        .route("/audit", get(past_routes::audit))
        .route("/correlations/{id}", get(past_routes::causes))
        .route("/{context}/{aggregate}/commands", post(publish_all))
        .route("/{context}/{aggregate}/{id}", get(past_routes::state))
        .route("/{context}/{aggregate}/{id}/history", get(history))
        .route("/{context}/{aggregate}/{id}/commands/{command}", post(publish))
        .fallback(unknown_path)
        .with_state(service)
}

async fn unknown_path(request: Request) -> Response {
    let detail = format!(
        "there is no {} {}; aggregates are at /{{context}}/{{aggregate}}/{{id}}, views at /views/{{name}}",
        request.method(),
        request.uri().path()
    );
    problem(StatusCode::NOT_FOUND, "not-found", &detail, json!({}))
}

async fn publish(
    State(service): Shared,
    Path((context, aggregate, id, command)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request = (|| {
        let fields = json_body(body)?;
        Ok(PublishRequest {
            aggregate_type: format!("{context}.{aggregate}"),
            command: Outgoing {
                id: text(&headers, "idempotency-key")?.map(str::parse).transpose()?,
                aggregate: aggregate_id(id)?,
                record: command,
                fields,
                occurred: text(&headers, OCCURRED)?.map(parse_time).transpose()?,
                expected_version: text(&headers, header::IF_MATCH.as_str())?.map(parse_tag).transpose()?,
            },
            // W3C: what is not well formed is passed over.
            trace: headers.get("traceparent").and_then(|value| TraceContext::parse(value.as_bytes())),
            correlation: text(&headers, CORRELATION)?.map(str::parse).transpose()?,
            cause: text(&headers, CAUSATION)?.map(str::parse).transpose()?,
            timeout: wait_of(&headers)?,
        })
    })();
    match request {
        Ok(request) => blocking(move || Ok(answered(&service.publish(&request)?))).await,
        Err(error) => failed(&error),
    }
}

/// What a request says beside its body.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BatchQuery {
    /// Only look whether all of them can be encoded.
    dry_run: bool,
}

async fn publish_all(
    State(service): Shared,
    Path((context, aggregate)): Path<(String, String)>,
    query: Result<Query<BatchQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let read = (|| {
        let Query(query) = query.map_err(|rejection| Error::invalid(rejection.body_text()))?;
        let bodies: Vec<CommandBody> = serde_json::from_value(json_body(body)?)
            .map_err(|error| Error::invalid(format!("a list of commands is expected: {error}")))?;
        if bodies.len() > MAX_BATCH {
            return Err(Error::invalid(format!("{} commands are more than {MAX_BATCH}", bodies.len())));
        }
        let commands = bodies.into_iter().map(Outgoing::try_from).collect::<Result<Vec<_>>>()?;
        Ok((query.dry_run, commands, wait_of(&headers)?))
    })();
    let (dry_run, commands, timeout) = match read {
        Ok(read) => read,
        Err(error) => return failed(&error),
    };
    blocking(move || {
        let aggregate_type = format!("{context}.{aggregate}");
        let request = PublishAllRequest { aggregate_type, commands: &commands, timeout, stop: &Stop::default() };
        let sent = if dry_run {
            service.check_all(&request).map(|()| json!({ "checked": commands.len() }))
        } else {
            let tally = service.publish_all(&request, &mut |_| {});
            tally.map(|tally| json!({ "answers": tally.codes, "samples": tally.samples }))
        };
        match sent {
            Ok(body) => Ok(Json(body).into_response()),
            Err(BatchError { at: Some(at), error }) => {
                let detail = error.to_string();
                Ok(problem(StatusCode::BAD_REQUEST, "invalid", &detail, json!({ "at": at })))
            }
            Err(BatchError { at: None, error }) => Err(error),
        }
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HistoryQuery {
    /// Only events with a later version.
    after: u64,
    limit: Option<usize>,
}

async fn history(
    State(service): Shared,
    Path((context, aggregate, id)): Path<(String, String, String)>,
    query: Result<Query<HistoryQuery>, axum::extract::rejection::QueryRejection>,
) -> Response {
    blocking(move || {
        let Query(query) = query.map_err(|rejection| Error::invalid(rejection.body_text()))?;
        let request = HistoryRequest {
            aggregate_type: format!("{context}.{aggregate}"),
            id: aggregate_id(id)?,
            after: Version(query.after),
            limit: query.limit.unwrap_or(MAX_EVENTS),
        };
        Ok(Json(service.history(&request)?).into_response())
    })
    .await
}

async fn query(
    State(service): Shared,
    Path(view): Path<String>,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
) -> Response {
    blocking(move || {
        let Query(parameters) = query.map_err(|rejection| Error::invalid(rejection.body_text()))?;
        let request = QueryRequest::from_url(view, parameters, text(&headers, AFTER)?)?;
        Ok(Json(service.query(&request)?).into_response())
    })
    .await
}

/// Runs what waits for the log or a database beside the thread that serves.
pub(crate) async fn blocking(work: impl FnOnce() -> Result<Response> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failed(&error),
        Err(_) => {
            problem(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the request failed; the log tells why", json!({}))
        }
    }
}

/// An answer to a command as a response.
fn answered(answer: &Answer) -> Response {
    let detail = answer.detail.as_deref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
    let body = json!({
        "command": answer.command.to_string(), "code": answer.code.as_str(), "version": answer.version.0,
        "events": answer.events, "token": answer.token.as_ref().map(ToString::to_string), "refusal": detail,
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
fn failed(error: &Error) -> Response {
    let (status, title) = match error.kind() {
        ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ErrorKind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        ErrorKind::Data => (StatusCode::INTERNAL_SERVER_ERROR, "data"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    };
    problem(status, title, &error.to_string(), json!({}))
}

/// A problem (RFC 9457) with members of its own.
fn problem(status: StatusCode, title: &str, detail: &str, members: serde_json::Value) -> Response {
    let mut body = json!({ "title": title, "status": status.as_u16(), "detail": detail });
    if let (Some(body), serde_json::Value::Object(members)) = (body.as_object_mut(), members) {
        body.extend(members);
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    (status, kind, body.to_string()).into_response()
}

pub(crate) fn with_tag(mut response: Response, tag: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

fn json_body(body: Result<Bytes, BytesRejection>) -> Result<serde_json::Value> {
    parse_json(&body.map_err(|rejection| Error::invalid(rejection.body_text()))?)
}

/// What is wrong with an id here is the caller's.
pub(crate) fn aggregate_id(id: String) -> Result<AggregateId> {
    AggregateId::new(id).map_err(|error| Error::invalid(error.to_string()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let value = headers.get(name).map(HeaderValue::to_str).transpose();
    value.map_err(|_| Error::invalid(format!("the header {name} is not text")))
}

fn parse_tag(tag: &str) -> Result<Version> {
    let number = tag.trim().trim_start_matches("W/").trim_matches('"');
    let version = number.parse().map(Version);
    version.map_err(|_| Error::invalid(format!("If-Match {tag:?} is not a version: \"3\" is expected")))
}

fn parse_time(time: &str) -> Result<TimestampMs> {
    let parsed = time.parse::<jiff::Timestamp>().map(|time| TimestampMs(time.as_millisecond()));
    parsed.map_err(|_| Error::invalid(format!("{OCCURRED} {time:?} is not a time: 2026-01-31T12:00:00Z is expected")))
}

/// The `wait` of a `Prefer` header.
fn wait_of(headers: &HeaderMap) -> Result<Duration> {
    let Some(prefer) = text(headers, "prefer")? else { return Ok(DEFAULT_WAIT) };
    let wait = prefer.split(',').find_map(|part| part.trim().strip_prefix("wait="));
    match wait.map(str::parse) {
        None => Ok(DEFAULT_WAIT),
        Some(Ok(seconds)) => Ok(Duration::from_secs(seconds).min(MAX_WAIT)),
        Some(Err(_)) => Err(Error::invalid(format!("Prefer {prefer:?}: wait is a number of seconds"))),
    }
}

/// The version that a conflict or an acceptance leaves behind, as an entity tag.
pub fn entity_tag(version: Version) -> String {
    format!("\"{version}\"")
}
