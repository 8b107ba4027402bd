//! A run: start, strike, stop, check.

use crate::{
    history::{Found, Sources},
    inject::inject,
    journal::{Answered, now_ms},
    options::RunArgs,
    outage::{self, Cause, Injected},
    plan::{Fault, Plan, Strike},
    process::Process,
    progress::Progress,
    report::{Report, say},
    site::{PARTITIONS, Site},
};
use factum::{Error, Result, partition_of};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Before the first fault so many answers have come.
const BEGINNING: u64 = 50;
/// After so long without an answer the run is given up: something never comes back.
const SILENCE: Duration = Duration::from_secs(180);
/// After the last fault every command is answered within this.
const LAST_ANSWERS: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(100);
/// After a fault the next one waits for so many answers: the system goes on.
const GOES_ON: u64 = 20;
/// And, unless it is hurried, until every partition has accepted a command; at most so long.
const CALM: Duration = Duration::from_secs(30);

/// Makes a run and tells how it went.
///
/// # Errors
/// What kept it from being made or from being checked.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode> {
    let faults = faults(args)?;
    let folder = folder(args)?;
    say(&format!("seed {}; everything is kept in {}", args.seed, folder.display()));
    let stop = Arc::new(AtomicBool::new(false));
    ctrlc::set_handler({
        let stop = stop.clone();
        move || stop.store(true, Ordering::Relaxed)
    })
    .map_err(|error| Error::invalid(format!("signals cannot be handled: {error}")))?;
    let mut site = Site::start(args, &folder)?;
    say(&site.choices);
    let progress = Progress::of(&site.journals);
    let mut course = Course { site: &mut site, stop: &stop, injected: Vec::new(), begun: Instant::now(), progress };
    let struck = course.go(args, &faults);
    let injected = course.injected;
    let told = struck.and_then(|()| judge(args, &faults, &mut site, &injected, &folder));
    if let Err(error) = &told {
        say(&format!("{error}; logs, journals and data are in {}", folder.display()));
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

/// The time in which faults strike.
struct Course<'a> {
    site: &'a mut Site,
    stop: &'a AtomicBool,
    injected: Vec<Injected>,
    begun: Instant,
    progress: Progress,
}

impl Course<'_> {
    fn go(&mut self, args: &RunArgs, faults: &[Fault]) -> Result<()> {
        self.site.clients.iter_mut().try_for_each(Process::start)?;
        self.wait_for_answers(BEGINNING)?;
        self.begun = Instant::now();
        let time = Duration::from_secs(60 * args.minutes);
        for strike in Plan::new(args.seed, faults) {
            if self.begun.elapsed() >= time || self.stop.load(Ordering::Relaxed) {
                break;
            }
            self.strike(&strike)?;
        }
        say("no more faults; waiting for the last answers");
        for client in &mut self.site.clients {
            client.signal("TERM")?;
        }
        for client in &mut self.site.clients {
            client.stop_within(LAST_ANSWERS)?;
        }
        Ok(())
    }

    fn strike(&mut self, strike: &Strike) -> Result<()> {
        let until = Instant::now() + strike.after;
        while Instant::now() < until {
            self.look()?;
        }
        let at_ms = now_ms();
        let began = Instant::now();
        let whom = inject(self.site, strike).map_err(|error| error.context(strike.fault))?;
        let undone = began.elapsed();
        let undone_ms = now_ms();
        let answers = self.wait_for_answers(GOES_ON)?;
        if !strike.hurried {
            self.wait_for_calm(undone_ms)?;
        }
        let number = self.injected.len() + 1;
        say(&format!(
            "{:>4} s  fault {number}: {} of {whom}, {:.1} s; {answers} commands answered",
            self.begun.elapsed().as_secs(),
            strike.fault,
            undone.as_secs_f64(),
        ));
        self.injected.push(Injected { fault: strike.fault, at_ms });
        Ok(())
    }

    /// Waits for so many more; returns how many there are.
    fn wait_for_answers(&mut self, more: u64) -> Result<u64> {
        self.progress.look()?;
        let (before, begun) = (self.progress.answers, Instant::now());
        while self.progress.answers < before + more && !self.stop.load(Ordering::Relaxed) {
            if begun.elapsed() > SILENCE {
                return Err(Error::unavailable(format!(
                    "{} commands were answered in {} s: the system does not come back",
                    self.progress.answers - before,
                    SILENCE.as_secs()
                )));
            }
            self.look()?;
        }
        Ok(self.progress.answers)
    }

    /// Waits until every partition has accepted a command since then.
    fn wait_for_calm(&mut self, since_ms: u64) -> Result<()> {
        let begun = Instant::now();
        while !self.progress.everywhere_since(since_ms) && begun.elapsed() < CALM && !self.stop.load(Ordering::Relaxed)
        {
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        self.site.tend()?;
        thread::sleep(LOOK);
        self.progress.look()
    }
}

/// Reads what there is, checks it, and prints the report; whether everything holds.
fn judge(args: &RunArgs, faults: &[Fault], site: &mut Site, injected: &[Injected], folder: &Path) -> Result<bool> {
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
    let mut missing = Vec::new();
    for fault in faults {
        let count = costs.get(&Cause::One(*fault)).map_or(0, |cost| cost.count);
        if count < args.least_of_each {
            missing.push(format!("{count} of {fault}, and {} were asked for", args.least_of_each));
        }
    }
    let acknowledged = history.commands.values().filter(|asked| !asked.answers.is_empty()).count();
    if acknowledged < args.least_commands {
        missing.push(format!("{acknowledged} commands were acknowledged, and {} were asked for", args.least_commands));
    }
    let report = Report {
        seed: args.seed,
        choices: &site.choices,
        injected: faults,
        costs,
        sent: history.commands.len(),
        acknowledged,
        events: history.events.len(),
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

fn ends(handlers: &[Process], views: &[Process], clients: &[Process], registry: &Process) -> Vec<String> {
    let processes = handlers.iter().chain(views).chain(clients).chain([registry]);
    processes.flat_map(|process| process.ends.iter().cloned()).collect()
}

fn costs(injected: &[Injected], found: &Found) -> std::collections::BTreeMap<Cause, outage::Cost> {
    let partition = |answer: &Answered| {
        let asked = found.history.commands.get(&answer.id.parse().ok()?)?;
        Some(partition_of(asked.account.as_bytes(), PARTITIONS).0)
    };
    outage::costs(injected, &found.answers, partition)
}
