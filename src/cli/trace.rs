//! `trace`: everything that belongs to a conversation.

use super::{
    FormatArgs,
    connect::{LogArgs, Needs},
    output,
};
use crate::{
    App,
    journal::JOURNAL,
    service::{CausedCommand, EventFound},
};
use clap::Args;
use factum_core::{CommandId, Error, Result};
use factum_views::Database;
use std::sync::Arc;

/// Show a conversation by its id: commands, their events, and the commands that these caused.
///
/// A command belongs to the conversation that it names (`correlation-id`), else it begins one with
/// its own id. It stands under the command whose event caused it, where it names that event
/// (`causation-id`). Commands that caused no event are not shown. The journal answers, a built-in
/// view.
///
/// Example: factum trace 3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct TraceArgs {
    /// The correlation id: a command's id, or what its sender gave as `correlation-id`.
    correlation: CommandId,
    /// Where the journal is: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with
    /// --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn trace(app: &Arc<App>, args: &TraceArgs) -> Result<()> {
    let session = args.log.session(app, args.views.clone(), Needs::View(JOURNAL))?;
    let found = session.service().causes(args.correlation)?;
    super::audit::tell_behind(found.behind);
    if args.format.json {
        let text = serde_json::to_string(&found)
            .map_err(|error| Error::data(format!("the conversation cannot be shown: {error}")))?;
        output::line(&text);
    } else if found.commands.is_empty() {
        output::note(&format!("no event belongs to {}", found.correlation));
    } else {
        found.commands.iter().for_each(print);
    }
    output::note(
        "commands that caused no event (refused, in conflict, not handled yet) are not in the journal: not shown",
    );
    if found.more {
        output::note("there are more events: `audit --where` shows them in pages");
    }
    session.end()
}

fn print(command: &CausedCommand) {
    // Events stand one level below their command, and the commands that they caused one below them.
    let indent = "  ".repeat(2 * command.depth);
    let cause = command.causation.as_ref().map(|event| format!(", caused by {event}")).unwrap_or_default();
    let CausedCommand { aggregate_type, aggregate, .. } = command;
    output::line(&format!("{indent}command {} of {aggregate_type} {aggregate}{cause}", command.command));
    command.events.iter().for_each(|event| output::line(&format!("{indent}  {}", line(event))));
}

fn line(event: &EventFound) -> String {
    let short = event.record.rsplit('.').next().unwrap_or(&event.record);
    format!("{} {short} {}, version {}", event.occurred, event.event, event.version)
}
