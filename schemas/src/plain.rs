//! Records of plain fields, written and read without a schema at hand.
//!
//! What it is: the code that one would write by hand for numbers, booleans,
//! text, and options and lists of these, field after field. `#[event]` and
//! `#[command]` write a [`Plain`] for a struct that has no other fields. What it
//! is not: a way around the schema. A `Plain` says which schema it writes, and
//! where the record's newest is another one, serde is used as for every record
//! without a `Plain`.

use crate::{
    bounds::MAX_PART_BYTES,
    plan::{
        Part, Step,
        input::{Input, Wrong, put_long},
    },
    shape,
};
use apache_avro::Schema;
use serde_json::{Value as Json, json};
use std::{cell::RefCell, fmt, slice};

/// How a record of plain fields is written and read.
pub struct Plain<T> {
    /// The fields in their order, each with its Avro type.
    pub fields: fn() -> Vec<(&'static str, Json)>,
    /// Appends the fields.
    pub put: fn(&T, &mut Vec<u8>),
    /// Reads the fields.
    pub take: fn(&mut PlainBytes<'_>) -> Result<T, PlainWrong>,
    /// Reads the fields of another schema's bytes.
    pub resolve: fn(&mut PlainParts<'_>) -> Result<T, PlainWrong>,
}

/// A type that a [`Plain`] record may have as a field.
pub trait PlainField: Sized {
    /// Its Avro type.
    fn avro() -> Json;

    /// Appends the value.
    fn put(&self, into: &mut Vec<u8>);

    /// Reads a value.
    ///
    /// # Errors
    /// The bytes end before, or are none of the type's.
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong>;
}

/// Bytes that are read from the front.
#[derive(Debug)]
pub struct PlainBytes<'a>(Input<'a>);

/// The fields of a record as another schema's bytes have them, in this one's order.
#[derive(Debug)]
pub struct PlainParts<'a> {
    from: PlainBytes<'a>,
    parts: slice::Iter<'a, Part>,
    scratch: &'a RefCell<Vec<u8>>,
}

impl PlainParts<'_> {
    /// Reads the next field.
    ///
    /// # Errors
    /// What is wrong with the bytes, or that there are no more fields.
    #[inline(always)] // else the record is put together in memory
    pub fn field<T: PlainField>(&mut self) -> Result<T, PlainWrong> {
        loop {
            match self.parts.next() {
                Some(Part::Same(_)) => return T::take(&mut self.from),
                Some(Part::Default(bytes)) => return T::take(&mut PlainBytes(Input::new(bytes))),
                Some(Part::Skip(shape)) => shape.skip(&mut self.from.0)?,
                Some(Part::Field(step)) => return self.changed(step),
                None => return Err(Wrong::Truncated.into()),
            }
        }
    }

    /// Reads a field that was of another type.
    #[inline(never)]
    fn changed<T: PlainField>(&mut self, step: &Step) -> Result<T, PlainWrong> {
        // Bytes that stay what they are need only the checks of the type that they were.
        if let Step::Copy(shape) = step {
            let start = self.from.0.rest();
            shape.skip(&mut self.from.0)?;
            return T::take(&mut PlainBytes(Input::new(&start[..start.len() - self.from.0.rest().len()])));
        }
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        step.run(&mut self.from.0, &mut scratch)?;
        T::take(&mut PlainBytes(Input::new(&scratch)))
    }

    /// Passes over what is left; nothing may follow.
    #[inline(always)]
    fn end(&mut self) -> Result<(), Wrong> {
        for part in self.parts.by_ref() {
            if let Part::Skip(shape) = part {
                shape.skip(&mut self.from.0)?;
            }
        }
        self.from.0.ended()
    }
}

/// What is wrong with bytes.
#[derive(Debug)]
pub struct PlainWrong(Wrong);

impl From<Wrong> for PlainWrong {
    #[inline]
    fn from(wrong: Wrong) -> Self {
        PlainWrong(wrong)
    }
}

impl<T> Plain<T> {
    /// Whether these are the bytes of a record's schema.
    pub(crate) fn is_of(&self, record: &Schema) -> bool {
        let Schema::Record(of) = record else { return false };
        let field = |(name, avro)| json!({ "name": name, "type": avro });
        let fields: Vec<Json> = (self.fields)().into_iter().map(field).collect();
        let own = json!({ "type": "record", "name": of.name.fullname(None), "fields": fields });
        Schema::parse(&own).is_ok_and(|own| shape::same_bytes(&own, record))
    }

    /// Reads a record, to the last byte.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    #[inline(always)]
    pub(crate) fn read(self, bytes: &[u8]) -> Result<T, Wrong> {
        let mut from = PlainBytes(Input::new(bytes));
        let record = (self.take)(&mut from).map_err(|PlainWrong(wrong)| wrong)?;
        from.0.ended().map(|()| record)
    }

    /// Reads a record of another schema, to the last byte. `scratch` is memory that is used again.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    #[inline(always)]
    pub(crate) fn resolve(self, parts: &[Part], bytes: &[u8], scratch: &RefCell<Vec<u8>>) -> Result<T, Wrong> {
        let mut from = PlainParts { from: PlainBytes(Input::new(bytes)), parts: parts.iter(), scratch };
        let record = (self.resolve)(&mut from).map_err(|PlainWrong(wrong)| wrong)?;
        from.end().map(|()| record)
    }
}

// By hand: a derive would ask it of `T`.
impl<T> Clone for Plain<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Plain<T> {}

impl<T> fmt::Debug for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("fields", &(self.fields)()).finish_non_exhaustive()
    }
}

impl PlainField for bool {
    fn avro() -> Json {
        json!("boolean")
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        into.push(u8::from(*self));
    }

    #[inline]
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        Ok(from.0.boolean()?)
    }
}

impl PlainField for i32 {
    fn avro() -> Json {
        json!("int")
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        put_long(i64::from(*self), into);
    }

    #[inline]
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        Ok(from.0.int()?)
    }
}

impl PlainField for i64 {
    fn avro() -> Json {
        json!("long")
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        put_long(*self, into);
    }

    #[inline]
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        Ok(from.0.long()?)
    }
}

impl PlainField for f32 {
    fn avro() -> Json {
        json!("float")
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        Ok(f32::from_le_bytes(from.0.array()?))
    }
}

impl PlainField for f64 {
    fn avro() -> Json {
        json!("double")
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        Ok(f64::from_le_bytes(from.0.array()?))
    }
}

impl PlainField for String {
    fn avro() -> Json {
        json!("string")
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        put_count(self.len(), into);
        into.extend_from_slice(self.as_bytes());
    }

    #[inline]
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        Ok(from.0.text()?.to_owned())
    }
}

impl<T: PlainField> PlainField for Option<T> {
    fn avro() -> Json {
        json!(["null", T::avro()])
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        match self {
            None => put_long(0, into),
            Some(value) => {
                put_long(1, into);
                value.put(into);
            }
        }
    }

    #[inline(always)] // else even `None` goes through memory
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        Ok(match from.0.index(2, "union variant")? {
            0 => None,
            _ => Some(T::take(from)?),
        })
    }
}

impl<T: PlainField> PlainField for Vec<T> {
    fn avro() -> Json {
        json!({ "type": "array", "items": T::avro() })
    }

    #[inline]
    fn put(&self, into: &mut Vec<u8>) {
        if !self.is_empty() {
            put_count(self.len(), into);
            self.iter().for_each(|item| item.put(into));
        }
        put_long(0, into);
    }

    #[inline]
    fn take(from: &mut PlainBytes<'_>) -> Result<Self, PlainWrong> {
        let (mut items, mut total) = (Vec::new(), 0);
        loop {
            let count = from.0.block(&mut total)?;
            if count == 0 {
                return Ok(items);
            }
            // An item has a byte at least.
            items.reserve(count.min(from.0.rest().len()).min(MAX_PART_BYTES / size_of::<T>().max(1)));
            for _ in 0..count {
                items.push(T::take(from)?);
            }
        }
    }
}

/// Lengths of what is in memory fit a long.
#[inline]
fn put_count(count: usize, into: &mut Vec<u8>) {
    put_long(i64::try_from(count).unwrap_or(i64::MAX), into);
}
