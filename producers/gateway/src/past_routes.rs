//! Routes to the past: a state at a point, an audit, a conversation.

use crate::{
    At, AuditRequest, Clock, MAX_AUDIT_EVENTS, StateRequest,
    http::{Shared, aggregate_id, blocking, entity_tag, with_tag},
    parse_time,
};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use factum_core::{Error, Result, Version};
use serde::Deserialize;

/// The events of an audit's page where nothing is said.
const DEFAULT_AUDIT_EVENTS: usize = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StateQuery {
    at_version: Option<u64>,
    at_time: Option<String>,
    by: Option<String>,
}

impl StateQuery {
    fn at(&self) -> Result<Option<At>> {
        let by = self.by.as_deref().map(str::parse::<Clock>).transpose()?;
        match (self.at_version, &self.at_time, by) {
            (None, None, None) => Ok(None),
            (Some(version), None, None) => Ok(Some(At::Version(Version(version)))),
            (None, Some(time), by) => Ok(Some(At::Time(parse_time(time)?, by.unwrap_or_default()))),
            (Some(_), Some(_), _) => Err(Error::invalid("at_version and at_time exclude each other: give one")),
            (_, None, Some(_)) => Err(Error::invalid("by says which time at_time is: give at_time with it")),
        }
    }
}

/// `GET /{context}/{aggregate}/{id}`.
pub(crate) async fn state(
    State(service): Shared,
    Path((context, aggregate, id)): Path<(String, String, String)>,
    query: Result<Query<StateQuery>, QueryRejection>,
) -> Response {
    blocking(move || {
        let Query(query) = query.map_err(|rejection| Error::invalid(rejection.body_text()))?;
        let at = query.at()?;
        let request = StateRequest { aggregate_type: format!("{context}.{aggregate}"), id: aggregate_id(id)?, at };
        let found = service.state(&request)?;
        let tag = entity_tag(Version(found.version));
        let response = Json(found).into_response();
        // A tag is the version that a command may expect, which is that of now.
        Ok(if at.is_none() { with_tag(response, &tag) } else { response })
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuditQuery {
    since: Option<String>,
    until: Option<String>,
    by: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    aggregate: Option<String>,
    #[serde(rename = "where")]
    filter: String,
    limit: Option<usize>,
    after: Option<String>,
}

/// `GET /audit`.
pub(crate) async fn audit(State(service): Shared, query: Result<Query<AuditQuery>, QueryRejection>) -> Response {
    blocking(move || {
        let Query(query) = query.map_err(|rejection| Error::invalid(rejection.body_text()))?;
        let request = AuditRequest {
            since: query.since.as_deref().map(parse_time).transpose()?,
            until: query.until.as_deref().map(parse_time).transpose()?,
            by: query.by.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            kind: query.kind,
            aggregate: query.aggregate.map(aggregate_id).transpose()?,
            filter: query.filter,
            limit: query.limit.unwrap_or(DEFAULT_AUDIT_EVENTS).clamp(1, MAX_AUDIT_EVENTS),
            after: query.after,
        };
        Ok(Json(service.audit(&request)?).into_response())
    })
    .await
}

/// `GET /correlations/{id}`.
pub(crate) async fn causes(State(service): Shared, Path(correlation): Path<String>) -> Response {
    blocking(move || Ok(Json(service.causes(correlation.parse()?)?).into_response())).await
}
