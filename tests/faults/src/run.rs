//! A run: start, strike, stop, check.

use crate::{
    course::{Course, Ended, Stop},
    history::{Found, Sources},
    journal::Answered,
    options::RunArgs,
    outage::{self, Cause, Cost, Injected},
    plan::Fault,
    process::Process,
    report::{Report, say},
    site::{PARTITIONS, Site},
};
use factum::{Error, Result, partition_of};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// Makes a run and tells how it went.
///
/// # Errors
/// What kept it from being made or from being checked.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode> {
    let faults = faults(args)?;
    let folder = folder(args)?;
    say(&format!("seed {}; everything is kept in {}", args.seed, folder.display()));
    let stop = Arc::new(Stop::default());
    ctrlc::set_handler({
        let stop = stop.clone();
        move || stop.ask()
    })
    .map_err(|error| Error::invalid(format!("signals cannot be handled: {error}")))?;
    let mut site = Site::start(args, &folder)?;
    say(&site.choices);
    let mut course = Course::new(&mut site, args, &faults, &stop);
    let ended = course.go();
    let mut injected = course.injected;
    injected.sort_by_key(|fault| fault.at_ms);
    let so_far = format!("{} faults, {} commands acknowledged", injected.len(), course.progress.commands());
    let told = ended.and_then(|ended| judge(args, &faults, &mut site, &injected, ended, &folder));
    if let Err(error) = &told {
        say(&format!("after {so_far}: {error}; logs, journals and data are in {}", folder.display()));
    }
    drop(site);
    let holds = told?;
    if holds && !args.keep {
        fs::remove_dir_all(&folder).unwrap_or_default();
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn faults(args: &RunArgs) -> Result<Vec<Fault>> {
    let chosen = |fault: &&Fault| args.only.is_empty() || args.only.contains(fault);
    let faults: Vec<Fault> = Fault::all().iter().filter(chosen).copied().collect();
    match faults.iter().any(|fault| fault.cuts()) && args.without_cuts {
        true if args.only.is_empty() => Ok(faults.into_iter().filter(|fault| !fault.cuts()).collect()),
        true => Err(Error::invalid("--without-cuts leaves out what --only names")),
        false => Ok(faults),
    }
}

fn folder(args: &RunArgs) -> Result<PathBuf> {
    // Not below target: the database's user may not be allowed to enter it.
    let usual = || env::temp_dir().join(format!("factum-faults-{}-{}", args.seed, std::process::id()));
    let folder = args.folder.clone().unwrap_or_else(usual);
    let failed =
        |error: std::io::Error| Error::invalid(format!("{}: {error}; --folder names another", folder.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    match fs::read_dir(&folder).map_err(failed)?.next() {
        None => fs::canonicalize(&folder).map_err(failed),
        Some(_) => Err(Error::invalid(format!("{} is not empty: --folder names another", folder.display()))),
    }
}

/// Reads what there is, checks it, and prints the report; whether everything holds.
fn judge(
    args: &RunArgs,
    faults: &[Fault],
    site: &mut Site,
    injected: &[Injected],
    ended: Ended,
    folder: &Path,
) -> Result<bool> {
    if ended == Ended::Stopped {
        say("ended by Ctrl-C: what was asked for is not compared with what there is");
    }
    say("reading the topics and the tables");
    let sources = Sources {
        kafka: site.brokers.bootstrap(),
        views: site.database.url(),
        journals: site.journals.iter().map(PathBuf::as_path).collect(),
    };
    let found = sources.read()?;
    let history = &found.history;
    let violations = factum_history::check(history).violations;
    let costs = costs(injected, &found);
    let acknowledged = found.acknowledged();
    let missing = match ended {
        // Who ends a run early has what there is.
        Ended::Stopped => Vec::new(),
        Ended::Enough | Ended::Late => missing(args, faults, &costs, acknowledged, ended),
    };
    let report = Report {
        seed: args.seed,
        choices: &site.choices,
        faults,
        costs,
        sent: history.commands.len(),
        acknowledged,
        events: history.events.len(),
        replies: found.replies,
        looks: history.looks.len(),
        behind: found.behind.len(),
        ends: ends(&site.handlers, &site.views, &site.clients, &site.registry),
        violations: &violations,
        missing,
        folder,
    };
    report.print();
    let all: Vec<String> = violations.iter().map(|found| format!("{}: {}\n", found.rule, found.what)).collect();
    fs::write(folder.join("violations"), all.concat())
        .map_err(|error| Error::unavailable(format!("{}: {error}", folder.display())))?;
    Ok(report.holds())
}

/// What was asked of the run and is not there.
fn missing(
    args: &RunArgs,
    faults: &[Fault],
    costs: &BTreeMap<Cause, Cost>,
    acknowledged: usize,
    ended: Ended,
) -> Vec<String> {
    let mut missing = Vec::new();
    let mut least = |what: String, count: usize, least: usize| {
        if count < least {
            missing.push(format!("{what}: {count}, and {least} were asked for"));
        }
    };
    least("faults".to_owned(), costs.values().map(|cost| cost.count).sum(), args.least_faults);
    least("commands acknowledged".to_owned(), acknowledged, args.least_commands);
    for fault in faults {
        let count = costs.get(&Cause::One(*fault)).map_or(0, |cost| cost.count);
        least(fault.to_string(), count, args.least_of_each);
    }
    if ended == Ended::Late && !missing.is_empty() {
        missing.push("time: the most minutes were over (--at-most-minutes)".to_owned());
    }
    missing
}

fn ends(handlers: &[Process], views: &[Process], clients: &[Process], registry: &Process) -> Vec<String> {
    let processes = handlers.iter().chain(views).chain(clients).chain([registry]);
    processes.flat_map(|process| process.ends.iter().cloned()).collect()
}

fn costs(injected: &[Injected], found: &Found) -> BTreeMap<Cause, Cost> {
    let partition = |answer: &Answered| {
        let asked = found.history.commands.get(&answer.id.parse().ok()?)?;
        Some(partition_of(asked.account.as_bytes(), PARTITIONS).0)
    };
    outage::costs(injected, &found.answers, &found.looks_ms, partition)
}
