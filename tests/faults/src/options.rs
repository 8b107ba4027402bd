//! The command line.

use crate::plan::Fault;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Run the bank on three real brokers while a seed's faults strike, then check every promise.
///
/// It needs what `deploy/kafka/kafka.sh` and `deploy/postgres/postgres.sh` need (Java 17, PostgreSQL), and for
/// the faults that cut a network Linux, root and `ip` (iproute2); `--without-cuts` leaves those out.
///
/// Ctrl-C ends the faults, and what was done is checked; a second Ctrl-C ends everything at once.
///
/// The exit code is 0 when every check holds, 1 when one does not, 2 when the run could not be made.
///
/// Examples:
///   cargo run -p factum-faults -- --minutes 2 --seed 7
///   cargo run -p factum-faults -- --minutes 10 --rate 600 --least-of-each 3 --least-faults 60 --least-commands 100000
///   cargo run -p factum-faults -- --only broker-killed --only view-paused --minutes 1
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What a run is made of.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What decides which faults come when, whom they strike and for how long.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Minutes in which faults are injected, or more until there is what the options `--least-…` ask for.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) minutes: u64,
    /// After so many minutes no more faults are injected in any case; without it three more than `--minutes`.
    #[arg(long, value_name = "N")]
    pub(crate) at_most_minutes: Option<u64>,
    /// Commands a second, of all clients together.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub(crate) rate: u32,
    /// Only these faults. May be repeated.
    #[arg(long, value_name = "FAULT")]
    pub(crate) only: Vec<Fault>,
    /// Leave out the faults that cut a network; everything then listens on 127.0.0.1.
    #[arg(long)]
    pub(crate) without_cuts: bool,
    /// Fail unless at least so many commands were acknowledged.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) least_commands: usize,
    /// Fail unless at least so many faults of each type were injected.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) least_of_each: usize,
    /// Fail unless at least so many faults were injected.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) least_faults: usize,
    /// The binary under test; without it the one beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) factum: Option<PathBuf>,
    /// Where the run keeps everything; without it a new folder below target/faults.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Keep the folder also when every check holds.
    #[arg(long)]
    pub(crate) keep: bool,
    /// The port of the first broker; the others' follow.
    #[arg(long, default_value_t = 36_092, value_name = "PORT")]
    pub(crate) kafka_port: u16,
    /// The port of PostgreSQL.
    #[arg(long, default_value_t = 36_432, value_name = "PORT")]
    pub(crate) postgres_port: u16,
    /// The port of the schema registry.
    #[arg(long, default_value_t = 36_081, value_name = "PORT")]
    pub(crate) registry_port: u16,
}

/// What this program is as a child of its own run.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Send commands at a steady rate and write everything down.
    #[command(hide = true)]
    Client(ClientArgs),
    /// Serve the schema registry that is in the log.
    #[command(hide = true)]
    Registry(RegistryArgs),
}

/// Where a child finds the others.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientArgs {
    #[arg(long)]
    pub(crate) kafka: String,
    #[arg(long)]
    pub(crate) registry: String,
    #[arg(long)]
    pub(crate) views: String,
    /// Its name, which stands in front of its accounts'.
    #[arg(long)]
    pub(crate) name: String,
    /// Where its journal is, and its copy of the schemas.
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long)]
    pub(crate) rate: u32,
    #[arg(long)]
    pub(crate) seed: u64,
}

/// What the registry serves, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryArgs {
    #[arg(long)]
    pub(crate) kafka: String,
    #[arg(long)]
    pub(crate) listen: std::net::SocketAddr,
}
