//! The paths of the gateway.
//!
//! `POST /{context}/{aggregate}/{id}/commands/{Command}` with the command's
//! fields as JSON, `GET /{context}/{aggregate}/{id}` (`?at_version=`, `?at_time=`),
//! `GET /{context}/{aggregate}/{id}/history`, `GET /views/{name}` (DESIGN §5), `GET /audit`, `GET /correlations/{id}`,
//! live updates at `GET /{context}/{aggregate}/{id}/events` and `GET /views/{name}/changes`;
//! and of our own `POST /{context}/{aggregate}/commands` for many commands at
//! once, and `GET /{context}/{aggregate}/{id}/commands/{uuid}` for what became of
//! one. An aggregate type `bank.account` is `/bank/account`.

mod answer;
mod commands;
mod fallback;
mod headers;
mod history;
mod past;
mod streams;
mod views;

pub use answer::entity_tag;
pub use headers::{CAUSATION, CORRELATION, OCCURRED};

use crate::{Backend, Catalog, Limits, Stop, openapi::openapi, overload::Overload, pages::pages, request_id};
pub(crate) use answer::{RETRY_AFTER, Refusal, problem};
use axum::{
    Router,
    extract::{Query, rejection::QueryRejection},
    http::StatusCode,
    middleware,
    response::Response,
    routing::{get, post},
};
use factum_core::{Error, Result};
use serde_json::json;
use std::sync::Arc;

/// The most commands in one request.
pub const MAX_BATCH: usize = 1_000;

/// What every route has.
#[derive(Clone)]
struct Gateway {
    service: Arc<dyn Backend>,
    catalog: Arc<Catalog>,
    streams: Overload,
    /// Ends the streams.
    stop: Stop,
}

/// The routes over a service, which knows what the catalog lists. `stop` ends streams.
pub fn router(service: Arc<dyn Backend>, catalog: Catalog, limits: &Limits, stop: &Stop) -> Router {
    let openapi = openapi(&catalog).to_string();
    let gateway =
        Gateway { service, catalog: Arc::new(catalog), streams: Overload::new(limits.max_streams), stop: stop.clone() };
    let overload = Overload::new(limits.max_in_flight);
    Router::new()
        .route("/views/{name}", get(views::query))
        .route("/audit", get(past::audit))
        .route("/correlations/{id}", get(past::causes))
        .route("/{context}/{aggregate}/commands", post(commands::publish_all))
        .route("/{context}/{aggregate}/{id}", get(past::state))
        .route("/{context}/{aggregate}/{id}/history", get(history::history))
        .route("/{context}/{aggregate}/{id}/commands/{command}", post(commands::publish).get(commands::outcome))
        .route_layer(middleware::from_fn_with_state(overload, Overload::guard))
        .route("/{context}/{aggregate}/{id}/events", get(streams::events))
        .route("/views/{name}/changes", get(streams::changes))
        .merge(pages(openapi))
        .fallback(fallback::unknown_path)
        .with_state(gateway)
        .layer(middleware::from_fn(request_id::mark))
}

impl Gateway {
    /// The aggregate type of a path; 404 with those that there are.
    fn aggregate_type(&self, context: &str, aggregate: &str) -> Result<String, Refusal> {
        let name = format!("{context}.{aggregate}");
        match self.catalog.aggregate(&name) {
            Some(_) => Ok(name),
            None => {
                let known: Vec<&str> = self.catalog.aggregates.iter().map(|entry| entry.name.as_str()).collect();
                let detail = format!("there is no aggregate type {name:?} here; there are {}", known.join(", "));
                Err(not_found(&detail).into())
            }
        }
    }

    /// The view of a path; 404 with those that there are.
    fn view(&self, name: &str) -> Result<String, Refusal> {
        if self.catalog.views.iter().any(|view| view.name == name) {
            return Ok(name.to_owned());
        }
        let known: Vec<&str> = self.catalog.views.iter().map(|view| view.name.as_str()).collect();
        Err(not_found(&format!("there is no view {name:?} here; there are {}", known.join(", "))).into())
    }
}

fn not_found(detail: &str) -> Response {
    problem(StatusCode::NOT_FOUND, "not-found", detail, json!({}))
}

/// A panic's answer; its message is in the log.
pub(crate) fn broken() -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the request failed; the log tells why", json!({}))
}

/// The parameters behind a path's `?`.
fn parameters<T>(query: Result<Query<T>, QueryRejection>) -> Result<T> {
    query.map(|Query(query)| query).map_err(|rejection| Error::invalid(rejection.body_text()))
}

/// Runs what waits for the log or a database beside the thread that serves.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, Refusal> {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(broken().into()),
    }
}
