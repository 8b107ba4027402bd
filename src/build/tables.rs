//! A view's tables beside the live one.

use super::run::owner;
use crate::host::ViewHost;
use factum_core::{Error, ErrorKind, Result, view::ViewTable};
use factum_views::{Build, Database, OLD, Query, Rebuild};
use serde::{Deserialize, Serialize};

/// A view's tables.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// The live table's name.
    pub(crate) table: String,
    /// Its rows; none when the view was never built.
    pub(crate) rows: Option<u64>,
    /// Offsets that were folded into it, of all partitions together.
    pub(crate) folded: u64,
    /// The tables beside it.
    pub(crate) beside: Vec<Beside>,
}

/// A table beside the live one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Beside {
    pub(crate) table: String,
    pub(crate) rows: u64,
    /// What it will be, where it is not built to its end.
    pub(crate) unfinished: Option<String>,
}

/// What there is of a view.
///
/// # Errors
/// What the database says.
pub(super) fn list(host: &dyn ViewHost, database: &Database) -> Result<Listed> {
    let live = host.table()?;
    if !is_built(database, &live)? {
        return Ok(Listed { table: live.name(), rows: None, folded: 0, beside: Vec::new() });
    }
    let mut sink = database.open_rebuild(live.clone())?;
    let unfinished = sink.unfinished(&live)?;
    let beside = sink.beside(&live)?.into_iter().map(|table| {
        let name = table.name();
        let build = unfinished.iter().find(|build| build.table == name);
        Ok(Beside { rows: count(database, &table)?, unfinished: build.map(ToString::to_string), table: name })
    });
    let folded = sink.progress(&live)?.values().map(|row| u64::try_from(row.position.0).unwrap_or_default()).sum();
    let beside = beside.collect::<Result<_>>()?;
    Ok(Listed { table: live.name(), rows: Some(count(database, &live)?), folded, beside })
}

/// Makes the tables live again that were before the last rebuild.
///
/// # Errors
/// `Invalid` when there are none; `Conflict` while the view is being built.
pub(super) fn roll_back(host: &dyn ViewHost, database: &Database) -> Result<()> {
    let live = host.table()?;
    let mut sink = locked(database, &live, &live, "rolled back")?;
    let old = live.beside(OLD)?;
    if !sink.exists(&old)? {
        sink.unlock(&live)?;
        return Err(Error::invalid(format!(
            "view {} has no tables {} to go back to: they are there from a rebuild until they are dropped",
            live.view(),
            old.name()
        )));
    }
    // What an earlier program made gets the columns that this one writes.
    drop(database.open_rebuild(old)?);
    factum_views::roll_back(&mut *sink, &live)?;
    sink.unlock(&live)
}

/// Drops the tables of a suffix; answers with their name.
///
/// # Errors
/// `Invalid` when there are none; `Conflict` while the view is being built.
pub(super) fn drop_tables(host: &dyn ViewHost, database: &Database, suffix: &str) -> Result<String> {
    let live = host.table()?;
    let table = live.beside(suffix)?;
    let mut sink = locked(database, &live, &table, "dropped")?;
    let exists = sink.exists(&table)?;
    if exists {
        sink.drop_table(&table)?;
        sink.unlock(&live)?;
        return Ok(table.name());
    }
    sink.unlock(&live)?;
    Err(Error::invalid(format!("there are no tables {}; `views list` shows those that there are", table.name())))
}

/// The view's tables, for this process alone.
fn locked(database: &Database, live: &ViewTable, table: &ViewTable, what: &str) -> Result<Box<dyn Rebuild>> {
    // Says so if it was never built, and makes nothing.
    database.rows().progress(live)?;
    let mut sink = database.open_rebuild(live.clone())?;
    sink.lock(live, &Build { table: table.name(), what: what.into(), owner: owner() })?;
    Ok(sink)
}

fn is_built(database: &Database, table: &ViewTable) -> Result<bool> {
    match database.rows().progress(table) {
        Ok(_) => Ok(true),
        // What it says of a view that was never built.
        Err(error) if error.kind() == ErrorKind::Invalid => Ok(false),
        Err(error) => Err(error),
    }
}

fn count(database: &Database, table: &ViewTable) -> Result<u64> {
    let page = database.rows().page(&Query::new(table).limited(1)?.counted())?;
    Ok(page.count.unwrap_or_default())
}
