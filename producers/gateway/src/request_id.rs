//! A name for each request, in its answer and in the log.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use std::time::Instant;
use tracing::{Instrument, debug, info_span, warn};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer name is replaced.
const MAX_BYTES: usize = 128;

/// Answers with the request's `X-Request-Id`, or with a new one, and names it in
/// the span around everything that is done for the request.
pub(crate) async fn mark(request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).filter(|id| is_name(id)).cloned();
    let id = given.or_else(|| HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).ok());
    let name = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let span = info_span!("http.request", request = name, method = %request.method(), path = request.uri().path());
    let begun = Instant::now();
    let work = async {
        let response = next.run(request).await;
        let (status, took_ms) =
            (response.status().as_u16(), u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        if status == 500 {
            warn!(status, took_ms, "failed")
        } else {
            debug!(status, took_ms, "answered")
        }
        response
    };
    let mut response = work.instrument(span).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Whether it can stand in a line of the log as it is.
fn is_name(id: &HeaderValue) -> bool {
    (1..=MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}
