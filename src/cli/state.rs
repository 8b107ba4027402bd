//! `state`: an aggregate's state, folded from its events.

use super::{FormatArgs, connect::LogArgs, output, shared};
use crate::{App, history};
use clap::Args;
use factum_core::{AggregateId, Result};
use serde_json::json;

/// Show an aggregate's state and version.
///
/// Example: factum state bank.account anna --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct StateArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// The aggregate's id.
    id: AggregateId,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn state(app: &App, args: &StateArgs) -> Result<()> {
    let host = app.aggregate_host(&args.aggregate_type)?;
    let environment = shared(&args.log, "state")?;
    let mut fold = host.fold(&environment)?;
    history::read_events(&environment, &args.aggregate_type, &args.id, |record| fold.apply(record))?;
    let (state, version) = (fold.state()?, fold.version());
    if args.format.json {
        output::line(&json!({ "id": args.id.as_str(), "version": version.0, "state": state }).to_string());
    } else if version.0 == 0 {
        output::note(&format!("{} {} has no events", args.aggregate_type, args.id));
    } else {
        output::line(&format!("{} {} at version {version}: {state}", args.aggregate_type, args.id));
    }
    Ok(())
}
