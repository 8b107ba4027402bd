//! What a process tells about itself: `/metrics`, `/healthz` and `/readyz`.
//!
//! A [`Board`] knows the processors of the process by the statuses that they
//! renew after each step. A scrape reads these; it asks nobody, so it cannot
//! wait. The ends of the log, for the lag, are looked at by a thread of its own.

mod board;
mod ends;
mod health;
mod metrics;
mod names;
mod snapshot;
#[cfg(test)]
mod tests;

pub use board::Board;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use factum_gateway::OtherEntry;
use serde::Serialize;

/// The paths of [`router`], as the gateway's description tells them.
pub(crate) const PATHS: [OtherEntry; 3] = [
    OtherEntry { path: "/metrics", summary: "The process's metrics, for Prometheus", media_type: "text/plain" },
    OtherEntry { path: "/healthz", summary: "Whether all its loops turn", media_type: "application/json" },
    OtherEntry { path: "/readyz", summary: "Whether it keeps up with the log", media_type: "application/json" },
];

/// The routes by which a process is observed: `GET /metrics`, `/healthz` and `/readyz`.
pub fn router(board: Board) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(board)
}

async fn metrics(State(board): State<Board>) -> Response {
    match metrics::render(board.snapshot()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn healthz(State(board): State<Board>) -> Response {
    let told = health::alive(&board.snapshot());
    answer(told.alive, &told)
}

async fn readyz(State(board): State<Board>) -> Response {
    let told = health::ready(&board.snapshot());
    answer(told.ready, &told)
}

fn answer(good: bool, told: &impl Serialize) -> Response {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(told)).into_response()
}
