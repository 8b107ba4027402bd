//! What changed from one schema to another, as a person reads it.

use super::types::{Names, full, words};
use crate::deprecation;
use apache_avro::{
    Schema,
    schema::{EnumSchema, RecordField, RecordSchema},
};
use std::collections::BTreeSet;

/// What changed, a line each: `+ field note: null or string, default null`.
/// None when the two say the same.
pub fn changes(old: &Schema, new: &Schema) -> Vec<String> {
    let mut walk = Walk { olds: Names::of(old), news: Names::of(new), seen: BTreeSet::new(), lines: Vec::new() };
    walk.compare("", old, new);
    if walk.lines.is_empty() && !crate::shape::same(old, new) {
        walk.lines.push("~ only order, attributes or names within a type differ".to_owned());
    }
    walk.lines
}

struct Walk<'a> {
    olds: Names<'a>,
    news: Names<'a>,
    /// Named types that were compared, once each.
    seen: BTreeSet<(String, String)>,
    lines: Vec<String>,
}

impl<'a> Walk<'a> {
    fn compare(&mut self, at: &str, old: &'a Schema, new: &'a Schema) {
        let (old, new) = (self.olds.resolve(old), self.news.resolve(new));
        match (old, new) {
            (Schema::Record(old), Schema::Record(new)) => self.records(at, old, new),
            (Schema::Enum(old), Schema::Enum(new)) if old.name == new.name => self.enums(at, old, new),
            (Schema::Array(old), Schema::Array(new)) => self.compare(&format!("{at}[]"), &old.items, &new.items),
            (Schema::Map(old), Schema::Map(new)) => self.compare(&format!("{at}{{}}"), &old.types, &new.types),
            (Schema::Union(before), Schema::Union(after)) if words(old) == words(new) => {
                before.variants().iter().zip(after.variants()).for_each(|(old, new)| self.compare(at, old, new));
            }
            _ if words(old) == words(new) => {}
            _ if at.is_empty() => self.lines.push(format!("~ {} becomes {}", words(old), words(new))),
            _ => self.lines.push(format!("~ field {at}: {} becomes {}", words(old), words(new))),
        }
    }

    fn records(&mut self, at: &str, old: &'a RecordSchema, new: &'a RecordSchema) {
        let names = (full(&old.name), full(&new.name));
        if names.0 != names.1 {
            self.lines.push(format!("~ {}record {} becomes {}", place(at), names.0, names.1));
        }
        if !self.seen.insert(names) {
            return;
        }
        if old.doc != new.doc {
            self.lines.push(format!("~ {}documentation", place(at)));
        }
        self.mark(&place(at), deprecation::reason(&old.attributes), deprecation::reason(&new.attributes));
        let path =
            |field: &RecordField| if at.is_empty() { field.name.clone() } else { format!("{at}.{}", field.name) };
        let named = |fields: &'a [RecordField], name: &str| fields.iter().find(|field| field.name == name);
        for field in &old.fields {
            let path = path(field);
            match named(&new.fields, &field.name) {
                None => self.lines.push(format!("- field {path}: {}", words(&field.schema))),
                Some(after) => self.field(&path, field, after),
            }
        }
        for field in new.fields.iter().filter(|field| named(&old.fields, &field.name).is_none()) {
            let path = path(field);
            self.lines.push(format!("+ field {path}: {}, {}", words(&field.schema), default(field)));
        }
    }

    fn field(&mut self, path: &str, old: &'a RecordField, new: &'a RecordField) {
        self.compare(path, &old.schema, &new.schema);
        if old.default != new.default {
            self.lines.push(format!("~ field {path}: {} becomes {}", default(old), default(new)));
        }
        if old.doc != new.doc {
            self.lines.push(format!("~ field {path}: documentation"));
        }
        let reason = |field: &RecordField| deprecation::reason(&field.custom_attributes);
        self.mark(&format!("field {path}: "), reason(old), reason(new));
        if old.aliases != new.aliases {
            let list = |field: &RecordField| field.aliases.join(", ");
            self.lines.push(format!("~ field {path}: aliases [{}] become [{}]", list(old), list(new)));
        }
    }

    fn mark(&mut self, place: &str, old: Option<String>, new: Option<String>) {
        match (old, new) {
            (old, new) if old == new => {}
            (_, Some(why)) => self.lines.push(format!("~ {place}deprecated: {why}")),
            (_, None) => self.lines.push(format!("~ {place}no longer deprecated")),
        }
    }

    fn enums(&mut self, at: &str, old: &EnumSchema, new: &EnumSchema) {
        let missing = |from: &EnumSchema, of: &EnumSchema| {
            from.symbols.iter().filter(|symbol| !of.symbols.contains(symbol)).cloned().collect::<Vec<_>>()
        };
        let lines = missing(old, new).into_iter().map(|gone| format!("- {}symbol {gone}", place(at)));
        let added = missing(new, old).into_iter().map(|added| format!("+ {}symbol {added}", place(at)));
        self.lines.extend(lines.chain(added));
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!("field {at}: ") }
}

fn default(field: &RecordField) -> String {
    field.default.as_ref().map_or("no default".to_owned(), |value| format!("default {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> Schema {
        Schema::parse_str(&format!(r#"{{"type":"record","name":"a.B","fields":[{fields}]}}"#)).unwrap()
    }

    #[test]
    fn fields_are_added_removed_and_changed() {
        let old = record(
            r#"{"name":"cents","type":"int"},{"name":"gone","type":"string"},{"name":"note","type":"string"},
               {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}}"#,
        );
        let new = record(
            r#"{"name":"cents","type":"long"},{"name":"note","type":"string","default":"","doc":"free text"},
               {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Z"]}},
               {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null}"#,
        );
        let expected = [
            "~ field cents: int becomes long",
            "- field gone: string",
            "~ field note: no default becomes default \"\"",
            "~ field note: documentation",
            "- field e: symbol Y",
            "+ field e: symbol Z",
            "+ field at: null or long (timestamp-millis), default null",
        ];
        assert_eq!(changes(&old, &new), expected);
        assert_eq!(changes(&new, &new), Vec::<String>::new());
    }

    #[test]
    fn what_is_inside_is_told_with_its_path() {
        let inside = |kind: &str| {
            record(&format!(
                r#"{{"name":"lines","type":{{"type":"array","items":{{"type":"record","name":"L","fields":[{{"name":"c","type":"{kind}"}}]}}}}}}"#
            ))
        };
        assert_eq!(changes(&inside("int"), &inside("long")), ["~ field lines[].c: int becomes long"]);
    }

    #[test]
    fn marks_of_deprecation_are_told() {
        let plain = record(r#"{"name":"c","type":"int"}"#);
        let marked = Schema::parse_str(
            r#"{"type":"record","name":"a.B","deprecated":"use C","fields":[{"name":"c","type":"int","deprecated":"use d"}]}"#,
        )
        .unwrap();
        assert_eq!(changes(&plain, &marked), ["~ deprecated: use C", "~ field c: deprecated: use d"]);
        assert_eq!(changes(&marked, &plain), ["~ no longer deprecated", "~ field c: no longer deprecated"]);
    }

    #[test]
    fn another_order_is_not_nothing() {
        let (a, b) = (r#"{"name":"a","type":"int"}"#, r#"{"name":"b","type":"int"}"#);
        let told = changes(&record(&format!("{a},{b}")), &record(&format!("{b},{a}")));
        assert_eq!(told, ["~ only order, attributes or names within a type differ"]);
    }
}
