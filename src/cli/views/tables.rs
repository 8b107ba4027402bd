//! `views list`, `rollback`, `drop-old` and `drop`: the tables beside the live ones.

use super::{PlaceArgs, Which};
use crate::{
    App,
    build::{Beside, DropTables, ListTables, Listed, RollBack},
    cli::{FormatArgs, output},
};
use clap::Args;
use factum_core::Result;
use factum_views::OLD;
use serde_json::json;
use std::sync::Arc;

/// List the views of this program, their tables, and what stands beside them.
///
/// Example: factum views list --views balances.sqlite --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct ListArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// Go back to the tables that were live before the last rebuild.
///
/// They come back with the progress that they had, and the view goes on from there. The newer tables
/// become the old ones, so that a second `rollback` undoes this one.
///
/// Example: factum views rollback balances --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct RollbackArgs {
    #[command(flatten)]
    which: Which,
}

/// Drop the tables that the last rebuild replaced.
///
/// Example: factum views drop-old balances --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct DropOldArgs {
    #[command(flatten)]
    which: Which,
}

/// Drop tables beside the live ones: of `rebuild --into SUFFIX`, or of a build that is not wanted any more.
///
/// Example: factum views drop balances --suffix year_end
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct DropArgs {
    #[command(flatten)]
    which: Which,
    /// What the tables' names end with.
    #[arg(long, value_name = "SUFFIX")]
    suffix: String,
}

pub(super) fn list(app: &Arc<App>, args: &ListArgs) -> Result<()> {
    let doer = args.place.doer(app)?;
    let mut rows = Vec::new();
    for host in app.views.iter().map(|host| &**host).chain(app.journal()) {
        let Listed { table, rows: count, folded, beside } = doer.ask(ListTables { view: host.name().to_owned() })?;
        if args.format.json {
            let beside: Vec<_> = beside
                .iter()
                .map(|Beside { table, rows, unfinished }| json!({ "table": table, "rows": rows, "unfinished": unfinished }))
                .collect();
            let told =
                json!({ "view": host.name(), "table": table, "rows": count, "folded": folded, "beside": beside });
            output::line(&told.to_string());
            continue;
        }
        let count = count.map_or_else(|| "never built".to_owned(), |count| count.to_string());
        rows.push(vec![host.name().to_owned(), table, count, "live".to_owned()]);
        rows.extend(beside.into_iter().map(|Beside { table, rows, unfinished }| {
            let state = unfinished.map_or_else(|| "beside it".to_owned(), |build| format!("unfinished: {build}"));
            vec![String::new(), table, rows.to_string(), state]
        }));
    }
    if !args.format.json {
        output::table(&["view", "table", "rows", "state"].map(String::from), &rows);
    }
    Ok(())
}

pub(super) fn rollback(app: &Arc<App>, args: &RollbackArgs) -> Result<()> {
    let name = app.view_host(&args.which.name)?.name();
    args.which.place.doer(app)?.ask(RollBack { view: name.to_owned() })?;
    output::line(&format!(
        "{name}: the tables before the last rebuild are live again, with the progress that they had"
    ));
    Ok(())
}

pub(super) fn drop_old(app: &Arc<App>, args: &DropOldArgs) -> Result<()> {
    dropped(app, &args.which, OLD)
}

pub(super) fn drop(app: &Arc<App>, args: &DropArgs) -> Result<()> {
    dropped(app, &args.which, &args.suffix)
}

fn dropped(app: &Arc<App>, which: &Which, suffix: &str) -> Result<()> {
    let name = app.view_host(&which.name)?.name();
    let errand = DropTables { view: name.to_owned(), suffix: suffix.to_owned() };
    let table = which.place.doer(app)?.ask(errand)?;
    output::line(&format!("{name}: {table} is gone"));
    Ok(())
}
