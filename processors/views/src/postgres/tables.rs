//! Making and checking a view's tables.

use super::{
    connection::Connection,
    resets::{forget, remember_fold},
};
use factum_core::{
    Error, Result,
    view::{Column, ColumnType, KEY_COLUMN, OFFSET_COLUMN, VERSION_COLUMN, ViewTable, Watermarks},
};

/// Whoever makes tables in a schema holds this lock; two that make the same at once would fail one of them.
const MAKING_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('factum tables ' || current_schema(), 0))";

/// The longest name that PostgreSQL keeps whole, in bytes.
const MAX_NAME: usize = 63;

/// The columns of watermarks in rows, and what they say in a row that has none.
const MARKS: [(&str, i64); 2] = [(VERSION_COLUMN, 0), (OFFSET_COLUMN, -1)];
const MARK: &str = "bigint NOT NULL";

/// Text is ordered by its bytes, as in the other sinks and whatever the database's language is.
const TEXT: &str = "text COLLATE \"C\"";

/// Makes what is missing, checks what is there, and answers with the database's id.
pub(super) fn prepare(connection: &mut Connection, table: &ViewTable) -> Result<String> {
    let doing = format!("open view {}", table.view());
    connection.begin(&doing, &[])?;
    let made = make(connection, &doing, table);
    match made {
        Ok(id) => {
            connection.commit(&doing)?;
            Ok(id)
        }
        Err(error) => {
            connection.rollback();
            Err(error)
        }
    }
}

fn make(connection: &mut Connection, doing: &str, table: &ViewTable) -> Result<String> {
    connection.batch(doing, MAKING_LOCK)?;
    connection.batch(
        doing,
        &format!(
            "SET LOCAL client_min_messages = warning;
             CREATE TABLE IF NOT EXISTS factum_meta (name text PRIMARY KEY, value text NOT NULL);
             INSERT INTO factum_meta (name, value) VALUES ('database_id', replace(gen_random_uuid()::text, '-', ''))
                 ON CONFLICT (name) DO NOTHING;
             CREATE TABLE IF NOT EXISTS factum_progress ({}, PRIMARY KEY (view, topic, partition));
             CREATE TABLE IF NOT EXISTS factum_in_hand ({}, PRIMARY KEY (view, topic, partition));
             CREATE TABLE IF NOT EXISTS factum_skipped ({}, PRIMARY KEY (view, topic, partition, from_offset));
             CREATE TABLE IF NOT EXISTS factum_parked ({}, PRIMARY KEY (view, topic, aggregate, record_offset));
             CREATE INDEX IF NOT EXISTS factum_parked_keys ON factum_parked (view, topic, partition) WHERE cause <> '';
             CREATE TABLE IF NOT EXISTS factum_folds ({}, PRIMARY KEY (view));
             CREATE TABLE IF NOT EXISTS factum_builds ({}, PRIMARY KEY (built));",
            list(&progress_columns()),
            list(&fixed(&[
                ("view", TEXT),
                ("topic", TEXT),
                ("partition", "integer"),
                ("position", "bigint"),
                ("tries", "bigint")
            ])),
            list(&fixed(&[
                ("view", TEXT),
                ("topic", TEXT),
                ("partition", "integer"),
                ("from_offset", "bigint"),
                ("to_offset", "bigint")
            ])),
            list(&fixed(&[
                ("view", TEXT),
                ("topic", TEXT),
                ("aggregate", TEXT),
                ("record_offset", "bigint"),
                ("partition", "integer"),
                ("topic_id", TEXT),
                ("version", "bigint"),
                ("cause", TEXT),
                ("attempts", "bigint"),
                ("parked_at", "bigint")
            ])),
            list(&fixed(&[("view", TEXT), ("fold_version", "bigint")])),
            list(&fixed(&[("built", TEXT), ("view", TEXT), ("what", TEXT), ("owner", TEXT), ("is_last", "boolean")]))
        ),
    )?;
    let name = table.name();
    if name.len() + "_versions".len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "{name}_versions is too long for a table of PostgreSQL: shorten View::NAME"
        )));
    }
    let found = columns(connection, doing, &name)?;
    if found.is_empty() {
        // Progress and watermarks without rows are left from tables that
        // somebody dropped to have the view built anew.
        connection.query(doing, "DELETE FROM factum_progress WHERE view = $1", &[&name])?;
        forget(connection, doing, &name)?;
        connection.batch(
            doing,
            &format!(
                "DROP TABLE IF EXISTS \"{name}_versions\";
                 CREATE TABLE \"{name}\" ({}, PRIMARY KEY (\"{KEY_COLUMN}\"));
                 CREATE TABLE \"{name}_versions\" ({}, PRIMARY KEY (topic, aggregate));",
                list(&row_columns(table)),
                list(&version_columns())
            ),
        )?;
    }
    if table.watermarks() == Watermarks::InRows && found.iter().all(|(column, _)| column != VERSION_COLUMN) {
        // A new table, or one of a program that kept all watermarks apart: they stay there until their rows change.
        let added = MARKS.map(|(column, empty)| format!("ADD COLUMN \"{column}\" {MARK} DEFAULT {empty}"));
        connection.batch(doing, &format!("ALTER TABLE \"{name}\" {}", added.join(", ")))?;
    }
    remember_fold(connection, doing, &name, table.fold_version())?;
    make_indexes(connection, doing, table)?;
    let why = format!("than view {}: raise its View::VERSION if its row type changed, else undo what", table.view());
    let mut wanted = row_columns(table);
    if table.watermarks() == Watermarks::InRows {
        wanted.extend(MARKS.map(|(column, _)| (column.to_owned(), MARK.to_owned())));
    }
    check(connection, doing, &name, &wanted, &[KEY_COLUMN], &why)?;
    let why = "than this program makes: undo what".to_owned();
    check(connection, doing, &format!("{name}_versions"), &version_columns(), &["topic", "aggregate"], &why)?;
    check(connection, doing, "factum_progress", &progress_columns(), &["view", "topic", "partition"], &why)?;
    let id = connection.query(doing, "SELECT value FROM factum_meta WHERE name = 'database_id'", &[])?;
    let id = id.first().ok_or_else(|| Error::invalid("table factum_meta has no database_id"))?;
    Ok(id.get(0))
}

/// Makes the indexes that are missing: they change no row, so they need no other version of the view.
fn make_indexes(connection: &mut Connection, doing: &str, table: &ViewTable) -> Result<()> {
    for columns in table.indexes() {
        let table = table.name();
        let list: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let index = index_name(&table, columns);
        connection
            .batch(doing, &format!("CREATE INDEX IF NOT EXISTS \"{index}\" ON \"{table}\" ({})", list.join(", ")))?;
    }
    Ok(())
}

/// The name of a table's index over these columns.
pub(super) fn index_name(table: &str, columns: &[String]) -> String {
    short(format!("{table}_by_{}", columns.join("_")))
}

/// A name that PostgreSQL does not cut off: a longer one ends with a hash of the whole (FNV-1a).
fn short(name: String) -> String {
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}_{hash:016x}", &name[..MAX_NAME - 17])
}

/// A column's name and definition, as PostgreSQL tells them.
type Definition = (String, String);

fn row_columns(table: &ViewTable) -> Vec<Definition> {
    let key = (KEY_COLUMN.to_owned(), format!("{TEXT} NOT NULL"));
    std::iter::once(key).chain(table.columns().iter().map(definition)).collect()
}

fn definition(column: &Column) -> Definition {
    let kind = match column.kind {
        ColumnType::Integer => "bigint",
        ColumnType::Real => "double precision",
        ColumnType::Boolean => "boolean",
        ColumnType::Text => TEXT,
        ColumnType::Bytes => "bytea",
    };
    (column.name.clone(), format!("{kind}{}", if column.nullable { "" } else { " NOT NULL" }))
}

fn version_columns() -> Vec<Definition> {
    fixed(&[("topic", TEXT), ("aggregate", TEXT), ("version", "bigint"), ("last_offset", "bigint")])
}

fn progress_columns() -> Vec<Definition> {
    fixed(&[
        ("view", TEXT),
        ("topic", TEXT),
        ("topic_id", TEXT),
        ("partition", "integer"),
        ("epoch", "bigint"),
        ("position", "bigint"),
    ])
}

fn fixed(columns: &[(&str, &str)]) -> Vec<Definition> {
    columns.iter().map(|(name, kind)| ((*name).to_owned(), format!("{kind} NOT NULL"))).collect()
}

fn list(columns: &[Definition]) -> String {
    let columns: Vec<String> = columns.iter().map(|(name, definition)| format!("\"{name}\" {definition}")).collect();
    columns.join(", ")
}

/// The columns of a table in the schema that unqualified names are made in; none when there is no table.
fn columns(connection: &mut Connection, doing: &str, table: &str) -> Result<Vec<Definition>> {
    const COLUMNS: &str = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) \
            || CASE WHEN a.attcollation = t.typcollation OR a.attcollation = 0 THEN '' \
                    ELSE ' COLLATE ' || quote_ident(l.collname) END \
            || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END \
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
            LEFT JOIN pg_collation l ON l.oid = a.attcollation \
        WHERE c.relname::text = $1 AND c.relnamespace = current_schema()::regnamespace \
            AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped \
        ORDER BY a.attnum";
    let rows = connection.query(doing, COLUMNS, &[&table])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The columns of a table's primary key, in their order.
fn primary_key(connection: &mut Connection, doing: &str, table: &str) -> Result<Vec<String>> {
    const KEY: &str = "SELECT a.attname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number \
        WHERE c.relname::text = $1 AND c.relnamespace = current_schema()::regnamespace AND i.indisprimary \
        ORDER BY k.place";
    let rows = connection.query(doing, KEY, &[&table])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Refuses a table that is not as it was made, naming what differs. The order of columns is nothing to us.
fn check(
    connection: &mut Connection,
    doing: &str,
    table: &str,
    wanted: &[Definition],
    key: &[&str],
    why: &str,
) -> Result<()> {
    let found = columns(connection, doing, table)?;
    let mut differences = Vec::new();
    for (name, definition) in wanted {
        match found.iter().find(|(found, _)| found == name) {
            None => differences.push(format!("column {name} ({definition}) is missing")),
            Some((_, found)) if found != definition => {
                differences.push(format!("column {name} is {found} and not {definition}"));
            }
            Some(_) => {}
        }
    }
    let unknown = found.iter().filter(|(name, _)| wanted.iter().all(|(wanted, _)| wanted != name));
    differences.extend(unknown.map(|(name, definition)| format!("column {name} ({definition}) is new")));
    if differences.is_empty() && primary_key(connection, doing, table)? != key {
        differences.push(format!("its primary key is not ({})", key.join(", ")));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "postgresql database {}: table {table} has other columns {why} was changed by hand ({})",
        connection.name(),
        differences.join("; ")
    )))
}
