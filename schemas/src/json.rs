//! Between JSON that people write and read, and the wire format.

use crate::{AvroMessage, RecordCodec, SchemaCache, frame, message::Source, newest};
use apache_avro::{Schema, reader::datum::GenericDatumReader, schema::RecordSchema, types::Value};
use factum_core::{DecodeError, Error, ErrorKind, Result};
use serde_json::Value as Json;

impl<M: AvroMessage> RecordCodec<M> {
    /// The wire bytes of a record given as JSON, in the record's newest schema.
    /// `record` is its full name, or the last part of it.
    ///
    /// # Errors
    /// `Invalid`: there is no such record, a field is unknown, missing or of
    /// another type; with the names that there are.
    pub fn encode_json(&self, record: &str, json: &Json) -> Result<Vec<u8>> {
        let records = newest::of_message::<M>()?;
        let index = M::RECORDS.iter().position(|full| is_named(full, record)).ok_or_else(|| {
            Error::invalid(format!("there is no record {record:?}; there are {}", M::RECORDS.join(", ")))
        })?;
        let newest = &records[index];
        let Schema::Record(schema) = &newest.schema else {
            return Err(Error::invalid(format!("{record} is not a record")));
        };
        check_fields(&newest.name, schema, json)?;
        let wrong =
            |error| Error::with_source(ErrorKind::Invalid, format!("the JSON does not fit {}", newest.name), error);
        let value = Value::try_from(json.clone()).and_then(|value| value.resolve(&newest.schema)).map_err(wrong)?;
        let mut bytes = self.head(index)?;
        newest.writer.write_value_ref(&mut bytes, &value).map_err(wrong)?;
        Ok(bytes)
    }
}

fn is_named(full: &str, name: &str) -> bool {
    full == name || full.rsplit('.').next() == Some(name)
}

fn check_fields(name: &str, schema: &RecordSchema, json: &Json) -> Result<()> {
    let known = || schema.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
    let Json::Object(given) = json else {
        return Err(Error::invalid(format!("{name} is a JSON object with the fields {}", known())));
    };
    if let Some(unknown) = given.keys().find(|key| !schema.fields.iter().any(|field| field.name == **key)) {
        return Err(Error::invalid(format!("{name} has no field {unknown:?}; it has {}", known())));
    }
    match schema.fields.iter().find(|field| field.default.is_none() && !given.contains_key(&field.name)) {
        Some(missing) => Err(Error::invalid(format!("{name} needs the field {:?}; it has {}", missing.name, known()))),
        None => Ok(()),
    }
}

impl SchemaCache {
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
        let json = Json::try_from(decoded).map_err(|e| malformed(e.to_string()))?;
        Ok((writer.name.as_deref().unwrap_or_default().to_owned(), json))
    }
}
