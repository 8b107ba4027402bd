//! Values to and from PostgreSQL's.

use super::text::{original, stored};
use factum_core::{
    Error, Result,
    view::{Column, ColumnType, Value},
};
use std::{borrow::Cow, error::Error as StdError};
use tokio_postgres::{
    Row,
    types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

/// A text as a parameter.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        <&str as ToSql>::to_sql(&&*stored(self.0), kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <&str as ToSql>::accepts(kind)
    }

    to_sql_checked!();
}

/// A value as a parameter.
#[derive(Debug)]
pub(crate) struct Bound<'a>(pub(crate) &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            // A statement written by hand may have a parameter of a narrower type.
            Value::Integer(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Value::Integer(value) if *kind == Type::INT2 => i16::try_from(*value)?.to_sql(kind, out),
            Value::Integer(value) => value.to_sql(kind, out),
            Value::Real(value) => value.to_sql(kind, out),
            Value::Boolean(value) => value.to_sql(kind, out),
            Value::Text(value) => Text(value).to_sql(kind, out),
            Value::Bytes(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each kind of value goes to a parameter that its statement casts to the value's type.
        true
    }

    to_sql_checked!();
}

/// The values of one column in many rows, as one array.
pub(super) type Array<'a> = Box<dyn ToSql + Sync + 'a>;

/// One column of rows.
///
/// # Errors
/// `Invalid`: a value is not of the column's type.
pub(super) fn array<'a>(column: &Column, index: usize, rows: impl Iterator<Item = &'a [Value]>) -> Result<Array<'a>> {
    macro_rules! collected {
        ($kind:ident, $type:ty, $value:ident => $converted:expr) => {{
            let values = rows.map(|row| match &row[index] {
                Value::Null => Ok(None),
                Value::$kind($value) => Ok(Some($converted)),
                other => Err(Error::invalid(format!("column {} is {} and not {other}", column.name, column.kind))),
            });
            Ok(Box::new(values.collect::<Result<Vec<Option<$type>>>>()?))
        }};
    }
    match column.kind {
        ColumnType::Integer => collected!(Integer, i64, value => *value),
        ColumnType::Real => collected!(Real, f64, value => *value),
        ColumnType::Boolean => collected!(Boolean, bool, value => *value),
        ColumnType::Text => collected!(Text, Cow<'a, str>, value => stored(value)),
        ColumnType::Bytes => collected!(Bytes, &'a [u8], value => value.as_slice()),
    }
}

/// The values of the view's columns in a row, beginning at `first`.
///
/// # Errors
/// `Invalid`: the row has another type there.
pub(super) fn values(row: &Row, first: usize, columns: &[Column]) -> Result<Vec<Value>> {
    (first..).zip(columns).map(|(index, column)| value(row, index, column.kind)).collect()
}

/// One value of a row.
///
/// # Errors
/// `Invalid`: the row has another type there.
pub(crate) fn value(row: &Row, index: usize, kind: ColumnType) -> Result<Value> {
    let value = match kind {
        ColumnType::Integer => row.try_get::<_, Option<i64>>(index).map(|found| found.map(Value::Integer)),
        ColumnType::Real => row.try_get::<_, Option<f64>>(index).map(|found| found.map(Value::Real)),
        ColumnType::Boolean => row.try_get::<_, Option<bool>>(index).map(|found| found.map(Value::Boolean)),
        ColumnType::Text => {
            row.try_get::<_, Option<String>>(index).map(|found| found.map(|text| Value::Text(original(text))))
        }
        ColumnType::Bytes => row.try_get::<_, Option<Vec<u8>>>(index).map(|found| found.map(Value::Bytes)),
    };
    Ok(value
        .map_err(|e| Error::invalid(format!("a row has another type than its column: {e}")))?
        .unwrap_or(Value::Null))
}

/// A number of one width as one of another.
pub(super) fn number<T, U: TryFrom<T>>(value: T, what: &str) -> Result<U> {
    U::try_from(value).map_err(|_| Error::data(format!("a {what} is out of range")))
}
