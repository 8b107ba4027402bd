//! `/schemas`.

use super::{
    Registry,
    answer::{Failure, json, raw},
    ask, blocking,
    request::{Parameters, Place},
};
use axum::{extract::State, response::Response};
use serde::Serialize;

#[derive(Serialize)]
struct Text {
    schema: String,
}

#[derive(Serialize)]
struct Use {
    subject: String,
    version: u32,
}

pub(super) async fn by_id(State(registry): State<Registry>, Place(id): Place<u32>) -> Result<Response, Failure> {
    Ok(json(&Text { schema: blocking(registry, move |registry| registry.schema(id)).await? }))
}

pub(super) async fn text_by_id(State(registry): State<Registry>, Place(id): Place<u32>) -> Result<Response, Failure> {
    Ok(raw(blocking(registry, move |registry| registry.schema(id)).await?))
}

pub(super) async fn subjects(
    State(registry): State<Registry>,
    Place(id): Place<u32>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let uses = ask(registry, move |model| model.uses(id, parameters.which())).await?;
    let mut subjects: Vec<String> = uses.into_iter().map(|(subject, _)| subject).collect();
    subjects.dedup();
    Ok(json(&subjects))
}

pub(super) async fn versions(
    State(registry): State<Registry>,
    Place(id): Place<u32>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let uses = ask(registry, move |model| model.uses(id, parameters.which())).await?;
    Ok(json(&uses.into_iter().map(|(subject, version)| Use { subject, version }).collect::<Vec<_>>()))
}
