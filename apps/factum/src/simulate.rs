//! `factum simulate`: runs a seed of the simulation again.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use factum::{Error, Protections, Result};
use factum_simulation::{Report, Simulator, Struck};
use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};
use tracing::subscriber::NoSubscriber;

/// Of so many seeds a line tells how far it is.
const TOLD_EVERY: u64 = 200;

/// Run the bank in a simulation where everything goes wrong, and check its history.
///
/// Handlers and clients of production run on a model of Kafka, in simulated time: processes are
/// killed or hang, requests get lost, commits have unknown outcomes, groups rebalance. A checker
/// then reads the log and what clients were told. A seed and a number of steps always give the
/// same run, so a seed that fails is all that a report needs.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  factum simulate --seed 42\n  factum simulate --seed 1 --seeds 200")]
struct SimulateArgs {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, on every core.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// How many steps each of them takes, before nothing goes wrong any more and all has to come to rest.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: u64,
}

/// The verb and its flags.
pub(crate) fn command() -> Command {
    SimulateArgs::augment_args(Command::new("simulate"))
}

/// Runs the seeds; `print` gets each that failed, and what struck in all of them.
pub(crate) fn run(matches: &ArgMatches, print: &mut dyn FnMut(&str)) -> Result<()> {
    let args = SimulateArgs::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
    let (mut struck, mut done, mut wrong) = (Struck::default(), 0_u64, 0_u64);
    each_seed(&args, |report| {
        let report = report?;
        struck.add(&report.struck);
        done += 1;
        wrong += u64::from(!report.violations.is_empty());
        if args.seeds == 1 || !report.violations.is_empty() {
            print(report.to_string().trim_end());
        }
        if done % TOLD_EVERY == 0 {
            print(&format!("{done} of {} seeds, {wrong} with a wrong history", args.seeds));
        }
        Ok(())
    })?;
    print("how often each fault struck:");
    print(struck.to_string().trim_end());
    match wrong {
        0 => Ok(()),
        _ => Err(Error::data(format!("{wrong} of {} seeds have a wrong history", args.seeds))),
    }
}

/// Runs the seeds on every core, each run in one thread, and gives the reports as they come.
fn each_seed(args: &SimulateArgs, mut each: impl FnMut(Result<Report>) -> Result<()>) -> Result<()> {
    let (next, end) = (AtomicU64::new(args.seed), args.seed.saturating_add(args.seeds));
    let (send, reports) = mpsc::channel();
    // Each thread has a simulator of its own; its error is the report that there is none.
    let work = |send: mpsc::Sender<Result<Report>>| {
        let told = Simulator::new(Protections::ALL).and_then(|simulator| {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                // Nobody listens any more once a run could not be made.
                if seed >= end || send.send(simulator.run(seed, args.steps)).is_err() {
                    return Ok(());
                }
            }
        });
        if let Err(error) = told {
            // Where nobody listens, an earlier error ended it.
            send.send(Err(error)).unwrap_or_default();
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let send = send.clone();
            // What the processes of a simulation log is of use for one seed, and noise for many.
            scope.spawn(|| match args.seeds {
                1 => work(send),
                _ => tracing::subscriber::with_default(NoSubscriber::new(), || work(send)),
            });
        }
        drop(send);
        // Dropped at the first error, which ends the threads.
        reports.into_iter().try_for_each(&mut each)
    })
}
