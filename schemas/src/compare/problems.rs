//! Why a schema cannot read what another wrote, with the field's name.
//!
//! The verdict is that of `SchemaCompatibility`; this looks for its reasons.

use super::types::{Names, full, words};
use apache_avro::{
    Schema,
    schema::{EnumSchema, RecordSchema},
    schema_compatibility::{Compatibility, SchemaCompatibility},
};

/// How deep a schema is looked into; deeper, the library's own words must do.
const MAX_DEPTH: usize = 32;
/// How many reasons are named.
const MAX_PROBLEMS: usize = 20;

/// What stands in the way of reading with `reader` what `writer` wrote.
pub(crate) fn problems(writer: &Schema, reader: &Schema) -> Vec<String> {
    let mut walk = Walk { writers: Names::of(writer), readers: Names::of(reader), found: Vec::new() };
    walk.compare(&Path::default(), writer, reader);
    walk.found.truncate(MAX_PROBLEMS);
    walk.found
}

/// Where in a record: `lines[].cents`.
#[derive(Default)]
struct Path {
    text: String,
    depth: usize,
}

impl Path {
    fn field(&self, name: &str) -> Self {
        let dot = if self.text.is_empty() { "" } else { "." };
        Path { text: format!("{}{dot}{name}", self.text), depth: self.depth + 1 }
    }

    fn items(&self, mark: &str) -> Self {
        Path { text: format!("{}{mark}", self.text), depth: self.depth + 1 }
    }

    fn say(&self, what: &str) -> String {
        if self.text.is_empty() { what.to_owned() } else { format!("field {}: {what}", self.text) }
    }
}

struct Walk<'a> {
    writers: Names<'a>,
    readers: Names<'a>,
    found: Vec<String>,
}

impl<'a> Walk<'a> {
    fn compare(&mut self, at: &Path, writer: &'a Schema, reader: &'a Schema) {
        if at.depth > MAX_DEPTH || self.found.len() >= MAX_PROBLEMS {
            return;
        }
        let (writer, reader) = (self.writers.resolve(writer), self.readers.resolve(reader));
        match (writer, reader) {
            (Schema::Record(old), Schema::Record(new)) => self.records(at, old, new),
            (Schema::Enum(old), Schema::Enum(new)) => self.enums(at, old, new),
            (Schema::Array(old), Schema::Array(new)) => self.compare(&at.items("[]"), &old.items, &new.items),
            (Schema::Map(old), Schema::Map(new)) => self.compare(&at.items("{}"), &old.types, &new.types),
            (Schema::Union(old), _) => old.variants().iter().for_each(|variant| self.variant(at, variant, reader)),
            (_, Schema::Union(_)) => self.variant(at, writer, reader),
            _ if fits(writer, reader) => {}
            _ => self.found.push(at.say(&format!("{} cannot be read as {}", words(writer), words(reader)))),
        }
    }

    fn records(&mut self, at: &Path, old: &'a RecordSchema, new: &'a RecordSchema) {
        if old.name.name() != new.name.name() {
            let what = format!("record {} cannot be read as record {}", full(&old.name), full(&new.name));
            return self.found.push(at.say(&what));
        }
        for field in &new.fields {
            let named = |name: &str| old.fields.iter().find(|before| before.name == name);
            let before = named(&field.name).or_else(|| field.aliases.iter().find_map(|alias| named(alias)));
            let at = at.field(&field.name);
            match before {
                Some(before) => self.compare(&at, &before.schema, &field.schema),
                None if field.default.is_none() => self.found.push(at.say("it is missing there and has no default")),
                None => {}
            }
        }
    }

    fn enums(&mut self, at: &Path, old: &EnumSchema, new: &EnumSchema) {
        if old.name.name() != new.name.name() {
            let what = format!("enum {} cannot be read as enum {}", full(&old.name), full(&new.name));
            return self.found.push(at.say(&what));
        }
        let gone: Vec<&str> = old.symbols.iter().filter(|old| !new.symbols.contains(old)).map(String::as_str).collect();
        if !gone.is_empty() && new.default.is_none() {
            self.found.push(at.say(&format!("the symbols {} have no place, nor a default", gone.join(", "))));
        }
    }

    /// One type of a union, or a type that meets one.
    fn variant(&mut self, at: &Path, writer: &'a Schema, reader: &'a Schema) {
        let Schema::Union(union) = reader else { return self.compare(at, writer, reader) };
        let writer = self.writers.resolve(writer);
        let readers: Vec<&'a Schema> = union.variants().iter().map(|variant| self.readers.resolve(variant)).collect();
        if readers.iter().any(|variant| fits(writer, variant)) {
            return;
        }
        // A record of the same name is the one that was meant: its fields tell more.
        let named = |schema: &Schema| schema.name().map(|name| name.name().to_owned());
        match readers.into_iter().find(|variant| named(variant).is_some() && named(variant) == named(writer)) {
            Some(variant) => self.compare(&Path { text: at.text.clone(), depth: at.depth + 1 }, writer, variant),
            None => self.found.push(at.say(&format!("{} has no place in {}", words(writer), words(reader)))),
        }
    }
}

fn fits(writer: &Schema, reader: &Schema) -> bool {
    matches!(SchemaCompatibility::can_read(writer, reader), Ok(Compatibility::Full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> Schema {
        Schema::parse_str(&format!(r#"{{"type":"record","name":"a.B","fields":[{fields}]}}"#)).unwrap()
    }

    #[track_caller]
    fn check(writer: &str, reader: &str, expected: &[&str]) {
        assert_eq!(problems(&record(writer), &record(reader)), expected);
    }

    #[test]
    fn the_field_is_named() {
        let cents = r#"{"name":"cents","type":"long"}"#;
        check(cents, cents, &[]);
        check("", cents, &["field cents: it is missing there and has no default"]);
        check("", r#"{"name":"cents","type":"long","default":0}"#, &[]);
        check(cents, r#"{"name":"cents","type":"int"}"#, &["field cents: long cannot be read as int"]);
        check(
            cents,
            r#"{"name":"cents","type":["null","string"]}"#,
            &["field cents: long has no place in null or string"],
        );
        check(r#"{"name":"cents","type":["null","long"]}"#, cents, &["field cents: null cannot be read as long"]);
        let named =
            |symbols: &str| format!(r#"{{"name":"e","type":{{"type":"enum","name":"E","symbols":[{symbols}]}}}}"#);
        check(&named(r#""X","Y","Z""#), &named(r#""X""#), &["field e: the symbols Y, Z have no place, nor a default"]);
    }

    #[test]
    fn the_path_leads_into_arrays_maps_unions_and_names() {
        let line = |fields: &str| format!(r#"{{"type":"record","name":"Line","fields":[{fields}]}}"#);
        let one = line(r#"{"name":"cents","type":"long"}"#);
        let two = line(r#"{"name":"cents","type":"string"}"#);
        let in_array = |line: &str| format!(r#"{{"name":"lines","type":{{"type":"array","items":{line}}}}}"#);
        check(&in_array(&one), &in_array(&two), &["field lines[].cents: long cannot be read as string"]);
        let optional = |line: &str| format!(r#"{{"name":"line","type":["null",{line}]}}"#);
        check(&optional(&one), &optional(&two), &["field line.cents: long cannot be read as string"]);
        let twice =
            |line: &str| format!(r#"{},{{"name":"m","type":{{"type":"map","values":"a.Line"}}}}"#, optional(line));
        assert_eq!(problems(&record(&twice(&one)), &record(&twice(&two))).len(), 2);
    }

    #[test]
    fn a_recursive_schema_has_an_end() {
        let list =
            |kind: &str| record(&format!(r#"{{"name":"v","type":"{kind}"}},{{"name":"next","type":["null","a.B"]}}"#));
        assert!(!problems(&list("long"), &list("string")).is_empty());
        assert_eq!(problems(&list("long"), &list("long")), Vec::<String>::new());
    }
}
