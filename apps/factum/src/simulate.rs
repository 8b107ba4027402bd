//! `factum simulate`: runs a seed of the simulation again.

use clap::{ArgMatches, Args, Command, FromArgMatches};
use factum::{Error, Protections, Result};
use factum_simulation::{Simulator, Struck};

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
    /// How many seeds, one after the other.
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
    let simulator = Simulator::new(Protections::ALL)?;
    let (mut struck, mut wrong) = (Struck::default(), 0_u64);
    for seed in args.seed..args.seed.saturating_add(args.seeds) {
        let report = simulator.run(seed, args.steps)?;
        struck.add(&report.struck);
        wrong += u64::from(!report.violations.is_empty());
        if args.seeds == 1 || !report.violations.is_empty() {
            print(report.to_string().trim_end());
        }
    }
    print("how often each fault struck:");
    print(struck.to_string().trim_end());
    match wrong {
        0 => Ok(()),
        _ => Err(Error::data(format!("{wrong} of {} seeds have a wrong history", args.seeds))),
    }
}
