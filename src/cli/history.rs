//! `history`: an aggregate's events.

use super::{FormatArgs, connect::LogArgs, output, shared};
use crate::{App, history, host::rfc3339};
use clap::Args;
use factum_core::{AggregateId, Result, TimestampMs, wire::EventHeader};
use serde_json::json;

/// Show an aggregate's events, oldest first.
///
/// Example: factum history bank.account anna --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct HistoryArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// The aggregate's id.
    id: AggregateId,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn history(app: &App, args: &HistoryArgs) -> Result<()> {
    app.aggregate_host(&args.aggregate_type)?;
    let environment = shared(&args.log, "history")?;
    let mut rows = Vec::new();
    history::read_events(&environment, &args.aggregate_type, &args.id, |record| {
        let header = EventHeader::read(record)?;
        let (name, event) = history::event_json(&environment, record)?;
        let recorded = record.timestamp().unwrap_or(TimestampMs(0));
        if args.format.json {
            output::line(
                &json!({
                    "version": header.version.0, "type": name, "event": event,
                    "occurred": rfc3339(header.occurred), "recorded": rfc3339(recorded),
                    "command": header.command.to_string(), "correlation": header.correlation.to_string(),
                    "source": header.source, "partition": record.partition().0, "offset": record.offset().0,
                    "trace": header.trace.map(|trace| trace.to_string()),
                })
                .to_string(),
            );
        } else {
            let short = name.rsplit('.').next().unwrap_or(&name).to_owned();
            rows.push(vec![header.version.to_string(), rfc3339(header.occurred), short, event.to_string()]);
        }
        Ok(())
    })?;
    if args.format.json {
        return Ok(());
    }
    if rows.is_empty() {
        output::note(&format!("{} {} has no events", args.aggregate_type, args.id));
        return Ok(());
    }
    output::table(&["version", "occurred", "event", "fields"].map(String::from), &rows);
    Ok(())
}
