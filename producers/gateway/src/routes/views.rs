//! Rows of views.

use super::{Gateway, Refusal, blocking, headers::text, parameters, path::Path};
use crate::QueryRequest;
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use factum_core::Result;

/// The header with positions that a view is to have passed.
const AFTER: &str = "factum-after";

pub(super) async fn query(
    State(gateway): State<Gateway>,
    Path(view): Path<String>,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Refusal> {
    let view = gateway.view(&view)?;
    blocking(move || {
        let request = QueryRequest::from_url(view, parameters(query)?, text(&headers, AFTER)?)?;
        Ok(Json(gateway.service.query(&request)?).into_response())
    })
    .await
}
