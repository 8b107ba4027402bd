//! Defaults that the parser takes and that are read as something else.

use super::{Trap, below};
use crate::compare::{Names, words};
use apache_avro::Schema;
use serde_json::Value;

const RULE: &str = "a default is of its type";
const UNION: &str = "put the default's type first in the union, or take a default of the first type";
const LENGTH: &str = "write a default that has the type's length";

/// The first field whose default is not what would be read.
pub(super) fn wrong(schema: &Schema) -> Option<Trap> {
    Walk { names: Names::of(schema) }.fields("", schema)
}

struct Walk<'a> {
    names: Names<'a>,
}

impl<'a> Walk<'a> {
    fn fields(&self, at: &str, schema: &'a Schema) -> Option<Trap> {
        match schema {
            Schema::Record(record) => record.fields.iter().find_map(|field| {
                let path = below(at, &field.name);
                let default = field.default.as_ref().and_then(|default| self.value(&path, &field.schema, default));
                default.or_else(|| self.fields(&path, &field.schema))
            }),
            Schema::Array(array) => self.fields(&format!("{at}[]"), &array.items),
            Schema::Map(map) => self.fields(&format!("{at}{{}}"), &map.types),
            Schema::Union(union) => union.variants().iter().find_map(|variant| self.fields(at, variant)),
            _ => None,
        }
    }

    /// A default belongs to the first type of a union (Avro 1.11, complex types, unions).
    fn value(&self, at: &str, schema: &'a Schema, json: &Value) -> Option<Trap> {
        match (self.names.resolve(schema), json) {
            (Schema::Union(union), _) => {
                let first = union.variants().first()?;
                if fits(self.names.resolve(first), json) {
                    return self.value(at, first, json);
                }
                let what = format!("field {at}: its default {json} is not of the union's first type {}", words(first));
                Some(Trap { what, rule: RULE, fix: UNION })
            }
            (Schema::Fixed(fixed), Value::String(text)) if text.chars().count() != fixed.size => {
                let what = format!("field {at}: its default {json} has not the length {} of its type", fixed.size);
                Some(Trap { what, rule: RULE, fix: LENGTH })
            }
            (Schema::Array(array), Value::Array(items)) => {
                items.iter().find_map(|item| self.value(&format!("{at}[]"), &array.items, item))
            }
            (Schema::Map(map), Value::Object(members)) => {
                members.values().find_map(|member| self.value(&format!("{at}{{}}"), &map.types, member))
            }
            (Schema::Record(record), Value::Object(members)) => record.fields.iter().find_map(|field| {
                let member = members.get(&field.name)?;
                self.value(&below(at, &field.name), &field.schema, member)
            }),
            _ => None,
        }
    }
}

/// Whether JSON of this kind can be a default of a type. Whether it is one, the parser has checked.
fn fits(schema: &Schema, json: &Value) -> bool {
    match schema {
        Schema::Null => json.is_null(),
        Schema::Boolean => json.is_boolean(),
        Schema::Array(_) => json.is_array(),
        Schema::Map(_) | Schema::Record(_) => json.is_object(),
        Schema::Float | Schema::Double => json.is_number(),
        Schema::Int
        | Schema::Long
        | Schema::Date
        | Schema::TimeMillis
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => json.is_i64(),
        Schema::Enum(symbols) => json.as_str().is_some_and(|text| symbols.symbols.iter().any(|symbol| symbol == text)),
        _ => json.is_string(),
    }
}
