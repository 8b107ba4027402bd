//! `query`: the rows of a view.

use super::{FormatArgs, output};
use crate::{App, host::ViewHost};
use clap::Args;
use factum_core::{Error, Result, view::Value};
use serde_json::{Map, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Show the rows of a view, by key.
///
/// Example: factum query balances --where 'balance > 50 and entries >= 2'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct QueryArgs {
    /// The view's name.
    name: String,
    /// Only rows for which this holds: `column op value [and …]` with = != < <= > >=.
    #[arg(long = "where", value_name = "FILTER", default_value = "")]
    filter: String,
    /// The most rows that are shown.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// The SQLite file of the views.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE", default_value = "factum-views.sqlite")]
    views: PathBuf,
    #[command(flatten)]
    format: FormatArgs,
}

/// Where the rows of this process's views are.
#[derive(Debug)]
pub(super) enum Database {
    /// In a file that stays.
    File(PathBuf),
    /// In a folder that goes with this process.
    Temporary(TempDir),
}

impl Database {
    /// That file, or one that goes with this process.
    pub(super) fn new(file: Option<PathBuf>) -> Result<Self> {
        match file {
            Some(file) => Ok(Database::File(file)),
            None => TempDir::new()
                .map(Database::Temporary)
                .map_err(|error| Error::invalid(format!("there is no temporary folder for the views: {error}"))),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        match self {
            Database::File(file) => file.clone(),
            Database::Temporary(folder) => folder.path().join("views.sqlite"),
        }
    }
}

pub(super) fn query(app: &App, args: &QueryArgs) -> Result<()> {
    let host = app.view_host(&args.name)?;
    if !args.views.exists() {
        return Err(Error::invalid(format!(
            "there is no file {}: `run view {}` makes it, and --views names another",
            args.views.display(),
            args.name
        )));
    }
    print(host, &args.views, &args.filter, args.limit, args.format)
}

/// Prints the rows that a filter lets through.
pub(super) fn print(
    host: &dyn ViewHost,
    database: &Path,
    filter: &str,
    limit: usize,
    format: FormatArgs,
) -> Result<()> {
    let rows = host.query(database, filter, limit)?;
    if format.json {
        for row in rows {
            let mut object = Map::new();
            object.insert("key".into(), json!(row.key));
            object.extend(row.columns.iter().map(|(name, value)| (name.clone(), to_json(value))));
            output::line(&serde_json::Value::Object(object).to_string());
        }
        return Ok(());
    }
    let table = host.table()?;
    output::line(&format!(
        "{} ({} shown)",
        host.name(),
        if rows.len() == 1 { "1 row".into() } else { format!("{} rows", rows.len()) }
    ));
    let columns: Vec<String> =
        ["key".to_owned()].into_iter().chain(table.columns().iter().map(|column| column.name.clone())).collect();
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| [row.key].into_iter().chain(row.columns.iter().map(|(_, value)| text(value))).collect())
        .collect();
    output::table(&columns, &rows);
    Ok(())
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => json!(number),
        Value::Real(number) => json!(number),
        Value::Boolean(truth) => json!(truth),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!(hex(bytes)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => to_json(other).to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
