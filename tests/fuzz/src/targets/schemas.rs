//! Schemas as a registry may send them, and values that claim to be of them.

use super::zoo::{LOGICAL, NEWEST, OLDER, Zoo};
use crate::{Draw, Target};
use factum_core::{DecodeError, Error, MessageCodec, Result};
use factum_schemas::{
    RecordCodec, Registry, Schema, SchemaCache, changes,
    rules::{Model, Which},
};
use std::sync::{Arc, Mutex, PoisonError};

const ID: u32 = 1;
const SUBJECT: &str = "zoo.events-fuzz.Zoo";

/// An input is the value's length in one byte, the value without its frame, and the schema's text.
pub(super) struct Schemas;

/// A registry that says what an input says.
#[derive(Debug)]
struct Saying(Mutex<String>);

impl Registry for Saying {
    fn name(&self) -> String {
        "an input".to_owned()
    }

    fn schema_by_id(&self, _: u32) -> Result<String> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn register(&self, _: &str, _: &str) -> Result<u32> {
        Err(Error::invalid("it registers nothing"))
    }

    fn latest(&self, _: &str) -> Result<Option<(u32, String)>> {
        Ok(None)
    }
}

impl Target for Schemas {
    fn name(&self) -> &'static str {
        "schemas"
    }

    fn share(&self) -> u64 {
        2
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let schema = draw.one(&[
            NEWEST,
            OLDER,
            LOGICAL,
            "\"long\"",
            r#"{"type":"array","items":{"type":"map","values":"bytes"}}"#,
        ]);
        let count = draw.below(60);
        let mut bytes = vec![u8::try_from(count).unwrap_or_default()];
        (0..count).for_each(|_| bytes.push(u8::try_from(draw.below(10)).unwrap_or_default()));
        bytes.extend_from_slice(schema.as_bytes());
        bytes
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "[",
            "{",
            "{\"type\":",
            "{\"type\":\"array\",\"items\":",
            "[\"null\",",
            "\"null\"",
            "\"fuzz.Zoo\"",
            "\"Kind\"",
            "\"logicalType\":\"decimal\",",
            "\"aliases\":[\"flag\"],",
            "\"default\":null,",
            "\"size\":",
            "\"fixed\"",
            "\"scale\":",
            "\"precision\":",
            "\"symbols\":[],",
            "\"order\":\"ignore\",",
        ]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Some((count, rest)) = input.split_first() else { return Ok(()) };
        let (value, schema) = rest.split_at(usize::from(*count).min(rest.len()));
        let Ok(schema) = std::str::from_utf8(schema) else { return Ok(()) };
        judged(schema);
        let cache = Arc::new(SchemaCache::in_memory(Arc::new(Saying(Mutex::new(schema.to_owned())))));
        if cache.fetch(ID).is_err() {
            return Ok(());
        }
        let mut framed = vec![0, 0, 0, 0, 1];
        framed.extend_from_slice(value);
        let codec = RecordCodec::<Zoo>::for_reading(&cache).map_err(|error| error.to_string())?;
        for error in [codec.decode(&framed).err(), cache.to_json(&framed).err()] {
            if let Some(DecodeError::UnknownSchema(_)) = error {
                return Err("a schema that was fetched is not known".to_owned());
            }
        }
        Ok(())
    }
}

/// A registry's own rules on it: is it a schema, and does it fit the versions before.
fn judged(schema: &str) {
    let mut model = Model::default();
    for submitted in [OLDER, schema, NEWEST] {
        let Ok((_, changes)) = model.register(SUBJECT, submitted.into()) else { continue };
        for change in changes {
            model.apply(change).expect("what the rules decide can be applied");
        }
    }
    drop((model.find(SUBJECT, schema, Which::All), model.problems(SUBJECT, schema, None)));
    if let (Ok(old), Ok(new)) = (Schema::parse_str(NEWEST), Schema::parse_str(schema)) {
        drop((changes(&old, &new), changes(&new, &old)));
    }
}
