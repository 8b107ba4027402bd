//! Types in words, and the names that they refer to.

use apache_avro::{
    Schema,
    schema::{DecimalSchema, InnerDecimalSchema, Name, UuidSchema},
};
use std::collections::BTreeMap;

/// The named types of a schema, by full name.
#[derive(Debug, Default)]
pub(crate) struct Names<'a>(BTreeMap<String, &'a Schema>);

impl<'a> Names<'a> {
    pub(crate) fn of(schema: &'a Schema) -> Self {
        let mut names = Names::default();
        names.collect(schema);
        names
    }

    /// The type itself where a name stands for it.
    pub(crate) fn resolve(&self, schema: &'a Schema) -> &'a Schema {
        match schema {
            Schema::Ref { name } => self.0.get(&full(name)).copied().unwrap_or(schema),
            other => other,
        }
    }

    /// The types, in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a Schema)> {
        self.0.iter().map(|(name, schema)| (name.as_str(), *schema))
    }

    fn collect(&mut self, schema: &'a Schema) {
        match schema {
            Schema::Record(record) => {
                self.0.insert(full(&record.name), schema);
                record.fields.iter().for_each(|field| self.collect(&field.schema));
            }
            Schema::Enum(named) => {
                self.0.insert(full(&named.name), schema);
            }
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                self.0.insert(full(&fixed.name), schema);
            }
            Schema::Array(array) => self.collect(&array.items),
            Schema::Map(map) => self.collect(&map.types),
            Schema::Union(union) => union.variants().iter().for_each(|variant| self.collect(variant)),
            _ => {}
        }
    }
}

/// What the bytes of a type without parts are, whatever they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    /// Bytes behind their length.
    Bytes,
    Text,
    /// So many bytes.
    Fixed(usize),
}

/// None for a type with parts, an enum, or a name.
pub(crate) fn base(schema: &Schema) -> Option<Base> {
    Some(match schema {
        Schema::Null => Base::Null,
        Schema::Boolean => Base::Boolean,
        Schema::Int | Schema::Date | Schema::TimeMillis => Base::Int,
        Schema::Long
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Base::Long,
        Schema::Float => Base::Float,
        Schema::Double => Base::Double,
        Schema::Bytes
        | Schema::BigDecimal
        | Schema::Uuid(UuidSchema::Bytes)
        | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Bytes, .. }) => Base::Bytes,
        Schema::String | Schema::Uuid(UuidSchema::String) => Base::Text,
        Schema::Fixed(fixed)
        | Schema::Duration(fixed)
        | Schema::Uuid(UuidSchema::Fixed(fixed))
        | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => Base::Fixed(fixed.size),
        Schema::Array(_)
        | Schema::Map(_)
        | Schema::Union(_)
        | Schema::Record(_)
        | Schema::Enum(_)
        | Schema::Ref { .. } => return None,
    })
}

/// A name with its namespace.
pub(super) fn full(name: &Name) -> String {
    name.fullname(None)
}

/// A type in a few words: `long`, `long (timestamp-millis)`, `null or string`, `array of bank.Money`.
pub(crate) fn words(schema: &Schema) -> String {
    match schema {
        Schema::Record(record) => full(&record.name),
        Schema::Enum(named) => format!("{} ({})", full(&named.name), named.symbols.join(", ")),
        Schema::Fixed(fixed) => format!("{} ({} bytes)", full(&fixed.name), fixed.size),
        Schema::Ref { name } => full(name),
        Schema::Array(array) => format!("array of {}", words(&array.items)),
        Schema::Map(map) => format!("map of {}", words(&map.types)),
        Schema::Union(union) => union.variants().iter().map(words).collect::<Vec<_>>().join(" or "),
        Schema::Decimal(decimal) => format!("decimal({}, {})", decimal.precision, decimal.scale),
        Schema::Duration(fixed) => format!("{} (duration)", full(&fixed.name)),
        other => plain(other),
    }
}

/// A type without parts, by what its JSON says.
fn plain(schema: &Schema) -> String {
    let json = serde_json::to_value(schema).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    match (json.as_str(), text("type"), text("logicalType")) {
        (Some(name), ..) => name.to_owned(),
        (None, Some(kind), Some(logical)) => format!("{kind} ({logical})"),
        (None, kind, _) => kind.unwrap_or_else(|| json.to_string()),
    }
}
