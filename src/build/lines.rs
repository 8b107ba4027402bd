//! What is asked of the process that holds the log, and what it tells: a JSON value a line.

use super::BuildRequest;
use factum_core::Error;
use factum_views::{Database, RebuildProgress};
use serde::{Deserialize, Serialize};
use std::path::absolute;

/// A request, as the body of `POST /views/{name}/tables`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Chosen by the asker, so that it can end the request by [`Wish::Stop`].
    pub(super) id: String,
    /// Where the asker believes the views to be, if it was told.
    pub(super) views: Option<String>,
    pub(super) wish: Wish,
}

/// What is to be done with a view's tables.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Wish {
    List,
    RollBack,
    Drop {
        suffix: String,
    },
    Build(BuildRequest),
    /// Ends another request of this id in good order; its own answer tells how.
    Stop,
}

/// A line of the answer; the last one is `Done` or `Failed`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<T> {
    Progress(RebuildProgress),
    Note(String),
    Done(T),
    Failed { kind: String, detail: String },
}

impl<T> Line<T> {
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
