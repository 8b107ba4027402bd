//! From values to a row.

use super::{Column, ShapeError, Value};
use crate::{Error, Result};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor, value::StrDeserializer};

/// The row of these values.
pub(super) fn row<R: DeserializeOwned>(columns: &[Column], values: Vec<Value>) -> Result<R> {
    assert_eq!(columns.len(), values.len(), "a sink gives one value for each column");
    let mut at = 0;
    R::deserialize(Row { columns, values: values.into_iter(), at: &mut at }).map_err(|ShapeError(why)| {
        let name = columns.get(at.max(1) - 1).map_or("", |column| column.name.as_str());
        Error::data(format!("field {name}: {why}"))
    })
}

struct Row<'a> {
    columns: &'a [Column],
    values: std::vec::IntoIter<Value>,
    // How many fields were begun, for the error's text.
    at: &'a mut usize,
}

impl<'de> de::Deserializer<'de> for Row<'_> {
    type Error = ShapeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        visitor.visit_map(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> de::MapAccess<'de> for Row<'_> {
    type Error = ShapeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ShapeError> {
        let Some(column) = self.columns.get(*self.at) else { return Ok(None) };
        *self.at += 1;
        seed.deserialize(StrDeserializer::new(&column.name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ShapeError> {
        let value = self.values.next().expect("as many values as columns");
        seed.deserialize(Field(value))
    }
}

struct Field(Value);

impl<'de> de::Deserializer<'de> for Field {
    type Error = ShapeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Real(value) => visitor.visit_f64(value),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Text(value) => visitor.visit_string(value),
            Value::Bytes(value) => visitor.visit_byte_buf(value),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ShapeError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
