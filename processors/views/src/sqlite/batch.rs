//! The statements of a batch: one for each table, whatever the number of rows.

use super::value;
use factum_core::{
    AggregateId, Offset, Topic, Version,
    view::{Column, KEY_COLUMN, LastEvent, OFFSET_COLUMN, VERSION_COLUMN, Value, ViewTable, Watermark, Watermarks},
};
use rusqlite::{
    Connection, Row, ToSql, params,
    types::{self, ToSqlOutput},
    vtab::array::{self, Array},
};
use std::{collections::HashMap, iter, rc::Rc};

/// SQLite's limit on the parameters of a statement
/// (`SQLITE_MAX_VARIABLE_NUMBER`, <https://sqlite.org/limits.html>). A batch of
/// more values is written by as many statements as it takes.
const MAX_PARAMETERS: usize = 32_766;

/// Rows up to which a statement is kept for the next batch of the same size: a
/// live view's batches are small and many, those of one that catches up are neither.
const KEPT_ROWS: usize = 16;

/// The statements that name a view's tables, written once.
#[derive(Debug)]
pub(super) struct Statements {
    select_rows: String,
    select_versions: String,
    upsert_rows: Upsert,
    delete_rows: String,
    upsert_versions: Upsert,
    /// Copies watermarks that were written apart to the rows that there are; none where rows have none.
    mark_rows: Option<String>,
}

impl Statements {
    pub(super) fn new(table: &ViewTable) -> Self {
        // Names are lower case letters, digits and _ by construction of the table.
        let name = table.name();
        let columns: Vec<String> = table.columns().iter().map(|column| format!("\"{}\"", column.name)).collect();
        let list = columns.iter().map(|column| format!(", r.{column}")).collect::<String>();
        let mut all: Vec<&str> = iter::once(KEY_COLUMN).chain(columns.iter().map(String::as_str)).collect();
        let in_rows = table.watermarks() == Watermarks::InRows;
        if in_rows {
            all.extend([VERSION_COLUMN, OFFSET_COLUMN]);
        }
        let select_versions = match in_rows {
            true => format!(
                "SELECT a.rowid, iif(r.{VERSION_COLUMN} > 0, r.{VERSION_COLUMN}, v.version), \
                 iif(r.{VERSION_COLUMN} > 0, r.{OFFSET_COLUMN}, v.last_offset) FROM rarray(?1) AS a \
                 LEFT JOIN \"{name}\" AS r ON r.\"{KEY_COLUMN}\" = a.value \
                 LEFT JOIN \"{name}_versions\" AS v ON v.topic = ?2 AND v.aggregate = a.value \
                 WHERE r.{VERSION_COLUMN} > 0 OR v.version IS NOT NULL"
            ),
            false => format!(
                "SELECT a.rowid, v.version, v.last_offset FROM rarray(?1) AS a CROSS JOIN \"{name}_versions\" AS v \
                 ON v.topic = ?2 AND v.aggregate = a.value"
            ),
        };
        Statements {
            // The array is walked in its order, and each of its values looked for in the table.
            select_rows: format!(
                "SELECT a.rowid{list} FROM rarray(?1) AS a CROSS JOIN \"{name}\" AS r ON r.\"{KEY_COLUMN}\" = a.value"
            ),
            select_versions,
            upsert_rows: Upsert::new(&name, &all, &[KEY_COLUMN]),
            delete_rows: format!("DELETE FROM \"{name}\" WHERE \"{KEY_COLUMN}\" IN (SELECT value FROM rarray(?1))"),
            upsert_versions: Upsert::new(
                &format!("{name}_versions"),
                &["topic", "aggregate", "version", "last_offset"],
                &["topic", "aggregate"],
            ),
            mark_rows: in_rows.then(|| {
                format!(
                    "UPDATE \"{name}\" AS r SET {VERSION_COLUMN} = v.version, {OFFSET_COLUMN} = v.last_offset \
                     FROM \"{name}_versions\" AS v WHERE v.topic = ?1 AND v.aggregate = r.\"{KEY_COLUMN}\" \
                     AND r.\"{KEY_COLUMN}\" IN (SELECT value FROM rarray(?2))"
                )
            }),
        }
    }

    /// Prepares a connection for the statements.
    pub(super) fn on(connection: &Connection) -> rusqlite::Result<()> {
        array::load_module(connection)
    }

    /// The rows with these keys, in their order.
    pub(super) fn rows(
        &self,
        connection: &Connection,
        columns: &[Column],
        keys: &[String],
    ) -> rusqlite::Result<Vec<Option<Vec<Value>>>> {
        let mut found = vec![None; keys.len()];
        if keys.is_empty() {
            return Ok(found);
        }
        let mut select = connection.prepare_cached(&self.select_rows)?;
        let mut rows = select.query([texts(keys.iter().map(String::as_str))])?;
        while let Some(row) = rows.next()? {
            let values = columns.iter().zip(1..).map(|(column, index)| value(row, index, column.kind));
            found[place(row)?] = Some(values.collect::<rusqlite::Result<_>>()?);
        }
        Ok(found)
    }

    /// The last events of these aggregates that were applied, in their order.
    pub(super) fn last_events(
        &self,
        connection: &Connection,
        aggregates: &[(Topic, AggregateId)],
    ) -> rusqlite::Result<Vec<LastEvent>> {
        let mut found = vec![LastEvent::NONE; aggregates.len()];
        let mut select = connection.prepare_cached(&self.select_versions)?;
        let mut topics: Vec<&Topic> = aggregates.iter().map(|(topic, _)| topic).collect();
        topics.sort_unstable();
        topics.dedup();
        for topic in topics {
            // Null where the aggregate is another topic's: it is equal to nothing.
            let ids = aggregates.iter().map(|(of, id)| {
                if of == topic { types::Value::Text(id.as_str().to_owned()) } else { types::Value::Null }
            });
            let mut rows = select.query(params![Rc::new(ids.collect::<Vec<_>>()), topic.as_str()])?;
            while let Some(row) = rows.next()? {
                found[place(row)?] = LastEvent { version: Version(row.get(1)?), offset: Offset(row.get(2)?) };
            }
        }
        Ok(found)
    }

    /// Inserts or replaces rows, with the watermarks of those that have them.
    pub(super) fn upsert(
        &self,
        connection: &Connection,
        rows: &[(String, Vec<Value>)],
        marks: &[Watermark],
    ) -> rusqlite::Result<()> {
        let marks: Option<HashMap<&str, LastEvent>> =
            self.mark_rows.is_some().then(|| marks.iter().map(|mark| (mark.aggregate.as_str(), mark.last)).collect());
        self.upsert_rows.run(connection, rows, |(key, values), parameters| {
            parameters.push(Bound::Text(key));
            parameters.extend(values.iter().map(Bound::Value));
            if let Some(marks) = &marks {
                let last = marks.get(key.as_str()).copied().unwrap_or_default();
                parameters.extend([Bound::Version(last.version), Bound::Offset(last.offset)]);
            }
        })
    }

    /// Deletes rows.
    pub(super) fn delete(&self, connection: &Connection, keys: &[String]) -> rusqlite::Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut delete = connection.prepare_cached(&self.delete_rows)?;
        delete.execute([texts(keys.iter().map(String::as_str))]).map(drop)
    }

    /// Inserts or replaces watermarks; where rows have them, but those that came with these rows.
    pub(super) fn mark(
        &self,
        connection: &Connection,
        marks: &[Watermark],
        written: &[(String, Vec<Value>)],
    ) -> rusqlite::Result<()> {
        let is_written = |mark: &&Watermark| {
            self.mark_rows.is_some()
                && written.binary_search_by(|(key, _)| key.as_str().cmp(mark.aggregate.as_str())).is_ok()
        };
        let marks: Vec<&Watermark> = marks.iter().filter(|mark| !is_written(mark)).collect();
        self.upsert_versions.run(connection, &marks, |mark, parameters| {
            parameters.push(Bound::Text(mark.topic.as_str()));
            parameters.push(Bound::Text(mark.aggregate.as_str()));
            parameters.push(Bound::Version(mark.last.version));
            parameters.push(Bound::Offset(mark.last.offset));
        })?;
        let (Some(mark_rows), Some(first)) = (&self.mark_rows, marks.first()) else { return Ok(()) };
        // Rows that have watermarks are of aggregates of one topic.
        let aggregates = texts(marks.iter().map(|mark| mark.aggregate.as_str()));
        connection.prepare_cached(mark_rows)?.execute(params![first.topic.as_str(), aggregates]).map(drop)
    }
}

/// `INSERT … VALUES (…), (…) ON CONFLICT (…) DO UPDATE …` of any number of rows.
#[derive(Debug)]
struct Upsert {
    head: String,
    row: String,
    width: usize,
    tail: String,
}

impl Upsert {
    fn new(table: &str, columns: &[&str], key: &[&str]) -> Self {
        let quoted = |names: &[&str]| {
            let names = names.iter().map(|name| format!("\"{}\"", name.trim_matches('"')));
            names.collect::<Vec<_>>().join(", ")
        };
        let updates = columns[key.len()..].iter().map(|column| {
            let column = column.trim_matches('"');
            if [VERSION_COLUMN, OFFSET_COLUMN].contains(&column) {
                // Version 0 leaves the watermark that the row has.
                return format!("{column} = iif(excluded.{VERSION_COLUMN} > 0, excluded.{column}, {column})");
            }
            format!("\"{column}\" = excluded.\"{column}\"")
        });
        Upsert {
            head: format!("INSERT INTO \"{table}\" ({}) VALUES ", quoted(columns)),
            row: format!("({})", vec!["?"; columns.len()].join(",")),
            width: columns.len(),
            tail: format!(" ON CONFLICT ({}) DO UPDATE SET {}", quoted(key), updates.collect::<Vec<_>>().join(", ")),
        }
    }

    fn run<'a, T>(
        &self,
        connection: &Connection,
        rows: &'a [T],
        parameters_of: impl Fn(&'a T, &mut Vec<Bound<'a>>),
    ) -> rusqlite::Result<()> {
        let mut parameters = Vec::new();
        for rows in rows.chunks((MAX_PARAMETERS / self.width).max(1)) {
            let sql = format!("{}{}{}", self.head, vec![self.row.as_str(); rows.len()].join(","), self.tail);
            parameters.clear();
            rows.iter().for_each(|row| parameters_of(row, &mut parameters));
            let parameters = rusqlite::params_from_iter(&parameters);
            match rows.len() {
                0..=KEPT_ROWS => connection.prepare_cached(&sql)?.execute(parameters)?,
                _ => connection.prepare(&sql)?.execute(parameters)?,
            };
        }
        Ok(())
    }
}

/// Where in the array a row's key is.
fn place(row: &Row<'_>) -> rusqlite::Result<usize> {
    let rowid: usize = row.get(0)?;
    Ok(rowid - 1)
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Array {
    Rc::new(texts.map(|text| types::Value::Text(text.to_owned())).collect())
}

/// A parameter of a statement.
pub(super) enum Bound<'a> {
    Text(&'a str),
    Value(&'a Value),
    Version(Version),
    Offset(Offset),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Bound::Text(text) => (*text).into(),
            Bound::Version(version) => return version.0.to_sql(),
            Bound::Offset(offset) => offset.0.into(),
            Bound::Value(value) => match value {
                Value::Null => types::Null.into(),
                Value::Integer(value) => (*value).into(),
                Value::Real(value) => (*value).into(),
                Value::Boolean(value) => (*value).into(),
                Value::Text(value) => value.as_str().into(),
                Value::Bytes(value) => value.as_slice().into(),
            },
        })
    }
}
