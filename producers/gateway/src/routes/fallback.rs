//! Paths that lead nowhere.

use super::not_found;
use axum::{extract::Request, response::Response};

pub(super) async fn unknown_path(request: Request) -> Response {
    not_found(&format!(
        "there is no {} {}; aggregates are at /{{context}}/{{aggregate}}/{{id}}, views at /views/{{name}}, \
         and /docs shows everything (/openapi.json describes it)",
        request.method(),
        request.uri().path()
    ))
}
