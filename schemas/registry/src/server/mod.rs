//! The API over a registry in the log.

mod answer;
mod request;
mod schemas;
mod settings;
mod subjects;

use answer::{Failure, json};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    response::IntoResponse,
    routing::{get, post},
};
use factum_core::Result;
use factum_schemas::{
    LogRegistry,
    rules::{Model, Refusal},
};
use std::sync::Arc;

/// The largest body of a request, in bytes: the largest schema as JSON text in JSON.
const MAX_BODY_BYTES: usize = 3 << 20;

type Registry = Arc<LogRegistry>;

/// The API, to be served at the root or nested under a path. Requests wait for
/// the log on tokio's threads for blocking work.
pub fn router(registry: Arc<LogRegistry>) -> Router {
    Router::new()
        .route("/", get(async || json(&serde_json::json!({}))))
        .route("/subjects", get(subjects::list))
        .route("/subjects/{subject}", post(subjects::find).delete(subjects::delete))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route("/subjects/{subject}/versions/{version}", get(subjects::version).delete(subjects::delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::version_schema))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/schemas/types", get(async || json(&["AVRO"])))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text_by_id))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects))
        .route("/schemas/ids/{id}/versions", get(schemas::versions))
        .route("/compatibility/subjects/{subject}/versions", post(settings::compatible_with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(settings::compatible_with_one))
        .route("/config", get(settings::level).put(settings::set_level).delete(settings::unset_level))
        .route(
            "/config/{subject}",
            get(settings::subject_level).put(settings::set_subject_level).delete(settings::unset_subject_level),
        )
        .route("/mode", get(settings::mode).put(settings::set_mode))
        .route(
            "/mode/{subject}",
            get(settings::subject_mode).put(settings::set_subject_mode).delete(settings::unset_subject_mode),
        )
        .fallback(async || Failure::no_route().into_response())
        .method_not_allowed_fallback(async || Failure::no_method().into_response())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(registry)
}

/// Does something that waits for the log, where waiting is allowed.
async fn blocking<T: Send + 'static>(
    registry: Registry,
    act: impl FnOnce(&LogRegistry) -> Result<Result<T, Refusal>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(move || act(&registry)).await {
        Ok(done) => Ok(done??),
        Err(error) => Err(Failure::broken(&error)),
    }
}

/// Asks the registry.
async fn ask<T: Send + 'static>(
    registry: Registry,
    question: impl FnOnce(&Model) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Failure> {
    blocking(registry, |registry| registry.read(question)).await
}
