//! Commands as JSON: read strictly, written by their schema, told again.

use super::zoo::Zoo;
use crate::{Draw, Target, target::same};
use factum_core::{Message, MessageCodec};
use factum_schemas::{MemoryRegistry, RecordCodec, SchemaCache, parse_json};
use std::sync::Arc;

pub(super) struct Json {
    cache: Arc<SchemaCache>,
    zoo: RecordCodec<Zoo>,
}

impl Json {
    pub(super) fn new() -> Self {
        let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
        let zoo = RecordCodec::for_writing("zoo.events", &cache).expect("a sound schema is registered in memory");
        Json { cache, zoo }
    }
}

impl Target for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.zoo.encode(&Zoo::drawn(draw), &mut bytes).expect("what was drawn fits its schema");
        let (_, json) = self.cache.to_json(&bytes).expect("what was written is told");
        json.to_string().into_bytes()
    }

    fn words(&self) -> &'static [&'static str] {
        &["[", "{\"a\":", "\"NaN\"", "null", "\\ud800", "\\u0000", "\"list\":", "\"map\":", ",", "e", ".", "-"]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Ok(json) = parse_json(input) else { return Ok(()) };
        for record in Zoo::RECORDS {
            let Ok(bytes) = self.zoo.encode_json(record, &json) else { continue };
            let (_, told) = self.cache.to_json(&bytes).map_err(|error| format!("{json} was written: {error}"))?;
            let again = self.zoo.encode_json(record, &told).map_err(|error| format!("{told} was told: {error}"))?;
            // Not the bytes: a map has no order.
            same("the JSON", &Ok(told), &self.cache.to_json(&again).map(|(_, json)| json))?;
        }
        Ok(())
    }
}
