//! What is known of a registry's schemas, in memory and on disk.

use crate::{Registry, bounds, disk::Disk, newest, parse, shape};
use apache_avro::Schema;
use factum_core::{DecodeError, Error, ErrorKind, Result};
use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

/// How many schemas are kept, in memory and on disk each.
const LIMIT_SCHEMAS: usize = 10_000;

/// Schemas by id, in front of a registry. Threads share one; a codec asks it
/// once per id and remembers.
///
/// On disk it lets a process start while the registry is away: ids never change
/// their schema, and what this process registered before has its id still.
pub struct SchemaCache {
    registry: Arc<dyn Registry>,
    disk: Option<Disk>,
    limit: usize,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    schemas: BTreeMap<u32, Arc<WriterSchema>>,
    /// By subject and schema.
    ids: BTreeMap<(String, String), u32>,
}

/// A schema that some value was written with.
pub(crate) struct WriterSchema {
    /// The record's full name; none when it is not a record.
    pub(crate) name: Option<Arc<str>>,
    /// The schema.
    pub(crate) schema: Schema,
}

impl SchemaCache {
    /// A cache that is gone with the process.
    pub fn in_memory(registry: Arc<dyn Registry>) -> Self {
        SchemaCache { registry, disk: None, limit: LIMIT_SCHEMAS, known: RwLock::default() }
    }

    /// A cache in a folder, one file for each schema. Several processes may share the folder.
    ///
    /// # Errors
    /// `Invalid` when the folder cannot be made or read.
    pub fn on_disk(registry: Arc<dyn Registry>, folder: &Path) -> Result<Self> {
        let disk = Disk::open(folder, &registry.name(), LIMIT_SCHEMAS)?;
        Ok(SchemaCache { disk: Some(disk), ..Self::in_memory(registry) })
    }

    /// Makes the schema of an id known, from disk or from the registry: what
    /// to do after [`UnknownSchema`](factum_core::DecodeError::UnknownSchema).
    /// Blocks while it asks.
    ///
    /// # Errors
    /// `Unavailable`: try again later. `Data`: there is no such schema, or not
    /// one that can be used; a value with this id never decodes.
    pub fn fetch(&self, id: u32) -> Result<()> {
        if self.get(id).is_some() {
            return Ok(());
        }
        if let Some(json) = self.disk.as_ref().and_then(|disk| disk.schema(id))
            && let Ok(schema) = parse(id, &json)
        {
            self.remember(id, schema);
            return Ok(());
        }
        let json = self.registry.schema_by_id(id)?;
        self.learn(id, &json)
    }

    /// What `decode` gives, after fetching the schema that it lacks. Blocks
    /// while it asks: for readers of single values, not for a loop of records.
    ///
    /// # Errors
    /// `Data` when the value cannot be decoded; those of [`SchemaCache::fetch`].
    pub fn with_schema<T>(&self, decode: impl Fn() -> Result<T, DecodeError>) -> Result<T> {
        match decode() {
            Err(DecodeError::UnknownSchema(id)) => {
                self.fetch(id)?;
                Ok(decode()?)
            }
            decoded => Ok(decoded?),
        }
    }

    /// Makes the schema of an id known without asking the registry.
    ///
    /// # Errors
    /// `Data` when it is not a schema that can be used.
    pub fn learn(&self, id: u32, schema: &str) -> Result<()> {
        let parsed = parse(id, schema)?;
        if let Some(disk) = &self.disk {
            disk.keep_schema(id, schema);
        }
        self.remember(id, parsed);
        Ok(())
    }

    /// Registers a schema and makes its id known. While the registry is away,
    /// the id that it had before.
    ///
    /// # Errors
    /// `Unavailable` when the registry is away and the schema is new here;
    /// `Invalid` when the registry refuses it, or is another one than that of
    /// the cached schemas.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let ids = self.register_all(&[(subject.to_owned(), schema.to_owned())])?;
        ids.first().copied().ok_or_else(|| Error::unavailable(format!("subject {subject}: the registry gave no id")))
    }

    /// The same for several schemas, each with its subject: one call where the
    /// registry can. The ids are in the same order.
    ///
    /// # Errors
    /// Those of [`SchemaCache::register`].
    pub fn register_all(&self, schemas: &[(String, String)]) -> Result<Vec<u32>> {
        let known =
            |key: &(String, String)| self.known.read().unwrap_or_else(PoisonError::into_inner).ids.get(key).copied();
        let mut ids: Vec<Option<u32>> = schemas.iter().map(known).collect();
        let lacking = schemas.iter().zip(&ids).filter(|(_, id)| id.is_none());
        let new: Vec<_> = lacking.map(|(key, _)| key.clone()).collect();
        if new.is_empty() {
            return Ok(ids.into_iter().flatten().collect());
        }
        let given = match self.registry.register_all(&new) {
            Ok(given) => given,
            Err(e) if e.kind() == ErrorKind::Unavailable => self.kept_ids(&new).ok_or(e)?,
            Err(e) => return Err(e),
        };
        if given.len() != new.len() {
            return Err(Error::unavailable(format!(
                "{} gave {} ids for {} schemas",
                self.registry.name(),
                given.len(),
                new.len()
            )));
        }
        for (slot, (key, id)) in ids.iter_mut().filter(|id| id.is_none()).zip(new.into_iter().zip(given)) {
            self.keep(key, id)?;
            *slot = Some(id);
        }
        Ok(ids.into_iter().flatten().collect())
    }

    /// The ids that the registry gave before, if it gave all of them.
    fn kept_ids(&self, schemas: &[(String, String)]) -> Option<Vec<u32>> {
        let disk = self.disk.as_ref()?;
        let kept = schemas.iter().map(|(subject, schema)| disk.id(subject, schema)).collect::<Option<Vec<_>>>()?;
        for ((subject, _), id) in schemas.iter().zip(&kept) {
            tracing::warn!(subject, id, "the schema registry is away: going on with the id it gave before");
        }
        Some(kept)
    }

    /// Keeps the id that a schema has under its subject.
    fn keep(&self, key: (String, String), id: u32) -> Result<()> {
        let (subject, schema) = &key;
        self.check_same_registry(id, subject, schema)?;
        if let Some(disk) = &self.disk {
            disk.keep_id(subject, schema, id);
        }
        self.learn(id, schema)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut known.ids, self.limit);
        known.ids.insert(key, id);
        Ok(())
    }

    /// The schema of an id, if it is known in memory.
    pub(crate) fn get(&self, id: u32) -> Option<Arc<WriterSchema>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).schemas.get(&id).cloned()
    }

    /// Ids never change their schema. A registry that gives one of them to another schema was made anew, or
    /// restored to an earlier state: what was written with its ids would be read as something else.
    fn check_same_registry(&self, id: u32, subject: &str, schema: &str) -> Result<()> {
        let kept = match self.get(id) {
            Some(kept) => Some(kept),
            None => {
                self.disk.as_ref().and_then(|disk| disk.schema(id)).and_then(|json| parse(id, &json).ok()).map(Arc::new)
            }
        };
        let Some(kept) = kept else { return Ok(()) };
        if shape::same_bytes(&kept.schema, &parse(id, schema)?.schema) {
            return Ok(());
        }
        let how = match &self.disk {
            Some(disk) => format!(", or, if the log is a new one too, remove the folder {}", disk.folder().display()),
            None => String::new(),
        };
        Err(Error::invalid(format!(
            "subject {subject}: {} gave id {id}, which is the id of another schema ({}): it is not the registry that \
             values were written with, which would be read as something else; bring that one back{how}",
            self.registry.name(),
            kept.name.as_deref().unwrap_or("no record")
        )))
    }

    fn remember(&self, id: u32, schema: WriterSchema) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut known.schemas, self.limit);
        known.schemas.insert(id, Arc::new(schema));
    }
}

impl fmt::Debug for SchemaCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaCache")
            .field("registry", &self.registry)
            .field("disk", &self.disk)
            .finish_non_exhaustive()
    }
}

/// Which one goes does not matter: it can be fetched again, and codecs keep what they use.
fn make_room<K: Ord, V>(map: &mut BTreeMap<K, V>, limit: usize) {
    while map.len() >= limit {
        map.pop_first();
    }
}

fn parse(id: u32, json: &str) -> Result<WriterSchema> {
    let unusable = |why| Error::data(format!("schema id {id} is not usable: {why}"));
    let schema = parse::parse(json).map_err(unusable)?;
    bounds::check(&schema).map_err(unusable)?;
    Ok(WriterSchema { name: newest::record_name(&schema).map(Into::into), schema })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryRegistry, disk::MAX_SCHEMA_BYTES};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    const ONE: &str = r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#;
    const OTHER: &str = r#"{"type":"record","name":"a.C","fields":[{"name":"c","type":"string"}]}"#;

    /// A registry that can be away, and counts what it is asked.
    #[derive(Debug, Default)]
    struct Fragile {
        inner: MemoryRegistry,
        away: AtomicBool,
        calls: AtomicUsize,
    }

    impl Fragile {
        fn call(&self) -> Result<()> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.away.load(Ordering::Relaxed) { Err(Error::unavailable("away")) } else { Ok(()) }
        }
    }

    impl Registry for Fragile {
        fn name(&self) -> String {
            self.inner.name()
        }
        fn schema_by_id(&self, id: u32) -> Result<String> {
            self.call().and_then(|()| self.inner.schema_by_id(id))
        }
        fn register(&self, subject: &str, schema: &str) -> Result<u32> {
            self.call().and_then(|()| self.inner.register(subject, schema))
        }
        fn latest(&self, subject: &str) -> Result<Option<(u32, String)>> {
            self.call().and_then(|()| self.inner.latest(subject))
        }
    }

    #[test]
    fn an_id_is_asked_for_once() {
        let registry = Arc::new(Fragile::default());
        let id = registry.inner.register("s", ONE).unwrap();
        let cache = SchemaCache::in_memory(registry.clone());
        assert!(cache.get(id).is_none());
        (0..3).for_each(|_| cache.fetch(id).unwrap());
        assert_eq!(cache.get(id).unwrap().name.as_deref(), Some("a.B"));
        assert_eq!(registry.calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_process_starts_again_while_the_registry_is_away() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Arc::new(Fragile::default());
        let foreign = registry.inner.register("s", OTHER).unwrap();
        let before = SchemaCache::on_disk(registry.clone(), folder.path()).unwrap();
        let own = before.register("t-a.B", ONE).unwrap();
        before.fetch(foreign).unwrap();

        registry.away.store(true, Ordering::Relaxed);
        let after = SchemaCache::on_disk(registry.clone(), folder.path()).unwrap();
        assert_eq!(after.register("t-a.B", ONE).unwrap(), own);
        after.fetch(foreign).unwrap();
        assert_eq!(after.get(foreign).unwrap().name.as_deref(), Some("a.C"));
        // What was never seen stays unknown.
        assert_eq!(after.register("t-a.C", OTHER).unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(after.fetch(99).unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_registry_that_gives_a_known_id_to_another_schema_is_refused_and_nothing_is_read_as_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let (first, wrong) = (Arc::new(MemoryRegistry::new()), Arc::new(MemoryRegistry::new()));
        let old = SchemaCache::on_disk(first.clone(), folder.path()).unwrap();
        assert_eq!((old.register("t", ONE).unwrap(), old.register("u", OTHER).unwrap()), (1, 2));
        // One that was made anew gives its first id to whom comes first.
        let new = SchemaCache::on_disk(wrong, folder.path()).unwrap();
        let error = new.register("u", OTHER).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.starts_with("subject u: memory gave id 1, which is the id of another schema (a.B): "), "{text}");
        assert!(text.contains("bring that one back, or, if the log is a new one too, remove the folder "), "{text}");
        new.fetch(1).unwrap();
        assert_eq!(new.get(1).unwrap().name.as_deref(), Some("a.B"));
        // The right one is taken.
        let back = SchemaCache::on_disk(first, folder.path()).unwrap();
        assert_eq!((back.register("u", OTHER).unwrap(), back.register("t", ONE).unwrap()), (2, 1));
    }

    #[test]
    fn a_known_id_is_not_asked_for_again_whatever_the_registry_says_now() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Arc::new(MemoryRegistry::new());
        let id = registry.register("t", ONE).unwrap();
        SchemaCache::on_disk(registry, folder.path()).unwrap().fetch(id).unwrap();
        let (forgot, other) = (Arc::new(MemoryRegistry::new()), Arc::new(MemoryRegistry::new()));
        assert_eq!(other.register("t", OTHER).unwrap(), id);
        for registry in [forgot, other] {
            let cache = SchemaCache::on_disk(registry, folder.path()).unwrap();
            cache.fetch(id).unwrap();
            assert_eq!(cache.get(id).unwrap().name.as_deref(), Some("a.B"));
            // One that is new here comes from the registry, or is missing.
            assert_eq!(cache.fetch(id + 1).unwrap_err().kind(), ErrorKind::Data);
        }
    }

    #[test]
    fn what_cannot_be_used_is_bad_data() {
        let cache = SchemaCache::in_memory(Arc::new(MemoryRegistry::new()));
        let long = format!(r#"{{"type":"string","doc":"{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES));
        for (json, message) in [
            ("{", "schema id 7 is not usable: it is not JSON"),
            ("7", "schema id 7 is not usable: it is not an Avro schema"),
            (r#"{"type":"array","items":"null"}"#, "schema id 7 is not usable"),
            (long.as_str(), "the limit is 1048576"),
        ] {
            let error = cache.learn(7, json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn memory_has_a_limit() {
        let mut cache = SchemaCache::in_memory(Arc::new(MemoryRegistry::new()));
        cache.limit = 3;
        (1..10).for_each(|id| cache.learn(id, ONE).unwrap());
        assert_eq!((1..10).filter(|id| cache.get(*id).is_some()).count(), 3);
        assert!(cache.get(9).is_some());
    }
}
