//! What should not be written any more: marks in schemas, and who carries on.
//!
//! A mark is the attribute `"deprecated": "why"` of a record or a field. It
//! changes no byte, no compatibility and no fingerprint: a schema with one is
//! another version of the same subject, so that other languages see it.

use crate::{bounds, json};
use apache_avro::{
    Schema,
    schema::{Name, RecordField, RecordSchema},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// The attribute of a schema.
pub(crate) const DEPRECATED: &str = "deprecated";

/// A record or a field that should not be written any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deprecation {
    /// The field, `address.street` or `lines[].note` for one inside; none for the record itself.
    pub field: Option<String>,
    /// Why, and what to write instead.
    pub why: String,
    path: Vec<Step>,
    /// The field's default as JSON of values: it says nothing, so it does not count as written.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    default: Option<Json>,
}

/// A default that is there, also where it is null.
fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

/// One step into a value's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
        Walk::through(schema, |path, _| found |= path == self.path);
        found
    }
}

/// What is marked in a record's schema: the record and its fields, also those
/// in records, lists, maps and unions within. A field whose type is a marked
/// record is marked by that.
pub fn deprecations(schema: &Schema) -> Vec<Deprecation> {
    let mut found = Vec::new();
    if let Schema::Record(record) = schema
        && let Some(why) = reason(&record.attributes)
    {
        found.push(Deprecation { field: None, why, path: Vec::new(), default: None });
    }
    Walk::through(schema, |path, at| {
        let why = match at {
            At::Field(field) => reason(&field.custom_attributes),
            At::Record(record) => reason(&record.attributes),
        };
        let field = text(path);
        // Of a field and its type the field's own reason counts.
        if let Some(why) = why.filter(|_| found.iter().all(|it: &Deprecation| it.field.as_ref() != Some(&field))) {
            // No value of a record is null: it says that there is none.
            let default = match at {
                At::Field(field) => {
                    field.default.as_ref().and_then(|it| json::default_to_json(schema, &field.schema, it))
                }
                At::Record(_) => Some(Json::Null),
            };
            found.push(Deprecation { field: Some(field), why, path: path.to_vec(), default });
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

/// Where a walk is.
enum At<'a> {
    Field(&'a RecordField),
    /// A record that is the value of a field, an item or a member.
    Record(&'a RecordSchema),
}

/// A walk through all that a record holds.
struct Walk<'a, F> {
    /// Records that a name may stand for.
    known: BTreeMap<String, &'a RecordSchema>,
    /// Those that the walk is in: a type that contains itself is not walked again in itself.
    open: Vec<&'a Name>,
    path: Vec<Step>,
    /// How many types the walk may still look at.
    left: usize,
    each: F,
}

impl<'a, F: FnMut(&[Step], At<'a>)> Walk<'a, F> {
    /// Calls `each` with the way to every field and to every record that is somewhere within.
    fn through(schema: &'a Schema, each: F) {
        let (known, left) = (BTreeMap::new(), bounds::MAX_TYPES);
        Walk { known, open: Vec::new(), path: Vec::new(), left, each }.schema(schema);
    }

    fn schema(&mut self, schema: &'a Schema) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return;
        }
        match schema {
            Schema::Record(record) => self.record(record),
            Schema::Ref { name } => {
                if let Some(record) = self.known.get(&name.fullname(None)) {
                    self.record(record);
                }
            }
            Schema::Array(array) => self.below(Step::Each, &array.items),
            Schema::Map(map) => self.below(Step::Each, &map.types),
            Schema::Union(union) => {
                let mut others = union.variants().iter().filter(|variant| !matches!(variant, Schema::Null));
                match (others.next(), others.next()) {
                    // The JSON of an optional value is the value itself, of others it names the type.
                    (Some(only), None) => self.schema(only),
                    _ => {
                        for (variant, name) in union.variants().iter().zip(json::tags(union.variants())) {
                            self.below(Step::Field(name.0), variant);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, record: &'a RecordSchema) {
        if self.open.contains(&&record.name) {
            return;
        }
        if !self.path.is_empty() {
            (self.each)(&self.path, At::Record(record));
        }
        self.known.insert(record.name.fullname(None), record);
        self.open.push(&record.name);
        for field in &record.fields {
            self.path.push(Step::Field(field.name.clone()));
            (self.each)(&self.path, At::Field(field));
            self.schema(&field.schema);
            self.path.pop();
        }
        self.open.pop();
    }

    fn below(&mut self, step: Step, schema: &'a Schema) {
        self.path.push(step);
        self.schema(schema);
        self.path.pop();
    }
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
        // A default of null is another thing than none, also as text.
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Deprecation>>(&text).unwrap(), found);
        assert!(note.is_part_of(&schema(NOTE)) && !at.is_part_of(&schema(NOTE)) && !note.is_part_of(&schema("")));
    }

    #[test]
    fn names_stand_for_their_records_unions_are_looked_into_and_no_schema_is_endless() {
        let card = r#"{"type":"record","name":"Card","fields":[{"name":"pin","type":"string","deprecated":"secret"}]}"#;
        let found = deprecations(&schema(&format!(
            r#"{{"name":"first","type":{card}}},{{"name":"then","type":["null","Card","string"]}}"#
        )));
        let fields: Vec<_> = found.iter().filter_map(|it| it.field.as_deref()).collect();
        assert_eq!(fields, ["first.pin", "then.Card.pin"]);
        assert!(found[2].is_in(&json!({ "then": { "Card": { "pin": "1" } } })));
        assert!(!found[2].is_in(&json!({ "then": { "string": "1" } })) && !found[2].is_in(&json!({ "then": null })));
        // A type in itself, and one that holds the one before twice: 2^40 places.
        let node = r#"{"name":"next","type":["null","a.B"]},{"name":"old","type":"int","deprecated":"why"}"#;
        assert_eq!(deprecations(&schema(node)).len(), 2);
        let record = |at: usize| {
            let inner = if at == 0 { r#""int""#.to_owned() } else { format!(r#""R{}""#, at - 1) };
            let field = |name: &str| format!(r#"{{"name":"{name}","type":{inner}}}"#);
            let fields = [field("a"), field("b")].join(",");
            format!(r#"{{"name":"g{at}","type":{{"type":"record","name":"R{at}","fields":[{fields}]}}}}"#)
        };
        let many = (0..40).map(record).collect::<Vec<_>>().join(",");
        assert_eq!(deprecations(&schema(&many)).len(), 1);
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
