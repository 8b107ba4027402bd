//! The statements that name a view's tables, written once.

use factum_core::view::{Column, ColumnType, KEY_COLUMN, OFFSET_COLUMN, VERSION_COLUMN, ViewTable, Watermarks};

/// Raises a claim's epoch: view, topic, topic id, partition.
pub(super) const CLAIM: &str = "INSERT INTO factum_progress AS p (view, topic, topic_id, partition, epoch, position) \
    VALUES ($1, $2, $3, $4, 1, 0) \
    ON CONFLICT (view, topic, partition) DO UPDATE SET epoch = p.epoch + 1 \
    RETURNING topic_id, epoch, position";

/// Moves progress by compare-and-set and answers with what moved: view, then
/// by partition topic, partition, epoch, position before, position after, topic id.
pub(super) const MOVE: &str = "UPDATE factum_progress p SET position = m.after, topic_id = m.topic_id \
    FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::text[]) \
        AS m(topic, partition, epoch, before, after, topic_id) \
    WHERE p.view = $1 AND p.topic = m.topic AND p.partition = m.partition \
        AND p.epoch = m.epoch AND p.position = m.before \
    RETURNING p.topic, p.partition";

/// The same with the same parameters, whatever the rows are.
pub(super) const MOVE_UNCHECKED: &str = "UPDATE factum_progress p SET position = m.after, topic_id = m.topic_id \
    FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::text[]) \
        AS m(topic, partition, epoch, before, after, topic_id) \
    WHERE p.view = $1 AND p.topic = m.topic AND p.partition = m.partition \
        AND m.epoch IS NOT NULL AND m.before IS NOT NULL \
    RETURNING p.topic, p.partition";

/// The statements of one view, one for each table and batch. Names are lower
/// case letters, digits and `_` by construction of the table; values are
/// always bound.
#[derive(Debug)]
pub(super) struct Statements {
    /// Keys; the key and the columns of each row that there is, and behind them its watermark where rows have them.
    pub(super) select_rows: String,
    /// The same, locked in the order of the keys.
    pub(super) lock_rows: String,
    /// Topics and aggregates; number in the lists, version and offset of each that there is.
    pub(super) select_versions: String,
    /// Keys, a list for each column, and where rows have watermarks their versions and offsets; version 0 leaves them.
    pub(super) upsert_rows: String,
    /// The same, leaving rows alone that there are; the keys of those that it inserted.
    pub(super) insert_rows: String,
    /// Keys.
    pub(super) delete_rows: String,
    /// Topics, aggregates, versions and offsets.
    pub(super) upsert_versions: String,
    /// The same, for the watermarks of rows that there are and that do not change.
    pub(super) mark_rows: String,
}

impl Statements {
    pub(super) fn new(table: &ViewTable) -> Self {
        let name = table.name();
        let columns: Vec<String> = table.columns().iter().map(|column| format!("\"{}\"", column.name)).collect();
        let mut list = columns.join(", ");
        let mut arrays: Vec<String> = (2..)
            .zip(table.columns())
            .map(|(number, Column { kind, .. })| format!("${number}::{}[]", element(*kind)))
            .collect();
        let mut updates: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        if table.watermarks() == Watermarks::InRows {
            for column in [VERSION_COLUMN, OFFSET_COLUMN] {
                list.push_str(&format!(", \"{column}\""));
                arrays.push(format!("${}::int8[]", arrays.len() + 2));
                updates.push(format!(
                    "\"{column}\" = CASE WHEN excluded.\"{VERSION_COLUMN}\" = 0 THEN r.\"{column}\" \
                     ELSE excluded.\"{column}\" END"
                ));
            }
        }
        // In the order of the lists, so that two transactions meet at the same row first.
        let insert = format!(
            "INSERT INTO \"{name}\" AS r (\"{KEY_COLUMN}\", {list}) \
             SELECT * FROM unnest($1::text[], {}) ON CONFLICT (\"{KEY_COLUMN}\")",
            arrays.join(", ")
        );
        let select =
            format!("SELECT \"{KEY_COLUMN}\", {list} FROM \"{name}\" WHERE \"{KEY_COLUMN}\" = ANY($1::text[])");
        Statements {
            lock_rows: format!("{select} ORDER BY \"{KEY_COLUMN}\" FOR UPDATE"),
            select_rows: select,
            select_versions: format!(
                "SELECT a.number, v.version, v.last_offset \
                 FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS a(topic, aggregate, number) \
                 JOIN \"{name}_versions\" v ON v.topic = a.topic AND v.aggregate = a.aggregate"
            ),
            upsert_rows: format!("{insert} DO UPDATE SET {}", updates.join(", ")),
            insert_rows: format!("{insert} DO NOTHING RETURNING \"{KEY_COLUMN}\""),
            delete_rows: format!("DELETE FROM \"{name}\" WHERE \"{KEY_COLUMN}\" = ANY($1::text[])"),
            upsert_versions: format!(
                "INSERT INTO \"{name}_versions\" (topic, aggregate, version, last_offset) \
                 SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[]) \
                 ON CONFLICT (topic, aggregate) DO UPDATE \
                 SET version = excluded.version, last_offset = excluded.last_offset"
            ),
            mark_rows: format!(
                "UPDATE \"{name}\" r SET \"{VERSION_COLUMN}\" = m.version, \"{OFFSET_COLUMN}\" = m.last_offset \
                 FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[]) AS m(topic, aggregate, version, last_offset) \
                 WHERE r.\"{KEY_COLUMN}\" = m.aggregate"
            ),
        }
    }
}

/// PostgreSQL's type of a column.
fn element(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer => "int8",
        ColumnType::Real => "float8",
        ColumnType::Boolean => "bool",
        ColumnType::Text => "text",
        ColumnType::Bytes => "bytea",
    }
}
