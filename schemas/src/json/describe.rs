//! JSON Schema (2020-12) of an Avro schema: what the JSON of its values looks like.

use super::tags;
use crate::deprecation::{self, DEPRECATED};
use apache_avro::{
    Schema,
    schema::{RecordSchema, UnionSchema},
};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// The JSON Schema of a schema's values. Named types are put into `definitions`
/// under their full names, and referred to by `prefix` and that name.
pub fn json_schema(schema: &Schema, prefix: &str, definitions: &mut Map<String, Json>) -> Json {
    match schema {
        Schema::Null => json!({ "type": "null" }),
        Schema::Boolean => json!({ "type": "boolean" }),
        Schema::Int => json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX }),
        Schema::Long => json!({ "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX }),
        Schema::Float => real("float"),
        Schema::Double => real("double"),
        Schema::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Schema::String => json!({ "type": "string" }),
        Schema::Array(array) => json!({ "type": "array", "items": json_schema(&array.items, prefix, definitions) }),
        Schema::Map(map) => {
            json!({ "type": "object", "additionalProperties": json_schema(&map.types, prefix, definitions) })
        }
        Schema::Union(union) => union_schema(union, prefix, definitions),
        Schema::Record(record) => {
            let name = record.name.fullname(None);
            let described = record_schema(record, prefix, definitions);
            refer(&name, prefix, definitions, described)
        }
        Schema::Enum(symbols) => {
            let described = json!({ "type": "string", "enum": symbols.symbols });
            refer(&symbols.name.fullname(None), prefix, definitions, with_doc(described, symbols.doc.as_deref()))
        }
        Schema::Fixed(fixed) => {
            let length = fixed.size.div_ceil(3) * 4;
            let described = json!({
                "type": "string", "contentEncoding": "base64", "minLength": length, "maxLength": length,
                "description": format!("{} bytes", fixed.size),
            });
            refer(&fixed.name.fullname(None), prefix, definitions, described)
        }
        Schema::Decimal(decimal) => {
            let part = if decimal.scale == 0 { String::new() } else { format!(r"(\.[0-9]{{1,{}}})?", decimal.scale) };
            json!({
                "type": "string", "pattern": format!("^-?[0-9]+{part}$"),
                "description": format!("a decimal number with at most {} digits", decimal.precision),
            })
        }
        Schema::BigDecimal => json!({ "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$" }),
        Schema::Uuid(_) => json!({ "type": "string", "format": "uuid" }),
        Schema::Date => json!({ "type": "string", "format": "date" }),
        // The format `time` has a zone.
        Schema::TimeMillis => json!({ "type": "string", "pattern": r"^\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?$" }),
        Schema::TimeMicros => json!({ "type": "string", "pattern": r"^\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$" }),
        Schema::TimestampMillis | Schema::TimestampMicros | Schema::TimestampNanos => {
            json!({ "type": "string", "format": "date-time" })
        }
        Schema::LocalTimestampMillis | Schema::LocalTimestampMicros | Schema::LocalTimestampNanos => {
            json!({ "type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$" })
        }
        Schema::Duration(_) => json!({ "type": "string", "format": "duration" }),
        Schema::Ref { name } => json!({ "$ref": format!("{prefix}{}", name.fullname(None)) }),
    }
}

fn refer(name: &str, prefix: &str, definitions: &mut Map<String, Json>, described: Json) -> Json {
    definitions.insert(name.to_owned(), described);
    json!({ "$ref": format!("{prefix}{name}") })
}

fn real(format: &str) -> Json {
    json!({ "anyOf": [{ "type": "number", "format": format }, { "enum": ["NaN", "Infinity", "-Infinity"] }] })
}

fn with_doc(mut described: Json, doc: Option<&str>) -> Json {
    if let (Some(doc), Some(members)) = (doc, described.as_object_mut()) {
        members.insert("description".to_owned(), json!(doc));
    }
    described
}

fn record_schema(record: &RecordSchema, prefix: &str, definitions: &mut Map<String, Json>) -> Json {
    let mut properties = Map::new();
    for field in &record.fields {
        let described = json_schema(&field.schema, prefix, definitions);
        let described = with_mark(described, &field.custom_attributes);
        properties.insert(field.name.clone(), with_doc(described, field.doc.as_deref()));
    }
    let required: Vec<&str> =
        record.fields.iter().filter(|field| field.default.is_none()).map(|field| field.name.as_str()).collect();
    let described = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    with_doc(with_mark(described, &record.attributes), record.doc.as_deref())
}

fn with_mark(mut described: Json, attributes: &BTreeMap<String, Json>) -> Json {
    if let (Some(_), Some(members)) = (deprecation::reason(attributes), described.as_object_mut()) {
        members.insert(DEPRECATED.to_owned(), json!(true));
    }
    described
}

fn union_schema(union: &UnionSchema, prefix: &str, definitions: &mut Map<String, Json>) -> Json {
    let variants = union.variants();
    let tags = tags(variants);
    let is_null = |schema: &Schema| matches!(schema, Schema::Null);
    let others = variants.iter().filter(|variant| !is_null(variant)).count();
    let each = variants.iter().zip(tags).map(|(variant, (tag, _))| {
        let described = json_schema(variant, prefix, definitions);
        if others < 2 || is_null(variant) {
            return described;
        }
        json!({
            "type": "object", "properties": { tag.clone(): described }, "required": [tag],
            "additionalProperties": false,
        })
    });
    json!({ "anyOf": each.collect::<Vec<_>>() })
}
