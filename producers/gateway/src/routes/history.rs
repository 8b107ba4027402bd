//! Histories.

use super::{Gateway, Refusal, blocking, headers::aggregate_id, parameters, path::Path};
use crate::{HistoryRequest, MAX_EVENTS};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use factum_core::{Result, Version};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// Only events with a later version.
    after: u64,
    limit: Option<usize>,
}

pub(super) async fn history(
    State(gateway): State<Gateway>,
    Path((context, aggregate, id)): Path<(String, String, String)>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let aggregate_type = gateway.aggregate_type(&context, &aggregate)?;
    blocking(move || {
        let query = parameters(query)?;
        let request = HistoryRequest {
            aggregate_type,
            id: aggregate_id(id)?,
            after: Version(query.after),
            limit: query.limit.unwrap_or(MAX_EVENTS),
        };
        Ok(Json(gateway.service.history(&request)?).into_response())
    })
    .await
}
