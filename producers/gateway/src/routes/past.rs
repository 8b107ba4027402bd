//! Routes to the past: a state at a point, an audit, a conversation.

use super::{
    Gateway, Refusal,
    answer::{entity_tag, with_tag},
    blocking,
    headers::aggregate_id,
    parameters,
    path::Path,
};
use crate::{At, AuditRequest, Clock, MAX_AUDIT_EVENTS, StateRequest, parse_time};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use factum_core::{Error, Result, Version};
use serde::Deserialize;

/// The events of an audit's page where nothing is said.
const DEFAULT_AUDIT_EVENTS: usize = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StateQuery {
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
pub(super) async fn state(
    State(gateway): State<Gateway>,
    Path((context, aggregate, id)): Path<(String, String, String)>,
    query: Result<Query<StateQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let aggregate_type = gateway.aggregate_type(&context, &aggregate)?;
    blocking(move || {
        let query = parameters(query)?;
        let at = query.at()?;
        let request = StateRequest { aggregate_type, id: aggregate_id(id)?, at };
        let found = gateway.service.state(&request)?;
        let tag = entity_tag(Version(found.version));
        let response = Json(found).into_response();
        // A tag is the version that a command may expect, which is that of now.
        Ok(if at.is_none() { with_tag(response, &tag) } else { response })
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuditQuery {
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
pub(super) async fn audit(
    State(gateway): State<Gateway>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    blocking(move || {
        let query = parameters(query)?;
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
        Ok(Json(gateway.service.audit(&request)?).into_response())
    })
    .await
}

/// `GET /correlations/{id}`.
pub(super) async fn causes(
    State(gateway): State<Gateway>,
    Path(correlation): Path<String>,
) -> Result<Response, Refusal> {
    blocking(move || Ok(Json(gateway.service.causes(correlation.parse()?)?).into_response())).await
}
