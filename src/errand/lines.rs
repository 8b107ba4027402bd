//! What is asked of the process that holds the log, and what it tells: a JSON value a line.

use factum_core::Error;
use factum_views::Database;
use serde::{Deserialize, Serialize};
use std::path::absolute;

/// Where errands are asked for: `POST /errands/{name}`.
pub(super) const PATH: &str = "errands";
/// Ends another errand.
pub(super) const STOP: &str = "stop";
/// The longest id of an errand, in bytes.
pub(super) const MAX_ID_BYTES: usize = 64;

/// The body of a request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked<E> {
    /// Chosen by the asker, so that it can end the errand by [`Stopping`].
    pub(super) id: String,
    /// Where the asker believes the views to be, if it was told.
    pub(super) views: Option<String>,
    pub(super) errand: E,
}

/// Ends the errand of this id in good order; its own answer tells how.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stopping {
    pub(super) id: String,
}

/// A line of the answer; the last one is `Done` or `Failed`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<T, D> {
    Told(T),
    Done(D),
    Failed { kind: String, detail: String },
}

impl<T, D> Line<T, D> {
    pub(super) fn failed(error: &Error) -> Self {
        Line::Failed { kind: error.kind().to_string(), detail: error.to_string() }
    }
}

/// A database's name, the same in every process of this machine; without a password.
pub(super) fn name_of(database: &Database) -> String {
    let whole = |path: &std::path::Path| path.canonicalize().or_else(|_| absolute(path));
    match database.path().map(whole) {
        Some(Ok(path)) => path.display().to_string(),
        Some(Err(_)) | None => database.to_string(),
    }
}
