//! Child processes on all cores, and which inputs they are told to run.

use crate::{Target, hex, input, targets};
use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// The longest that a batch may take, and an input that is alone.
const BATCH_TIME: Duration = Duration::from_secs(120);
const SINGLE_TIME: Duration = Duration::from_secs(30);
/// A batch has so many inputs for each 100 of the target's share.
const BATCH: u64 = 2_000;

/// How many inputs are run.
#[derive(Debug, Clone, Copy)]
pub enum Amount {
    /// So many in all.
    Inputs(u64),
    /// As many as fit.
    Time(Duration),
}

/// What became of one target.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Its name.
    pub target: &'static str,
    /// How many inputs it read.
    pub inputs: u64,
    /// How long its readers took, together.
    pub busy: Duration,
    /// The first input that failed; there are no more after it.
    pub finding: Option<Finding>,
}

/// An input that failed.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The seed that makes it again.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
    /// The input in hexadecimal.
    pub hex: String,
}

/// What is to be run, and what came of it so far.
#[derive(Debug)]
pub struct Pool {
    amount: Amount,
    jobs: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tallies: Vec<Tally>,
    shares: Vec<u64>,
    /// The next seed of each target.
    seeds: Vec<u64>,
    turn: usize,
    /// Inputs that are still to be given out.
    left: u64,
}

struct Job {
    index: usize,
    target: &'static str,
    seed: u64,
    count: u64,
}

impl Pool {
    /// Runs these targets (their names; empty means all) from a seed on, in so many processes.
    ///
    /// # Errors
    /// There is no target of that name.
    pub fn new(names: &[String], seed: u64, amount: Amount, jobs: usize) -> io::Result<Self> {
        let all = targets::all();
        if let Some(unknown) = names.iter().find(|name| all.iter().all(|target| target.name() != **name)) {
            let known: Vec<&str> = all.iter().map(|target| target.name()).collect();
            return Err(io::Error::other(format!("there is no target {unknown:?}; there are {}", known.join(", "))));
        }
        let chosen: Vec<&dyn Target> = all
            .iter()
            .filter(|target| names.is_empty() || names.iter().any(|name| name == target.name()))
            .map(|target| &**target)
            .collect();
        let state = State {
            tallies: chosen.iter().map(|target| Tally { target: target.name(), ..Tally::default() }).collect(),
            shares: chosen.iter().map(|target| target.share()).collect(),
            seeds: vec![seed; chosen.len()],
            turn: 0,
            left: match amount {
                Amount::Inputs(inputs) => inputs,
                Amount::Time(_) => u64::MAX,
            },
        };
        Ok(Pool { amount, jobs, state: Mutex::new(state) })
    }

    /// Runs everything; `told` is called with the tallies about once a second.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn run(&self, told: &mut dyn FnMut(&[Tally])) -> io::Result<Vec<Tally>> {
        let end = match self.amount {
            Amount::Time(time) => Some(Instant::now() + time),
            Amount::Inputs(_) => None,
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.jobs).map(|_| scope.spawn(|| self.feed(end))).collect();
            let mut next = Instant::now() + Duration::from_secs(1);
            while threads.iter().any(|thread| !thread.is_finished()) {
                thread::sleep(Duration::from_millis(20));
                if Instant::now() >= next {
                    next = Instant::now() + Duration::from_secs(1);
                    told(&self.with(|state| state.tallies.clone()));
                }
            }
            for thread in threads {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that feeds a process panicked")))?;
            }
            Ok(self.with(|state| state.tallies.clone()))
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives jobs to one process after the other, each until it dies.
    fn feed(&self, end: Option<Instant>) -> io::Result<()> {
        let mut worker = Worker::start()?;
        while end.is_none_or(|end| Instant::now() < end) {
            let Some(job) = self.with(State::job) else { break };
            let finding = match worker.run(&job, BATCH_TIME) {
                Ok(busy) => {
                    self.with(|state| {
                        state.tallies[job.index].inputs += job.count;
                        state.tallies[job.index].busy += busy;
                    });
                    continue;
                }
                Err(Failed::Said(seed, what)) => (seed, what),
                Err(Failed::Died(how)) => {
                    worker = Worker::start()?;
                    alone(&job, &mut worker)?
                        .unwrap_or_else(|| (job.seed, format!("{how}, and no input does so alone")))
                }
            };
            self.with(|state| state.found(&job, finding));
        }
        Ok(())
    }
}

/// Runs a batch's inputs one by one; the first that fails.
fn alone(job: &Job, worker: &mut Worker) -> io::Result<Option<(u64, String)>> {
    for seed in (0..job.count).map(|number| job.seed.wrapping_add(number)) {
        match worker.run(&Job { seed, count: 1, ..*job }, SINGLE_TIME) {
            Ok(_) => {}
            Err(Failed::Said(seed, what)) => return Ok(Some((seed, what))),
            Err(Failed::Died(how)) => {
                *worker = Worker::start()?;
                return Ok(Some((seed, how)));
            }
        }
    }
    Ok(None)
}

impl State {
    /// What comes next: the targets take turns, and one that failed has none.
    fn job(&mut self) -> Option<Job> {
        let count = self.tallies.len();
        let index = (0..count).map(|ahead| (self.turn + ahead) % count).find(|i| self.tallies[*i].finding.is_none())?;
        self.turn = index + 1;
        let inputs = (BATCH * self.shares[index] / 100).max(1).min(self.left);
        if inputs == 0 {
            return None;
        }
        self.left -= inputs;
        let seed = self.seeds[index];
        self.seeds[index] = seed.wrapping_add(inputs);
        Some(Job { index, target: self.tallies[index].target, seed, count: inputs })
    }

    fn found(&mut self, job: &Job, (seed, what): (u64, String)) {
        let hex = targets::named(job.target).map(|target| hex::encode(&input(&*target, seed))).unwrap_or_default();
        let tally = &mut self.tallies[job.index];
        if tally.finding.as_ref().is_none_or(|known| seed < known.seed) {
            tally.finding = Some(Finding { seed, what, hex });
        }
    }
}

/// A child process.
struct Worker {
    child: Child,
    jobs: ChildStdin,
    answers: Receiver<String>,
}

enum Failed {
    /// It says that this seed's input fails.
    Said(u64, String),
    /// It ended, or had to be ended.
    Died(String),
}

impl Worker {
    fn start() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let missing = || io::Error::other("a child process has no pipes");
        let (jobs, output) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let (send, answers) = channel();
        // It ends with the pipe, so with the child.
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| send.send(line))
        });
        Ok(Worker { child, jobs, answers })
    }

    fn run(&mut self, job: &Job, patience: Duration) -> Result<Duration, Failed> {
        let asked = writeln!(self.jobs, "{} {} {}", job.target, job.seed, job.count).and_then(|()| self.jobs.flush());
        let answer = asked.ok().and_then(|()| self.answers.recv_timeout(patience).ok());
        let Some(answer) = answer else { return Err(Failed::Died(self.end(patience))) };
        match answer.split_once(' ') {
            Some(("ok", micros)) => Ok(Duration::from_micros(micros.parse().unwrap_or_default())),
            Some((_, bad)) => {
                let (seed, what) = bad.split_once(' ').unwrap_or((bad, ""));
                Err(Failed::Said(seed.parse().unwrap_or(job.seed), what.to_owned()))
            }
            None => Err(Failed::Died(format!("the process answered {answer:?}"))),
        }
    }

    /// How it ended, or that it is ended now.
    fn end(&mut self, patience: Duration) -> String {
        match self.child.try_wait() {
            Ok(Some(status)) => format!("the process ended ({status}): out of stack, or more memory than it may have"),
            _ => match self.child.kill().and_then(|()| self.child.wait()) {
                Ok(_) => format!("no answer within {patience:?}"),
                Err(error) => format!("no answer within {patience:?}, and it cannot be ended: {error}"),
            },
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It would end with its pipe; where it has ended already there is nothing to do.
        self.child.kill().and_then(|()| self.child.wait().map(drop)).unwrap_or_default();
    }
}
