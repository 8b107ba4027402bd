//! `publish`: one command, or the rows of a file.

use super::{
    FormatArgs,
    connect::{LogArgs, Needs},
    output, stop_on_signal,
};
pub(super) use crate::service::parse_time;
use crate::{
    App,
    host::Stop,
    import::{ImportRow, Mapping, read_rows},
    send::{self, Outgoing, Tally},
    service::{PublishAllRequest, PublishRequest, Service},
};
use clap::Args;
use factum_core::{AggregateId, CommandId, Error, EventId, Result, TimestampMs, Version, wire::TraceContext};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Send a command and show its answer, or send the rows of a CSV file as commands.
///
/// A refused command is an error and writes no event. On Kafka a handler must run (`up`, `run
/// handler`); on the embedded log `up` is asked, and where it does not run, this does it.
///
/// Examples:
///   factum publish bank.account anna Deposit '{"cents": 100}'
///   factum publish bank.account --file F.csv --mapping M.toml --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct PublishArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// The aggregate's id.
    #[arg(required_unless_present = "file")]
    id: Option<AggregateId>,
    /// The command's record: its full name or the last part.
    #[arg(required_unless_present = "file")]
    command: Option<String>,
    /// The command's fields as JSON.
    #[arg(required_unless_present = "file", value_parser = parse_json)]
    fields: Option<serde_json::Value>,
    /// The command's id, a UUID; a repeat with the same one is answered and not decided again.
    #[arg(long, value_name = "UUID", conflicts_with = "file")]
    command_id: Option<CommandId>,
    /// Refuse the command unless the aggregate has this version.
    #[arg(long, value_name = "N", value_parser = parse_version, conflicts_with = "file")]
    expected_version: Option<Version>,
    /// When it occurred: RFC 3339, or a date, which begins at midnight UTC. Without it, when it is handled.
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "file")]
    occurred: Option<TimestampMs>,
    /// The id of the business conversation that it belongs to, a UUID; without it, it begins one with its own id.
    #[arg(long, value_name = "UUID", conflicts_with = "file")]
    correlation_id: Option<CommandId>,
    /// The id of the event that caused it, as `history --json` shows it; give the event's correlation id as well.
    #[arg(long, value_name = "ID", requires = "correlation_id", conflicts_with = "file")]
    causation_id: Option<EventId>,
    /// The W3C trace context (traceparent) that the command and its events belong to; alone it begins a new trace.
    /// Without it, the one in the environment variable TRACEPARENT, if it is well formed.
    #[arg(long, value_name = "TRACEPARENT", num_args = 0..=1, require_equals = true, conflicts_with = "file")]
    trace: Option<Option<TraceContext>>,
    #[command(flatten)]
    import: ImportArgs,
    /// Seconds to wait for an answer.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ImportArgs {
    /// A CSV file whose rows become commands.
    #[arg(long, value_name = "CSV", requires = "mapping")]
    file: Option<PathBuf>,
    /// How rows become commands (TOML): see docs/import.md.
    #[arg(long, value_name = "TOML", requires = "file")]
    mapping: Option<PathBuf>,
}

impl ImportArgs {
    /// Whether a file is named.
    pub(super) fn is_given(&self) -> bool {
        self.file.is_some()
    }

    /// The rows of the file, all of them checked; none when no file is named.
    pub(super) fn rows(&self, aggregate_type: &str) -> Result<Option<Vec<ImportRow>>> {
        let (Some(file), Some(mapping_file)) = (&self.file, &self.mapping) else { return Ok(None) };
        let text = std::fs::read_to_string(mapping_file).map_err(|error| unreadable(mapping_file, &error))?;
        let mapping =
            Mapping::parse(&text).map_err(|error| Error::invalid(format!("{}: {error}", mapping_file.display())))?;
        let input = File::open(file).map_err(|error| unreadable(file, &error))?;
        read_rows(input, aggregate_type, &mapping)
            .map(Some)
            .map_err(|error| Error::invalid(format!("{}: {error}", file.display())))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be read: {error}", path.display()))
}

fn parse_json(text: &str) -> Result<serde_json::Value> {
    factum_schemas::parse_json(text.as_bytes())
}

fn parse_version(text: &str) -> Result<Version, std::num::ParseIntError> {
    text.parse().map(Version)
}

pub(super) fn publish(app: &Arc<App>, args: &PublishArgs) -> Result<()> {
    let host = app.aggregate_host(&args.aggregate_type)?;
    // Before anything is sent: a file that is broken anywhere is not sent at all.
    let rows = args.import.rows(host.aggregate_type())?;
    let timeout = Duration::from_secs(args.timeout);
    if let Some(rows) = rows {
        let session = args.log.session(app, None, Needs::Handler(host.aggregate_type()))?;
        let tally = import(session.service(), host.aggregate_type(), &rows, timeout, &stop_on_signal()?)?;
        session.end()?;
        return report(&tally, args.format);
    }
    let (Some(aggregate), Some(record), Some(fields)) = (&args.id, &args.command, &args.fields) else {
        return Err(Error::invalid("name an id, a command and its fields, or a --file"));
    };
    let command = Outgoing {
        id: args.command_id,
        aggregate: aggregate.clone(),
        record: record.clone(),
        fields: fields.clone(),
        occurred: args.occurred,
        expected_version: args.expected_version,
    };
    let session = args.log.session(app, None, Needs::Handler(host.aggregate_type()))?;
    let trace = trace(args.trace, std::env::var("TRACEPARENT").ok().as_deref());
    let request = PublishRequest {
        aggregate_type: host.aggregate_type().to_owned(),
        command,
        trace,
        correlation: args.correlation_id,
        cause: args.causation_id,
        timeout,
    };
    let trace = trace.map(|trace| trace.to_string());
    let answer = session.service().publish(&request)?;
    session.end()?;
    let token = answer.token.as_ref().map(ToString::to_string);
    if args.format.json {
        let detail = answer.detail.as_deref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
        output::line(
            &json!({
                "command": answer.command.to_string(), "code": answer.code.as_str(), "version": answer.version.0,
                "events": answer.events, "token": token, "detail": detail, "trace": trace,
            })
            .to_string(),
        );
    }
    send::expect_accepted(&answer)?;
    if !args.format.json {
        let token = token.unwrap_or_else(|| "none".into());
        let trace = trace.map(|trace| format!(", trace {trace}")).unwrap_or_default();
        output::line(&format!("accepted: {aggregate} is at version {}, position {token}{trace}", answer.version));
    }
    Ok(())
}

/// The trace that was asked for, else the one that this process was started in.
fn trace(asked: Option<Option<TraceContext>>, inherited: Option<&str>) -> Option<TraceContext> {
    match asked {
        Some(given) => Some(given.unwrap_or_else(send::new_trace)),
        // W3C: what is not well formed is passed over.
        None => inherited.and_then(|text| TraceContext::parse(text.as_bytes())),
    }
}

/// Sends the rows of a file, with a progress bar.
pub(super) fn import(
    service: &dyn Service,
    aggregate_type: &str,
    rows: &Vec<ImportRow>,
    timeout: Duration,
    stop: &Stop,
) -> Result<Tally> {
    let bar = progress_bar(rows.len() as u64, "rows");
    let request = PublishAllRequest { aggregate_type: aggregate_type.to_owned(), commands: rows, timeout, stop };
    let tally = service.publish_all(&request, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    if tally.is_ok() && stop.is_stopped() {
        return Err(Error::unavailable(
            "interrupted: run the same again for the rest; rows that were handled are not handled twice",
        ));
    }
    tally.map_err(|failed| match failed.at {
        Some(at) => {
            let line = rows.get(at).map_or(0, ImportRow::line);
            failed.error.context(format_args!("line {line}")).context("nothing was imported")
        }
        None => failed.error,
    })
}

/// A bar that shows how many of something are done, and how long the rest takes.
pub(super) fn progress_bar(count: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(count);
    if let Ok(style) =
        ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left"))
    {
        bar.set_style(style);
    }
    bar
}

/// Shows what became of a file's rows.
pub(super) fn report(tally: &Tally, format: FormatArgs) -> Result<()> {
    if format.json {
        output::line(&json!({ "answers": tally.codes }).to_string());
    } else {
        output::line(&format!("{tally}"));
    }
    tally.samples.iter().for_each(|sample| output::note(&format!("  {sample}")));
    let good: u64 = ["accepted", "conflict"].iter().filter_map(|code| tally.codes.get(code)).sum();
    let all: u64 = tally.codes.values().sum();
    if good == all { Ok(()) } else { Err(Error::invalid(format!("{} of {all} rows were not accepted", all - good))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_is_asked_for_goes_before_the_inherited_one() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let given = TraceContext::parse(text.as_bytes());
        assert_eq!(trace(None, Some(text)), given);
        assert_eq!(trace(None, Some("nonsense")), None);
        assert_eq!(trace(None, None), None);
        assert_eq!(trace(Some(given), Some("nonsense")), given);
        let begun = trace(Some(None), Some(text));
        assert!(begun.is_some() && begun != given);
    }
}
