//! Commands.

use super::{
    Gateway, MAX_BATCH, Refusal,
    answer::{answered, problem},
    blocking,
    headers::{
        CAUSATION, CORRELATION, OCCURRED, Preference, aggregate_id, json_body, parse_tag, parse_time, preference, text,
        wait_of,
    },
    not_found, parameters,
    path::Path,
};
use crate::{
    BatchError, CommandBody, OutcomeRequest, Outgoing, PublishAllRequest, PublishRequest, Stop, overload::Client,
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use factum_core::{CommandId, Error, Result, wire::TraceContext};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// The most time that the log may take to have a command whose answer nobody waits for.
const DELIVERY_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn publish(
    State(gateway): State<Gateway>,
    client: Option<Extension<Client>>,
    Path((context, aggregate, id, command)): Path<(String, String, String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let aggregate_type = gateway.aggregate_type(&context, &aggregate)?;
    if let Some(detail) = gateway.catalog.lacks_command(&aggregate_type, &command) {
        return Err(not_found(&detail).into());
    }
    let fields = json_body(&headers, body)?;
    let preference = preference(&headers)?;
    let request = PublishRequest {
        aggregate_type,
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
        timeout: match preference {
            Preference::Wait(wait) => wait,
            Preference::Respond => DELIVERY_WAIT,
        },
    };
    gateway.rates.commands(client.map(|Extension(client)| client), &request.aggregate_type, 1)?;
    blocking(move || {
        Ok(match preference {
            Preference::Wait(_) => answered(&gateway.service.publish(&request)?),
            Preference::Respond => sent(gateway.service.submit(&request)?, uri.path()),
        })
    })
    .await
}

/// The log has the command; where to ask what became of it. The path is the
/// command's own with its id in the place of its name.
fn sent(id: CommandId, path: &str) -> Response {
    let (parent, _) = path.rsplit_once('/').unwrap_or_default();
    let mut response =
        (StatusCode::ACCEPTED, Json(json!({ "command": id.to_string(), "code": "sent" }))).into_response();
    let headers = response.headers_mut();
    headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
    if let Ok(location) = HeaderValue::from_str(&format!("{parent}/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    response
}

/// What became of a command, as far as its aggregate's events tell.
pub(super) async fn outcome(
    State(gateway): State<Gateway>,
    Path((context, aggregate, id, command)): Path<(String, String, String, String)>,
) -> Result<Response, Refusal> {
    let aggregate_type = gateway.aggregate_type(&context, &aggregate)?;
    blocking(move || {
        let command: CommandId = command
            .parse()
            .map_err(|_| Error::invalid(format!("{command:?} is not a command's id; commands are sent by POST")))?;
        let request = OutcomeRequest { aggregate_type, id: aggregate_id(id)?, command };
        Ok(match gateway.service.outcome(&request)? {
            Some(answer) => answered(&answer),
            None => not_found(&format!(
                "{} has no event of the command {command}: it waits for its handler, or it was not accepted; \
                 POST it again with its Idempotency-Key to be told (a command is decided once)",
                request.id
            )),
        })
    })
    .await
}

/// What a request says beside its body.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BatchQuery {
    /// Only look whether all of them can be encoded.
    dry_run: bool,
}

pub(super) async fn publish_all(
    State(gateway): State<Gateway>,
    client: Option<Extension<Client>>,
    Path((context, aggregate)): Path<(String, String)>,
    query: Result<Query<BatchQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let aggregate_type = gateway.aggregate_type(&context, &aggregate)?;
    let body = json_body(&headers, body)?;
    let query = parameters(query)?;
    let bodies: Vec<CommandBody> = serde_json::from_value(body)
        .map_err(|error| Error::invalid(format!("a list of commands is expected: {error}")))?;
    if bodies.len() > MAX_BATCH {
        return Err(Error::invalid(format!("{} commands are more than {MAX_BATCH}", bodies.len())).into());
    }
    let commands = bodies.into_iter().map(Outgoing::try_from).collect::<Result<Vec<_>>>()?;
    let timeout = wait_of(&headers)?;
    if !query.dry_run {
        gateway.rates.commands(client.map(|Extension(client)| client), &aggregate_type, commands.len())?;
    }
    blocking(move || {
        let request = PublishAllRequest { aggregate_type, commands: &commands, timeout, stop: &Stop::default() };
        let sent = if query.dry_run {
            gateway.service.check_all(&request).map(|()| json!({ "checked": commands.len() }))
        } else {
            let tally = gateway.service.publish_all(&request, &mut |_| {});
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
