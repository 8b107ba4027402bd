//! `state`: an aggregate's state, folded from its events.

use super::{
    FormatArgs,
    connect::{LogArgs, Needs},
    output,
};
use crate::{App, service::StateRequest};
use clap::Args;
use factum_core::{AggregateId, Result};
use serde_json::json;
use std::sync::Arc;

/// Show an aggregate's state and version, folded from its events.
///
/// Example: factum state bank.account anna
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

pub(super) fn state(app: &Arc<App>, args: &StateArgs) -> Result<()> {
    app.aggregate_host(&args.aggregate_type)?;
    let session = args.log.session(app, None, Needs::Log)?;
    let request = StateRequest { aggregate_type: args.aggregate_type.clone(), id: args.id.clone() };
    let found = session.service().state(&request)?;
    if args.format.json {
        output::line(&json!({ "id": found.id, "version": found.version, "state": found.state }).to_string());
    } else if found.version == 0 {
        output::note(&format!("{} {} has no events", args.aggregate_type, args.id));
    } else {
        output::line(&format!("{} {} at version {}: {}", args.aggregate_type, args.id, found.version, found.state));
    }
    session.end()
}
