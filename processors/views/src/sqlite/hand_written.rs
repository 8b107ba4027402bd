//! The sink's transaction for SQL written by hand.

use super::{batch::Bound, failed};
use crate::SqlTransaction;
use factum_core::{Error, Result, view::Value};
use rusqlite::{Connection, Row, Statement, types::ValueRef};

/// The transaction that is open on a connection.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    pub(super) name: &'a str,
    pub(super) doing: &'a str,
}

impl SqlTransaction for Transaction<'_> {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|e| self.failed(e))?;
        self.bind(&mut statement, values)?;
        let changed = statement.raw_execute().map_err(|e| self.failed(e))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|e| self.failed(e))?;
        self.bind(&mut statement, values)?;
        let columns = statement.column_count();
        let rows = statement.raw_query().mapped(|row| (0..columns).map(|index| value(row, index)).collect());
        rows.collect::<rusqlite::Result<_>>().map_err(|e| self.failed(e))
    }
}

impl Transaction<'_> {
    fn failed(&self, error: rusqlite::Error) -> Error {
        failed(self.name, self.doing, error)
    }

    /// `$2` is the second value, wherever it stands: SQLite itself numbers such names as they come.
    fn bind(&self, statement: &mut Statement<'_>, values: &[Value]) -> Result<()> {
        let mut used = 0;
        for index in 1..=statement.parameter_count() {
            let name = statement.parameter_name(index).unwrap_or_default();
            let number = name.strip_prefix(['$', '?']).and_then(|number| number.parse::<usize>().ok());
            let value = number.and_then(|number| values.get(number.checked_sub(1)?)).ok_or_else(|| {
                Error::invalid(format!(
                    "sqlite database {}: {}: parameter {name:?} has no value; there are {} ($1, $2 …)",
                    self.name,
                    self.doing,
                    values.len()
                ))
            })?;
            statement.raw_bind_parameter(index, Bound::Value(value)).map_err(|e| self.failed(e))?;
            used += 1;
        }
        if used < values.len() {
            return Err(Error::invalid(format!(
                "sqlite database {}: {}: there are {} values for {used} parameters",
                self.name,
                self.doing,
                values.len()
            )));
        }
        Ok(())
    }
}

/// What is there: SQLite has no boolean.
fn value(row: &Row<'_>, index: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        value @ ValueRef::Text(_) => Value::Text(value.as_str()?.to_owned()),
        ValueRef::Blob(value) => Value::Bytes(value.to_owned()),
    })
}
