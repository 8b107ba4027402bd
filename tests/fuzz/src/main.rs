//! The command line: how many inputs, of which targets, from which seed on.

use clap::Parser;
use factum_fuzz::{Amount, Guarded, Pool, Tally, hex, input, targets, work};
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Feeds everything that reads bytes from outside with bytes that are nearly
/// right: no panic, no abort, bounded memory and time, and what was read is
/// the same after it was written and read again.
///
/// It prints inputs per second of each target, and for an input that fails the
/// bytes in hexadecimal and the command that repeats it. To keep it, put the
/// bytes into tests/fuzz/corpus/<target>/<what it found>.hex: `cargo test` runs them.
#[derive(Debug, Parser)]
#[command(name = "factum-fuzz")]
struct Options {
    /// How many inputs in all
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "seconds")]
    inputs: u64,
    /// As many inputs as fit into so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// The first input's number; the same numbers are the same inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this target (may be given several times)
    #[arg(long)]
    target: Vec<String>,
    /// How many processes [default: one for each core]
    #[arg(long)]
    jobs: Option<usize>,
    /// Run one input, given in hexadecimal, in this process: with one --target
    #[arg(long, requires = "target")]
    hex: Option<String>,
    /// Run the input of --seed in this process and print it: with one --target
    #[arg(long, requires = "target", conflicts_with = "hex")]
    once: bool,
    /// Take jobs from standard input
    #[arg(long, hide = true)]
    worker: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if options.worker {
        work().map(|()| true)
    } else if options.hex.is_some() || options.once {
        one(&options)
    } else {
        many(&options)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("factum-fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

fn one(options: &Options) -> io::Result<bool> {
    let name = options.target.first().map(String::as_str).unwrap_or_default();
    let target = targets::named(name).ok_or_else(|| io::Error::other(format!("there is no target {name:?}")))?;
    let bytes = match &options.hex {
        Some(text) => hex::decode(text).ok_or_else(|| io::Error::other("--hex is not hexadecimal"))?,
        None => input(&*target, options.seed),
    };
    let mut output = io::stdout();
    writeln!(output, "{name}: {} bytes\n{}\n{:?}", bytes.len(), hex::encode(&bytes), String::from_utf8_lossy(&bytes))?;
    output.flush()?;
    let ran = Guarded::new(target).run(&bytes);
    writeln!(output, "{}", ran.as_ref().err().map_or("nothing is wrong", String::as_str))?;
    Ok(ran.is_ok())
}

fn many(options: &Options) -> io::Result<bool> {
    let amount = match options.seconds {
        Some(seconds) => Amount::Time(Duration::from_secs(seconds)),
        None => Amount::Inputs(options.inputs),
    };
    let jobs = options.jobs.or_else(|| thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1);
    let pool = Pool::new(&options.target, options.seed, amount, jobs)?;
    let began = Instant::now();
    let watched = io::stderr().is_terminal();
    let tallies = pool.run(&mut |tallies| {
        let inputs: u64 = tallies.iter().map(|tally| tally.inputs).sum();
        if watched {
            eprint!("\r{inputs} inputs, {} s ", began.elapsed().as_secs());
        }
    })?;
    if watched {
        eprintln!();
    }
    report(&tallies, began.elapsed(), jobs, options.seed)
}

fn report(tallies: &[Tally], took: Duration, jobs: usize, seed: u64) -> io::Result<bool> {
    let mut output = io::stdout();
    writeln!(output, "{:<18} {:>10} {:>12}", "target", "inputs", "inputs/s")?;
    for Tally { target, inputs, busy, .. } in tallies {
        // Numbers for people: what is lost beyond 52 bits is nobody's.
        let rate = *inputs as f64 / busy.as_secs_f64().max(1e-6);
        writeln!(output, "{target:<18} {inputs:>10} {rate:>12.0}")?;
    }
    let inputs: u64 = tallies.iter().map(|tally| tally.inputs).sum();
    writeln!(
        output,
        "{inputs} inputs in {:.1} s on {jobs} processes, {:.0}/s, from seed {seed} on",
        took.as_secs_f64(),
        inputs as f64 / took.as_secs_f64().max(1e-6)
    )?;
    let mut good = true;
    for Tally { target, finding, .. } in tallies {
        if let Some(finding) = finding {
            good = false;
            writeln!(
                output,
                "\nFAILED {target}: {}\nagain: cargo run -p factum-fuzz -- --target {target} --seed {} --once\n{}",
                finding.what, finding.seed, finding.hex
            )?;
        }
    }
    writeln!(output, "{}", if good { "no input failed" } else { "\nsome inputs failed" })?;
    Ok(good)
}
