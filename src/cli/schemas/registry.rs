//! One registry, wherever it is.

use factum_core::{ErrorKind, Result};
use factum_schemas::{
    LogRegistry, RegisteredVersion, Registry, RegistryClient,
    rules::{At, Change, Level, Model, Refusal, Trial, Which},
};
use std::sync::Arc;

/// What a subject is to become.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) subject: String,
    pub(super) level: Level,
    /// Whether the subject has no version yet.
    pub(super) is_new: bool,
    /// The schemas to be registered, in their order.
    pub(super) schemas: Vec<String>,
}

/// The registry that the verbs talk to.
#[derive(Debug)]
pub(in crate::cli) enum SchemaRegistry {
    /// One with Confluent's API.
    Http(RegistryClient),
    /// The topic of schemas.
    Log(Arc<LogRegistry>),
}

impl SchemaRegistry {
    /// The names of the subjects.
    pub(super) fn subjects(&self) -> Result<Vec<String>> {
        match self {
            SchemaRegistry::Http(client) => client.subjects(),
            SchemaRegistry::Log(log) => log.read(|model| model.subjects("", Which::Live)),
        }
    }

    /// The versions of a subject; none of one that does not exist.
    pub(super) fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        match self {
            SchemaRegistry::Http(client) => client.versions(subject),
            SchemaRegistry::Log(log) => log.read(|model| model.versions(subject, Which::Live).unwrap_or_default()),
        }
    }

    /// One version of a subject, the latest where none is named; none where there is none.
    pub(super) fn version(&self, subject: &str, version: Option<u32>) -> Result<Option<RegisteredVersion>> {
        match self {
            SchemaRegistry::Http(client) => match client.version(subject, version) {
                Err(error) if error.kind() == ErrorKind::Data => Ok(None),
                found => found.map(Some),
            },
            SchemaRegistry::Log(log) => log.read(|model| {
                let found = model.version(subject, version.map_or(At::Latest, At::Number), Which::Live).ok()?;
                Some(RegisteredVersion { version: found.version, id: found.id, schema: found.schema })
            }),
        }
    }

    /// The schema of an id.
    pub(super) fn schema(&self, id: u32) -> Result<String> {
        match self {
            SchemaRegistry::Http(client) => client.schema(id),
            SchemaRegistry::Log(log) => log.schema_by_id(id),
        }
    }

    /// The level that holds for a subject.
    pub(super) fn level(&self, subject: &str) -> Result<Level> {
        match self {
            SchemaRegistry::Http(client) => client.level(subject),
            SchemaRegistry::Log(log) => log.read(|model| model.level(subject)),
        }
    }

    /// Carries out plans; the ids that each one's schemas have. In one step where the registry can.
    pub(super) fn carry_out(&self, plans: &[Plan]) -> Result<Vec<Vec<u32>>> {
        match self {
            SchemaRegistry::Http(client) => plans.iter().map(|plan| by_calls(client, plan)).collect(),
            SchemaRegistry::Log(log) => Ok(log.change(|model| at_once(model, plans))??),
        }
    }

    /// What the registry has against a schema as the next version of a subject, by the subject's level.
    pub(super) fn problems(&self, subject: &str, schema: &str) -> Result<Vec<String>> {
        match self {
            SchemaRegistry::Http(client) => client.problems(subject, schema),
            SchemaRegistry::Log(log) => {
                let found: Result<_, Refusal> = log.read(|model| model.problems(subject, schema, None))?;
                Ok(found?)
            }
        }
    }
}

fn by_calls(client: &RegistryClient, plan: &Plan) -> Result<Vec<u32>> {
    // Some registries have no rule for a subject without versions, so its first one comes before the rule.
    let (first, rest) = plan.schemas.split_at(usize::from(plan.is_new).min(plan.schemas.len()));
    let register = |schema: &String| client.register(&plan.subject, schema);
    let mut ids = first.iter().map(register).collect::<Result<Vec<_>>>()?;
    if plan.is_new || client.level(&plan.subject)? != plan.level {
        client.set_level(&plan.subject, plan.level)?;
    }
    for schema in rest {
        ids.push(register(schema)?);
    }
    Ok(ids)
}

fn at_once(model: &Model, plans: &[Plan]) -> Result<(Vec<Vec<u32>>, Vec<Change>), Refusal> {
    let mut trial = Trial::of(model);
    let mut all = Vec::new();
    for plan in plans {
        if trial.model().own_level(&plan.subject) != Ok(plan.level) {
            let decided = trial.model().set_level(Some(&plan.subject), Some(plan.level))?;
            trial.take(decided)?;
        }
        let mut ids = Vec::new();
        for schema in &plan.schemas {
            let decided = trial.model().register(&plan.subject, schema.as_str().into())?;
            ids.push(trial.take(decided)?.id);
        }
        all.push(ids);
    }
    Ok((all, trial.into_changes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_log_memory::MemoryLog;

    const ONE: &str = r#"{"type":"record","name":"a.B","fields":[]}"#;

    #[test]
    fn the_topic_takes_all_plans_or_none() {
        let log = LogRegistry::open(Arc::new(MemoryLog::with_system_clock()), None).unwrap();
        let registry = SchemaRegistry::Log(Arc::new(log));
        let plan = |subject: &str, schemas: &[&str]| Plan {
            subject: subject.to_owned(),
            level: Level::FullTransitive,
            is_new: true,
            schemas: schemas.iter().map(|schema| (*schema).to_owned()).collect(),
        };
        let breaking = ONE.replace("[]", r#"[{"name":"c","type":"long"}]"#);
        let error = registry.carry_out(&[plan("s", &[ONE]), plan("t", &[ONE, &breaking])]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("field c: it is missing there and has no default"), "{error}");
        assert_eq!(registry.subjects().unwrap(), Vec::<String>::new());
        let more = breaking.replace(r#""long""#, r#""long","default":0"#);
        let ids = registry.carry_out(&[plan("s", &[ONE]), plan("t", &[ONE, &more])]).unwrap();
        assert_eq!(ids, [vec![1], vec![1, 2]]);
        assert_eq!(registry.level("t").unwrap(), Level::FullTransitive);
        assert_eq!(registry.version("t", None).unwrap().unwrap().id, 2);
        assert_eq!(registry.version("u", None).unwrap(), None);
        assert_eq!(registry.problems("t", "\"int\"").unwrap().len(), 4);
    }
}
