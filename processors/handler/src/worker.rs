//! One worker: one thread, one consumer, one transactional producer.

use crate::{
    Surroundings,
    answers::{AnswerEncoder, Answers},
    clients::{new_producer, recover},
    schemas::{Fetches, SchemaFetch},
    status::{Teller, WorkerStatus},
    transact::{PausePoint, execute},
};
use factum_core::{
    Aggregate, AggregateCodec, Error, GroupEvent, Offset, Partition, RecordBatch, Result, Throttle, TimestampMs, Topic,
    TopicPartition,
    handler::{Effect, Handler, Notice, Survey},
    log::{
        Admin, GroupConsumer, GroupOptions, Isolation, Log, Reader, TopicDescription, TransactionOptions,
        TransactionalProducer,
    },
    pulse::Pulse,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{
    debug, debug_span, error,
    field::{self, display},
    info, trace, warn,
};

/// Waiting for a command on an idle system; a command ends the wait at once.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Waiting for a command while something else is under way.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Between looks at positions behind which control records may lie.
const IDLE_LOOK: Duration = Duration::from_millis(1_000);
/// Between looks at how many partitions the topics have.
const COUNT_LOOK: Duration = Duration::from_secs(10);
/// Records of a recovery that are read before commands are looked after again.
const READ_RECORDS: usize = 10_000;

/// What a worker needs beside the log and the machine.
pub struct WorkerOptions {
    /// How it joins the group; its topics and group id follow from the aggregate type.
    pub group: GroupOptions,
    /// Its transactional id and time-out.
    pub transaction: TransactionOptions,
    /// Fetches schemas.
    pub fetch_schema: SchemaFetch,
    /// Encodes answers.
    pub encode_answer: AnswerEncoder,
    /// Its clock and threads.
    pub surroundings: Surroundings,
    /// How many commands are taken a second; what is not taken waits in the log.
    pub throttle: Throttle,
    /// For tests: called before each step of each transaction.
    pub pause_point: Option<PausePoint>,
}

impl fmt::Debug for WorkerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerOptions").field("group", &self.group).finish_non_exhaustive()
    }
}

/// One worker of a command handler.
pub struct Worker<A: Aggregate, C> {
    handler: Handler<A, C>,
    log: Arc<dyn Log>,
    options: WorkerOptions,
    consumer: Box<dyn GroupConsumer>,
    producer: Box<dyn TransactionalProducer>,
    reader: Box<dyn Reader>,
    admin: Box<dyn Admin>,
    answers: Answers,
    fetches: Fetches,
    read_batch: RecordBatch,
    offsets: Vec<Offset>,
    last_look: TimestampMs,
    last_count: TimestampMs,
    teller: Teller,
    pulse: Arc<Pulse>,
    trouble: Option<String>,
}

impl<A: Aggregate, C: AggregateCodec<A>> Worker<A, C> {
    /// Makes the clients and joins the group. The topics have been checked.
    ///
    /// # Errors
    /// What the log says when a client cannot be made.
    pub fn start(log: Arc<dyn Log>, handler: Handler<A, C>, mut options: WorkerOptions) -> Result<Self> {
        let config = handler.config();
        let encode = std::mem::replace(&mut options.encode_answer, Box::new(|_, _| Ok(())));
        let answers = Answers::new(log.producer()?, encode, config.topics.replies.clone(), config.partitions);
        let topics = config.topics.clone();
        let fetches = Fetches::new(options.fetch_schema.clone(), options.surroundings);
        let now = (options.surroundings.now)();
        Ok(Worker {
            producer: new_producer(&*log, &options.transaction)?,
            consumer: log.group_consumer(&options.group)?,
            reader: log.reader(Isolation::ReadCommitted)?,
            admin: log.admin()?,
            answers,
            fetches,
            teller: Teller::new(now),
            pulse: Arc::new(Pulse::new(vec![topics.commands, topics.events, topics.snapshots])),
            handler,
            log,
            options,
            read_batch: RecordBatch::new(),
            offsets: Vec::new(),
            last_look: now,
            last_count: now,
            trouble: None,
        })
    }

    /// How it is doing, to be read from other threads.
    pub fn status(&self) -> Arc<Mutex<WorkerStatus>> {
        self.teller.shared()
    }

    /// What it is at, for a watchdog.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// The machine, for looking at state.
    pub fn handler(&self) -> &Handler<A, C> {
        &self.handler
    }

    /// Works until `stop` is set, then finishes the batch under way and leaves the group.
    ///
    /// # Errors
    /// Only what no retry can help with.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.step(IDLE_WAIT)?;
        }
        self.close()
    }

    /// One round: poll, do what the machine asks for, commit what it decided.
    ///
    /// # Errors
    /// Only what no retry can help with.
    pub fn step(&mut self, idle_wait: Duration) -> Result<()> {
        match self.try_step(idle_wait) {
            Ok(()) => self.trouble = None,
            Err(failed) => {
                let place = (&*self.log, &self.options.group);
                if let Some(failed) = recover(failed, place, &mut self.consumer, || self.handler.consumer_lost())? {
                    debug!(error = %failed, "the log cannot be used at the moment");
                    self.trouble = Some(failed.to_string());
                    (self.options.surroundings.sleep)(IDLE_WAIT);
                }
            }
        }
        self.publish_status();
        Ok(())
    }

    fn is_due(&self, since: TimestampMs, every: Duration) -> bool {
        Surroundings::is_due(self.now(), since, every)
    }

    fn now(&self) -> TimestampMs {
        (self.options.surroundings.now)()
    }

    fn try_step(&mut self, idle_wait: Duration) -> Result<()> {
        let wait = if !self.handler.reading().is_empty() {
            Duration::ZERO
        } else if self.handler.is_busy() || self.handler.has_commands() || self.fetches.any() {
            BUSY_WAIT
        } else {
            idle_wait
        };
        let before = self.handler.inbox().len();
        let event = self.poll(wait)?;
        if let Some(event) = &event {
            info!(?event, group = self.options.group.group, "rebalance");
        }
        let now = self.now();
        self.handler.polled(event.as_ref(), now);
        while let Some((id, fetched)) = self.fetches.arrived() {
            self.handler.schema_fetched(id, fetched, now);
        }
        self.execute_effects()?;
        self.read()?;
        if self.handler.has_commands() || self.handler.has_duties(now) {
            self.commit()?;
        } else if before == 0 && event.is_none() && self.is_due(self.last_look, IDLE_LOOK) {
            self.look_at_positions()?;
        }
        if self.is_due(self.last_count, COUNT_LOOK) {
            self.count_partitions()?;
        }
        self.answers.serve();
        Ok(())
    }

    /// Polls for as many commands as there is room for and the throttle allows.
    fn poll(&mut self, wait: Duration) -> Result<Option<GroupEvent>> {
        let room = self.handler.room();
        match self.options.throttle.allow(self.now(), room) {
            Ok(allowed) => {
                let before = self.handler.inbox().len();
                let event = self.consumer.poll(allowed, wait, self.handler.inbox());
                self.options.throttle.pay(self.handler.inbox().len() - before);
                event
            }
            Err(pause) => {
                (self.options.surroundings.sleep)(pause.min(wait));
                Ok(None)
            }
        }
    }

    fn commit(&mut self) -> Result<()> {
        let member = self.consumer.membership()?;
        let now = self.now();
        let commands = self.handler.inbox().len();
        let span = debug_span!("command.handle", commands, trace_ids = field::Empty).entered();
        let commands_topic = &self.handler.config().topics.commands;
        let working = self
            .handler
            .hand()
            .map(|(partition, first, commands)| self.pulse.begin(commands_topic, partition, first, commands));
        let planned = self.handler.plan(&member, now);
        drop(working);
        let plan = self.handler.current_plan();
        if !plan.traces.is_empty() && !span.is_disabled() {
            span.record("trace_ids", display(&plan.traces));
            for (command, context) in plan.traces.iter() {
                trace!(%command, %context, "command with a trace");
            }
        }
        if planned {
            let (begun, counted) = (Instant::now(), self.handler.planned_commands());
            let span = debug_span!("log.commit", records = plan.records.len(), size_bytes = plan.records.size_bytes())
                .entered();
            let (patience, surroundings) = (self.options.transaction.timeout, self.options.surroundings);
            let outcome = execute(
                (plan, self.handler.transaction()),
                patience,
                surroundings,
                &mut *self.producer,
                &mut self.offsets,
                &mut self.options.pause_point,
            );
            debug!(?outcome, "transaction");
            self.teller.transaction(counted, begun.elapsed());
            drop(span);
            let now = self.now();
            self.handler.finished(outcome, &self.offsets, now);
        }
        let replies = self.handler.take_replies();
        if !replies.is_empty() {
            self.answers.send(replies);
        }
        self.execute_effects()
    }

    fn look_at_positions(&mut self) -> Result<()> {
        let now = self.now();
        self.last_look = now;
        for health in self.handler.health() {
            let place = self.handler.config().topics.commands.partition(health.partition);
            if let Some(position) = self.consumer.position(&place)? {
                self.handler.idle_at(health.partition, position, now);
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let places = self.handler.reading();
        if places.is_empty() {
            return Ok(());
        }
        self.read_batch.clear();
        let now = self.now();
        if let Err(failed) = self.reader.poll(READ_RECORDS, Duration::from_millis(5), &mut self.read_batch) {
            self.handler.reading_failed(&failed, now);
            return self.execute_effects();
        }
        let mut positions = Vec::with_capacity(places.len());
        for place in places {
            if let Some(position) = self.reader.position(&place)? {
                positions.push((place, position));
            }
        }
        let now = self.now();
        let working = self.pulse.begin_batch(&self.read_batch);
        self.handler.read(&self.read_batch, &positions, now);
        drop(working);
        self.execute_effects()
    }

    fn execute_effects(&mut self) -> Result<()> {
        // A rebalance brings many partitions, which are surveyed together: their topics are asked for once.
        let mut described = None;
        while let Some(effect) = self.handler.next_effect() {
            if let Err(failed) = self.execute(&effect, &mut described) {
                // Nothing may be left out: what follows relies on it.
                self.handler.put_back(effect);
                return Err(failed);
            }
        }
        Ok(())
    }

    fn execute(&mut self, effect: &Effect, described: &mut Option<[TopicDescription; 3]>) -> Result<()> {
        match effect {
            Effect::Survey(partition, isolation) => {
                let survey = self.survey(*partition, *isolation, described);
                let now = self.now();
                self.handler.surveyed(*partition, survey, now);
            }
            Effect::Read(place, from) => self.reader.add(place, *from)?,
            Effect::StopReading(place) => self.reader.remove(place)?,
            Effect::Start(place, from) => self.consumer.start(place, *from)?,
            Effect::Pause(place) => self.consumer.pause(place)?,
            Effect::FetchSchema(id) => self.fetches.start(*id),
            Effect::RenewProducer => self.producer = new_producer(&*self.log, &self.options.transaction)?,
            Effect::Tell(notice) => tell(notice),
        }
        Ok(())
    }

    fn survey(
        &mut self,
        partition: Partition,
        isolation: Isolation,
        described: &mut Option<[TopicDescription; 3]>,
    ) -> Result<Survey> {
        let topics = self.handler.config().topics.clone();
        let described = match described {
            Some(described) => described,
            None => described.insert(self.describe_topics()?),
        };
        let place: TopicPartition = topics.commands.partition(partition);
        // The offset first: it waits until the transactions that carry it are decided.
        let committed = self.consumer.committed(std::slice::from_ref(&place))?.into_iter().next().flatten();
        Ok(Survey {
            commands: self.admin.bounds(&place, isolation)?,
            events: self.admin.bounds(&topics.events.partition(partition), isolation)?,
            snapshots: self.admin.bounds(&topics.snapshots.partition(partition), isolation)?,
            committed,
            commands_id: described[0].id,
            events_id: described[1].id,
            partitions: counts(described),
        })
    }

    fn describe_topics(&mut self) -> Result<[TopicDescription; 3]> {
        let topics = self.handler.config().topics.clone();
        let mut describe = |topic: &Topic| {
            self.admin.describe_topic(topic)?.ok_or_else(|| {
                Error::invalid(format!(
                    "topic {topic} does not exist; create it with `factum topics create {}`",
                    topics.arguments
                ))
            })
        };
        Ok([describe(&topics.commands)?, describe(&topics.events)?, describe(&topics.snapshots)?])
    }

    /// Looks whether somebody added partitions: no rebalance tells every member.
    fn count_partitions(&mut self) -> Result<()> {
        self.last_count = self.now();
        let described = self.describe_topics()?;
        self.handler.partitions_counted(&counts(&described));
        self.execute_effects()
    }

    fn publish_status(&mut self) {
        let (partitions, now) = (self.handler.health(), self.now());
        // Whoever has a partition is a member; the client is asked only by those without.
        let is_member = !partitions.is_empty() || self.consumer.membership().is_ok_and(|member| member.is_joined());
        self.teller.tell(partitions, self.handler.stats(), self.trouble.as_ref(), is_member, now);
    }

    /// Leaves the group: another member goes on at once.
    ///
    /// # Errors
    /// What the log says when the group cannot be left in good order.
    pub fn close(mut self) -> Result<()> {
        self.answers.flush(Duration::from_secs(2));
        self.consumer.close()
    }
}

impl<A: Aggregate, C> fmt::Debug for Worker<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("options", &self.options).finish_non_exhaustive()
    }
}

fn counts(described: &[TopicDescription]) -> Vec<(String, u32)> {
    described.iter().map(|topic| (topic.topic.to_string(), topic.partitions)).collect()
}

fn tell(notice: &Notice) {
    match notice {
        Notice::Recovered { partition, snapshots, events, next_command } => {
            info!(partition = partition.0, snapshots, events, next_command = next_command.0, "recovered");
        }
        Notice::Stopped { partition, reason } => error!(partition = partition.0, reason, "partition stopped"),
        Notice::Waiting { partition, reason } => warn!(partition = partition.0, reason, "partition waits"),
        Notice::AlreadyHandled { partition, commands } => {
            info!(partition = partition.0, commands, "commands were handled before; none was decided again");
        }
        Notice::Careful { partition, reason } => warn!(partition = partition.0, reason, "careful"),
        Notice::LostCommands { partition, commands } => {
            warn!(partition = partition.0, commands, "commands were never handled; going on without them");
        }
        Notice::DeadLettered { place, offset, cause } => {
            warn!(%place, offset = offset.0, cause, "command dead-lettered");
        }
        Notice::ForeignRecord { what } => warn!(what, "a record of somebody else"),
        Notice::RepeatedVersions { partition, events } => {
            warn!(partition = partition.0, events, "events with a version that was there already were passed over");
        }
    }
}
