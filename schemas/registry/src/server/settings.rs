//! `/compatibility`, `/config` and `/mode`.

use super::{
    Registry,
    answer::{Failure, json},
    ask, blocking,
    request::{Body, Parameters, Place, Submission},
};
use axum::{extract::State, response::Response};
use factum_schemas::{
    LogRegistry,
    rules::{At, Force, Level, Mode, Model},
};
use serde::{Deserialize, Serialize};

/// A level as it is set.
#[derive(Serialize, Deserialize)]
pub(super) struct SetLevel {
    compatibility: String,
}

/// A level as it is read.
#[derive(Serialize)]
struct GotLevel {
    #[serde(rename = "compatibilityLevel")]
    level: &'static str,
}

/// A mode as it is set and read.
#[derive(Serialize, Deserialize)]
pub(super) struct ModeBody {
    mode: String,
}

#[derive(Serialize)]
struct Verdict {
    is_compatible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<String>>,
}

pub(super) async fn compatible_with_all(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    parameters: Parameters,
    Body(submission): Body<Submission>,
) -> Result<Response, Failure> {
    verdict(registry, subject, None, parameters, submission).await
}

pub(super) async fn compatible_with_one(
    State(registry): State<Registry>,
    Place((subject, version)): Place<(String, String)>,
    parameters: Parameters,
    Body(submission): Body<Submission>,
) -> Result<Response, Failure> {
    verdict(registry, subject, Some(version.parse()?), parameters, submission).await
}

async fn verdict(
    registry: Registry,
    subject: String,
    at: Option<At>,
    parameters: Parameters,
    submission: Submission,
) -> Result<Response, Failure> {
    let problems = ask(registry, move |model| model.problems(&subject, submission.submitted()?.schema, at)).await?;
    Ok(json(&Verdict { is_compatible: problems.is_empty(), messages: parameters.verbose.then_some(problems) }))
}

pub(super) async fn level(State(registry): State<Registry>) -> Result<Response, Failure> {
    let level = ask(registry, |model| Ok(model.default_level())).await?;
    Ok(json(&GotLevel { level: level.name() }))
}

pub(super) async fn subject_level(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let global = parameters.default_to_global;
    let question = move |model: &Model| {
        if global { Ok(model.level(&subject)) } else { model.own_level(&subject) }
    };
    Ok(json(&GotLevel { level: ask(registry, question).await?.name() }))
}

pub(super) async fn set_level(
    State(registry): State<Registry>,
    Body(body): Body<SetLevel>,
) -> Result<Response, Failure> {
    change_level(registry, None, body).await
}

pub(super) async fn set_subject_level(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    Body(body): Body<SetLevel>,
) -> Result<Response, Failure> {
    change_level(registry, Some(subject), body).await
}

async fn change_level(registry: Registry, subject: Option<String>, body: SetLevel) -> Result<Response, Failure> {
    let level: Level = body.compatibility.parse()?;
    blocking(registry, move |registry| registry.change(|model| model.set_level(subject.as_deref(), Some(level))))
        .await?;
    Ok(json(&body))
}

pub(super) async fn unset_level(State(registry): State<Registry>) -> Result<Response, Failure> {
    let change = move |registry: &LogRegistry| {
        registry.change(|model| Ok((model.default_level(), model.set_level(None, None)?.1)))
    };
    Ok(json(&GotLevel { level: blocking(registry, change).await?.name() }))
}

pub(super) async fn unset_subject_level(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
) -> Result<Response, Failure> {
    let change = move |registry: &LogRegistry| {
        registry.change(|model| Ok((model.own_level(&subject)?, model.set_level(Some(&subject), None)?.1)))
    };
    Ok(json(&GotLevel { level: blocking(registry, change).await?.name() }))
}

pub(super) async fn mode(State(registry): State<Registry>) -> Result<Response, Failure> {
    let mode = ask(registry, |model| Ok(model.default_mode())).await?;
    Ok(json(&ModeBody { mode: mode.to_string() }))
}

pub(super) async fn subject_mode(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    let global = parameters.default_to_global;
    let question = move |model: &Model| {
        if global { Ok(model.mode(&subject)) } else { model.own_mode(&subject) }
    };
    Ok(json(&ModeBody { mode: ask(registry, question).await?.to_string() }))
}

pub(super) async fn set_mode(
    State(registry): State<Registry>,
    parameters: Parameters,
    Body(body): Body<ModeBody>,
) -> Result<Response, Failure> {
    change_mode(registry, None, &parameters, body).await
}

pub(super) async fn set_subject_mode(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
    parameters: Parameters,
    Body(body): Body<ModeBody>,
) -> Result<Response, Failure> {
    change_mode(registry, Some(subject), &parameters, body).await
}

async fn change_mode(
    registry: Registry,
    subject: Option<String>,
    parameters: &Parameters,
    body: ModeBody,
) -> Result<Response, Failure> {
    let mode: Mode = body.mode.parse()?;
    let force = if parameters.force { Force::Yes } else { Force::No };
    let change =
        move |registry: &LogRegistry| registry.change(|model| model.set_mode(subject.as_deref(), Some(mode), force));
    blocking(registry, change).await?;
    Ok(json(&body))
}

pub(super) async fn unset_subject_mode(
    State(registry): State<Registry>,
    Place(subject): Place<String>,
) -> Result<Response, Failure> {
    let change = move |registry: &LogRegistry| {
        registry.change(|model| Ok((model.own_mode(&subject)?, model.set_mode(Some(&subject), None, Force::No)?.1)))
    };
    Ok(json(&ModeBody { mode: blocking(registry, change).await?.to_string() }))
}
