//! Making and checking a view's tables.

use super::{failed, in_hand, parked, resets};
use factum_core::{
    Error, Result,
    view::{Column, ColumnType, KEY_COLUMN, OFFSET_COLUMN, VERSION_COLUMN, ViewTable, Watermarks},
};
use rusqlite::Connection;
use std::time::Duration;

/// The columns of watermarks in rows, and what they say in a row that has none.
const MARKS: [(&str, i64); 2] = [(VERSION_COLUMN, 0), (OFFSET_COLUMN, -1)];
const MARK: &str = "INTEGER";

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 32;

/// Sets the connection up, makes what is missing and answers with the database's id.
pub(super) fn prepare(
    connection: &Connection,
    name: &str,
    table: &ViewTable,
    busy_timeout: Duration,
) -> Result<String> {
    let failed = |e| failed(name, &format!("open view {}", table.view()), e);
    connection.busy_timeout(busy_timeout).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    super::rows::define_like(connection).map_err(failed)?;
    // Readers go on beside the one writer. After a power cut the last commits
    // may be gone, all of a commit or nothing; progress is in the commit, so
    // what is gone is read and applied again.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let outcome = make(connection, table).map_err(failed).and_then(|(id, found)| match found {
        None => Ok(id),
        Some(found) => Err(other_columns(table, &found)),
    });
    connection.execute_batch(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" }).map_err(failed)?;
    outcome
}

/// The database's id, and the columns that the table has if they are others.
fn make(connection: &Connection, table: &ViewTable) -> rusqlite::Result<(String, Option<Vec<String>>)> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS factum_meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT;
         INSERT INTO factum_meta (name, value) VALUES ('database_id', lower(hex(randomblob(16))))
             ON CONFLICT (name) DO NOTHING;
         CREATE TABLE IF NOT EXISTS factum_progress (
             view TEXT NOT NULL,
             topic TEXT NOT NULL,
             topic_id TEXT NOT NULL,
             partition INTEGER NOT NULL,
             epoch INTEGER NOT NULL,
             position INTEGER NOT NULL,
             PRIMARY KEY (view, topic, partition)
         ) STRICT, WITHOUT ROWID;",
    )?;
    connection.execute_batch(resets::TABLES)?;
    connection.execute_batch(parked::TABLES)?;
    connection.execute_batch(in_hand::TABLE)?;
    let id = connection.query_row("SELECT value FROM factum_meta WHERE name = 'database_id'", [], |row| row.get(0))?;
    let plain: Vec<String> = std::iter::once(key_column()).chain(table.columns().iter().map(definition)).collect();
    let mut wanted = plain.clone();
    if table.watermarks() == Watermarks::InRows {
        wanted.extend(MARKS.map(|(column, _)| written(column, MARK, false)));
    }
    let mut found = columns(connection, &table.name())?;
    if found.is_empty() {
        create(connection, table, &plain)?;
        found.clone_from(&plain);
    }
    if found == plain && found != wanted {
        // A new table, or one of a program that kept all watermarks apart: they stay there until their rows change.
        for (column, empty) in MARKS {
            let add = format!("ADD COLUMN {} DEFAULT {empty}", written(column, MARK, false));
            connection.execute_batch(&format!("ALTER TABLE \"{}\" {add}", table.name()))?;
        }
    } else if found != wanted {
        return Ok((id, Some(found)));
    }
    know_offsets(connection, &table.name())?;
    resets::remember_fold(connection, &table.name(), table.fold_version())?;
    make_indexes(connection, table)?;
    Ok((id, None))
}

/// Makes the indexes that are missing: they change no row, so they need no other version of the view.
fn make_indexes(connection: &Connection, table: &ViewTable) -> rusqlite::Result<()> {
    let name = table.name();
    for columns in table.indexes() {
        // By its columns: a table that was renamed keeps the names of its indexes.
        let sql = "SELECT count(*) FROM pragma_index_list(?1) AS list WHERE ?2 = \
                   (SELECT group_concat(name, ', ' ORDER BY seqno) FROM pragma_index_info(list.name))";
        if connection.query_row(sql, [&name, &columns.join(", ")], |row| row.get::<_, i64>(0))? > 0 {
            continue;
        }
        let list: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let mut index = format!("{name}_by_{}", columns.join("_"));
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
        while connection.query_row(sql, [&index], |row| row.get::<_, i64>(0))? > 0 {
            index.push('_');
        }
        connection.execute_batch(&format!("CREATE INDEX \"{index}\" ON \"{name}\" ({})", list.join(", ")))?;
    }
    Ok(())
}

/// Adds the last event's offset to watermarks of an earlier version; -1 says that it is not known.
fn know_offsets(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    let count = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = 'last_offset'";
    if connection.query_row(count, [format!("{name}_versions")], |row| row.get::<_, i64>(0))? == 0 {
        let add = "ADD COLUMN last_offset INTEGER NOT NULL DEFAULT -1";
        connection.execute_batch(&format!("ALTER TABLE \"{name}_versions\" {add}"))?;
    }
    Ok(())
}

fn create(connection: &Connection, table: &ViewTable, columns: &[String]) -> rusqlite::Result<()> {
    let name = table.name();
    // Progress and watermarks without rows are left from tables that somebody
    // dropped to have the view built anew.
    connection.execute("DELETE FROM factum_progress WHERE view = ?1", [&name])?;
    resets::forget(connection, &name)?;
    connection.execute_batch(&format!(
        "DROP TABLE IF EXISTS \"{name}_versions\";
         CREATE TABLE \"{name}\" ({}, PRIMARY KEY (\"{KEY_COLUMN}\")) STRICT, WITHOUT ROWID;
         CREATE TABLE \"{name}_versions\" (
             topic TEXT NOT NULL,
             aggregate TEXT NOT NULL,
             version INTEGER NOT NULL,
             last_offset INTEGER NOT NULL,
             PRIMARY KEY (topic, aggregate)
         ) STRICT, WITHOUT ROWID;",
        columns.join(", ")
    ))
}

/// The columns of a table as they are defined; none when there is no table.
fn columns(connection: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    let mut columns = connection.prepare("SELECT name, type, \"notnull\" FROM pragma_table_info(?1) ORDER BY cid")?;
    let columns = columns.query_map([name], |row| {
        Ok(written(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?, !row.get::<_, bool>(2)?))
    })?;
    columns.collect()
}

fn key_column() -> String {
    written(KEY_COLUMN, "TEXT", false)
}

fn definition(column: &Column) -> String {
    let kind = match column.kind {
        ColumnType::Integer => "INTEGER",
        ColumnType::Real => "REAL",
        // The same to SQLite, but it tells the two apart when the table is opened again.
        ColumnType::Boolean => "INT",
        ColumnType::Text => "TEXT",
        ColumnType::Bytes => "BLOB",
    };
    written(&column.name, kind, column.nullable)
}

fn written(name: &str, kind: &str, nullable: bool) -> String {
    format!("\"{name}\" {kind}{}", if nullable { "" } else { " NOT NULL" })
}

fn other_columns(table: &ViewTable, found: &[String]) -> Error {
    Error::invalid(format!(
        "table {} has other columns than view {}: raise its View::VERSION (the table has {})",
        table.name(),
        table.view(),
        found.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_of_an_earlier_version_are_taken_over() {
        let connection = Connection::open_in_memory().unwrap();
        let columns = vec![Column { name: "cents".into(), kind: ColumnType::Integer, nullable: false }];
        let table = ViewTable::new("accounts", 1, columns).unwrap();
        let open = || prepare(&connection, "in memory", &table, Duration::ZERO).unwrap();
        open();
        connection
            .execute_batch(
                "ALTER TABLE accounts_v1_versions DROP COLUMN last_offset;
                 INSERT INTO accounts_v1_versions (topic, aggregate, version) VALUES ('t', 'ada', 3);",
            )
            .unwrap();
        open();
        let select = "SELECT version, last_offset FROM accounts_v1_versions";
        let found: (i64, i64) = connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(found, (3, -1));
    }
}
