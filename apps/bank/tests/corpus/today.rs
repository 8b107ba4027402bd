//! What today's code makes of bytes of any version.

use crate::files::{Case, Corpus, Version, framed};
use factum::{
    Message, MessageCodec,
    schemas::{AvroMessage, MemoryRegistry, RecordCodec, Registry, SchemaCache, compact, subject},
};
use factum_bank::{Command, Event};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The bank's codecs, over a registry that holds every version.
pub(crate) struct Today {
    cache: Arc<SchemaCache>,
    commands: RecordCodec<Command>,
    events: RecordCodec<Event>,
    /// The schemas' ids by record and version.
    ids: BTreeMap<(String, usize), u32>,
}

impl Today {
    pub(crate) fn open(corpus: &Corpus) -> Self {
        let registry = Arc::new(MemoryRegistry::new());
        let id = |version: &Version| {
            let topic = if is_command(version) { "bank.account.commands" } else { "bank.account.events" };
            registry.register(&subject(topic, &version.record), &compact(&version.schema)).unwrap()
        };
        let ids = corpus.versions.iter().map(|version| ((version.record.clone(), version.number), id(version)));
        let ids: BTreeMap<_, _> = ids.collect();
        let cache = Arc::new(SchemaCache::in_memory(registry));
        Today {
            commands: RecordCodec::for_writing("bank.account.commands", &cache).unwrap(),
            events: RecordCodec::for_writing("bank.account.events", &cache).unwrap(),
            ids,
            cache,
        }
    }

    /// Everything that the value becomes, as JSON by record.
    pub(crate) fn read(&self, version: &Version, case: &Case) -> Value {
        let read = self.rewritten(version, case);
        let json = |value: &Vec<u8>| {
            let (record, fields) = self.cache.with_schema(|| self.cache.to_json(value)).unwrap();
            json!({ record: fields })
        };
        read.iter().map(json).collect()
    }

    /// Whether this is the version that today's code writes.
    pub(crate) fn writes(&self, version: &Version) -> bool {
        let is_newest = !self.ids.contains_key(&(version.record.clone(), version.number + 1));
        is_newest && (is_command(version) || Event::RECORDS.contains(&version.record.as_str()))
    }

    /// The Avro binary of the value, read and written by today's code.
    pub(crate) fn written_again(&self, version: &Version, case: &Case) -> Vec<u8> {
        let values = self.rewritten(version, case);
        assert_eq!(values.len(), 1, "{version:?}");
        values[0][5..].to_vec()
    }

    /// The value, read and written by today's code, in the wire format.
    fn rewritten(&self, version: &Version, case: &Case) -> Vec<Vec<u8>> {
        let id = self.ids[&(version.record.clone(), version.number)];
        let value = framed(id, &case.avro);
        if is_command(version) { self.through(&self.commands, &value) } else { self.through(&self.events, &value) }
    }

    fn through<M: AvroMessage>(&self, codec: &RecordCodec<M>, value: &[u8]) -> Vec<Vec<u8>> {
        let read = self.cache.with_schema(|| codec.decode(value)).unwrap();
        let encoded = |event: &M| {
            let mut bytes = Vec::new();
            codec.encode(event, &mut bytes).unwrap();
            bytes
        };
        read.as_slice().iter().map(encoded).collect()
    }
}

fn is_command(version: &Version) -> bool {
    Command::RECORDS.contains(&version.record.as_str())
}
