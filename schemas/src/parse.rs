//! From a schema's text to the schema, for every text from outside.

use crate::disk::MAX_SCHEMA_BYTES;
use apache_avro::Schema;
use factum_core::{Error, Result};
use serde_json::Value;
use std::collections::BTreeSet;

/// A schema from its text. `what` says in an error which text it was.
///
/// # Errors
/// `Invalid`: more than 1 MiB, not an Avro schema, or one that defines a name
/// twice, of which the parser would take the first definition for both.
pub fn parse_schema(what: &str, text: &str) -> Result<Schema> {
    parse(text).map_err(|why| Error::invalid(format!("{what} is not usable: {why}")))
}

/// The same, with what is wrong alone.
pub(crate) fn parse(text: &str) -> Result<Schema, String> {
    if text.len() > MAX_SCHEMA_BYTES {
        return Err(format!("it has {} bytes, the limit is {MAX_SCHEMA_BYTES}", text.len()));
    }
    let json: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let mut names = BTreeSet::new();
    define(&json, None, &mut names)?;
    Schema::parse(&json).map_err(|error| format!("it is not an Avro schema: {error}"))
}

/// Notes the names that a type defines, each with its namespace.
fn define(json: &Value, namespace: Option<&str>, names: &mut BTreeSet<String>) -> Result<(), String> {
    match json {
        Value::Array(variants) => variants.iter().try_for_each(|variant| define(variant, namespace, names)),
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            let mut namespace = namespace;
            if let Some(name) = text("name")
                && matches!(text("type"), Some("record" | "error" | "enum" | "fixed"))
            {
                // A name with dots is a full one, whatever the namespace says.
                let full = match name.rsplit_once('.') {
                    Some((before, _)) => {
                        namespace = Some(before);
                        name.to_owned()
                    }
                    None => {
                        namespace = text("namespace").or(namespace);
                        namespace.filter(|space| !space.is_empty()).map_or(name.to_owned(), |s| format!("{s}.{name}"))
                    }
                };
                if !names.insert(full.clone()) {
                    return Err(format!(
                        "it defines two types with the full name {full}: give one of them another name, or refer to \
                         the first by its name"
                    ));
                }
            }
            // What is below a field's or a collection's `type` is a type again; a default is data.
            for key in ["type", "items", "values"] {
                object.get(key).map_or(Ok(()), |inner| define(inner, namespace, names))?;
            }
            let fields = object.get("fields").and_then(Value::as_array);
            fields.into_iter().flatten().try_for_each(|field| define(field, namespace, names))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"a.B","fields":[{fields}]}}"#)
    }

    #[test]
    fn two_types_with_one_full_name_are_refused_wherever_they_are() {
        let first = r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["X"]}}"#;
        for second in [
            r#"{"name":"b","type":{"type":"enum","name":"E","symbols":["Y"]}}"#,
            r#"{"name":"b","type":["null",{"type":"fixed","name":"a.E","size":3}]}"#,
            r#"{"name":"b","type":{"type":"array","items":{"type":"record","name":"E","namespace":"a","fields":[]}}}"#,
            r#"{"name":"b","type":{"type":"map","values":{"type":"record","name":"E","fields":[]}}}"#,
        ] {
            let error = parse_schema("x.avsc", &record(&format!("{first},{second}"))).unwrap_err();
            assert_eq!(
                error.to_string(),
                "x.avsc is not usable: it defines two types with the full name a.E: give one of them another name, or \
                 refer to the first by its name"
            );
        }
        let other = r#"{"name":"b","type":{"type":"enum","name":"E","namespace":"c","symbols":["Y"]}}"#;
        assert!(parse(&record(&format!("{first},{other}"))).is_ok());
        assert!(parse(&record(&format!(r#"{first},{{"name":"b","type":"E"}}"#))).is_ok());
    }

    #[test]
    fn a_field_or_a_default_that_looks_like_a_definition_is_none() {
        let text = record(
            r#"{"name":"record","type":"string"},{"name":"E","type":{"type":"enum","name":"E","symbols":["X"]}},
               {"name":"m","type":{"type":"map","values":"string"},"default":{"type":"enum","name":"E"}}"#,
        );
        assert!(parse(&text).is_ok(), "{:?}", parse(&text));
    }

    #[test]
    fn a_schema_of_1_mib_is_refused_and_a_shorter_one_is_not() {
        let of = |length: usize| format!(r#"{{"type":"string","doc":"{}"}}"#, "x".repeat(length));
        assert_eq!(parse(&of(1 << 20)).unwrap_err(), "it has 1048602 bytes, the limit is 1048576");
        assert!(parse(&of((1 << 20) - 26)).is_ok());
    }
}
