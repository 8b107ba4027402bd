//! What Avro and its check of compatibility allow, and the decoder does not
//! do. Each was tried with apache-avro 0.22: the tests show how it goes wrong.

mod defaults;
mod versions;

pub(crate) use versions::between;

use apache_avro::{
    Schema,
    schema::{Aliases, DecimalSchema, InnerDecimalSchema, UuidSchema},
};
use std::fmt;

/// Something that would be read as what it does not mean, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trap {
    /// What, with the field's path: `field lines[].cents has an alias`.
    pub(crate) what: String,
    /// What forbids it.
    pub(crate) rule: &'static str,
    /// What to do instead.
    pub(crate) fix: &'static str,
}

const NO_ALIAS: &str = "no alias";
const ALIAS: &str = "keep the old name, or give the record a new one";

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.fix)
    }
}

/// The first trap in a schema that this program reads with, whoever wrote.
pub(crate) fn within(schema: &Schema) -> Option<Trap> {
    aliased("", schema).or_else(|| defaults::wrong(schema))
}

/// An alias would lead to the old name. The check of compatibility follows it
/// for fields, the decoder for nothing.
fn aliased(at: &str, schema: &Schema) -> Option<Trap> {
    let named = |kind: &str, name: &apache_avro::schema::Name, aliases: &Aliases| {
        let any = aliases.as_ref().is_some_and(|aliases| !aliases.is_empty());
        any.then(|| trap(format!("{kind} {}", name.fullname(None))))
    };
    match schema {
        Schema::Record(record) => named("record", &record.name, &record.aliases).or_else(|| {
            record.fields.iter().find_map(|field| {
                let path = below(at, &field.name);
                if field.aliases.is_empty() {
                    aliased(&path, &field.schema)
                } else {
                    Some(trap(format!("field {path}")))
                }
            })
        }),
        Schema::Enum(symbols) => named("enum", &symbols.name, &symbols.aliases),
        Schema::Fixed(fixed)
        | Schema::Duration(fixed)
        | Schema::Uuid(UuidSchema::Fixed(fixed))
        | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
            named("fixed", &fixed.name, &fixed.aliases)
        }
        Schema::Array(array) => aliased(&format!("{at}[]"), &array.items),
        Schema::Map(map) => aliased(&format!("{at}{{}}"), &map.types),
        Schema::Union(union) => union.variants().iter().find_map(|variant| aliased(at, variant)),
        _ => None,
    }
}

fn trap(of: String) -> Trap {
    Trap { what: format!("{of} has an alias, which the decoder does not follow"), rule: NO_ALIAS, fix: ALIAS }
}

/// A field's path: `lines[].cents`.
fn below(at: &str, field: &str) -> String {
    if at.is_empty() { field.to_owned() } else { format!("{at}.{field}") }
}

#[cfg(test)]
mod tests;
