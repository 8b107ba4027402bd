//! What should not be written any more: marks in schemas, and who carries on.
//!
//! A mark is the attribute `"deprecated": "why"` of a record or a field. It
//! changes no byte, no compatibility and no fingerprint: a schema with one is
//! another version of the same subject, so that other languages see it.

use crate::json;
use apache_avro::{
    Schema,
    schema::{RecordField, RecordSchema},
};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The attribute of a schema.
pub(crate) const DEPRECATED: &str = "deprecated";

/// A record or a field that should not be written any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Deprecation {
    /// The field, `lines[].note` for one inside; none for the record itself.
    pub field: Option<String>,
    /// Why, and what to write instead.
    pub why: String,
    path: Vec<Step>,
    /// The field's default as JSON of values: it says nothing, so it does not count as written.
    default: Option<Json>,
}

/// One step into a value's JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    /// Into each item of a list, or each member of a map.
    Each,
}

impl Deprecation {
    /// Whether an event, as JSON, carries it: for a field, whether it is there
    /// with another value than its default.
    pub fn is_in(&self, event: &Json) -> bool {
        self.is_below(&self.path, event)
    }

    fn is_below(&self, path: &[Step], value: &Json) -> bool {
        match (path, value) {
            ([], value) => self.path.is_empty() || self.default.as_ref() != Some(value),
            ([Step::Field(name), rest @ ..], Json::Object(members)) => {
                members.get(name).is_some_and(|member| self.is_below(rest, member))
            }
            ([Step::Each, rest @ ..], Json::Array(items)) => items.iter().any(|item| self.is_below(rest, item)),
            ([Step::Each, rest @ ..], Json::Object(members)) => members.values().any(|item| self.is_below(rest, item)),
            _ => false,
        }
    }

    /// Whether a version of the record has it at all.
    pub fn is_part_of(&self, schema: &Schema) -> bool {
        let mut found = self.path.is_empty();
        fields(schema, &mut Vec::new(), &mut |path, _| found |= path == self.path);
        found
    }
}

/// What is marked in a record's schema: the record and its fields, also those
/// in records, lists, maps and optional values within. Unions of several types
/// are not looked into.
pub fn deprecations(schema: &Schema) -> Vec<Deprecation> {
    let mut found = Vec::new();
    if let Schema::Record(record) = schema
        && let Some(why) = reason(&record.attributes)
    {
        found.push(Deprecation { field: None, why, path: Vec::new(), default: None });
    }
    fields(schema, &mut Vec::new(), &mut |path, field| {
        if let Some(why) = reason(&field.custom_attributes) {
            let default = field.default.as_ref().and_then(|it| json::default_to_json(schema, &field.schema, it));
            found.push(Deprecation { field: Some(text(path)), why, path: path.to_vec(), default });
        }
    });
    found
}

/// Puts marks into a record's schema.
pub(crate) fn marked(mut schema: Schema, record: Option<&str>, fields: &[(&str, &str)]) -> Schema {
    if let Schema::Record(RecordSchema { attributes, fields: all, .. }) = &mut schema {
        attributes.extend(record.map(|why| (DEPRECATED.to_owned(), Json::from(why))));
        for (name, why) in fields {
            for field in all.iter_mut().filter(|field| field.name == *name) {
                field.custom_attributes.insert(DEPRECATED.to_owned(), Json::from(*why));
            }
        }
    }
    schema
}

/// The reason of a mark, if there is one.
pub(crate) fn reason(attributes: &BTreeMap<String, Json>) -> Option<String> {
    match attributes.get(DEPRECATED)? {
        Json::String(why) => Some(why.clone()),
        Json::Bool(true) => Some("no reason is given".to_owned()),
        _ => None,
    }
}

/// Calls `each` for every field with the way to it.
fn fields(schema: &Schema, path: &mut Vec<Step>, each: &mut impl FnMut(&[Step], &RecordField)) {
    match schema {
        Schema::Record(record) => {
            for field in &record.fields {
                path.push(Step::Field(field.name.clone()));
                each(path, field);
                fields(&field.schema, path, each);
                path.pop();
            }
        }
        Schema::Array(array) => within(&array.items, path, each),
        Schema::Map(map) => within(&map.types, path, each),
        Schema::Union(union) => {
            let mut others = union.variants().iter().filter(|variant| !matches!(variant, Schema::Null));
            // The JSON of an optional value is the value itself.
            if let (Some(only), None) = (others.next(), others.next()) {
                fields(only, path, each);
            }
        }
        _ => {}
    }
}

fn within(items: &Schema, path: &mut Vec<Step>, each: &mut impl FnMut(&[Step], &RecordField)) {
    path.push(Step::Each);
    fields(items, path, each);
    path.pop();
}

fn text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text = format!("{text}.{name}"),
            Step::Each => text.push_str("[]"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse::parse, shape};
    use serde_json::json;

    fn schema(fields: &str) -> Schema {
        parse(&format!(r#"{{"type":"record","name":"a.B","deprecated":"use C","fields":[{fields}]}}"#)).unwrap()
    }

    const NOTE: &str = r#"{"name":"note","type":["null","string"],"default":null,"deprecated":"use memo"}"#;

    #[test]
    fn records_and_fields_are_found_wherever_they_are() {
        let lines = format!(
            r#"{NOTE},{{"name":"lines","type":["null",{{"type":"array","items":{{"type":"record","name":"L","fields":[
                {{"name":"at","type":{{"type":"long","logicalType":"timestamp-millis"}},"default":0,"deprecated":"why"}}]}}}}]}}"#
        );
        let found = deprecations(&schema(&lines));
        let told: Vec<_> = found.iter().map(|it| (it.field.as_deref(), it.why.as_str())).collect();
        assert_eq!(told, [(None, "use C"), (Some("note"), "use memo"), (Some("lines[].at"), "why")]);
        let [record, note, at] = &found[..] else { panic!("three are marked") };
        assert!(record.is_in(&json!({})));
        let event = |note: Json, at: &str| json!({ "note": note, "lines": [{ "at": at }] });
        let (default, other) = ("1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.001Z");
        assert!(!note.is_in(&event(Json::Null, default)) && note.is_in(&event("x".into(), default)));
        assert!(!at.is_in(&event(Json::Null, default)) && at.is_in(&event(Json::Null, other)));
        assert!(!note.is_in(&json!({})) && !at.is_in(&json!({ "lines": null })));
        assert!(note.is_part_of(&schema(NOTE)) && !at.is_part_of(&schema(NOTE)) && !note.is_part_of(&schema("")));
    }

    #[test]
    fn a_field_without_a_default_is_written_whenever_it_is_there() {
        let found = deprecations(&schema(r#"{"name":"cents","type":"long","deprecated":"use amount"}"#));
        assert!(found[1].is_in(&json!({ "cents": 0 })));
    }

    #[test]
    fn a_mark_changes_no_byte_and_no_fingerprint_but_makes_another_version() {
        let plain = parse(r#"{"type":"record","name":"a.B","fields":[{"name":"note","type":"string"}]}"#).unwrap();
        let marked = marked(plain.clone(), Some("use C"), &[("note", "use memo")]);
        assert!(shape::same_bytes(&plain, &marked) && !shape::same(&plain, &marked));
        assert_eq!(shape::fingerprint(&plain, 1), shape::fingerprint(&marked, 1));
        assert_eq!(plain.canonical_form(), marked.canonical_form());
        assert_eq!((shape::readable(&plain, &marked), shape::readable(&marked, &plain)), (Ok(()), Ok(())));
        let text = r#"{"deprecated":"use C","fields":[{"deprecated":"use memo","name":"note","type":"string"}],"name":"B","namespace":"a","type":"record"}"#;
        assert_eq!(shape::compact(&marked), text);
        assert_eq!(shape::compact(&parse(text).unwrap()), text);
    }
}
