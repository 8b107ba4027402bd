//! The sink's transaction for SQL written by hand.

use super::{
    connection::{Connection, Parameter},
    value::{Bound, value},
};
use crate::SqlTransaction;
use factum_core::{
    Error, Result,
    view::{ColumnType, Value},
};
use tokio_postgres::{Row, types::Type};

/// The transaction that is open on a connection.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) doing: &'a str,
}

impl SqlTransaction for Transaction<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let bound: Vec<Bound<'_>> = values.iter().map(Bound).collect();
        let parameters: Vec<Parameter<'_>> = bound.iter().map(|value| value as Parameter<'_>).collect();
        self.connection.execute(self.doing, sql, &parameters)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>> {
        let bound: Vec<Bound<'_>> = values.iter().map(Bound).collect();
        let parameters: Vec<Parameter<'_>> = bound.iter().map(|value| value as Parameter<'_>).collect();
        self.connection.query(self.doing, sql, &parameters)?.iter().map(row).collect()
    }
}

fn row(row: &Row) -> Result<Vec<Value>> {
    let columns = row.columns().iter().enumerate();
    let values = columns.map(|(index, column)| {
        let kind = match *column.type_() {
            Type::INT8 => ColumnType::Integer,
            Type::FLOAT8 => ColumnType::Real,
            Type::BOOL => ColumnType::Boolean,
            Type::TEXT | Type::VARCHAR | Type::NAME => ColumnType::Text,
            Type::BYTEA => ColumnType::Bytes,
            Type::INT2 => return narrow(row.get::<_, Option<i16>>(index)),
            Type::INT4 => return narrow(row.get::<_, Option<i32>>(index)),
            ref other => {
                return Err(Error::invalid(format!(
                    "column {} is {other}: cast it to bigint, double precision, boolean, text or bytea",
                    column.name()
                )));
            }
        };
        value(row, index, kind)
    });
    values.collect()
}

fn narrow(value: Option<impl Into<i64>>) -> Result<Value> {
    Ok(value.map_or(Value::Null, |value| Value::Integer(value.into())))
}
