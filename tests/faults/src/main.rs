//! The fault suite: a bank on three real brokers, with two handlers, two views
//! on PostgreSQL, a schema registry and clients, while a seed's faults strike
//! one after another; then a checker reads the topics and the tables.
//!
//! What it is not: a simulation. Every process is the program that users run,
//! every fault is a signal, a restart or a cut network; only what strikes whom,
//! and in which order, comes from the seed. `docs/reliability.md` says how to read it.
//!
//! Invariant: the checker (`factum_history`) judges by what clients wrote down before
//! they sent (their journals), by what they were told, by the events topic and
//! by the view's tables, and asks none of the processes under test.

mod account;
mod brokers;
mod client;
mod course;
mod database;
mod draw;
mod history;
mod inject;
mod journal;
mod network;
mod options;
mod outage;
mod plan;
mod process;
mod progress;
mod reads;
mod registry;
mod report;
mod run;
mod script;
mod site;
mod teller;

use clap::Parser;
use options::{Options, Role};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match options.role {
        None => run::run(&options.run),
        Some(Role::Client(client)) => client::run(&client).map(|()| ExitCode::SUCCESS),
        Some(Role::Registry(registry)) => registry::run(&registry).map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        report::say(&format!("error: {error}"));
        // Not the code of a violation: nothing was found out.
        ExitCode::from(2)
    })
}
