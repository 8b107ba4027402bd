//! The verbs of the command line.

mod bench;
mod connect;
mod history;
mod output;
mod publish;
mod query;
mod run;
mod state;
mod topics;
mod up;

use crate::{App, host::Stop};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use factum_core::{Error, Result};
use std::{io::IsTerminal, process::ExitCode, sync::Arc};
use tracing_subscriber::EnvFilter;

/// Event sourcing on Apache Kafka.
///
/// Without --kafka a verb works on the embedded log in the folder factum-data; while `up` holds
/// it, the other verbs ask that process.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    logging: LoggingArgs,
}

#[derive(Debug, Args)]
struct LoggingArgs {
    /// What to log to standard error: a level (error, warn, info, debug, trace) or filters as `factum_handler=debug`.
    #[arg(long, global = true, env = "FACTUM_LOG", default_value = "warn,librdkafka=error", value_name = "FILTER")]
    log: String,
    /// How log lines look.
    #[arg(long, global = true, env = "FACTUM_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run everything in one process: log, handlers and views.
    Up(up::UpArgs),
    /// Send a command, or the rows of a file as commands.
    Publish(publish::PublishArgs),
    /// Show an aggregate's events.
    History(history::HistoryArgs),
    /// Show an aggregate's state.
    State(state::StateArgs),
    /// Show the rows of a view.
    Query(query::QueryArgs),
    /// Run one processor: a command handler or a view.
    #[command(subcommand)]
    Run(run::RunVerb),
    /// Make, check or adopt the topics of an aggregate type.
    #[command(subcommand)]
    Topics(topics::TopicsVerb),
    /// Measure against a yardstick in the same run.
    #[command(subcommand)]
    Bench(bench::BenchVerb),
}

/// Reads the command line and does what it says.
pub(crate) fn main(app: Arc<App>) -> ExitCode {
    let matches = Cli::command().name(app.name).bin_name(app.name).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let result = init_logging(&cli.logging).and_then(|()| dispatch(&app, cli.verb));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(app: &Arc<App>, verb: Verb) -> Result<()> {
    match verb {
        Verb::Up(args) => up::up(app, args),
        Verb::Publish(args) => publish::publish(app, &args),
        Verb::History(args) => history::history(app, &args),
        Verb::State(args) => state::state(app, &args),
        Verb::Query(args) => query::query(app, &args),
        Verb::Run(verb) => run::run(app, verb),
        Verb::Topics(verb) => topics::topics(app, &verb),
        Verb::Bench(verb) => bench::bench(app, &verb),
    }
}

fn init_logging(args: &LoggingArgs) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|error| Error::invalid(format!("--log {:?} is not a filter: {error}", args.log)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => {
            output::notes_as(output::Notes::Text);
            builder.init();
        }
        LogFormat::Json => {
            output::notes_as(output::Notes::Json);
            builder.json().init();
        }
    }
    Ok(())
}

/// Ends the process's work on Ctrl-C or SIGTERM; a second one ends it at once.
fn stop_on_signal() -> Result<Stop> {
    let stop = Stop::default();
    ctrlc::set_handler({
        let stop = stop.clone();
        move || {
            if stop.is_stopped() {
                std::process::exit(130);
            }
            output::note("stopping; once more to stop at once");
            stop.stop();
        }
    })
    .map_err(|error| Error::invalid(format!("signals cannot be handled: {error}")))?;
    Ok(stop)
}

/// Whether a verb prints for people or for programs.
#[derive(Debug, Clone, Copy, Args)]
struct FormatArgs {
    /// Print JSON, one value a line.
    #[arg(long)]
    json: bool,
}
