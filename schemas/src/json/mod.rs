//! Between JSON that people and programs write and read, and the wire format.
//!
//! The record's schema drives both directions, so what is read is what was
//! written. JSON has fewer types than Avro; this is how each is told:
//!
//! | Avro | JSON |
//! |---|---|
//! | `null`, `boolean`, `string`, enum | null, true or false, text, the symbol |
//! | `int`, `long` | a whole number in its range; never rounded |
//! | `float`, `double` | a number, or `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `bytes`, fixed | Base64 with padding (RFC 4648) |
//! | array, map, record | list, object, object; a field with a default may be absent |
//! | union of one type and `null` | the value or null |
//! | any other union | null, or an object with one member that names the type: `{"Card": {…}}`, `{"long": 3}` |
//! | `decimal`, `big-decimal` | text: `"12.50"` |
//! | `uuid` | text |
//! | `date`, `time-*` | `"2026-01-31"`, `"12:00:00.000"` |
//! | `timestamp-*` | RFC 3339: `"2026-01-31T12:00:00.000Z"` |
//! | `local-timestamp-*` | the same without a zone |
//! | `duration` | ISO 8601: `"P1M2DT3.004S"` |
//!
//! What is read and beyond the years that RFC 3339 can tell stays a number.

mod describe;
mod read;
mod strict;
#[cfg(test)]
mod tests;
mod text;
mod write;

pub use describe::json_schema;
pub use strict::{MAX_JSON_DEPTH, parse_json};

use crate::{AvroMessage, Codec, RecordCodec, SchemaCache, frame, message::Source, newest};
use apache_avro::{
    AvroSchema, Schema,
    reader::datum::GenericDatumReader,
    schema::{NamesRef, ResolvedSchema},
    types::Value,
};
use factum_core::{Aggregate, AggregateCodec, DecodeError, Error, ErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use std::sync::Arc;

impl<M: AvroMessage> RecordCodec<M> {
    /// The wire bytes of a record given as JSON, in the record's newest schema.
    /// `record` is its full name, or the last part of it.
    ///
    /// # Errors
    /// `Invalid`: there is no such record, or the JSON does not fit it; the text
    /// names the place in the JSON and what is expected there.
    pub fn encode_json(&self, record: &str, json: &Json) -> Result<Vec<u8>> {
        let records = newest::of_message::<M>()?;
        let index = M::RECORDS.iter().position(|full| is_named(full, record)).ok_or_else(|| {
            Error::invalid(format!("there is no record {record:?}; there are {}", M::RECORDS.join(", ")))
        })?;
        let newest = &records[index];
        let value = to_avro(&newest.schema, json).map_err(|wrong| Error::invalid(wrong.of_record(&newest.name)))?;
        let mut bytes = self.head(index)?;
        newest.writer.write_value_ref(&mut bytes, &value).map_err(|error| {
            Error::with_source(ErrorKind::Invalid, format!("the JSON does not fit {}", newest.name), error)
        })?;
        Ok(bytes)
    }
}

impl<A: Aggregate + AvroSchema + Serialize + DeserializeOwned> Codec<A>
where
    A::Command: AvroMessage,
    A::Event: AvroMessage,
{
    /// A state as JSON, told by its schema as commands and events are.
    ///
    /// # Errors
    /// `Data` when it does not fit its schema.
    pub fn state_to_json(&self, state: &A) -> Result<Json> {
        let mut bytes = Vec::new();
        self.encode_state(state, &mut bytes)?;
        let wrong = |wrong: String| Error::data(format!("a state of {} cannot be shown: {wrong}", A::TYPE));
        let schema = self.state_schema();
        let reader = GenericDatumReader::builder(schema).build().map_err(|e| wrong(e.to_string()))?;
        let mut source = Source::new(&bytes);
        let decoded = reader.read_value(&mut source);
        let decoded = source.used_up(decoded).map_err(wrong)?;
        to_json(schema, &decoded).map_err(wrong)
    }
}

impl SchemaCache {
    /// The full name of a value's record; nothing is decoded.
    ///
    /// # Errors
    /// [`DecodeError::UnknownSchema`] when the schema is to be fetched first.
    pub fn record_name(&self, value: &[u8]) -> Result<Arc<str>, DecodeError> {
        let (id, _) = frame::read(value)?;
        let writer = self.get(id).ok_or(DecodeError::UnknownSchema(id))?;
        writer.name.clone().ok_or_else(|| DecodeError::Malformed(format!("schema id {id} is not a record")))
    }

    /// A record's name and its JSON, as it was written, by the writer's schema.
    ///
    /// # Errors
    /// [`DecodeError::UnknownSchema`] when the schema is to be fetched first.
    pub fn to_json(&self, value: &[u8]) -> Result<(String, Json), DecodeError> {
        let (id, bytes) = frame::read(value)?;
        let writer = self.get(id).ok_or(DecodeError::UnknownSchema(id))?;
        let malformed = |wrong: String| DecodeError::Malformed(format!("schema id {id}: {wrong}"));
        let reader = GenericDatumReader::builder(&writer.schema).build().map_err(|e| malformed(e.to_string()))?;
        let mut source = Source::new(bytes);
        let decoded = reader.read_value(&mut source);
        let decoded = source.used_up(decoded).map_err(malformed)?;
        let json = to_json(&writer.schema, &decoded).map_err(malformed)?;
        Ok((writer.name.as_deref().unwrap_or_default().to_owned(), json))
    }
}

fn is_named(full: &str, name: &str) -> bool {
    full == name || full.rsplit('.').next() == Some(name)
}

/// The value of a schema that JSON tells.
fn to_avro(schema: &Schema, json: &Json) -> Result<Value, write::Wrong> {
    let resolved = ResolvedSchema::new(schema).map_err(|error| write::Wrong::new(error.to_string()))?;
    write::Writer { names: resolved.get_names() }.value(schema, json)
}

/// The JSON of a schema's value.
fn to_json(schema: &Schema, value: &Value) -> Result<Json, String> {
    let resolved = ResolvedSchema::new(schema).map_err(|error| error.to_string())?;
    read::Reader { names: resolved.get_names() }.json(schema, value)
}

/// The JSON of a field's default, as values of the field are told; `root` is the schema of its record.
pub(crate) fn default_to_json(root: &Schema, field: &Schema, default: &Json) -> Option<Json> {
    let resolved = ResolvedSchema::new(root).ok()?;
    let names = resolved.get_names();
    let value = write::Writer { names }.default(field, default).ok()?;
    read::Reader { names }.json(field, &value).ok()
}

/// The definition that a reference means.
fn named<'s>(names: &NamesRef<'s>, schema: &'s Schema) -> Result<&'s Schema, String> {
    match schema {
        Schema::Ref { name } => names.get(name).copied().ok_or_else(|| format!("the schema has no type {name}")),
        other => Ok(other),
    }
}

/// What the types of a union are called in JSON, in their order: the last part of a name
/// where it is the only one, and the full name.
pub(crate) fn tags(variants: &[Schema]) -> Vec<(String, String)> {
    let full: Vec<String> = variants.iter().map(type_name).collect();
    let short = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    let only = |wanted: &str| full.iter().filter(|name| short(name) == wanted).count() == 1;
    full.iter().map(|name| (Some(short(name)).filter(|it| only(it)).unwrap_or(name.clone()), name.clone())).collect()
}

/// The full name of a named type, else the type's or logical type's own.
fn type_name(schema: &Schema) -> String {
    if let Schema::Ref { name } = schema {
        return name.fullname(None);
    }
    if let Some(name) = schema.name() {
        return name.fullname(None);
    }
    match schema {
        Schema::Null => "null",
        Schema::Boolean => "boolean",
        Schema::Int => "int",
        Schema::Long => "long",
        Schema::Float => "float",
        Schema::Double => "double",
        Schema::Bytes => "bytes",
        Schema::String => "string",
        Schema::Array(_) => "array",
        Schema::Map(_) => "map",
        Schema::Decimal(_) => "decimal",
        Schema::BigDecimal => "big-decimal",
        Schema::Uuid(_) => "uuid",
        Schema::Date => "date",
        Schema::TimeMillis => "time-millis",
        Schema::TimeMicros => "time-micros",
        Schema::TimestampMillis => "timestamp-millis",
        Schema::TimestampMicros => "timestamp-micros",
        Schema::TimestampNanos => "timestamp-nanos",
        Schema::LocalTimestampMillis => "local-timestamp-millis",
        Schema::LocalTimestampMicros => "local-timestamp-micros",
        Schema::LocalTimestampNanos => "local-timestamp-nanos",
        Schema::Duration(_) => "duration",
        Schema::Union(_) | Schema::Record(_) | Schema::Enum(_) | Schema::Fixed(_) | Schema::Ref { .. } => "union",
    }
    .to_owned()
}
