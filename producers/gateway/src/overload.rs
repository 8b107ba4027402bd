//! A limit on what is worked on at a time.

use crate::routes::{RETRY_AFTER, Refusal, broken, problem};
use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

/// So many of something at a time; who comes later is told to try again, and does not wait here.
#[derive(Debug, Clone)]
pub(crate) struct Overload {
    permits: Arc<Semaphore>,
    max: usize,
}

impl Overload {
    pub(crate) fn new(max: usize) -> Self {
        Overload { permits: Arc::new(Semaphore::new(max)), max }
    }

    /// One of them, or a 503 with `Retry-After`.
    pub(crate) fn take(&self, what: &str) -> Result<OwnedSemaphorePermit, Refusal> {
        self.permits.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{} {what} are under way, which is the limit; try again later", self.max);
            let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", &detail, json!({}));
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            response.into()
        })
    }

    /// Lets a request through while there is room.
    pub(crate) async fn guard(
        State(overload): State<Overload>,
        request: Request,
        next: Next,
    ) -> Result<Response, Refusal> {
        let permit = overload.take("requests")?;
        // A task of its own: a client that goes away leaves its work behind, which still takes room.
        let work = async move {
            let response = next.run(request).await;
            drop(permit);
            response
        };
        Ok(tokio::spawn(work.in_current_span()).await.unwrap_or_else(|_| broken()))
    }
}
