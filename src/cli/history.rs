//! `history`: an aggregate's events.

use super::{
    FormatArgs,
    connect::{LogArgs, Needs},
    output,
};
use crate::{
    App,
    service::{EventFound, HistoryRequest, MAX_EVENTS},
};
use clap::Args;
use factum_core::{AggregateId, Error, Result, Version};
use factum_views::Database;
use std::sync::Arc;

/// Show an aggregate's events, oldest first.
///
/// Each is shown as it was written: with the fields that its schema had then.
///
/// Example: factum history bank.account anna --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct HistoryArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// The aggregate's id.
    id: AggregateId,
    /// Where the journal is, which spares reading the log: a SQLite file, or postgres://USER@HOST/DATABASE. Without it
    /// the data folder's file, with --kafka factum-views.sqlite. The answer is the same with it and without it.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn history(app: &Arc<App>, args: &HistoryArgs) -> Result<()> {
    app.aggregate_host(&args.aggregate_type)?;
    let session = args.log.session(app, args.views.clone(), Needs::Log)?;
    let mut request = HistoryRequest {
        aggregate_type: args.aggregate_type.clone(),
        id: args.id.clone(),
        after: Version(0),
        limit: MAX_EVENTS,
    };
    let mut rows = Vec::new();
    loop {
        let found = session.service().history(&request)?;
        for event in &found.events {
            if args.format.json {
                let line = serde_json::to_string(event)
                    .map_err(|error| Error::data(format!("the event cannot be shown: {error}")))?;
                output::line(&line);
            } else {
                rows.push(row(event));
            }
            request.after = Version(event.version);
        }
        if !found.more {
            break;
        }
    }
    if args.format.json {
        return session.end();
    }
    if rows.is_empty() {
        output::note(&format!("{} {} has no events", args.aggregate_type, args.id));
    } else {
        output::table(&["version", "occurred", "event", "fields"].map(String::from), &rows);
    }
    session.end()
}

fn row(event: &EventFound) -> Vec<String> {
    let short = event.record.rsplit('.').next().unwrap_or(&event.record).to_owned();
    vec![event.version.to_string(), event.occurred.clone(), short, event.event.to_string()]
}
