//! A deserializer that notes what is asked of it: the columns of a row type.

use super::{Column, ColumnType, ShapeError};
use crate::{Error, Result};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor, value::StrDeserializer};
use std::cell::RefCell;

/// The columns of `R`, in the order of its fields.
pub(super) fn columns<R: DeserializeOwned>() -> Result<Vec<Column>> {
    let columns = RefCell::new(Vec::new());
    match R::deserialize(Struct { columns: &columns }) {
        Ok(_) => Ok(columns.into_inner()),
        Err(ShapeError(why)) => Err(Error::invalid(match columns.borrow().last() {
            Some(Column { name, .. }) => format!("field {name} of a view's row: {why}"),
            None => why,
        })),
    }
}

/// The row itself: only a struct will do.
struct Struct<'a> {
    columns: &'a RefCell<Vec<Column>>,
}

fn no_struct<T>() -> Result<T, ShapeError> {
    Err(ShapeError("a view's row is not a struct with named fields".into()))
}

impl<'de> de::Deserializer<'de> for Struct<'_> {
    type Error = ShapeError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        visitor.visit_map(Fields { columns: self.columns, left: fields })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ShapeError> {
        no_struct()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Fields<'a> {
    columns: &'a RefCell<Vec<Column>>,
    left: &'static [&'static str],
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = ShapeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ShapeError> {
        let Some((name, left)) = self.left.split_first() else { return Ok(None) };
        self.left = left;
        let column = Column { name: (*name).into(), kind: ColumnType::Integer, nullable: false };
        self.columns.borrow_mut().push(column);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ShapeError> {
        seed.deserialize(Field { columns: self.columns })
    }
}

struct Field<'a> {
    columns: &'a RefCell<Vec<Column>>,
}

impl Field<'_> {
    fn is(&self, kind: ColumnType) {
        if let Some(column) = self.columns.borrow_mut().last_mut() {
            column.kind = kind;
        }
    }
}

fn no_column<T>(what: &str) -> Result<T, ShapeError> {
    Err(ShapeError(format!("{what} is not a column; use numbers, text, booleans, bytes and options of these")))
}

macro_rules! scalars {
    ($($method:ident => $kind:ident, $visit:ident($value:expr);)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
            self.is(ColumnType::$kind);
            visitor.$visit($value)
        }
    )*};
}

macro_rules! refused {
    ($($method:ident($($argument:ty),*): $what:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* _: V) -> Result<V::Value, ShapeError> {
            no_column($what)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Field<'_> {
    type Error = ShapeError;

    scalars! {
        deserialize_i8 => Integer, visit_i8(0);
        deserialize_i16 => Integer, visit_i16(0);
        deserialize_i32 => Integer, visit_i32(0);
        deserialize_i64 => Integer, visit_i64(0);
        deserialize_u8 => Integer, visit_u8(0);
        deserialize_u16 => Integer, visit_u16(0);
        deserialize_u32 => Integer, visit_u32(0);
        deserialize_u64 => Integer, visit_u64(0);
        deserialize_f32 => Real, visit_f32(0.0);
        deserialize_f64 => Real, visit_f64(0.0);
        deserialize_bool => Boolean, visit_bool(false);
        deserialize_char => Text, visit_char(' ');
        deserialize_str => Text, visit_str("");
        deserialize_string => Text, visit_string(String::new());
        deserialize_bytes => Bytes, visit_bytes(&[]);
        deserialize_byte_buf => Bytes, visit_byte_buf(Vec::new());
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        if let Some(column) = self.columns.borrow_mut().last_mut() {
            if column.nullable {
                return no_column("an option within an option");
            }
            column.nullable = true;
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ShapeError> {
        visitor.visit_newtype_struct(self)
    }

    refused! {
        deserialize_any(): "a value without a fixed type";
        deserialize_identifier(): "a value without a fixed type";
        deserialize_ignored_any(): "a value without a fixed type";
        deserialize_i128(): "a 128-bit integer";
        deserialize_u128(): "a 128-bit integer";
        deserialize_unit(): "an empty value";
        deserialize_unit_struct(&'static str): "an empty struct";
        deserialize_seq(): "a list or tuple";
        deserialize_tuple(usize): "a list or tuple";
        deserialize_tuple_struct(&'static str, usize): "a list or tuple";
        deserialize_map(): "a map";
        deserialize_struct(&'static str, &'static [&'static str]): "a struct";
        deserialize_enum(&'static str, &'static [&'static str]): "an enum";
    }
}
