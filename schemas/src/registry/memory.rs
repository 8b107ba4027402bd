//! A registry in memory, for tests and for one process.

use super::Registry;
use crate::shape;
use apache_avro::Schema;
use factum_core::{Error, ErrorKind, Result};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A registry in memory. Every subject is BACKWARD_TRANSITIVE: a new schema
/// reads what every earlier one wrote. Ids begin at 1.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    content: Mutex<Content>,
}

#[derive(Debug, Clone, Default)]
struct Content {
    /// The schema of id `n` is at `n - 1`.
    schemas: Vec<(String, Schema)>,
    subjects: BTreeMap<String, Vec<u32>>,
}

impl MemoryRegistry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many versions a subject has.
    pub(crate) fn versions(&self, subject: &str) -> u32 {
        let count = self.content().subjects.get(subject).map_or(0, Vec::len);
        u32::try_from(count).expect("fewer than 2^32 schemas fit in memory")
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy that goes its own way, to try a registration on.
impl Clone for MemoryRegistry {
    fn clone(&self) -> Self {
        MemoryRegistry { content: Mutex::new(self.content().clone()) }
    }
}

impl Content {
    fn get(&self, id: u32) -> Option<&(String, Schema)> {
        self.schemas.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    fn id_of(&mut self, schema: Schema) -> u32 {
        let json = shape::compact(&schema);
        let found = self.schemas.iter().position(|(known, _)| *known == json);
        let index = found.unwrap_or_else(|| {
            self.schemas.push((json, schema));
            self.schemas.len() - 1
        });
        u32::try_from(index + 1).expect("fewer than 2^32 schemas fit in memory")
    }
}

impl Registry for MemoryRegistry {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn schema_by_id(&self, id: u32) -> Result<String> {
        let content = self.content();
        let found = content.get(id).map(|(json, _)| json.clone());
        found.ok_or_else(|| Error::data(format!("the schema registry has no schema of id {id}")))
    }

    fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let new = Schema::parse_str(schema).map_err(|e| {
            Error::with_source(ErrorKind::Invalid, format!("the schema for subject {subject} is not valid"), e)
        })?;
        let mut content = self.content();
        let known = content.subjects.get(subject).cloned().unwrap_or_default();
        for id in &known {
            let (_, old) = content.get(*id).expect("a subject lists ids of this registry");
            if shape::same(old, &new) {
                return Ok(*id);
            }
        }
        for (version, id) in known.iter().enumerate() {
            let (_, old) = content.get(*id).expect("a subject lists ids of this registry");
            shape::readable(old, &new).map_err(|why| {
                Error::invalid(format!(
                    "subject {subject}: the new schema cannot read what version {} wrote ({why}); \
                     a breaking change needs a new record name",
                    version + 1
                ))
            })?;
        }
        let id = content.id_of(new);
        content.subjects.entry(subject.to_owned()).or_default().push(id);
        Ok(id)
    }

    fn latest(&self, subject: &str) -> Result<Option<(u32, String)>> {
        let content = self.content();
        let latest = content.subjects.get(subject).and_then(|ids| ids.last()).copied();
        Ok(latest.and_then(|id| content.get(id).map(|(json, _)| (id, json.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#;
    const MORE: &str = r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"},{"name":"d","type":"long","default":0}]}"#;

    #[test]
    fn a_schema_has_one_id_everywhere() {
        let registry = MemoryRegistry::new();
        let id = registry.register("t-a.B", ONE).unwrap();
        assert_eq!(registry.register("t-a.B", ONE).unwrap(), id);
        assert_eq!(registry.register("u-a.B", ONE).unwrap(), id);
        assert_ne!(registry.register("t-a.B", MORE).unwrap(), id);
        assert_eq!(registry.latest("u-a.B").unwrap().unwrap().0, id);
        assert_eq!(registry.latest("v-a.B").unwrap(), None);
    }

    #[test]
    fn an_id_that_was_never_given_is_bad_data() {
        for id in [0, 1, u32::MAX] {
            assert_eq!(MemoryRegistry::new().schema_by_id(id).unwrap_err().kind(), ErrorKind::Data);
        }
    }

    #[test]
    fn a_schema_that_cannot_read_an_earlier_version_is_refused() {
        let registry = MemoryRegistry::new();
        registry.register("t-a.B", ONE).unwrap();
        let without_default = MORE.replace(r#","default":0"#, "");
        let error = registry.register("t-a.B", &without_default).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.to_string().contains("subject t-a.B: the new schema cannot read what version 1 wrote"),
            "{error}"
        );
    }

    #[test]
    fn what_reads_only_some_values_is_refused() {
        let registry = MemoryRegistry::new();
        let union = r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":["null","long"]}]}"#;
        let symbols = |s: &str| {
            format!(
                r#"{{"type":"record","name":"a.E","fields":[{{"name":"c","type":{{"type":"enum","name":"S","symbols":[{s}]}}}}]}}"#
            )
        };
        registry.register("t-a.B", union).unwrap();
        assert_eq!(registry.register("t-a.B", ONE).unwrap_err().kind(), ErrorKind::Invalid);
        registry.register("t-a.E", &symbols(r#""X","Y""#)).unwrap();
        assert_eq!(registry.register("t-a.E", &symbols(r#""X""#)).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn what_is_not_a_schema_is_refused() {
        assert_eq!(MemoryRegistry::new().register("s", "{").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
