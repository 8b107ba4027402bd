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
mod path;
mod streams;
mod views;

pub use answer::entity_tag;
pub use headers::{CAUSATION, CORRELATION, OCCURRED};

use crate::{
    Backend, Catalog, Limits, Stop, openapi::openapi, overload::Overload, pages::pages, rates::Rates, request_id,
};
pub(crate) use answer::{RETRY_AFTER, Refusal, problem};
use axum::{
    Router,
    extract::{Query, rejection::QueryRejection},
    http::StatusCode,
    middleware,
    response::Response,
    routing::{MethodRouter, get, post},
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
    rates: Rates,
    /// Ends the streams.
    stop: Stop,
}

/// The routes over a service, which knows what the catalog lists. `stop` ends streams.
pub fn router(service: Arc<dyn Backend>, catalog: Catalog, limits: &Limits, stop: &Stop) -> Router {
    let openapi = openapi(&catalog).to_string();
    let rates = Rates::new(limits, catalog.aggregates.iter().map(|entry| entry.name.as_str()));
    let gateway = Gateway {
        service,
        catalog: Arc::new(catalog),
        streams: Overload::new("streams", limits.max_streams, limits.max_streams_per_client),
        rates: rates.clone(),
        stop: stop.clone(),
    };
    let overload = Overload::new("requests", limits.max_in_flight, limits.max_in_flight_per_client);
    add(requests(), Router::new())
        .route_layer(middleware::from_fn_with_state(overload, Overload::guard))
        .merge(add(streams(), Router::new()))
        .route_layer(middleware::from_fn_with_state(rates, Rates::guard))
        .merge(pages(openapi))
        .fallback(fallback::unknown_path)
        .with_state(gateway)
        .layer(middleware::from_fn(request_id::mark))
}

/// Paths with what serves them.
type Routes = Vec<(&'static str, MethodRouter<Gateway>)>;

fn add(routes: Routes, router: Router<Gateway>) -> Router<Gateway> {
    routes.into_iter().fold(router, |router, (path, served)| router.route(path, served))
}

/// What is answered and done.
fn requests() -> Routes {
    vec![
        ("/views/{name}", get(views::query)),
        ("/audit", get(past::audit)),
        ("/correlations/{correlation}", get(past::causes)),
        ("/{context}/{aggregate}/commands", post(commands::publish_all)),
        ("/{context}/{aggregate}/{id}", get(past::state)),
        ("/{context}/{aggregate}/{id}/history", get(history::history)),
        ("/{context}/{aggregate}/{id}/commands/{command}", post(commands::publish).get(commands::outcome)),
    ]
}

/// What stays open.
fn streams() -> Routes {
    vec![("/{context}/{aggregate}/{id}/events", get(streams::events)), ("/views/{name}/changes", get(streams::changes))]
}

/// Every path that is described.
#[cfg(test)]
pub(crate) fn paths() -> Vec<&'static str> {
    requests().iter().chain(&streams()).map(|(path, _)| *path).collect()
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
