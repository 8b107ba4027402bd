//! Live updates as server-sent events.
//!
//! A stream is a connection and a queue that whoever reads the log fills: no
//! thread waits for it. A client that takes nothing for a while loses its
//! connection (see [`Limits::write_timeout`](crate::Limits::write_timeout)), and
//! one that is slower than its updates is told so at the end of its stream; both
//! come again with `Last-Event-ID`, also to another instance.

use super::{
    Gateway, Refusal, blocking,
    headers::{aggregate_id, text},
    parameters,
    path::Path,
};
use crate::{FollowRequest, Followed, live::queue, overload::Client, token::plain};
use axum::{
    Extension,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use factum_core::Result;
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StreamQuery {
    after: Option<String>,
}

pub(super) async fn events(
    State(gateway): State<Gateway>,
    Path((context, aggregate, id)): Path<(String, String, String)>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let aggregate_type = gateway.aggregate_type(&context, &aggregate)?;
    let what = Followed::Aggregate { aggregate_type, id: aggregate_id(id)? };
    stream(gateway, FollowRequest { what, from: from(&headers, query)? }, client).await
}

pub(super) async fn changes(
    State(gateway): State<Gateway>,
    Path(view): Path<String>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let what = Followed::View(gateway.view(&view)?);
    stream(gateway, FollowRequest { what, from: from(&headers, query)? }, client).await
}

/// A browser names what it saw last in the header, and keeps the parameter from before.
fn from(headers: &HeaderMap, query: Result<Query<StreamQuery>, QueryRejection>) -> Result<Option<String>> {
    let after = parameters(query)?.after;
    let from = text(headers, "last-event-id")?.map(str::to_owned).or(after);
    let from = from.map(|from| plain(&from).map(Cow::into_owned)).transpose()?;
    Ok(from.filter(|from| !from.is_empty()))
}

async fn stream(
    gateway: Gateway,
    request: FollowRequest,
    client: Option<Extension<Client>>,
) -> Result<Response, Refusal> {
    let permit = gateway.streams.take(client.map(|Extension(client)| client))?;
    let (outlet, inlet) = queue(&gateway.stop, permit);
    let service = gateway.service.clone();
    blocking(move || service.follow(&request, outlet)).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(inlet)).into_response())
}
