//! `/subjects`.

use super::{
    Registry,
    answer::{Failure, json, raw},
    ask, blocking,
    request::{Body, Parameters, Place, Submission},
};
use axum::{extract::State, response::Response};
use factum_schemas::{
    LogRegistry,
    rules::{At, Model, Registered, Which},
};
use serde::Serialize;

#[derive(Serialize)]
struct Version<'a> {
    subject: &'a str,
    version: u32,
    id: u32,
    schema: &'a str,
}

#[derive(Serialize)]
struct Id {
    id: u32,
}

impl<'a> From<&'a Registered> for Version<'a> {
    fn from(Registered { subject, version, id, schema }: &'a Registered) -> Self {
        Version { subject, version: *version, id: *id, schema }
    }
}

pub(super) async fn list(State(registry): State<Registry>, parameters: Parameters) -> Result<Response, Failure> {
    let found = ask(registry, move |model| Ok(model.subjects(&parameters.subject_prefix, parameters.which()))).await?;
    Ok(json(&found))
}

pub(super) async fn versions(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    Ok(json(&ask(registry, move |model| model.versions(&subject, parameters.which())).await?))
}

pub(super) async fn version(
    State(registry): State<Registry>,
    Place((subject, version)): Place<(String, String)>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let found = one(registry, subject, version, parameters.which()).await?;
    Ok(json(&Version::from(&found)))
}

pub(super) async fn version_schema(
    State(registry): State<Registry>,
    Place((subject, version)): Place<(String, String)>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    Ok(raw(one(registry, subject, version, parameters.which()).await?.schema))
}

/// No schema refers to another here.
pub(super) async fn referenced_by(
    State(registry): State<Registry>,
    Place((subject, version)): Place<(String, String)>,
) -> Result<Response, Failure> {
    one(registry, subject, version, Which::Live).await?;
    Ok(json(&[(); 0]))
}

pub(super) async fn find(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    parameters: Parameters,
    Body(submission): Body<Submission>,
) -> Result<Response, Failure> {
    let question = move |model: &Model| model.find(&subject, submission.submitted()?.schema, parameters.which());
    Ok(json(&Version::from(&ask(registry, question).await?)))
}

pub(super) async fn register(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    Body(submission): Body<Submission>,
) -> Result<Response, Failure> {
    let change =
        move |registry: &LogRegistry| registry.change(|model| model.register(&subject, submission.submitted()?));
    let registered = blocking(registry, change).await?;
    Ok(json(&Id { id: registered.id }))
}

pub(super) async fn delete(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let how = parameters.permanence();
    let change = move |registry: &LogRegistry| registry.change(|model| model.delete_subject(&subject, how));
    Ok(json(&blocking(registry, change).await?))
}

pub(super) async fn delete_version(
    State(registry): State<Registry>,
    Place((subject, version)): Place<(String, String)>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let at: At = version.parse()?;
    let how = parameters.permanence();
    let change = move |registry: &LogRegistry| registry.change(|model| model.delete_version(&subject, at, how));
    Ok(json(&blocking(registry, change).await?))
}

async fn one(registry: Registry, subject: String, version: String, which: Which) -> Result<Registered, Failure> {
    let at: At = version.parse()?;
    ask(registry, move |model| model.version(&subject, at, which)).await
}
