//! A query as SQL. Its text holds names of the table's own columns and nothing else; values are bound.

use super::{Direction, Field, Filter, Query};
use factum_core::view::{ColumnType, KEY_COLUMN, Value};

/// What databases write differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Parameters are `?1`; text is ordered by its bytes; `factum_like` is our own function,
    /// because `LIKE` takes upper and lower case for the same.
    Sqlite,
    /// Parameters are `$1`; the order of text is asked for, whatever the database's language is.
    Postgres,
}

/// A statement and its parameters, the first of which is number 1.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) bound: Vec<Value>,
}

impl Statement {
    /// Selects the query's columns and then those of its order, of one row more than the page may have.
    pub(crate) fn page(query: &Query, dialect: Dialect) -> Self {
        let mut writer = Writer::new(dialect);
        let order = query.order.columns();
        let fields = query.columns.iter().chain(order.iter().map(|(field, _)| field));
        let names: Vec<String> = fields.map(|field| format!("\"{field}\"")).collect();
        let table = query.table.name();
        writer.sql = format!("SELECT {} FROM \"{table}\" WHERE ", names.join(", "));
        writer.filter(&query.filter);
        if let Some(after) = &query.after {
            writer.sql.push_str(" AND ");
            writer.after(order, after.values());
        }
        let order = order.iter().map(|(field, direction)| {
            let direction = if *direction == Direction::Descending { " DESC" } else { "" };
            let nulls = if field.is_nullable() { " NULLS LAST" } else { "" };
            format!("{}{direction}{nulls}", writer.ordered(field))
        });
        let order = order.collect::<Vec<_>>().join(", ");
        writer.sql.push_str(&format!(" ORDER BY {order} LIMIT "));
        writer.bind(Value::Integer(i64::try_from(query.limit + 1).unwrap_or(i64::MAX)));
        writer.statement()
    }

    /// Counts the rows that the filter lets through.
    pub(crate) fn count(query: &Query, dialect: Dialect) -> Self {
        let mut writer = Writer::new(dialect);
        writer.sql = format!("SELECT count(*) FROM \"{}\" WHERE ", query.table.name());
        writer.filter(&query.filter);
        writer.statement()
    }
}

struct Writer {
    dialect: Dialect,
    sql: String,
    bound: Vec<Value>,
}

impl Writer {
    fn new(dialect: Dialect) -> Self {
        Writer { dialect, sql: String::new(), bound: Vec::new() }
    }

    fn statement(self) -> Statement {
        Statement { sql: self.sql, bound: self.bound }
    }

    fn bind(&mut self, value: Value) {
        self.bound.push(value);
        let sign = if self.dialect == Dialect::Sqlite { '?' } else { '$' };
        self.sql.push_str(&format!("{sign}{}", self.bound.len()));
    }

    /// A column as it is compared and ordered.
    fn ordered(&self, field: &Field) -> String {
        match (self.dialect, field.kind()) {
            (Dialect::Postgres, ColumnType::Text) => format!("\"{field}\" COLLATE \"C\""),
            _ => format!("\"{field}\""),
        }
    }

    fn compare(&mut self, field: &Field, sign: &str, value: &Value) {
        let column = self.ordered(field);
        self.sql.push_str(&format!("{column} {sign} "));
        self.bind(value.clone());
    }

    fn filter(&mut self, filter: &Filter) {
        match filter {
            Filter::All(filters) => self.joined(filters, " AND ", "TRUE"),
            Filter::Any(filters) => self.joined(filters, " OR ", "FALSE"),
            Filter::Not(filter) => {
                // SQL's comparison with null is neither true nor false.
                self.sql.push_str("NOT coalesce(");
                self.filter(filter);
                self.sql.push_str(", FALSE)");
            }
            Filter::Compare(field, compared, value) => self.compare(field, &compared.to_string(), value),
            Filter::In(field, values) => {
                let column = self.ordered(field);
                self.sql.push_str(&format!("{column} IN ("));
                for (number, value) in values.iter().enumerate() {
                    self.sql.push_str(if number == 0 { "" } else { ", " });
                    self.bind(value.clone());
                }
                self.sql.push(')');
            }
            Filter::Like(field, pattern) => {
                let pattern = Value::Text(pattern.text().to_owned());
                match self.dialect {
                    Dialect::Sqlite => {
                        self.sql.push_str(&format!("factum_like(\"{field}\", "));
                        self.bind(pattern);
                        self.sql.push(')');
                    }
                    Dialect::Postgres => {
                        self.compare(field, "LIKE", &pattern);
                        self.sql.push_str(" ESCAPE '\\'");
                    }
                }
            }
            Filter::IsNull(field) => self.sql.push_str(&format!("\"{field}\" IS NULL")),
        }
    }

    fn joined(&mut self, filters: &[Filter], word: &str, empty: &str) {
        self.sql.push_str(if filters.is_empty() { empty } else { "(" });
        for (number, filter) in filters.iter().enumerate() {
            self.sql.push_str(if number == 0 { "" } else { word });
            self.filter(filter);
        }
        self.sql.push_str(if filters.is_empty() { "" } else { ")" });
    }

    /// Whatever comes after these values in the order: the first column that differs does,
    /// with null last.
    fn after(&mut self, order: &[(Field, Direction)], values: &[Value]) {
        self.sql.push('(');
        for last in 0..order.len() {
            self.sql.push_str(if last == 0 { "(" } else { " OR (" });
            for ((field, _), value) in order.iter().zip(values).take(last) {
                match value {
                    Value::Null => self.sql.push_str(&format!("\"{field}\" IS NULL")),
                    value => self.compare(field, "=", value),
                }
                self.sql.push_str(" AND ");
            }
            let (field, direction) = &order[last];
            match &values[last] {
                Value::Null => self.sql.push_str("FALSE"),
                value => {
                    self.sql.push('(');
                    self.compare(field, if *direction == Direction::Descending { "<" } else { ">" }, value);
                    let null = if field.is_nullable() { format!(" OR \"{field}\" IS NULL") } else { String::new() };
                    self.sql.push_str(&format!("{null})"));
                }
            }
            self.sql.push(')');
        }
        self.sql.push(')');
        debug_assert_eq!(order.last().map(|(field, _)| field.name()), Some(KEY_COLUMN));
    }
}
