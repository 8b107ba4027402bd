//! The verbs of the command line.

mod audit;
mod bench;
mod config;
mod connect;
mod dead_letters;
mod gateway;
mod health;
mod history;
mod http;
mod kafka;
mod limits;
mod output;
mod parked;
mod publish;
mod query;
mod registry;
mod replay;
mod run;
mod schemas;
mod snapshots;
mod state;
mod topics;
mod trace;
mod transform;
mod up;
mod views;

use crate::{
    App,
    config::{self as settings, Settings},
    host::Stop,
};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use factum_core::{Error, Result};
use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc};
use tracing_subscriber::EnvFilter;

/// Event sourcing on Apache Kafka.
///
/// Commands ask an aggregate for something, its events say what happened, and views show them as
/// tables. Begin with `up`; then `publish` a command, and look with `state`, `history` and `query`.
///
/// Without --kafka a verb works on the embedded log in the folder factum-data; while `up` holds
/// it, the other verbs ask that process.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 110,
    after_help = "`<VERB> --help` explains a verb, with examples.\nEvery flag is also a variable and a key in factum.toml: see `config --help`."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    logging: LoggingArgs,
    /// The configuration: every flag is a key in it (`factum config show`). Without it, factum.toml if it is here.
    #[arg(long, global = true, env = settings::FILE_VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
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

// What each of them is, the verb's own arguments say: a comment here would take its place, examples included.
#[derive(Debug, Subcommand)]
enum Verb {
    Up(up::UpArgs),
    Publish(publish::PublishArgs),
    History(history::HistoryArgs),
    State(state::StateArgs),
    Audit(audit::AuditArgs),
    Trace(trace::TraceArgs),
    Query(query::QueryArgs),
    Replay(replay::ReplayArgs),
    #[command(subcommand)]
    Run(run::RunVerb),
    Transform(transform::TransformArgs),
    Health(health::HealthArgs),
    #[command(subcommand)]
    Snapshots(snapshots::SnapshotsVerb),
    #[command(subcommand)]
    Views(views::ViewsVerb),
    #[command(subcommand)]
    Parked(parked::ParkedVerb),
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersVerb),
    #[command(subcommand)]
    Topics(topics::TopicsVerb),
    #[command(subcommand)]
    Schemas(schemas::SchemasVerb),
    #[command(subcommand)]
    Bench(bench::BenchVerb),
    #[command(subcommand)]
    Kafka(kafka::KafkaVerb),
    #[command(subcommand)]
    Config(config::ConfigVerb),
}

/// Reads the command line and does what it says.
pub(crate) fn main(app: Arc<App>) -> ExitCode {
    match run_verb(&app) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

/// The command line without the settings of file and environment.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

fn run_verb(app: &Arc<App>) -> Result<()> {
    let command = command().name(app.name).bin_name(app.name);
    let flags = settings::flags(&command);
    let file = Settings::read(settings::named_file(std::env::args_os().skip(1)), &flags)?;
    let variables: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    let unknown = settings::unknown_variables(variables.iter().map(|name| name.as_os_str()), &flags);
    unknown.iter().for_each(|warning| output::note(warning));
    let own = app.verbs.iter().map(|verb| verb.command.clone());
    let matches = settings::apply(command, &flags, &file).subcommands(own).try_get_matches();
    let matches = matches.unwrap_or_else(|error| settings::without_secrets(error).exit());
    if let Some((name, arguments)) = matches.subcommand()
        && let Some(verb) = app.verbs.iter().find(|verb| verb.command.get_name() == name)
    {
        init_logging(&LoggingArgs::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))?;
        return (verb.run)(arguments, &mut output::line);
    }
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    init_logging(&cli.logging)?;
    app.check()?;
    match cli.verb {
        Verb::Up(args) => up::up(app, args),
        Verb::Publish(args) => publish::publish(app, &args),
        Verb::History(args) => history::history(app, &args),
        Verb::State(args) => state::state(app, &args),
        Verb::Audit(args) => audit::audit(app, &args),
        Verb::Trace(args) => trace::trace(app, &args),
        Verb::Query(args) => query::query(app, &args),
        Verb::Replay(args) => replay::replay(app, &args),
        Verb::Run(verb) => run::run(app, verb),
        Verb::Transform(args) => transform::transform(app, &args),
        Verb::Snapshots(verb) => snapshots::snapshots(app, &verb),
        Verb::Views(verb) => views::views(app, &verb),
        Verb::Parked(verb) => parked::parked(app, &verb),
        Verb::DeadLetters(verb) => dead_letters::dead_letters(app, &verb),
        Verb::Health(args) => health::health(&args),
        Verb::Topics(verb) => topics::topics(app, &verb),
        Verb::Schemas(verb) => schemas::schemas(app, &verb),
        Verb::Bench(verb) => bench::bench(app, &verb),
        Verb::Kafka(verb) => kafka::kafka(&verb),
        Verb::Config(verb) => config::config(&verb, &flags, &file, &matches),
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
