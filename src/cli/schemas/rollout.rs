//! How what changed gets to programs that run, as `schemas check` tells it.

use super::{SchemaRegistry, places::Place};
use crate::App;
use factum_core::Result;
use factum_schemas::{CommittedRecord, Rollout, Schema, parse_schema, same};

/// What is known of the records before any of them is looked at.
pub(super) struct Rollouts<'a> {
    registry: Option<&'a SchemaRegistry>,
    /// Those that the registry has.
    subjects: Vec<String>,
    /// The full names of the states, which are written into snapshots only.
    states: Vec<String>,
    /// The full names of the events that nobody writes any more.
    retired: Vec<&'static str>,
}

impl<'a> Rollouts<'a> {
    pub(super) fn of(app: &App, registry: Option<&'a SchemaRegistry>) -> Result<Self> {
        let name = |schema: Schema| schema.name().map(|name| name.fullname(None));
        let states = app.aggregates.iter().filter_map(|host| host.state_schema().map(name).transpose());
        Ok(Rollouts {
            subjects: registry.map(SchemaRegistry::subjects).transpose()?.unwrap_or_default(),
            states: states.collect::<Result<_>>()?,
            retired: app.aggregates.iter().flat_map(|host| host.retired_events()).collect(),
            registry,
        })
    }

    /// How the newest file is rolled out where the registered versions run, without a registry the file
    /// before it; none where nothing changed.
    pub(super) fn rollout(&self, record: &CommittedRecord, places: &[Place]) -> Result<Option<Rollout>> {
        if self.retired.contains(&record.name.as_str()) {
            return Ok(None);
        }
        let last = |between: fn(&Schema, &Schema) -> Rollout| match &record.versions[..] {
            [.., old, new] => Some(between(&old.schema, &new.schema)),
            _ => None,
        };
        match self.registry {
            _ if self.states.contains(&record.name) => Ok(last(Rollout::of_state)),
            Some(registry) => self.after_registered(registry, record, places),
            None => Ok(last(Rollout::between)),
        }
    }

    fn after_registered(
        &self,
        registry: &SchemaRegistry,
        record: &CommittedRecord,
        places: &[Place],
    ) -> Result<Option<Rollout>> {
        let Some(newest) = record.versions.last() else { return Ok(None) };
        for Place { subject, level } in places {
            let Some(latest) = registry.version(subject, None)? else {
                // Where nothing of the topic is registered, nothing runs.
                let topic = &subject[..subject.len() - record.name.len()];
                let runs = self.subjects.iter().any(|known| known.starts_with(topic));
                if runs && !level.looks_forward() {
                    return Ok(Some(Rollout::of_new_event()));
                }
                continue;
            };
            let latest = parse_schema(subject, &latest.schema)?;
            if !same(&latest, &newest.schema) {
                return Ok(Some(Rollout::between(&latest, &newest.schema)));
            }
        }
        Ok(None)
    }
}
