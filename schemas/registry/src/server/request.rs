//! What comes in: parameters and bodies, with errors in the API's form.

use super::answer::Failure;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, request::Parts},
};
use factum_schemas::rules::{Permanence, Refusal, Submitted, Which};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// The parameters after the question mark; unknown ones are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Parameters {
    #[serde(deserialize_with = "truth")]
    deleted: bool,
    #[serde(deserialize_with = "truth")]
    deleted_only: bool,
    #[serde(deserialize_with = "truth")]
    permanent: bool,
    #[serde(deserialize_with = "truth")]
    pub(super) force: bool,
    #[serde(deserialize_with = "truth")]
    pub(super) verbose: bool,
    #[serde(deserialize_with = "truth")]
    pub(super) default_to_global: bool,
    pub(super) subject_prefix: String,
}

/// As Java reads it, since clients rely on that: `true` in any case, and the rest is false.
fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    String::deserialize(from).map(|text| text.eq_ignore_ascii_case("true"))
}

impl Parameters {
    pub(super) fn which(&self) -> Which {
        match (self.deleted, self.deleted_only) {
            (_, true) => Which::Deleted,
            (true, false) => Which::All,
            (false, false) => Which::Live,
        }
    }

    pub(super) fn permanence(&self) -> Permanence {
        if self.permanent { Permanence::Hard } else { Permanence::Soft }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<Parameters>::from_request_parts(parts, state).await;
        query.map(|Query(parameters)| parameters).map_err(|e| Failure::new(e.status(), e.body_text()))
    }
}

/// The variable parts of the path, decoded.
#[derive(Debug)]
pub(super) struct Place<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Place<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(parts)| Place(parts)).map_err(|e| Failure::new(e.status(), e.body_text()))
    }
}

/// A body of JSON, whatever its content type says.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = Bytes::from_request(request, state).await.map_err(|e| Failure::new(e.status(), e.body_text()))?;
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Body).map_err(|e| Failure::new(StatusCode::BAD_REQUEST, format!("the body is not as expected: {e}")))
    }
}

/// A schema that is submitted. Metadata and rules of newer clients are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Submission {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<serde_json::Value>>,
    id: Option<i32>,
    version: Option<i32>,
}

impl Submission {
    /// The schema, if it is of a kind that is kept here.
    pub(super) fn submitted(&self) -> Result<Submitted<'_>, Refusal> {
        if let Some(other) = self.schema_type.as_deref().filter(|kind| *kind != "AVRO") {
            return Err(Refusal::invalid_schema(format!("its type is {other}, and this registry keeps AVRO alone")));
        }
        if self.references.as_ref().is_some_and(|references| !references.is_empty()) {
            let what =
                "it refers to other subjects, which this registry does not support: register it with its types inline";
            return Err(Refusal::invalid_schema(what));
        }
        let schema = self.schema.as_deref().ok_or_else(|| Refusal::invalid_schema("the body has no \"schema\""))?;
        // Clients send -1 for a number that is not given.
        let given = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok());
        Ok(Submitted { schema, id: given(self.id), version: given(self.version) })
    }
}
