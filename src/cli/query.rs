//! `query`: the rows of a view.

use super::{
    FormatArgs,
    connect::{LogArgs, Needs, Place},
    output,
};
use crate::{
    App,
    service::{QueryFound, QueryRequest, query_database},
};
use clap::Args;
use factum_core::Result;
use factum_views::Database;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Show the rows of a view, by key.
///
/// Example: factum query balances --where 'balance > 50 and entries >= 2'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct QueryArgs {
    /// The view's name.
    name: String,
    /// Only rows for which this holds: `column op value` with = != < <= > >=, put together with `and`, `or`, `not` and parentheses.
    #[arg(long = "where", value_name = "FILTER", default_value = "")]
    filter: String,
    /// The most rows that are shown.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// Where the views are: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn query(app: &Arc<App>, args: &QueryArgs) -> Result<()> {
    app.view_host(&args.name)?;
    let request = QueryRequest { view: args.name.clone(), filter: args.filter.clone(), limit: args.limit };
    if args.log.place() == Place::Kafka {
        // The rows lie in a database; the cluster has nothing to say.
        let database = args.views.clone().unwrap_or_else(|| Database::file("factum-views.sqlite"));
        print(&query_database(app, &database, &request)?, args.format);
        return Ok(());
    }
    let session = args.log.session(app, args.views.clone(), Needs::View(&args.name))?;
    print(&session.service().query(&request)?, args.format);
    session.end()
}

/// Prints rows.
pub(super) fn print(found: &QueryFound, format: FormatArgs) {
    if format.json {
        for row in &found.rows {
            let object: Map<_, _> = found.columns.iter().cloned().zip(row.iter().cloned()).collect();
            output::line(&Value::Object(object).to_string());
        }
        return;
    }
    let count = found.rows.len();
    output::line(&format!("{} ({count} {} shown)", found.view, if count == 1 { "row" } else { "rows" }));
    let rows: Vec<Vec<String>> = found.rows.iter().map(|row| row.iter().map(text).collect()).collect();
    output::table(&found.columns, &rows);
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
