//! A writer's schema and a reader's that are said to fit, and do not.

use super::{Trap, below};
use crate::{
    compare::{Names, words},
    plan::Plan,
    shape,
};
use apache_avro::{
    Schema,
    schema::{DecimalSchema, InnerDecimalSchema, UnionSchema},
    schema_compatibility::{Compatibility, SchemaCompatibility},
};

const RULE: &str = "every value is read as what was written";
const LOGICAL: &str = "keep the type, or give the record a new name";
const TEXT: &str = "keep bytes, or give the record a new name";
const UNION: &str = "give the record a new name, and each of these a field of its own in it";
const DECIMAL: &str =
    "give the record a new name, and in it a decimal of a fixed type, or an integer in the smallest unit";

/// How deep types are looked into.
const MAX_DEPTH: usize = 32;

/// Where values that `writer` wrote are not what `reader` makes of them,
/// although the check of compatibility sees nothing wrong.
pub(crate) fn between(writer: &Schema, reader: &Schema) -> Vec<Trap> {
    let by_value = Plan::new(writer, reader).is_none();
    let mut walk = Walk { writers: Names::of(writer), readers: Names::of(reader), by_value, found: Vec::new() };
    // Equal bytes are read straight into the type, without the resolution in which the traps are.
    if !shape::same_bytes(writer, reader) {
        walk.compare("", 0, writer, reader);
    }
    walk.found
}

struct Walk<'a> {
    writers: Names<'a>,
    readers: Names<'a>,
    /// Whether apache-avro resolves each value, and no plan of ours does it.
    by_value: bool,
    found: Vec<Trap>,
}

impl<'a> Walk<'a> {
    fn compare(&mut self, at: &str, depth: usize, writer: &'a Schema, reader: &'a Schema) {
        if depth > MAX_DEPTH {
            return;
        }
        let depth = depth + 1;
        let (writer, reader) = (self.writers.resolve(writer), self.readers.resolve(reader));
        match (writer, reader) {
            (Schema::Record(old), Schema::Record(new)) => {
                for field in &new.fields {
                    if let Some(before) = old.fields.iter().find(|before| before.name == field.name) {
                        self.compare(&below(at, &field.name), depth, &before.schema, &field.schema);
                    }
                }
            }
            (Schema::Array(old), Schema::Array(new)) => {
                self.compare(&format!("{at}[]"), depth, &old.items, &new.items);
            }
            (Schema::Map(old), Schema::Map(new)) => self.compare(&format!("{at}{{}}"), depth, &old.types, &new.types),
            (Schema::Union(old), _) => {
                if self.by_value && matches!(reader, Schema::Union(_)) {
                    self.records(at, old);
                }
                old.variants().iter().for_each(|variant| self.variant(at, depth, variant, reader));
            }
            (_, Schema::Union(_)) => self.variant(at, depth, writer, reader),
            _ => self.leaf(at, writer, reader),
        }
    }

    /// A value of a union is read as the first record that its fields fit: the record's name is not looked at.
    fn records(&mut self, at: &str, union: &'a UnionSchema) {
        let resolved = union.variants().iter().map(|variant| self.writers.resolve(variant));
        let records: Vec<String> = resolved.filter(|it| matches!(it, Schema::Record(_))).map(words).collect();
        if records.len() > 1 {
            let what = format!("field {at}: the decoder does not tell the records {} apart", records.join(" and "));
            self.found.push(Trap { what, rule: RULE, fix: UNION });
        }
    }

    fn variant(&mut self, at: &str, depth: usize, writer: &'a Schema, reader: &'a Schema) {
        let Schema::Union(union) = reader else { return self.compare(at, depth, writer, reader) };
        let writer = self.writers.resolve(writer);
        let readers = union.variants().iter().map(|variant| self.readers.resolve(variant));
        let mut readers: Vec<_> = readers.filter(|reader| fits(writer, reader)).collect();
        // Its own type is taken before one that it could be made to fit.
        readers.sort_by_key(|reader| words(reader) != words(writer));
        if let Some(reader) = readers.first() {
            self.compare(at, depth, writer, reader);
        }
    }

    fn leaf(&mut self, at: &str, writer: &Schema, reader: &Schema) {
        let place = if at.is_empty() { String::new() } else { format!("field {at}: ") };
        match (writer, reader) {
            (Schema::Decimal(old), Schema::Decimal(_)) if !self.by_value || !is_bytes(old) => {}
            (Schema::Decimal(_) | Schema::Bytes, Schema::Decimal(_)) => {
                let what = format!("{place}small numbers of a decimal in bytes are not read by another version");
                self.found.push(Trap { what, rule: RULE, fix: DECIMAL });
            }
            (Schema::Bytes, Schema::String) => {
                let what = format!("{place}bytes that are not UTF-8 cannot be read as string");
                self.found.push(Trap { what, rule: RULE, fix: TEXT });
            }
            // A whole number may become a time, twelve bytes a duration.
            (Schema::Int | Schema::Long, _) | (Schema::Fixed(_), Schema::Duration(_)) => {}
            _ if logical(writer) == logical(reader) => {}
            _ => {
                let what = format!("{place}values of {} cannot be read as {}", words(writer), words(reader));
                self.found.push(Trap { what, rule: RULE, fix: LOGICAL });
            }
        }
    }
}

fn is_bytes(decimal: &DecimalSchema) -> bool {
    matches!(decimal.inner, InnerDecimalSchema::Bytes)
}

/// What a type is beyond its bytes, where it is anything.
fn logical(schema: &Schema) -> Option<String> {
    match schema {
        Schema::Decimal(_) => Some("decimal".to_owned()),
        Schema::Duration(_) => Some("duration".to_owned()),
        Schema::Uuid(_) => Some("uuid".to_owned()),
        Schema::BigDecimal
        | Schema::Date
        | Schema::TimeMillis
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Some(words(schema)),
        _ => None,
    }
}

fn fits(writer: &Schema, reader: &Schema) -> bool {
    matches!(SchemaCompatibility::can_read(writer, reader), Ok(Compatibility::Full))
}
