//! The time in which faults strike: two lanes of them, each one fault after another.
//!
//! A fault whose recovery is quick is followed by the next at once. It goes on
//! until there is what was asked for: minutes, faults, of each type, commands.

use crate::{
    inject::{self, Step},
    journal::now_ms,
    options::RunArgs,
    outage::Injected,
    plan::{Fault, Lane, Plan, Strike},
    process::Process,
    progress::Progress,
    report::say,
    site::Site,
};
use factum::{Error, Result};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
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
/// After so long every replica is in sync again, else something is wrong.
const IN_SYNC: Duration = Duration::from_secs(120);
/// Between two looks whether they are, which cost a program's start.
const IN_SYNC_LOOK: Duration = Duration::from_secs(1);
/// After a fault the next one of its lane waits for so many answers: the system goes on.
const GOES_ON: u64 = 20;
/// And, unless it is hurried, until every partition has accepted a command; at most so long.
const CALM: Duration = Duration::from_secs(30);
/// After a fault beside the path the next one waits for what was struck; at most so long.
const CALM_BESIDE: Duration = Duration::from_secs(10);
/// So many reads of views, or answers of a client, show that it is back.
const BACK: u64 = 3;

/// What Ctrl-C asks for.
#[derive(Debug, Default)]
pub(crate) struct Stop(AtomicUsize);

impl Stop {
    /// Ctrl-C was pressed.
    pub(crate) fn ask(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// No more faults.
    pub(crate) fn soon(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn at_once(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// How a course ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// There is what was asked for.
    Enough,
    /// The most minutes were over before.
    Late,
    /// By Ctrl-C.
    Stopped,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    site: &'a mut Site,
    args: &'a RunArgs,
    faults: &'a [Fault],
    stop: &'a Stop,
    pub(crate) injected: Vec<Injected>,
    begun: Instant,
    pub(crate) progress: Progress,
    /// When the last answer came, and how many there were.
    heard: (Instant, u64),
    lanes: [Track; 2],
}

/// Where a lane is.
#[derive(Debug)]
struct Track {
    plan: Plan,
    strike: Option<Strike>,
    whom: String,
    steps: VecDeque<Step>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The next strike begins then.
    Idle(Instant),
    /// Its steps are carried out; the next one not before `next`.
    Striking { at_ms: u64, step_begun: Instant, next: Instant },
    /// The steps are done; the system recovers.
    Recovering { at_ms: u64, done_ms: u64, done: Instant, mark: u64 },
}

impl<'a> Course<'a> {
    /// Of a site whose clients do not run yet.
    pub(crate) fn new(site: &'a mut Site, args: &'a RunArgs, faults: &'a [Fault], stop: &'a Stop) -> Self {
        let now = Instant::now();
        let progress = Progress::of(&site.journals);
        let lanes = Lane::ALL.map(|lane| Track {
            plan: Plan::new(args.seed, lane, faults),
            strike: None,
            whom: String::new(),
            steps: VecDeque::new(),
            phase: Phase::Idle(now),
        });
        Course { site, args, faults, stop, injected: Vec::new(), begun: now, progress, heard: (now, 0), lanes }
    }

    /// Goes through it, and waits until every command is answered.
    ///
    /// # Errors
    /// What kept a fault from being injected, and what never came back.
    pub(crate) fn go(&mut self) -> Result<Ended> {
        self.site.clients.iter_mut().try_for_each(Process::start)?;
        while self.progress.answers() < BEGINNING && !self.stop.soon() {
            self.look()?;
        }
        self.begun = Instant::now();
        let ended = loop {
            let ended = self.ended();
            if ended.is_some() && self.lanes.iter().all(|track| matches!(track.phase, Phase::Idle(_))) {
                break ended.unwrap_or(Ended::Enough);
            }
            for index in 0..self.lanes.len() {
                self.turn(index, ended.is_none())?;
            }
            self.look()?;
        };
        say("no more faults; waiting for the last answers");
        self.last_answers()?;
        Ok(ended)
    }

    fn ended(&self) -> Option<Ended> {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let most = self.args.at_most_minutes.unwrap_or(self.args.minutes + 3).max(self.args.minutes);
        let count = |fault: &Fault| self.injected.iter().filter(|injected| injected.fault == *fault).count();
        let enough = self.begun.elapsed() >= minutes(self.args.minutes)
            && self.injected.len() >= self.args.least_faults
            && self.progress.commands() >= self.args.least_commands
            && self.faults.iter().all(|fault| count(fault) >= self.args.least_of_each);
        match (self.stop.soon(), enough, self.begun.elapsed() >= minutes(most)) {
            (true, _, _) => Some(Ended::Stopped),
            (_, true, _) => Some(Ended::Enough),
            (_, _, true) => Some(Ended::Late),
            _ => None,
        }
    }

    /// A lane's next move, if it is time for one.
    fn turn(&mut self, index: usize, more: bool) -> Result<()> {
        let now = Instant::now();
        match self.lanes[index].phase {
            Phase::Idle(until) if more && now >= until => self.begin(index),
            Phase::Idle(_) => {}
            Phase::Striking { at_ms, step_begun, next } => {
                // Who wants to go home does not sit out a pause.
                if now >= next || self.stop.soon() {
                    self.strike(index, at_ms, step_begun)?;
                }
            }
            Phase::Recovering { at_ms, done_ms, done, mark } => {
                if self.recovered(index, done_ms, done, mark) || self.stop.soon() {
                    self.over(index, at_ms);
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, index: usize) {
        let (own, other) = if index == 0 { (0, 1) } else { (1, 0) };
        let strikes = !self.lanes[other].steps.is_empty();
        let alone = |track: &Track| track.strike.is_some_and(|strike| strike.fault.alone());
        let track = &mut self.lanes[own];
        if track.strike.is_none() {
            track.strike = track.plan.next();
        }
        let Some(strike) = track.strike else { return };
        if strikes && (strike.fault.alone() || alone(&self.lanes[other])) {
            return;
        }
        let track = &mut self.lanes[own];
        let (whom, steps) = inject::steps(&strike);
        let now = Instant::now();
        (track.whom, track.steps) = (whom, steps.into());
        track.phase = Phase::Striking { at_ms: now_ms(), step_begun: now, next: now };
    }

    fn strike(&mut self, index: usize, at_ms: u64, step_begun: Instant) -> Result<()> {
        let Some(strike) = self.lanes[index].strike else { return Ok(()) };
        let Some(step) = self.lanes[index].steps.front().copied() else {
            let mark = self.mark(&strike);
            self.lanes[index].phase = Phase::Recovering { at_ms, done_ms: now_ms(), done: Instant::now(), mark };
            return Ok(());
        };
        if step == Step::InSync && !self.stop.soon() && !self.site.brokers.in_sync() {
            if step_begun.elapsed() > IN_SYNC {
                return Err(Error::unavailable("replicas do not get in sync").context(strike.fault));
            }
            self.lanes[index].phase = Phase::Striking { at_ms, step_begun, next: Instant::now() + IN_SYNC_LOOK };
            return Ok(());
        }
        inject::carry_out(self.site, step).map_err(|error| error.context(strike.fault))?;
        let track = &mut self.lanes[index];
        track.steps.pop_front();
        let now = Instant::now();
        let next = if let Step::Last(time) = step { now + time } else { now };
        track.phase = Phase::Striking { at_ms, step_begun: now, next };
        Ok(())
    }

    /// What grows once the struck ones are back.
    fn mark(&self, strike: &Strike) -> u64 {
        match strike.fault {
            Fault::ViewKilled | Fault::ViewPaused | Fault::DatabaseRestarted => self.progress.looks,
            Fault::ClientKilled => self.progress.answers_of(strike.whom % self.site.clients.len().max(1)),
            _ => self.progress.answers(),
        }
    }

    fn recovered(&self, index: usize, done_ms: u64, done: Instant, mark: u64) -> bool {
        let Some(strike) = self.lanes[index].strike else { return true };
        let more = self.mark(&strike).saturating_sub(mark);
        match strike.fault.lane() {
            Lane::Path => {
                let calm = strike.hurried || self.progress.everywhere_since(done_ms) || done.elapsed() > CALM;
                more >= GOES_ON && calm
            }
            Lane::Beside => strike.hurried || more >= BACK || done.elapsed() > CALM_BESIDE,
        }
    }

    fn over(&mut self, index: usize, at_ms: u64) {
        let track = &mut self.lanes[index];
        let Some(strike) = track.strike.take() else { return };
        let over_ms = now_ms();
        let injected = Injected { fault: strike.fault, at_ms, over_ms };
        self.injected.push(injected);
        track.phase = Phase::Idle(Instant::now() + strike.after);
        let took = Duration::from_millis(over_ms.saturating_sub(at_ms));
        say(&format!(
            "{:>4} s  fault {}: {} of {}, over after {:.1} s; {} commands answered",
            self.begun.elapsed().as_secs(),
            self.injected.len(),
            strike.fault,
            self.lanes[index].whom,
            took.as_secs_f64(),
            self.progress.commands(),
        ));
    }

    fn last_answers(&mut self) -> Result<()> {
        self.site.clients.iter().try_for_each(|client| client.signal("TERM"))?;
        let begun = Instant::now();
        loop {
            let mut ended = true;
            for client in &mut self.site.clients {
                ended &= client.ended()?;
            }
            if ended {
                return self.progress.look();
            }
            if begun.elapsed() > LAST_ANSWERS {
                let seconds = LAST_ANSWERS.as_secs();
                return Err(Error::unavailable(format!("clients wait for answers {seconds} s after the last fault")));
            }
            self.patience()?;
            self.site.tend_servers()?;
            thread::sleep(LOOK);
        }
    }

    fn look(&mut self) -> Result<()> {
        self.patience()?;
        self.site.tend()?;
        thread::sleep(LOOK);
        self.progress.look()?;
        let answers = self.progress.answers();
        if answers > self.heard.1 {
            self.heard = (Instant::now(), answers);
        }
        if self.heard.0.elapsed() > SILENCE {
            let seconds = SILENCE.as_secs();
            return Err(Error::unavailable(format!(
                "no command was answered for {seconds} s: the system does not come back"
            )));
        }
        Ok(())
    }

    fn patience(&self) -> Result<()> {
        match self.stop.at_once() {
            true => Err(Error::unavailable("stopped by a second Ctrl-C: nothing was checked")),
            false => Ok(()),
        }
    }
}
