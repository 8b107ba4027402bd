//! Schemas compared, and put in short.

use crate::{compare, deprecation::DEPRECATED};
use apache_avro::{
    Schema,
    schema_compatibility::{Compatibility, SchemaCompatibility},
};
use serde_json::{Map, Value};

/// Whether bytes of `a` are read by a type of `b` without resolution: all but
/// documentation, aliases, defaults and marks of deprecation are equal. The canonical form of the
/// specification is not enough, since it also drops logical types.
pub(crate) fn same_bytes(a: &Schema, b: &Schema) -> bool {
    const NOT_IN_BYTES: &[&str] = &["doc", "aliases", "default", DEPRECATED];
    sorted(a, NOT_IN_BYTES) == sorted(b, NOT_IN_BYTES)
}

/// Whether two schemas say the same, documentation included.
pub fn same(a: &Schema, b: &Schema) -> bool {
    sorted(a, &[]) == sorted(b, &[])
}

/// Whether `new` reads everything that `old` wrote; otherwise which fields stand in the way.
pub(crate) fn readable(old: &Schema, new: &Schema) -> Result<(), String> {
    let own_words = match SchemaCompatibility::can_read(old, new) {
        Ok(Compatibility::Full) => return Ok(()),
        // Some values would fail: a dropped enum symbol, a narrowed union.
        Ok(Compatibility::Partial) => "some of its values have no place in the new one".to_owned(),
        Err(e) => e.to_string(),
    };
    let problems = compare::problems(old, new);
    Err(if problems.is_empty() { own_words } else { problems.join(", ") })
}

/// The schema as JSON in one line, the same text for the same schema.
pub fn compact(schema: &Schema) -> String {
    sorted(schema, &[]).to_string()
}

/// The schema as a JSON file: indented, keys sorted.
pub fn pretty(schema: &Schema) -> String {
    let mut text = serde_json::to_string_pretty(&sorted(schema, &[])).expect("a JSON value is printable");
    text.push('\n');
    text
}

/// A schema and a number in 8 bytes. Documentation and marks of deprecation do
/// not count: a comment must not make snapshots useless.
pub(crate) fn fingerprint(schema: &Schema, number: u32) -> [u8; 8] {
    let mut bytes = sorted(schema, &["doc", DEPRECATED]).to_string().into_bytes();
    bytes.extend_from_slice(&number.to_be_bytes());
    crc64(&bytes).to_be_bytes()
}

/// CRC-64-AVRO, the "Rabin fingerprint" of the Avro specification.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    const EMPTY: u64 = 0xc15d_213a_a4d7_a795;
    bytes.iter().fold(EMPTY, |crc, byte| {
        let mut entry = (crc ^ u64::from(*byte)) & 0xff;
        for _ in 0..8 {
            entry = (entry >> 1) ^ (EMPTY & (entry & 1).wrapping_neg());
        }
        (crc >> 8) ^ entry
    })
}

/// The schema's JSON with a fixed order of keys (whatever map type the JSON
/// library was built with) and without some of its attributes.
fn sorted(schema: &Schema, without: &[&str]) -> Value {
    let json = serde_json::to_value(schema).expect("a schema is printable as JSON");
    sorted_type(json, without)
}

fn sorted_type(json: Value, without: &[&str]) -> Value {
    match json {
        Value::Array(variants) => variants.into_iter().map(|variant| sorted_type(variant, without)).collect(),
        Value::Object(object) => {
            let mut entries: Vec<(String, Value)> =
                object.into_iter().filter(|(key, _)| !without.contains(&key.as_str())).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            let sorted = entries.into_iter().map(|(key, value)| {
                // A default is data: what it holds are not attributes.
                let value = if key == "default" { sorted_data(value) } else { sorted_type(value, without) };
                (key, value)
            });
            Value::Object(sorted.collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn sorted_data(json: Value) -> Value {
    match json {
        Value::Array(items) => items.into_iter().map(sorted_data).collect(),
        Value::Object(object) => {
            let mut entries: Vec<(String, Value)> = object.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted_data(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::rabin::Rabin;

    fn schema(json: &str) -> Schema {
        Schema::parse_str(json).unwrap()
    }

    #[test]
    fn crc64_is_the_one_of_the_specification() {
        for json in [r#""int""#, r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#] {
            let schema = schema(json);
            let rabin: [u8; 8] = schema.fingerprint::<Rabin>().bytes.try_into().unwrap();
            assert_eq!(crc64(schema.canonical_form().as_bytes()).to_le_bytes(), rabin);
        }
    }

    #[test]
    fn documentation_and_defaults_do_not_change_the_bytes_but_logical_types_may() {
        let plain = schema(r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#);
        let told = schema(
            r#"{"type":"record","name":"B","namespace":"a","doc":"x","fields":[{"name":"c","type":"long","default":1}]}"#,
        );
        let time = schema(
            r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
        );
        assert!(same_bytes(&plain, &told));
        assert!(!same(&plain, &told));
        assert!(!same_bytes(&plain, &time));
    }

    #[test]
    fn the_fingerprint_changes_with_fields_and_number_and_not_with_comments() {
        let one = schema(r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#);
        let told =
            schema(r#"{"type":"record","name":"a.B","doc":"x","fields":[{"name":"c","type":"long","doc":"y"}]}"#);
        let other = schema(r#"{"type":"record","name":"a.B","fields":[{"name":"d","type":"long"}]}"#);
        assert_eq!(fingerprint(&one, 1), fingerprint(&told, 1));
        assert_ne!(fingerprint(&one, 1), fingerprint(&one, 2));
        assert_ne!(fingerprint(&one, 1), fingerprint(&other, 1));
    }
}
