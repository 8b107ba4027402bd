//! The pages that the gateway serves: files in the binary, which need nothing from elsewhere.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};

/// Scripts and styles come from here only, and nothing may put a page into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// `/docs`, which shows `/openapi.json`, and `/demo`, the recipe of a page that shows a command's effect at once.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>(openapi: String) -> Router<S> {
    let openapi = Bytes::from(openapi);
    Router::new()
        .route("/openapi.json", get(async move || ([(header::CONTENT_TYPE, "application/json")], openapi)))
        .route("/docs", file(HTML, include_str!("pages/docs.html")))
        .route("/docs/docs.js", file(SCRIPT, include_str!("pages/docs.js")))
        .route("/demo", file(HTML, include_str!("pages/demo.html")))
        .route("/demo/demo.js", file(SCRIPT, include_str!("pages/demo.js")))
        .route("/docs/page.css", file(STYLE, include_str!("pages/page.css")))
}

fn file<S: Clone + Send + Sync + 'static>(kind: &'static str, text: &'static str) -> axum::routing::MethodRouter<S> {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cache-control"), "no-cache"),
    ];
    get(async move || (headers, text).into_response())
}
