//! A registry in memory, for tests and for one process.

use super::Registry;
use crate::rules::{At, Model, Which};
use factum_core::Result;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A registry in memory, by the rules of [`rules`](crate::rules). Ids begin at 1.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    content: Mutex<Model>,
}

impl MemoryRegistry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self) -> MutexGuard<'_, Model> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for MemoryRegistry {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn schema_by_id(&self, id: u32) -> Result<String> {
        Ok(self.content().schema(id)?.to_owned())
    }

    fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let mut content = self.content();
        let (registered, changes) = content.register(subject, schema.into())?;
        changes.into_iter().try_for_each(|change| content.apply(change))?;
        Ok(registered.id)
    }

    fn latest(&self, subject: &str) -> Result<Option<(u32, String)>> {
        Ok(latest(&self.content(), subject))
    }
}

/// The latest schema of a subject with its id.
pub(super) fn latest(model: &Model, subject: &str) -> Option<(u32, String)> {
    let found = model.version(subject, At::Latest, Which::Live).ok()?;
    Some((found.id, found.schema))
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::ErrorKind;

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
