//! Rows as columns: a flat struct's fields, learned from its serde shape.
//!
//! A sink knows columns and values only. They are converted straight from and
//! to the struct, without a document in between, because every event of a busy
//! view goes through here.

mod probe;
mod read;
mod write;

use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt::{self, Write},
    marker::PhantomData,
};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// A 64-bit signed integer; every Rust integer that fits into it.
    Integer,
    /// A 64-bit float.
    Real,
    /// True or false.
    Boolean,
    /// UTF-8 text.
    Text,
    /// Bytes (`serde_bytes` or alike; a `Vec<u8>` alone is a list to serde).
    Bytes,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnType::Integer => "integer",
            ColumnType::Real => "real",
            ColumnType::Boolean => "boolean",
            ColumnType::Text => "text",
            ColumnType::Bytes => "bytes",
        })
    }
}

/// A column of a view's table: a field of its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The field's name as serde knows it.
    pub name: String,
    /// What it holds.
    pub kind: ColumnType,
    /// Whether it may be null: the field is an `Option`.
    pub nullable: bool,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.name, self.kind, if self.nullable { " or null" } else { "" })
    }
}

/// A column's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// Of an integer column.
    Integer(i64),
    /// Of a real column; never NaN.
    Real(f64),
    /// Of a boolean column.
    Boolean(bool),
    /// Of a text column.
    Text(String),
    /// Of a bytes column.
    Bytes(Vec<u8>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Integer(value) => value.fmt(f),
            Value::Real(value) => value.fmt(f),
            Value::Boolean(value) => value.fmt(f),
            Value::Text(value) => f.write_str(value),
            Value::Bytes(value) => base64(value, f),
        }
    }
}

/// Base64 with padding (RFC 4648), as commands and events have bytes in JSON.
fn base64(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let is_there = digit <= three.len();
            let at = (bits >> (18 - 6 * digit) & 63) as usize;
            f.write_char(if is_there { char::from(DIGITS[at]) } else { '=' })?;
        }
    }
    Ok(())
}

/// Converts rows of type `R` to and from the values of their columns.
pub struct RowShape<R> {
    columns: Vec<Column>,
    row: PhantomData<fn() -> R>,
}

impl<R> fmt::Debug for RowShape<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowShape").field("columns", &self.columns).finish()
    }
}

impl<R: Serialize + DeserializeOwned> RowShape<R> {
    /// Learns the columns of `R` by running its `Deserialize` once against a
    /// deserializer that notes what is asked for.
    ///
    /// # Errors
    /// `Invalid`, naming the field: `R` is not a struct, or a field is not a
    /// number, text, bytes, a boolean or an option of these, or its name is not
    /// lower case ASCII letters, digits and `_`, or is one that a sink adds: `key`,
    /// `factum_version`, `factum_offset`.
    pub fn learn() -> Result<Self> {
        let columns = probe::columns::<R>()?;
        for column in &columns {
            if !is_identifier(&column.name) {
                return Err(Error::invalid(format!(
                    "field {:?} of a view's row is not a column name: use lower case letters, digits and _, not first a digit",
                    column.name
                )));
            }
            if column.name == KEY_COLUMN {
                return Err(Error::invalid("field key of a view's row takes the name of the row's key: rename it"));
            }
            if [VERSION_COLUMN, OFFSET_COLUMN].contains(&column.name.as_str()) {
                return Err(Error::invalid(format!(
                    "field {} of a view's row takes the name of a column that says what was applied: rename it",
                    column.name
                )));
            }
        }
        if columns.is_empty() {
            return Err(Error::invalid("a view's row needs a field"));
        }
        Ok(RowShape { columns, row: PhantomData })
    }

    /// The columns, in the order of the fields.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The values of a row, in the order of the columns.
    ///
    /// # Errors
    /// `Data`, naming the field: an integer beyond 64 signed bits, a NaN, or a
    /// shape that [`RowShape::learn`] has not seen.
    pub fn values(&self, row: &R) -> Result<Vec<Value>> {
        write::values(&self.columns, row)
    }

    /// The row of these values, in the order of the columns.
    ///
    /// # Errors
    /// `Data`: a value does not fit its field.
    pub fn row(&self, values: Vec<Value>) -> Result<R> {
        read::row(&self.columns, values)
    }
}

/// The name of the column with a row's key.
pub const KEY_COLUMN: &str = "key";

/// The name of the column with the version of the last event that was applied
/// to the row's aggregate; 0 where that is kept apart.
pub const VERSION_COLUMN: &str = "factum_version";

/// The name of the column with the offset of that event; -1 where it is not known.
pub const OFFSET_COLUMN: &str = "factum_offset";

/// Whether a name can be part of SQL without a thought: a lower case letter or
/// `_`, then these and digits, at most 48 in all.
pub(super) fn is_identifier(name: &str) -> bool {
    (1..=48).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Why serde's side of a conversion stopped; becomes an [`Error`] with the field's name.
#[derive(Debug)]
struct ShapeError(String);

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShapeError {}

impl serde::de::Error for ShapeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ShapeError(message.to_string())
    }
}

impl serde::ser::Error for ShapeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ShapeError(message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Cents(i64);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Row {
        balance: Cents,
        count: u32,
        rate: f32,
        open: bool,
        owner: String,
        note: Option<String>,
        grade: Option<char>,
    }

    fn row() -> Row {
        Row { balance: Cents(-5), count: 7, rate: 0.5, open: true, owner: "ada".into(), note: None, grade: Some('b') }
    }

    fn check_refused<R: Serialize + DeserializeOwned>(expected: Expect) {
        let error = RowShape::<R>::learn().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Invalid);
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn columns_are_learned_without_a_row() {
        let shape = RowShape::<Row>::learn().unwrap();
        let columns: Vec<String> = shape.columns().iter().map(ToString::to_string).collect();
        expect![[r#"
            balance integer
            count integer
            rate real
            open boolean
            owner text
            note text or null
            grade text or null"#]]
        .assert_eq(&columns.join("\n"));
    }

    #[test]
    fn a_row_survives_the_way_through_its_values() {
        let shape = RowShape::<Row>::learn().unwrap();
        let values = shape.values(&row()).unwrap();
        expect![[r#"[Integer(-5), Integer(7), Real(0.5), Boolean(true), Text("ada"), Null, Text("b")]"#]]
            .assert_eq(&format!("{values:?}"));
        assert_eq!(shape.row(values).unwrap(), row());
    }

    #[test]
    fn bytes_are_a_column() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Digest {
            #[serde(with = "as_bytes")]
            sum: Vec<u8>,
        }
        mod as_bytes {
            pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
                to.serialize_bytes(bytes)
            }
            pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = Vec<u8>;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("bytes")
                    }
                    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                        Ok(bytes)
                    }
                }
                from.deserialize_byte_buf(Visitor)
            }
        }
        let shape = RowShape::<Digest>::learn().unwrap();
        assert_eq!(shape.columns()[0].kind, ColumnType::Bytes);
        let values = shape.values(&Digest { sum: vec![1, 2] }).unwrap();
        assert_eq!(shape.row(values).unwrap(), Digest { sum: vec![1, 2] });
    }

    #[test]
    fn shapes_that_are_no_table_are_refused_by_field() {
        #[derive(Serialize, Deserialize)]
        struct Nested {
            inner: Vec<i64>,
        }
        #[derive(Serialize, Deserialize)]
        struct Upper {
            #[serde(rename = "Balance")]
            balance: i64,
        }
        #[derive(Serialize, Deserialize)]
        struct Key {
            key: i64,
        }
        #[derive(Serialize, Deserialize)]
        struct Twice {
            value: Option<Option<i64>>,
        }
        #[derive(Serialize, Deserialize)]
        struct Empty {}
        check_refused::<Nested>(expect![
            "field inner of a view's row: a list or tuple is not a column; use numbers, text, booleans, bytes and options of these"
        ]);
        check_refused::<Upper>(expect![[
            r#"field "Balance" of a view's row is not a column name: use lower case letters, digits and _, not first a digit"#
        ]]);
        check_refused::<Key>(expect!["field key of a view's row takes the name of the row's key: rename it"]);
        check_refused::<Twice>(expect![
            "field value of a view's row: an option within an option is not a column; use numbers, text, booleans, bytes and options of these"
        ]);
        check_refused::<Empty>(expect!["a view's row needs a field"]);
        check_refused::<i64>(expect!["a view's row is not a struct with named fields"]);
    }

    #[test]
    fn values_that_no_column_holds_are_refused_by_field() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Numbers {
            big: u64,
            rate: f64,
        }
        let shape = RowShape::<Numbers>::learn().unwrap();
        let error = shape.values(&Numbers { big: u64::MAX, rate: 0.0 }).unwrap_err();
        expect!["field big: 18446744073709551615 is beyond a 64-bit signed integer"].assert_eq(&error.to_string());
        let error = shape.values(&Numbers { big: 1, rate: f64::NAN }).unwrap_err();
        expect!["field rate: not a number"].assert_eq(&error.to_string());
        let error = shape.row(vec![Value::Integer(-1), Value::Real(0.0)]).unwrap_err();
        expect!["field big: invalid value: integer `-1`, expected u64"].assert_eq(&error.to_string());
    }
}
