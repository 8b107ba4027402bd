//! The processors of a process.

use super::{ends, ends::Ends, snapshot::Snapshot};
use crate::{
    environment::Environment,
    host::{Stop, TransformProgress, ViewProgress},
};
use factum_core::{Result, Topic};
use factum_handler::{WorkerStatus, system_clock};
use std::sync::{Arc, Mutex, PoisonError};

/// The processors of a process, with what they say of themselves.
#[derive(Debug, Clone)]
pub struct Board(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) environment: Environment,
    pub(super) stop: Stop,
    /// Whether a process without processors is one that has not started them yet.
    expects_members: bool,
    /// The most records that a partition of a ready processor is behind.
    pub(super) ready_lag: u64,
    pub(super) members: Mutex<Vec<Member>>,
    pub(super) ends: Mutex<Ends>,
}

/// A worker of a handler, a view, or a transform.
#[derive(Debug, Clone)]
pub(super) enum Member {
    Handler { aggregate_type: &'static str, commands: Topic, status: Arc<Mutex<WorkerStatus>> },
    View(ViewProgress),
    Transform(TransformProgress),
}

impl Board {
    /// So many records a partition may be behind in a process that is ready.
    pub const READY_LAG: u64 = 10_000;

    /// A board without processors, and the thread that looks at the ends of the
    /// log. Once `stop` is set, the process is not ready any more.
    ///
    /// # Errors
    /// What the log says when a client cannot be made; `Unavailable` when there is no thread.
    pub fn start(environment: &Environment, stop: &Stop, ready_lag: u64) -> Result<Self> {
        let board = Self::new(environment, stop, ready_lag);
        ends::watch(&board)?;
        Ok(board)
    }

    /// The board of a process that serves and has no processors: it is ready once it serves.
    pub(crate) fn without_processors(environment: &Environment, stop: &Stop) -> Self {
        Self::with(environment, stop, Self::READY_LAG, false)
    }

    pub(super) fn new(environment: &Environment, stop: &Stop, ready_lag: u64) -> Self {
        Self::with(environment, stop, ready_lag, true)
    }

    fn with(environment: &Environment, stop: &Stop, ready_lag: u64, expects_members: bool) -> Self {
        Board(Arc::new(Inner {
            expects_members,
            environment: environment.clone(),
            stop: stop.clone(),
            ready_lag,
            members: Mutex::default(),
            ends: Mutex::default(),
        }))
    }

    /// Adds a worker of a handler. Workers of the same aggregate type are told together.
    pub fn add_handler(&self, aggregate_type: &'static str, status: Arc<Mutex<WorkerStatus>>) {
        let commands = self.0.environment.topics(aggregate_type).commands;
        self.add(Member::Handler { aggregate_type, commands, status });
    }

    /// Adds a view.
    pub fn add_view(&self, view: &ViewProgress) {
        self.add(Member::View(view.clone()));
    }

    /// Adds a transform.
    pub fn add_transform(&self, transform: &TransformProgress) {
        self.add(Member::Transform(transform.clone()));
    }

    /// Shows a view in the place of what is known of it, or adds it.
    pub(crate) fn set_view(&self, view: &ViewProgress) {
        let mut members = self.0.members.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |member: &&mut Member| matches!(member, Member::View(known) if known.name == view.name);
        match members.iter_mut().find(is_it) {
            Some(member) => *member = Member::View(view.clone()),
            None => members.push(Member::View(view.clone())),
        }
    }

    fn add(&self, member: Member) {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner).push(member);
    }

    /// How everything is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let members = self.0.members.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ends = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let snapshot = Snapshot::take(&members, ends, self.0.ready_lag, self.0.stop.is_stopped(), system_clock());
        Snapshot { expects_members: self.0.expects_members, ..snapshot }
    }
}
