//! Several views in one process, none of which depends on another.

use super::{Running, Stop, ViewProgress};
use crate::observe::Board;
use factum_core::{Error, Result};
use std::time::{Duration, Instant};
use tracing::error;

/// How long a view that failed stays away for the first time; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest that it stays away.
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// A view that ran for so long has got over its earlier failures.
const STEADY: Duration = Duration::from_secs(60);

/// A view that a fleet starts, perhaps more than once.
pub(crate) struct Entry<'a> {
    /// Of a view that has not begun.
    pub(crate) progress: ViewProgress,
    /// Starts it.
    pub(crate) start: Box<dyn Fn() -> Result<(Running, ViewProgress)> + 'a>,
}

/// The views of a process. Each has a group, a thread, clients and a sink of
/// its own; one that fails is told by the board and started again after a
/// pause, and the others never notice. The fleet as a whole fails when none of
/// its views runs any more.
pub(crate) struct Fleet<'a> {
    members: Vec<Member<'a>>,
    board: Option<&'a Board>,
    stop: Stop,
}

struct Member<'a> {
    /// What it said last, also after it failed.
    entry: Entry<'a>,
    state: State,
    failures: u32,
}

enum State {
    Runs {
        running: Running,
        since: Instant,
    },
    Failed {
        error: Error,
        again: Instant,
    },
    /// Only while it changes from one of the others to another.
    Changes,
}

impl<'a> Fleet<'a> {
    /// Starts views; those that cannot start now are tried again.
    ///
    /// # Errors
    /// Why the first of them does not start, when none does.
    pub(crate) fn start(
        views: impl IntoIterator<Item = Entry<'a>>,
        board: Option<&'a Board>,
        stop: &Stop,
    ) -> Result<Self> {
        let members = views.into_iter().map(|entry| Member { entry, state: State::Changes, failures: 0 });
        let mut fleet = Fleet { members: members.collect(), board, stop: stop.clone() };
        for index in 0..fleet.members.len() {
            fleet.try_start(index);
        }
        fleet.check()?;
        Ok(fleet)
    }

    /// Looks after the views: tells what failed, and starts it again when its pause is over.
    ///
    /// # Errors
    /// Why the first of them failed, when none runs any more.
    pub(crate) fn tend(&mut self) -> Result<()> {
        for index in 0..self.members.len() {
            match &self.members[index].state {
                State::Runs { running, .. } if running.failure().is_some() && !self.stop.is_stopped() => {
                    self.take_failure(index);
                }
                State::Failed { again, .. } if *again <= Instant::now() && !self.stop.is_stopped() => {
                    self.try_start(index);
                }
                _ => {}
            }
        }
        self.check()
    }

    /// Waits until all have ended; `stop` was set.
    ///
    /// # Errors
    /// What the first of those that ran ended with.
    pub(crate) fn end(self) -> Result<()> {
        let ended: Vec<Result<()>> = self
            .members
            .into_iter()
            .map(|member| match member.state {
                State::Runs { running, .. } => running.join(),
                State::Failed { .. } | State::Changes => Ok(()),
            })
            .collect();
        ended.into_iter().collect()
    }

    /// Fails when none runs.
    fn check(&mut self) -> Result<()> {
        if self.members.iter().any(|member| matches!(member.state, State::Runs { .. })) {
            return Ok(());
        }
        let failed = self.members.iter_mut().find(|member| matches!(member.state, State::Failed { .. }));
        match failed.map(|member| std::mem::replace(&mut member.state, State::Changes)) {
            Some(State::Failed { error, .. }) => Err(error),
            _ => Ok(()),
        }
    }

    fn try_start(&mut self, index: usize) {
        let member = &mut self.members[index];
        match (member.entry.start)() {
            Ok((running, progress)) => {
                member.entry.progress = progress;
                member.state = State::Runs { running, since: Instant::now() };
                self.show(index);
            }
            Err(error) => self.fail(index, error.context(format!("view {}", self.members[index].entry.progress.name))),
        }
    }

    fn take_failure(&mut self, index: usize) {
        let member = &mut self.members[index];
        let State::Runs { running, since } = std::mem::replace(&mut member.state, State::Changes) else { return };
        if since.elapsed() >= STEADY {
            member.failures = 0;
        }
        let name = member.entry.progress.name;
        let error = running.join().err().unwrap_or_else(|| Error::unavailable(format!("view {name} ended by itself")));
        self.fail(index, error);
    }

    fn fail(&mut self, index: usize, error: Error) {
        let member = &mut self.members[index];
        let pause = FIRST_PAUSE.saturating_mul(1 << member.failures.min(16)).min(LAST_PAUSE);
        member.failures += 1;
        let (view, again_s) = (member.entry.progress.name, pause.as_secs());
        error!(view, %error, again_s, "failed; the other views go on");
        member.entry.progress.failure = Some(format!("it failed, and is started again after {again_s} s: {error}"));
        member.state = State::Failed { error, again: Instant::now() + pause };
        self.show(index);
    }

    fn show(&self, index: usize) {
        if let Some(board) = self.board {
            board.set_view(&self.members[index].entry.progress);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::Cell,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    const DEADLINE: Duration = Duration::from_secs(120);

    /// A view whose loop turns until `stop` is set, and counts its turns.
    fn steady(stop: &Stop, turns: &Arc<AtomicU32>) -> Entry<'static> {
        let (stop, turns) = (stop.clone(), turns.clone());
        let start = move || {
            let (stop, turns) = (stop.clone(), turns.clone());
            let running = Running::spawn("steady", move || {
                while !stop.is_stopped() {
                    turns.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            })?;
            Ok((running, ViewProgress::new("steady", &[])))
        };
        Entry { progress: ViewProgress::new("steady", &[]), start: Box::new(start) }
    }

    /// A view that starts and fails at once, as often as it is started.
    fn failing(started: &Cell<u32>) -> Entry<'_> {
        let start = || {
            started.set(started.get() + 1);
            let running = Running::spawn("failing", || Err(Error::invalid("its table is gone")))?;
            Ok((running, ViewProgress::new("failing", &[])))
        };
        Entry { progress: ViewProgress::new("failing", &[]), start: Box::new(start) }
    }

    fn broken(_: &Cell<u32>) -> Entry<'_> {
        let start = || Err(Error::invalid("its topics are missing"));
        Entry { progress: ViewProgress::new("broken", &[]), start: Box::new(start) }
    }

    fn failure(fleet: &Fleet<'_>, index: usize) -> String {
        fleet.members[index].entry.progress.failure.clone().unwrap_or_default()
    }

    fn tend_until(fleet: &mut Fleet<'_>, what: &str, done: impl Fn(&Fleet<'_>) -> bool) {
        let begun = Instant::now();
        while !done(fleet) {
            assert!(begun.elapsed() < DEADLINE, "not {what}");
            fleet.tend().unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_view_that_fails_is_told_and_started_again_while_the_others_go_on() {
        let (stop, turns, started) = (Stop::default(), Arc::new(AtomicU32::new(0)), Cell::new(0));
        let views = [failing(&started), broken(&started), steady(&stop, &turns)];
        let mut fleet = Fleet::start(views, None, &stop).unwrap();
        tend_until(&mut fleet, "told", |fleet| failure(fleet, 0).contains("its table is gone"));
        assert!(failure(&fleet, 1).contains("started again after 1 s: view broken: its topics are missing"));
        tend_until(&mut fleet, "started again", |_| started.get() >= 2);
        let before = turns.load(Ordering::Relaxed);
        tend_until(&mut fleet, "going on", |_| turns.load(Ordering::Relaxed) > before);
        assert_eq!(failure(&fleet, 2), "");
        stop.stop();
        fleet.end().unwrap();
    }

    #[test]
    fn when_no_view_runs_any_more_the_first_failure_ends_the_process() {
        let (stop, started) = (Stop::default(), Cell::new(0));
        let refused = Fleet::start([broken(&started)], None, &stop).err().unwrap();
        assert_eq!(refused.to_string(), "view broken: its topics are missing");
        let mut fleet = Fleet::start([failing(&started), broken(&started)], None, &stop).unwrap();
        let begun = Instant::now();
        let ended = loop {
            match fleet.tend() {
                Ok(()) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => break error,
            }
            assert!(begun.elapsed() < DEADLINE, "it does not end");
        };
        assert_eq!(ended.to_string(), "failing: its table is gone");
    }
}
