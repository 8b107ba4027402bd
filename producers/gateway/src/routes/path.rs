//! The variable parts of a path.

use super::Refusal;
use axum::{
    extract::{FromRequestParts, Path as Parts},
    http::request,
};
use factum_core::Error;
use serde::de::DeserializeOwned;

/// They, decoded. What axum would answer where they are not UTF-8 is no problem document.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Refusal> {
        let path = Parts::<T>::from_request_parts(parts, state).await;
        path.map(|Parts(path)| Path(path)).map_err(|rejection| Error::invalid(rejection.body_text()).into())
    }
}
