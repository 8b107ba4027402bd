//! How bytes of one schema become bytes of another, worked out once.
//!
//! What it is: the specification's schema resolution (Avro 1.12, "Schema
//! Resolution") of a writer's and a reader's schema as a tree of steps: copy,
//! pass over, widen, insert a default. Its output is read like bytes of the
//! reader's schema. What it is not: a way to values.
//!
//! Invariant: where a plan can be made, it gives the value that apache-avro's
//! own resolution gives, except in a union: there records are told apart by
//! name, and a string is made no enum and no fixed. Pairs that only some values
//! survive (a long into an int) have no plan.

mod compile;
pub(crate) mod input;
mod shape;

use apache_avro::Schema;
use input::{Input, Wrong, put_long};
use shape::Shape;

use crate::bounds::MAX_PART_BYTES;

/// What to do with the bytes of one writer's schema.
#[derive(Debug)]
pub(crate) struct Plan(Step);

impl Plan {
    /// The way from the writer's schema to the reader's, which both passed
    /// [`bounds::check`](crate::bounds::check). None when it has to go through values.
    pub(crate) fn new(writer: &Schema, reader: &Schema) -> Option<Self> {
        compile::compile(writer, reader).map(Plan)
    }

    /// The fields of a record, where the writer's have the reader's order.
    #[inline]
    pub(crate) fn parts(&self) -> Option<&[Part]> {
        match &self.0 {
            Step::Record(parts) => Some(parts),
            _ => None,
        }
    }

    /// Appends what the bytes are in the reader's schema.
    ///
    /// # Errors
    /// What is wrong with the bytes: truncated, followed by others, not of the
    /// writer's schema, or without a place in the reader's.
    pub(crate) fn transcode(&self, bytes: &[u8], into: &mut Vec<u8>) -> Result<(), Wrong> {
        let mut input = Input::new(bytes);
        self.0.run(&mut input, into)?;
        input.ended()
    }
}

/// One type of the writer on its way to one of the reader.
#[derive(Debug)]
pub(crate) enum Step {
    /// The same bytes.
    Copy(Shape),
    /// A number that becomes a float or a double.
    Float(Number),
    Double(Number),
    /// The reader's index of each of the writer's symbols, none for one that it has not.
    Symbols(Vec<Option<i64>>),
    /// A type that is the variant of that index at the reader.
    Variant(i64, Box<Step>),
    /// The writer's variants.
    Union(Vec<Step>),
    Array(Box<Step>),
    Map(Box<Step>),
    /// Fields in the writer's order, which is the reader's.
    Record(Vec<Part>),
    /// The writer's fields, and where the reader's come from, in the reader's order.
    Reordered(Vec<Shape>, Vec<Place>),
}

/// What a number is at the writer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int,
    Long,
    Float,
}

/// A field of a record.
#[derive(Debug)]
pub(crate) enum Part {
    /// Of one type at both.
    Same(Shape),
    Field(Box<Step>),
    /// The reader has not got it.
    Skip(Shape),
    /// The writer has not got it.
    Default(Vec<u8>),
}

/// Where the reader's field comes from.
#[derive(Debug)]
pub(crate) enum Place {
    /// The writer's field of that index, and whether both types are one.
    Field {
        at: usize,
        step: Step,
        is_same: bool,
    },
    Default(Vec<u8>),
}

impl Step {
    pub(crate) fn run(&self, from: &mut Input<'_>, into: &mut Vec<u8>) -> Result<(), Wrong> {
        match self {
            Step::Copy(shape) => shape.copy(from, into)?,
            Step::Float(number) => into.extend_from_slice(&number.as_float(from)?.to_le_bytes()),
            Step::Double(number) => into.extend_from_slice(&number.as_double(from)?.to_le_bytes()),
            Step::Symbols(indexes) => {
                let index = from.index(indexes.len(), "symbol")?;
                let there = indexes[index].ok_or_else(|| {
                    Wrong::Other(format!(
                        "symbol {index} of an enum is not one of the newest schema, which has no default"
                    ))
                })?;
                put_long(there, into);
            }
            Step::Variant(index, step) => {
                put_long(*index, into);
                step.run(from, into)?;
            }
            Step::Union(steps) => {
                let index = from.index(steps.len(), "union variant")?;
                steps[index].run(from, into)?;
            }
            Step::Array(item) => blocks(from, into, |from, into| item.run(from, into))?,
            Step::Map(value) => blocks(from, into, |from, into| {
                let start = from.rest();
                from.text()?;
                into.extend_from_slice(&start[..start.len() - from.rest().len()]);
                value.run(from, into)
            })?,
            Step::Record(parts) => {
                for part in parts {
                    match part {
                        Part::Same(shape) => shape.copy(from, into)?,
                        Part::Field(step) => step.run(from, into)?,
                        Part::Skip(shape) => shape.skip(from)?,
                        Part::Default(bytes) => into.extend_from_slice(bytes),
                    }
                }
            }
            Step::Reordered(fields, places) => {
                let mut starts = Vec::with_capacity(fields.len());
                for field in fields {
                    starts.push(from.clone());
                    field.skip(from)?;
                }
                for place in places {
                    match place {
                        Place::Field { at, step, .. } => step.run(&mut starts[*at].clone(), into)?,
                        Place::Default(bytes) => into.extend_from_slice(bytes),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Arrays and maps: counted blocks, the last of which is empty.
fn blocks(
    from: &mut Input<'_>,
    into: &mut Vec<u8>,
    mut each: impl FnMut(&mut Input<'_>, &mut Vec<u8>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let mut total = 0;
    loop {
        let count = from.block(&mut total)?;
        put_long(i64::try_from(count).unwrap_or(i64::MAX), into);
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            each(from, into)?;
            // Defaults of items can make much of little.
            if into.len() > MAX_PART_BYTES {
                return Err(Wrong::Other(format!(
                    "in the newest schema the value is larger than may be allocated, {MAX_PART_BYTES} bytes"
                )));
            }
        }
    }
}

// What a float cannot hold exactly is rounded, as the specification's promotion does.
impl Number {
    fn as_float(self, from: &mut Input<'_>) -> Result<f32, Wrong> {
        Ok(match self {
            Number::Int | Number::Long => self.whole(from)? as f32,
            Number::Float => f32::from_le_bytes(from.array()?),
        })
    }

    fn as_double(self, from: &mut Input<'_>) -> Result<f64, Wrong> {
        Ok(match self {
            Number::Int | Number::Long => self.whole(from)? as f64,
            Number::Float => f64::from(f32::from_le_bytes(from.array()?)),
        })
    }

    fn whole(self, from: &mut Input<'_>) -> Result<i64, Wrong> {
        if matches!(self, Number::Int) { from.int().map(i64::from) } else { from.long() }
    }
}

#[cfg(test)]
mod tests;
