//! From a row to values.

use super::{Column, ShapeError, Value};
use crate::{Error, Result};
use serde::{
    Serialize,
    ser::{Impossible, SerializeStruct, Serializer},
};

/// The values of a row, in the order of the columns.
pub(super) fn values<R: Serialize>(columns: &[Column], row: &R) -> Result<Vec<Value>> {
    row.serialize(Row { columns }).map_err(|ShapeError(why)| Error::data(why))
}

/// The row itself.
struct Row<'a> {
    columns: &'a [Column],
}

/// The row's fields: values by column, with null where serde skips a field.
struct Fields<'a> {
    columns: &'a [Column],
    values: Vec<Value>,
    next: usize,
}

impl SerializeStruct for Fields<'_> {
    type Ok = Vec<Value>;
    type Error = ShapeError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), ShapeError> {
        // Fields nearly always come in the order of the columns.
        let at =
            match self.columns.get(self.next) {
                Some(column) if column.name == name => self.next,
                _ => self.columns.iter().position(|column| column.name == name).ok_or_else(|| {
                    ShapeError(format!("field {name} is written but never read, so it has no column"))
                })?,
            };
        self.next = at + 1;
        self.values[at] =
            value.serialize(Field).map_err(|ShapeError(why)| ShapeError(format!("field {name}: {why}")))?;
        Ok(())
    }

    fn end(self) -> Result<Vec<Value>, ShapeError> {
        match self.columns.iter().zip(&self.values).find(|(column, value)| !column.nullable && **value == Value::Null) {
            Some((column, _)) => Err(ShapeError(format!("field {}: not written, and no option", column.name))),
            None => Ok(self.values),
        }
    }
}

fn unexpected<T>() -> Result<T, ShapeError> {
    Err(ShapeError("written with another shape than it is read with".into()))
}

macro_rules! refused {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<$ok, ShapeError> {
            unexpected()
        }
    )*};
}

/// What neither a row nor a field may be, for both serializers.
macro_rules! refused_by_both {
    () => {
        refused! {
            serialize_i128(i128) -> Self::Ok;
            serialize_u128(u128) -> Self::Ok;
            serialize_unit() -> Self::Ok;
            serialize_unit_struct(&'static str) -> Self::Ok;
            serialize_unit_variant(&'static str, u32, &'static str) -> Self::Ok;
            serialize_seq(Option<usize>) -> Self::SerializeSeq;
            serialize_tuple(usize) -> Self::SerializeTuple;
            serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
            serialize_map(Option<usize>) -> Self::SerializeMap;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<Self::Ok, ShapeError> {
            unexpected()
        }
    };
}

impl<'a> Serializer for Row<'a> {
    type Ok = Vec<Value>;
    type Error = ShapeError;
    type SerializeSeq = Impossible<Self::Ok, ShapeError>;
    type SerializeTuple = Impossible<Self::Ok, ShapeError>;
    type SerializeTupleStruct = Impossible<Self::Ok, ShapeError>;
    type SerializeTupleVariant = Impossible<Self::Ok, ShapeError>;
    type SerializeMap = Impossible<Self::Ok, ShapeError>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Impossible<Self::Ok, ShapeError>;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, ShapeError> {
        Ok(Fields { columns: self.columns, values: vec![Value::Null; self.columns.len()], next: 0 })
    }

    refused_by_both!();
    refused! {
        serialize_bool(bool) -> Self::Ok;
        serialize_i8(i8) -> Self::Ok;
        serialize_i16(i16) -> Self::Ok;
        serialize_i32(i32) -> Self::Ok;
        serialize_i64(i64) -> Self::Ok;
        serialize_u8(u8) -> Self::Ok;
        serialize_u16(u16) -> Self::Ok;
        serialize_u32(u32) -> Self::Ok;
        serialize_u64(u64) -> Self::Ok;
        serialize_f32(f32) -> Self::Ok;
        serialize_f64(f64) -> Self::Ok;
        serialize_char(char) -> Self::Ok;
        serialize_str(&str) -> Self::Ok;
        serialize_bytes(&[u8]) -> Self::Ok;
        serialize_none() -> Self::Ok;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, ShapeError> {
        unexpected()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Self::Ok, ShapeError> {
        unexpected()
    }
}

/// One field.
struct Field;

impl Serializer for Field {
    type Ok = Value;
    type Error = ShapeError;
    type SerializeSeq = Impossible<Value, ShapeError>;
    type SerializeTuple = Impossible<Value, ShapeError>;
    type SerializeTupleStruct = Impossible<Value, ShapeError>;
    type SerializeTupleVariant = Impossible<Value, ShapeError>;
    type SerializeMap = Impossible<Value, ShapeError>;
    type SerializeStruct = Impossible<Value, ShapeError>;
    type SerializeStructVariant = Impossible<Value, ShapeError>;

    fn serialize_bool(self, value: bool) -> Result<Value, ShapeError> {
        Ok(Value::Boolean(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Value, ShapeError> {
        Ok(Value::Integer(value.into()))
    }

    fn serialize_i16(self, value: i16) -> Result<Value, ShapeError> {
        Ok(Value::Integer(value.into()))
    }

    fn serialize_i32(self, value: i32) -> Result<Value, ShapeError> {
        Ok(Value::Integer(value.into()))
    }

    fn serialize_i64(self, value: i64) -> Result<Value, ShapeError> {
        Ok(Value::Integer(value))
    }

    fn serialize_u8(self, value: u8) -> Result<Value, ShapeError> {
        Ok(Value::Integer(value.into()))
    }

    fn serialize_u16(self, value: u16) -> Result<Value, ShapeError> {
        Ok(Value::Integer(value.into()))
    }

    fn serialize_u32(self, value: u32) -> Result<Value, ShapeError> {
        Ok(Value::Integer(value.into()))
    }

    fn serialize_u64(self, value: u64) -> Result<Value, ShapeError> {
        i64::try_from(value)
            .map(Value::Integer)
            .map_err(|_| ShapeError(format!("{value} is beyond a 64-bit signed integer")))
    }

    fn serialize_f32(self, value: f32) -> Result<Value, ShapeError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<Value, ShapeError> {
        // SQLite would store null, and NaN is not equal to itself in a comparison of views.
        if value.is_nan() { Err(ShapeError("not a number".into())) } else { Ok(Value::Real(value)) }
    }

    fn serialize_char(self, value: char) -> Result<Value, ShapeError> {
        Ok(Value::Text(value.into()))
    }

    fn serialize_str(self, value: &str) -> Result<Value, ShapeError> {
        Ok(Value::Text(value.into()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, ShapeError> {
        Ok(Value::Bytes(value.into()))
    }

    fn serialize_none(self) -> Result<Value, ShapeError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ShapeError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, ShapeError> {
        value.serialize(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, ShapeError> {
        unexpected()
    }

    refused_by_both!();
}
