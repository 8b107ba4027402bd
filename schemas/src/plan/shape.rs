//! A writer's type as far as its bytes go: how to pass over a value of it.

use super::input::{Input, Wrong};
use crate::compare::{Base, Names, base};
use apache_avro::Schema;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    /// So many bytes.
    Fixed(usize),
    /// Bytes behind their length.
    Bytes,
    Text,
    /// So many symbols.
    Enum(usize),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Record(Vec<Shape>),
}

impl Shape {
    /// None for a name that is not known.
    pub(super) fn of<'a>(schema: &'a Schema, names: &Names<'a>) -> Option<Self> {
        let all = |schemas: &mut dyn Iterator<Item = &'a Schema>| -> Option<Vec<Shape>> {
            schemas.map(|schema| Shape::of(schema, names)).collect()
        };
        Some(match names.resolve(schema) {
            Schema::Array(array) => Shape::Array(Box::new(Shape::of(&array.items, names)?)),
            Schema::Map(map) => Shape::Map(Box::new(Shape::of(&map.types, names)?)),
            Schema::Union(union) => Shape::Union(all(&mut union.variants().iter())?),
            Schema::Record(record) => Shape::Record(all(&mut record.fields.iter().map(|field| &field.schema))?),
            Schema::Enum(named) => Shape::Enum(named.symbols.len()),
            other => match base(other)? {
                Base::Null => Shape::Null,
                Base::Boolean => Shape::Boolean,
                Base::Int => Shape::Int,
                Base::Long => Shape::Long,
                Base::Float => Shape::Fixed(4),
                Base::Double => Shape::Fixed(8),
                Base::Bytes => Shape::Bytes,
                Base::Text => Shape::Text,
                Base::Fixed(size) => Shape::Fixed(size),
            },
        })
    }

    /// Appends a value, which has to be one.
    pub(super) fn copy(&self, from: &mut Input<'_>, into: &mut Vec<u8>) -> Result<(), Wrong> {
        let start = from.rest();
        self.skip(from)?;
        into.extend_from_slice(&start[..start.len() - from.rest().len()]);
        Ok(())
    }

    /// Passes over a value, which has to be one.
    pub(crate) fn skip(&self, from: &mut Input<'_>) -> Result<(), Wrong> {
        match self {
            Shape::Null => Ok(()),
            Shape::Boolean => from.boolean().map(drop),
            Shape::Int => from.int().map(drop),
            Shape::Long => from.long().map(drop),
            Shape::Fixed(size) => from.take(*size).map(drop),
            Shape::Bytes => from.bytes().map(drop),
            Shape::Text => from.text().map(drop),
            Shape::Enum(symbols) => from.index(*symbols, "symbol").map(drop),
            Shape::Array(item) => blocks(from, |from| item.skip(from)),
            Shape::Map(value) => blocks(from, |from| from.text().and_then(|_| value.skip(from))),
            Shape::Union(variants) => variants[from.index(variants.len(), "union variant")?].skip(from),
            Shape::Record(fields) => fields.iter().try_for_each(|field| field.skip(from)),
        }
    }
}

fn blocks(from: &mut Input<'_>, mut each: impl FnMut(&mut Input<'_>) -> Result<(), Wrong>) -> Result<(), Wrong> {
    let mut total = 0;
    loop {
        let count = from.block(&mut total)?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            each(from)?;
        }
    }
}
