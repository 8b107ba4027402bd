//! What runs in this process: handlers, views and transforms on one log.

use crate::{
    App,
    environment::Environment,
    host::{
        HandlerOptions, Running, Stop, TransformHost, TransformMember, TransformProgress, ViewProgress,
        transform::MEANWHILE,
    },
    observe::Board,
};
use factum_core::{
    Error, Offset, Result, TopicPartition,
    handler::{Activity, Granted},
    log::{Admin, Isolation},
};
use factum_handler::WorkerStatus;
use factum_views::Database;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Between two looks at how far everything is.
const LOOK: Duration = Duration::from_millis(20);
/// Between words about what is waited for.
const TELL: Duration = Duration::from_secs(5);

/// Handlers, views and transforms that run in this process.
#[derive(Debug)]
pub(crate) struct Node {
    environment: Environment,
    running: Vec<Running>,
    handlers: BTreeMap<&'static str, Arc<Mutex<WorkerStatus>>>,
    views: Vec<ViewProgress>,
    transforms: Vec<TransformProgress>,
    stop: Stop,
}

/// How topics are made that do not exist yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewTopics {
    /// Partitions of each.
    pub(crate) partitions: u32,
    /// Replicas; none for the broker's default.
    pub(crate) replication: Option<u16>,
}

impl Node {
    /// Nothing yet.
    pub(crate) fn new(environment: Environment, stop: Stop) -> Self {
        Node {
            environment,
            running: Vec::new(),
            handlers: BTreeMap::new(),
            views: Vec::new(),
            transforms: Vec::new(),
            stop,
        }
    }

    /// Makes an aggregate type's topics and starts its handler. It grants every
    /// permission: the process belongs to one user.
    ///
    /// # Errors
    /// What log and registry say.
    pub(crate) fn start_handler(&mut self, app: &App, aggregate_type: &str, topics: NewTopics) -> Result<()> {
        let host = app.aggregate_host(aggregate_type)?;
        let name = host.aggregate_type();
        self.environment.create_topics(name, topics.partitions, topics.replication)?;
        let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
        let (running, status) = host.start_handler(&self.environment, options, &self.stop)?;
        self.running.push(running);
        self.handlers.insert(name, status);
        Ok(())
    }

    /// Starts a view with its rows in a database.
    ///
    /// # Errors
    /// What log, registry and database say.
    pub(crate) fn start_view(&mut self, app: &App, name: &str, database: &Database, topics: NewTopics) -> Result<()> {
        let host = app.view_host(name)?;
        for input in host.inputs() {
            self.environment.create_topics(input, topics.partitions, topics.replication)?;
        }
        let (running, status) = host.start(&self.environment, database, &self.stop)?;
        self.running.push(running);
        self.views.push(status);
        Ok(())
    }

    /// Makes the topic that a transform writes, and starts it.
    ///
    /// # Errors
    /// What log and registry say.
    pub(crate) fn start_transform(&mut self, host: &dyn TransformHost, topics: NewTopics) -> Result<()> {
        self.environment.create_topics(host.input(), topics.partitions, topics.replication)?;
        self.environment.create_output(host, topics.replication)?;
        let (running, progress) = host.start(&self.environment, TransformMember::default(), &self.stop)?;
        self.running.push(running);
        self.transforms.push(progress);
        Ok(())
    }

    /// The transforms that run here.
    pub(crate) fn transforms(&self) -> &[TransformProgress] {
        &self.transforms
    }

    /// Shows what runs here on a board.
    pub(crate) fn show_on(&self, board: &Board) {
        for (name, status) in &self.handlers {
            board.add_handler(name, status.clone());
        }
        self.views.iter().for_each(|view| board.add_view(view));
        self.transforms.iter().for_each(|transform| board.add_transform(transform));
    }

    /// Fails when something of this process cannot go on.
    ///
    /// # Errors
    /// `Invalid` with what stands still, and why.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(failure) = self.running.iter().find_map(Running::failure).filter(|_| !self.stop.is_stopped()) {
            return Err(Error::invalid(failure));
        }
        for (name, status) in &self.handlers {
            for partition in &lock(status).partitions {
                if let Activity::Stopped(reason) = &partition.activity {
                    return Err(Error::invalid(format!(
                        "{name}.commands/{} stands still: {reason}",
                        partition.partition
                    )));
                }
            }
        }
        for view in &self.views {
            if let Some(stopped) = view.stopped() {
                return Err(Error::invalid(stopped));
            }
        }
        for transform in &self.transforms {
            if let Some(stopped) = transform.stopped() {
                return Err(Error::invalid(format!("{stopped}; {MEANWHILE}")));
            }
        }
        Ok(())
    }

    /// Waits until every command is handled and every event is in every view and republished by every
    /// transform; `tell` hears now and then what is waited for.
    ///
    /// # Errors
    /// Those of [`Node::check`]; `Unavailable` when it was stopped before.
    pub(crate) fn wait_until_idle(&self, tell: impl Fn(&str)) -> Result<()> {
        let mut admin = self.environment.log.admin()?;
        let mut told = Instant::now();
        while !self.stop.is_stopped() {
            self.check()?;
            let Some(waiting_for) = self.behind(&mut *admin)? else { return Ok(()) };
            if told.elapsed() >= TELL {
                told = Instant::now();
                tell(&waiting_for);
            }
            std::thread::sleep(LOOK);
        }
        Err(Error::unavailable("stopped before everything was handled"))
    }

    /// What is not at its log's end yet.
    fn behind(&self, admin: &mut dyn Admin) -> Result<Option<String>> {
        for (name, status) in &self.handlers {
            let known: BTreeMap<_, _> = {
                let status = lock(status);
                status.partitions.iter().map(|health| (health.partition, health.next_command)).collect()
            };
            for place in admin.partitions(&self.environment.topics(name).commands)? {
                let end = admin.bounds(&place, Isolation::ReadUncommitted)?.end;
                if known.get(&place.partition).is_none_or(|next| *next < end) && end > Offset(0) {
                    return Ok(Some(format!("the handler at {place}@{end}")));
                }
            }
        }
        for view in &self.views {
            if let Some(place) = self.events_ahead(admin, &view.inputs, &view.positions())? {
                return Ok(Some(format!("the view {} at {place}", view.name)));
            }
        }
        for transform in &self.transforms {
            if let Some(place) = self.events_ahead(admin, &[transform.input], &transform.positions())? {
                return Ok(Some(format!("the transform {} at {place}", transform.name)));
            }
        }
        Ok(None)
    }

    /// Where events of these aggregate types end that lie beyond the positions, as `<place>@<end>`.
    fn events_ahead(
        &self,
        admin: &mut dyn Admin,
        inputs: &[&str],
        positions: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<Option<String>> {
        for input in inputs {
            for place in admin.partitions(&self.environment.topics(input).events)? {
                let end = admin.bounds(&place, Isolation::ReadCommitted)?.end;
                if positions.get(&place).is_none_or(|position| *position < end) && end > Offset(0) {
                    return Ok(Some(format!("{place}@{end}")));
                }
            }
        }
        Ok(None)
    }

    /// Stops everything in good order.
    ///
    /// # Errors
    /// What the first of them ended with.
    pub(crate) fn end(self) -> Result<()> {
        self.stop.stop();
        let ended: Vec<Result<()>> = self.running.into_iter().map(Running::join).collect();
        ended.into_iter().collect()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
