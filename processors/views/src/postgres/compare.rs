//! Two tables of a view compared by the server: only rows that differ leave it.

use super::{connection::Connection, text::original, value::values};
use crate::{Difference, Parity, Summary};
use factum_core::{
    Error, Result,
    view::{KEY_COLUMN, ViewTable},
};
use tokio_postgres::Row;

/// In front of the live values in a row that differs: the key, which of both tables have it, and how many rows there
/// are of each kind.
const BEFORE_VALUES: usize = 6;

/// Compares both tables, and keeps the first `limit` differences by key.
///
/// Rows are compared by their bytes (`record_image_ne`): a zero is not a negative zero, and a NaN is a NaN.
pub(super) fn compare(
    connection: &mut Connection,
    live: &ViewTable,
    folded: &ViewTable,
    limit: usize,
) -> Result<Parity> {
    let doing = format!("compare {} with {}", live.name(), folded.name());
    // The first row has the counts.
    let wanted = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
    let rows = connection.query(&doing, &differences(live, folded), &[&wanted])?;
    let mut parity = Parity { live: summary(connection, &doing, live)?, ..Parity::default() };
    match rows.first() {
        // The same rows have the same hash.
        None => parity.folded = parity.live,
        Some(first) => {
            let counts = [3, 4, 5].map(|at| u64::try_from(first.get::<_, i64>(at)).unwrap_or_default());
            [parity.altered, parity.missing, parity.extra] = counts;
            parity.folded = summary(connection, &doing, folded)?;
        }
    }
    parity.first = rows.iter().take(limit).map(|row| difference(row, live)).collect::<Result<_>>()?;
    Ok(parity)
}

fn differences(live: &ViewTable, folded: &ViewTable) -> String {
    let columns =
        |of: &str| -> Vec<String> { live.columns().iter().map(|column| format!("{of}.\"{}\"", column.name)).collect() };
    let (left, right) = (columns("l").join(", "), columns("n").join(", "));
    format!(
        "SELECT coalesce(l.\"{KEY_COLUMN}\", n.\"{KEY_COLUMN}\"), \
             l.\"{KEY_COLUMN}\" IS NOT NULL, n.\"{KEY_COLUMN}\" IS NOT NULL, \
             count(*) FILTER (WHERE l.\"{KEY_COLUMN}\" IS NOT NULL AND n.\"{KEY_COLUMN}\" IS NOT NULL) OVER (), \
             count(*) FILTER (WHERE l.\"{KEY_COLUMN}\" IS NULL) OVER (), \
             count(*) FILTER (WHERE n.\"{KEY_COLUMN}\" IS NULL) OVER (), \
             {left}, {right} \
         FROM \"{}\" l FULL JOIN \"{}\" n ON l.\"{KEY_COLUMN}\" = n.\"{KEY_COLUMN}\" \
         WHERE l.\"{KEY_COLUMN}\" IS NULL OR n.\"{KEY_COLUMN}\" IS NULL \
             OR record_image_ne(ROW({left}), ROW({right})) \
         ORDER BY 1 LIMIT $1",
        live.name(),
        folded.name()
    )
}

fn difference(row: &Row, table: &ViewTable) -> Result<Difference> {
    let side = |is_there: usize, from: usize| match row.get(is_there) {
        true => values(row, from, table.columns()).map(Some),
        false => Ok(None),
    };
    Ok(Difference {
        key: original(row.get(0)),
        live: side(1, BEFORE_VALUES)?,
        folded: side(2, BEFORE_VALUES + table.columns().len())?,
    })
}

/// How many rows a table has, and a hash of them.
fn summary(connection: &mut Connection, doing: &str, table: &ViewTable) -> Result<Summary> {
    let columns: Vec<String> = table.columns().iter().map(|column| format!("\"{}\"", column.name)).collect();
    let sql = format!(
        "SELECT count(*), coalesce(bit_xor(hash_record_extended(ROW(\"{KEY_COLUMN}\", {}), 0)), 0) FROM \"{}\"",
        columns.join(", "),
        table.name()
    );
    let rows = connection.query(doing, &sql, &[])?;
    let row = rows.first().ok_or_else(|| Error::data(format!("{doing}: no answer")))?;
    let hash = row.get::<_, i64>(1).cast_unsigned();
    Ok(Summary { rows: u64::try_from(row.get::<_, i64>(0)).unwrap_or_default(), hash })
}
