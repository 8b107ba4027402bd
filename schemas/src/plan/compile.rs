//! From two schemas to the steps between them.

use super::{Number, Part, Place, Shape, Step};
use crate::{
    compare::{Base, Names, base},
    shape,
};
use apache_avro::{
    Schema,
    schema::{DecimalSchema, EnumSchema, Name, RecordField, RecordSchema, ResolvedSchema, UnionSchema},
    types::Value,
    writer::datum::GenericDatumWriter,
};

/// None when some value has to be resolved by itself.
pub(super) fn compile(writer: &Schema, reader: &Schema) -> Option<Step> {
    let mut compiler =
        Compiler { writers: Names::of(writer), readers: Names::of(reader), root: reader, left: MAX_STEPS };
    compiler.step(writer, reader)
}

/// Beyond it a plan costs more than it saves.
const MAX_STEPS: usize = 20_000;

struct Compiler<'a> {
    writers: Names<'a>,
    readers: Names<'a>,
    /// The reader's schema, for the names that defaults need.
    root: &'a Schema,
    /// How many steps may still be made.
    left: usize,
}

impl<'a> Compiler<'a> {
    fn step(&mut self, writer: &'a Schema, reader: &'a Schema) -> Option<Step> {
        self.left = self.left.checked_sub(1)?;
        let (writer, reader) = (self.writers.resolve(writer), self.readers.resolve(reader));
        match (writer, reader) {
            (Schema::Union(union), _) => self.union(union, reader),
            (_, Schema::Union(union)) => self.variant(writer, union),
            (Schema::Record(old), Schema::Record(new)) => self.record(old, new),
            (Schema::Enum(old), Schema::Enum(new)) => Some(symbols(old, new)),
            (Schema::Array(old), Schema::Array(new)) => Some(match self.step(&old.items, &new.items)? {
                Step::Copy(item) => Step::Copy(Shape::Array(item.into())),
                item => Step::Array(item.into()),
            }),
            (Schema::Map(old), Schema::Map(new)) => Some(match self.step(&old.types, &new.types)? {
                Step::Copy(value) => Step::Copy(Shape::Map(value.into())),
                value => Step::Map(value.into()),
            }),
            _ => leaf(writer, reader),
        }
    }

    /// Each of the writer's variants on its own.
    fn union(&mut self, union: &'a UnionSchema, reader: &'a Schema) -> Option<Step> {
        let steps = union.variants().iter().map(|variant| self.step(variant, reader)).collect::<Option<Vec<_>>>()?;
        let same = steps.iter().zip(0..).map(|(step, at)| match step {
            Step::Variant(index, step) if *index == at => match &**step {
                Step::Copy(shape) => Some(shape.clone()),
                _ => None,
            },
            _ => None,
        });
        Some(match same.collect::<Option<Vec<_>>>() {
            Some(shapes) => Step::Copy(Shape::Union(shapes)),
            None => Step::Union(steps),
        })
    }

    /// The reader's variant for a type: the one of its kind, for a named type
    /// the one of its name; else the first that it can be widened to.
    fn variant(&mut self, writer: &'a Schema, union: &'a UnionSchema) -> Option<Step> {
        let readers: Vec<&'a Schema> = union.variants().iter().map(|variant| self.readers.resolve(variant)).collect();
        let at = match named(writer) {
            Some(name) => {
                let alike = |other: &Schema| std::mem::discriminant(other) == std::mem::discriminant(writer);
                let called = |same: &dyn Fn(&Name) -> bool| {
                    readers.iter().position(|reader| alike(reader) && named(reader).is_some_and(same))
                };
                called(&|other| other == name).or_else(|| called(&|other| other.name() == name.name()))?
            }
            None => match readers.iter().position(|reader| is_alike(writer, reader)) {
                Some(at) => at,
                None => {
                    let at = readers.iter().position(|reader| self.step(writer, reader).is_some())?;
                    // apache-avro also makes it narrower, where the value allows that.
                    if readers[..at].iter().any(|reader| is_narrower(writer, reader)) {
                        return None;
                    }
                    at
                }
            },
        };
        Some(Step::Variant(i64::try_from(at).ok()?, self.step(writer, readers[at])?.into()))
    }

    fn record(&mut self, old: &'a RecordSchema, new: &'a RecordSchema) -> Option<Step> {
        let mut places = Vec::new();
        for field in &new.fields {
            places.push(match old.fields.iter().position(|before| before.name == field.name) {
                Some(at) => {
                    let before = &old.fields[at].schema;
                    let is_same = shape::same_bytes(before, &field.schema);
                    Place::Field { at, step: self.step(before, &field.schema)?, is_same }
                }
                None => Place::Default(self.default(new, field)?),
            });
        }
        let shapes: Vec<Shape> =
            old.fields.iter().map(|field| Shape::of(&field.schema, &self.writers)).collect::<Option<_>>()?;
        self.left = self.left.checked_sub(shapes.len())?;
        let order: Vec<usize> = places.iter().filter_map(Place::field).collect();
        Some(if order.is_sorted() { in_order(shapes, places) } else { Step::Reordered(shapes, places) })
    }

    /// The default's bytes, by apache-avro's own reading of it.
    fn default(&self, record: &RecordSchema, field: &RecordField) -> Option<Vec<u8>> {
        field.default.as_ref()?;
        let names = ResolvedSchema::try_from(self.root).ok()?;
        let mut alone = record.clone();
        alone.fields.retain(|other| other.name == field.name);
        let empty = Value::Record(Vec::new());
        let Value::Record(mut fields) = empty.resolve_with_names(&Schema::Record(alone), names.get_names()).ok()?
        else {
            return None;
        };
        let (_, value) = fields.pop()?;
        let writer = GenericDatumWriter::builder(&field.schema).resolved_schemata(names).build().ok()?;
        writer.write_value_to_vec(value).ok()
    }
}

impl Place {
    fn field(&self) -> Option<usize> {
        match self {
            Place::Field { at, .. } => Some(*at),
            Place::Default(_) => None,
        }
    }
}

/// The reader's fields as they come, and what lies between them passed over.
fn in_order(shapes: Vec<Shape>, places: Vec<Place>) -> Step {
    let same = |(at, place): (usize, &Place)| match place {
        Place::Field { at: from, step: Step::Copy(_), .. } => *from == at,
        _ => false,
    };
    if shapes.len() == places.len() && places.iter().enumerate().all(same) {
        return Step::Copy(Shape::Record(shapes));
    }
    let mut parts = Vec::new();
    let mut shapes = shapes.into_iter().enumerate().peekable();
    for place in places {
        match place {
            Place::Default(bytes) => parts.push(Part::Default(bytes)),
            Place::Field { at: from, step, is_same } => {
                while let Some((_, shape)) = shapes.next_if(|(at, _)| *at < from) {
                    parts.push(Part::Skip(shape));
                }
                shapes.next();
                parts.push(match step {
                    Step::Copy(shape) if is_same => Part::Same(shape),
                    step => Part::Field(step.into()),
                });
            }
        }
    }
    parts.extend(shapes.map(|(_, shape)| Part::Skip(shape)));
    Step::Record(parts)
}

fn symbols(old: &EnumSchema, new: &EnumSchema) -> Step {
    let place = |symbol: &String| new.symbols.iter().position(|other| other == symbol);
    let default = new.default.as_ref().and_then(place);
    let there = |symbol| place(symbol).or(default).and_then(|at| i64::try_from(at).ok());
    let indexes: Vec<Option<i64>> = old.symbols.iter().map(there).collect();
    if indexes.iter().zip(0..).all(|(index, at)| *index == Some(at)) {
        return Step::Copy(Shape::Enum(indexes.len()));
    }
    Step::Symbols(indexes)
}

/// Types without parts.
fn leaf(writer: &Schema, reader: &Schema) -> Option<Step> {
    let (from, to) = (base(writer)?, base(reader)?);
    let is_plain = |schema: &Schema| {
        matches!(schema, Schema::Int | Schema::Long | Schema::Float | Schema::Double | Schema::Bytes | Schema::String)
    };
    let shape = match (from, to) {
        // One and the same, also by its logical type.
        _ if from == to && is_same(writer, reader) => Shape::of(writer, &Names::default())?,
        // Only numbers without a meaning of their own get another.
        _ if !is_plain(writer) => return None,
        (Base::Int, Base::Int | Base::Long) => Shape::Int,
        (Base::Long, Base::Long) => Shape::Long,
        _ if !is_plain(reader) => return None,
        (Base::Int, Base::Float) => return Some(Step::Float(Number::Int)),
        (Base::Long, Base::Float) => return Some(Step::Float(Number::Long)),
        (Base::Int, Base::Double) => return Some(Step::Double(Number::Int)),
        (Base::Long, Base::Double) => return Some(Step::Double(Number::Long)),
        (Base::Float, Base::Double) => return Some(Step::Double(Number::Float)),
        (Base::Text, Base::Bytes) => Shape::Text,
        (Base::Bytes, Base::Text) => Shape::Bytes,
        _ => return None,
    };
    Some(Step::Copy(shape))
}

/// Whether two types without parts say the same, but for their names.
fn is_same(writer: &Schema, reader: &Schema) -> bool {
    match (writer, reader) {
        (Schema::Decimal(old), Schema::Decimal(new)) => digits(old) == digits(new),
        _ => std::mem::discriminant(writer) == std::mem::discriminant(reader),
    }
}

fn digits(decimal: &DecimalSchema) -> (usize, usize) {
    (decimal.precision, decimal.scale)
}

/// Whether two types without a name are of one kind, for the choice in a union.
fn is_alike(writer: &Schema, reader: &Schema) -> bool {
    match (base(writer), base(reader)) {
        (Some(writer), Some(reader)) => writer == reader,
        (None, None) => std::mem::discriminant(writer) == std::mem::discriminant(reader),
        _ => false,
    }
}

/// Whether some values of a number fit a smaller one.
fn is_narrower(writer: &Schema, reader: &Schema) -> bool {
    matches!((writer, reader), (Schema::Long, Schema::Int) | (Schema::Double, Schema::Float))
}

/// The name of a type that is found by it in a union.
fn named(schema: &Schema) -> Option<&Name> {
    match schema {
        Schema::Record(record) => Some(&record.name),
        Schema::Enum(named) => Some(&named.name),
        Schema::Fixed(fixed) => Some(&fixed.name),
        _ => None,
    }
}
