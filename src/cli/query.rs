//! `query`: the rows of a view.

use super::{
    FormatArgs,
    connect::{LogArgs, Needs, Place},
    output,
};
use crate::{
    App,
    service::{QueryFound, QueryRequest, ViewReader},
};
use clap::{Args, ValueEnum};
use factum_core::{Result, wire::Token};
use factum_gateway::{Patience, parse_token};
use factum_views::Database;
use serde_json::{Map, Value};
use std::{sync::Arc, time::Duration};

/// Show the rows of a view.
///
/// Examples:
///   factum query balances --where 'balance > 50 and entries >= 2'
///   factum query balances --order -balance,key --columns key,balance --limit 10 --count
///   factum query balances --where "owner like 'an%' or owner in (bert, 'carl jr')" --format csv
///   factum query balances --after bank.account.events/3@1024
///
/// A filter has conditions `column op value` with = != < <= > >=, `column in (1, 2)`,
/// `column like 'a%_'` and `column is null`, put together with `and`, `or`, `not` and parentheses.
/// Where null is compared with a value, the condition does not hold. Text is compared by its bytes,
/// upper and lower case apart.
///
/// A page ends with the cursor of the next one, if there is one: repeat the query with --cursor.
/// `publish` shows the position of what it wrote; with --after the rows have it, whichever instance
/// writes them.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct QueryArgs {
    /// The view's name.
    name: String,
    /// Only rows for which this holds.
    #[arg(long = "where", value_name = "FILTER", default_value = "")]
    filter: String,
    /// The columns to order by, the key if none; a - before one begins with its greatest. Null comes last.
    #[arg(long, value_name = "[-]COLUMN,…", default_value = "", allow_hyphen_values = true)]
    order: String,
    /// The columns to show; all if none.
    #[arg(long, value_name = "COLUMN,…", default_value = "")]
    columns: String,
    /// The most rows that are shown.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// Go on where an earlier page of the same query ended.
    #[arg(long, value_name = "CURSOR", default_value = "")]
    cursor: String,
    /// Tell how many rows there are on all pages.
    #[arg(long)]
    count: bool,
    /// Wait until the view has passed this position; may be given several times.
    #[arg(long, value_name = "TOKEN", value_parser = parse_token)]
    after: Vec<Token>,
    /// Seconds to wait for it.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    wait: u64,
    /// Show the rows as they are at once, and what they lack of the positions of --after.
    #[arg(long)]
    stale: bool,
    /// Where the views are: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    /// How rows are printed; JSON is a line for each, CSV has a line of names first and nothing for null.
    #[arg(long, value_name = "FORMAT", default_value = "table", conflicts_with = "json")]
    format: RowsFormat,
    #[command(flatten)]
    json: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RowsFormat {
    /// For people.
    Table,
    /// An object for each row.
    Json,
    /// RFC 4180.
    Csv,
}

impl From<FormatArgs> for RowsFormat {
    fn from(args: FormatArgs) -> Self {
        if args.json { RowsFormat::Json } else { RowsFormat::Table }
    }
}

impl QueryArgs {
    fn request(&self) -> QueryRequest {
        let parameters = [
            ("where", self.filter.clone()),
            ("order", self.order.clone()),
            ("columns", self.columns.clone()),
            ("limit", self.limit.to_string()),
            ("cursor", self.cursor.clone()),
            ("count", self.count.to_string()),
        ];
        QueryRequest {
            view: self.name.clone(),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into(),
            after: self.after.clone(),
            patience: if self.stale { Patience::Stale } else { Patience::Wait(Duration::from_secs(self.wait)) },
        }
    }
}

pub(super) fn query(app: &Arc<App>, args: &QueryArgs) -> Result<()> {
    app.view_host(&args.name)?;
    let format = if args.json.json { RowsFormat::Json } else { args.format };
    if args.log.place() == Place::Kafka {
        // The rows and how far they are lie in a database; the cluster has nothing to say.
        let database = args.views.clone().unwrap_or_else(|| Database::file("factum-views.sqlite"));
        let reader = ViewReader::new(app.clone(), database, args.log.prefix());
        print(&reader.query(&args.request())?, format);
        return Ok(());
    }
    let needs = if args.stale { Needs::Log } else { Needs::View(&args.name) };
    let session = args.log.session(app, args.views.clone(), needs)?;
    print(&session.service().query(&args.request())?, format);
    session.end()
}

/// The first rows of a view that a filter lets through, as they are.
pub(super) fn of_view(view: &str, filter: &str, limit: usize) -> QueryRequest {
    let parameters = vec![("where".to_owned(), filter.to_owned()), ("limit".to_owned(), limit.to_string())];
    QueryRequest { view: view.to_owned(), parameters, after: Vec::new(), patience: Patience::Stale }
}

/// Prints rows, and beside them what belongs to none.
pub(super) fn print(found: &QueryFound, format: RowsFormat) {
    let shown = found.rows.len();
    match format {
        RowsFormat::Json => {
            for row in &found.rows {
                let object: Map<_, _> = found.columns.iter().cloned().zip(row.iter().cloned()).collect();
                output::line(&Value::Object(object).to_string());
            }
        }
        RowsFormat::Csv => {
            output::line(&csv(found.columns.iter().cloned()));
            found.rows.iter().for_each(|row| {
                output::line(&csv(row.iter().map(|value| match value {
                    Value::Null => String::new(),
                    value => text(value),
                })))
            });
        }
        RowsFormat::Table => {
            let of = found.count.map(|count| format!(" of {count}")).unwrap_or_default();
            output::line(&format!("{} ({shown}{of} {} shown)", found.view, if shown == 1 { "row" } else { "rows" }));
            let rows: Vec<Vec<String>> = found.rows.iter().map(|row| row.iter().map(text).collect()).collect();
            output::table(&found.columns, &rows);
        }
    }
    if let Some(count) = found.count.filter(|_| format != RowsFormat::Table) {
        output::note(&format!("{shown} of {count} rows"));
    }
    for behind in &found.behind {
        let (partition, position, wanted) = (&behind.partition, behind.position, behind.wanted);
        output::note(&format!("stale: at {partition} its next record is {position}, and {wanted} was asked for"));
    }
    if let Some(next) = &found.next {
        output::note(&format!("there are more: the same with --cursor {next}"));
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Fields as a line of RFC 4180.
fn csv(fields: impl Iterator<Item = String>) -> String {
    let quoted = fields.map(|field| match field.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    });
    quoted.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_csv_are_quoted_where_they_must_be() {
        let fields = ["a", "", "1,5", "say \"hi\"", "two\nlines"].map(str::to_owned);
        assert_eq!(csv(fields.into_iter()), "a,,\"1,5\",\"say \"\"hi\"\"\",\"two\nlines\"");
    }
}
