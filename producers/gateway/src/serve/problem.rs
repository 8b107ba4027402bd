//! Errors that no route has a word for.

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A plain text is at most so long.
const MAX_TEXT_BYTES: usize = 4096;

/// Makes a problem (RFC 9457) of an error that is plain text, or has no body
/// at all: so clients find the reason of every error in the same place.
pub(super) async fn as_problem(State(max_body_bytes): State<usize>, request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let status = response.status();
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_TEXT_BYTES).await.unwrap_or_default();
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            format!("there is no {asked}; the header allow tells what that path is for")
        }
        StatusCode::PAYLOAD_TOO_LARGE => format!("a body has at most {}", size(max_body_bytes)),
        StatusCode::SERVICE_UNAVAILABLE if text.is_empty() => format!("{asked} took too long"),
        _ => String::from_utf8_lossy(&text).trim_end().to_owned(),
    };
    let title = status.canonical_reason().unwrap_or("Error").to_lowercase();
    let problem = json!({ "title": title, "status": status.as_u16(), "detail": detail });
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    (parts, problem.to_string()).into_response()
}

fn size(bytes: usize) -> String {
    const MIB: usize = 1024 * 1024;
    if bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{bytes} bytes") }
}
