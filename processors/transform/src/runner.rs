//! The loop around the machine.

use crate::{TransformStatus, last::last};
use factum_core::{
    Error, GroupEvent, MessageCodec, Offset, RecordBatch, Result, Throttle, TimestampMs, Topic, TopicPartition,
    log::{
        Admin, GroupConsumer, GroupOptions, Isolation, Log, Reader, TopicDescription, TransactionOptions,
        TransactionalProducer,
    },
    measure::{Clocks, Histogram},
    pulse::Pulse,
    transaction::{Outcome, Transaction},
    transform::{Effect, Survey, Transform, Transformer},
    view::PlaceState,
};
use factum_handler::{Fetches, PausePoint, SchemaFetch, Surroundings, execute, new_producer, recover};
use std::{
    collections::VecDeque,
    fmt,
    mem::{Discriminant, discriminant},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{debug, debug_span, error, info, warn};

/// Waiting for a record on an idle system; a record ends the wait at once.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Between looks at positions behind which ends of transactions may lie.
const IDLE_LOOK: Duration = Duration::from_millis(1_000);

/// What a runner needs beside the log and the codecs.
pub struct TransformOptions {
    /// How it joins the transform's group; the only topic is the input.
    pub group: GroupOptions,
    /// Its transactional id and time-out.
    pub transaction: TransactionOptions,
    /// The most events of one transaction, of all partitions together. A command's events are never parted.
    pub max_records: usize,
    /// How many events are taken a second; what is not taken waits in the log.
    pub throttle: Throttle,
    /// Fetches schemas.
    pub fetch_schema: SchemaFetch,
    /// Its clock and threads.
    pub surroundings: Surroundings,
    /// For tests: called before each step of each transaction.
    pub pause_point: Option<PausePoint>,
}

impl fmt::Debug for TransformOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformOptions").field("group", &self.group).finish_non_exhaustive()
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progressed {
    /// There were records, or an event, or something to commit.
    Worked,
    /// There was nothing.
    Idle,
}

/// One instance of a transform: a member of its group, and a transactional producer.
pub struct TransformRunner<T: Transform, I, O> {
    machine: Transformer<T, I, O>,
    log: Arc<dyn Log>,
    options: TransformOptions,
    consumer: Box<dyn GroupConsumer>,
    producer: Box<dyn TransactionalProducer>,
    reader: Box<dyn Reader>,
    admin: Box<dyn Admin>,
    fetches: Fetches,
    /// What is to be done before anything else: what follows relies on it.
    todo: VecDeque<Effect>,
    records: RecordBatch,
    offsets: Vec<Offset>,
    last_look: TimestampMs,
    status: Arc<Mutex<TransformStatus>>,
    clocks: Clocks<TopicPartition, Discriminant<PlaceState>, Option<Offset>>,
    transaction_seconds: Histogram,
    trouble: Option<String>,
}

impl<T: Transform, I: MessageCodec<T::From>, O: MessageCodec<T::To>> TransformRunner<T, I, O> {
    /// Makes the clients and joins the group. The topics have been checked; one codec reads the input, the
    /// other one writes `output`.
    ///
    /// # Errors
    /// What the log says when a client cannot be made.
    pub fn start(log: Arc<dyn Log>, codecs: (I, O), output: Topic, options: TransformOptions) -> Result<Self> {
        let now = (options.surroundings.now)();
        let status = TransformStatus { turned: now, ..TransformStatus::default() };
        Ok(TransformRunner {
            machine: Transformer::new(codecs, output, Pulse::new(options.group.topics.clone())),
            producer: new_producer(&*log, &options.transaction)?,
            consumer: log.group_consumer(&options.group)?,
            reader: log.reader(Isolation::ReadCommitted)?,
            admin: log.admin()?,
            fetches: Fetches::new(options.fetch_schema.clone(), options.surroundings),
            todo: VecDeque::new(),
            records: RecordBatch::new(),
            offsets: Vec::new(),
            last_look: now,
            clocks: Clocks::default(),
            transaction_seconds: status.transaction_seconds,
            status: Arc::new(Mutex::new(status)),
            trouble: None,
            log,
            options,
        })
    }

    /// How it is doing, to be read from other threads.
    pub fn status(&self) -> Arc<Mutex<TransformStatus>> {
        self.status.clone()
    }

    /// What it is at, for a watchdog.
    pub fn pulse(&self) -> &Arc<Pulse> {
        self.machine.pulse()
    }

    /// Works until `stop` is set, then leaves the group.
    ///
    /// # Errors
    /// Only what no retry can help with.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.step(IDLE_WAIT)?;
        }
        self.close()
    }

    /// Leaves the group: another member goes on at once.
    ///
    /// # Errors
    /// What the log says when the group cannot be left in good order.
    pub fn close(self) -> Result<()> {
        self.consumer.close()
    }

    /// One round: poll, do what the machine asks for, commit what it made.
    ///
    /// # Errors
    /// Only what no retry can help with.
    pub fn step(&mut self, idle_wait: Duration) -> Result<Progressed> {
        let progressed = match self.try_step(idle_wait) {
            Ok(progressed) => {
                self.trouble = None;
                progressed
            }
            Err(failed) => {
                let place = (&*self.log, &self.options.group);
                let lost = || {
                    self.machine.consumer_lost();
                    self.todo.retain(|effect| *effect == Effect::RenewProducer);
                };
                if let Some(failed) = recover(failed, place, &mut self.consumer, lost)? {
                    debug!(transform = T::NAME, error = %failed, "the log cannot be used at the moment");
                    self.trouble = Some(failed.to_string());
                    (self.options.surroundings.sleep)(IDLE_WAIT);
                }
                Progressed::Worked
            }
        };
        self.publish();
        Ok(progressed)
    }

    fn now(&self) -> TimestampMs {
        (self.options.surroundings.now)()
    }

    fn try_step(&mut self, idle_wait: Duration) -> Result<Progressed> {
        self.execute_all(Vec::new())?;
        self.records.clear();
        let event = self.poll(idle_wait)?;
        if let Some(event) = &event {
            info!(?event, group = self.options.group.group, "rebalance");
        }
        let now = self.now();
        let effects = self.machine.polled(event.as_ref(), &self.records, now);
        let waits = effects.iter().any(|effect| matches!(effect, Effect::Claim(_)));
        self.execute_all(effects)?;
        while let Some((id, fetched)) = self.fetches.arrived() {
            let effects = self.machine.schema_fetched(id, &fetched);
            self.execute_all(effects)?;
        }
        let is_idle = self.records.is_empty() && event.is_none() && !waits;
        if !is_idle || Surroundings::is_due(now, self.last_look, IDLE_LOOK) {
            self.last_look = now;
            self.ask_positions()?;
        }
        let committed = self.commit()?;
        Ok(if is_idle && !committed { Progressed::Idle } else { Progressed::Worked })
    }

    /// Polls for as many events as the throttle allows.
    fn poll(&mut self, wait: Duration) -> Result<Option<GroupEvent>> {
        match self.options.throttle.allow(self.now(), self.options.max_records) {
            Ok(allowed) => {
                let event = self.consumer.poll(allowed, wait, &mut self.records);
                self.options.throttle.pay(self.records.len());
                event
            }
            Err(pause) => {
                (self.options.surroundings.sleep)(pause.min(wait));
                Ok(None)
            }
        }
    }

    fn ask_positions(&mut self) -> Result<()> {
        let running: Vec<TopicPartition> = self.machine.running().cloned().collect();
        for place in running {
            if let Some(position) = self.consumer.position(&place)? {
                self.machine.positioned(&place, position);
            }
        }
        Ok(())
    }

    /// Runs the plan, if there is one, as one transaction of the member that polled last.
    fn commit(&mut self) -> Result<bool> {
        let member = match self.consumer.membership() {
            Ok(member) => member,
            Err(failed) => {
                let effects = self.machine.finished(Outcome::Stale);
                self.execute_all(effects)?;
                return Err(failed);
            }
        };
        let Some(plan) = self.machine.plan(&member) else {
            // What a member that is none has in hand, it reads again.
            let effects = self.machine.finished(Outcome::Stale);
            self.execute_all(effects)?;
            return Ok(false);
        };
        let begun = Instant::now();
        let span = debug_span!("log.commit", records = plan.records.len(), size_bytes = plan.records.size_bytes());
        let outcome = span.in_scope(|| {
            execute(
                (plan, Transaction::default()),
                self.options.transaction.timeout,
                self.options.surroundings,
                &mut *self.producer,
                &mut self.offsets,
                &mut self.options.pause_point,
            )
        });
        debug!(transform = T::NAME, ?outcome, "transaction");
        self.transaction_seconds.record(begun.elapsed().as_secs_f64());
        let effects = self.machine.finished(outcome);
        self.execute_all(effects)?;
        Ok(true)
    }

    /// Does what the machine wants, and what it wants then.
    fn execute_all(&mut self, effects: Vec<Effect>) -> Result<()> {
        self.todo.extend(effects);
        while let Some(effect) = self.todo.pop_front() {
            match self.execute(&effect) {
                // What an effect leads to comes before the effects after it.
                Ok(next) => next.into_iter().rev().for_each(|next| self.todo.push_front(next)),
                Err(failed) => {
                    self.todo.push_front(effect);
                    return Err(failed);
                }
            }
        }
        Ok(())
    }

    fn execute(&mut self, effect: &Effect) -> Result<Vec<Effect>> {
        match effect {
            Effect::Claim(place) => {
                let survey = self.survey(place);
                return self.machine.claimed(place, survey);
            }
            Effect::Start(place, offset) => {
                info!(transform = T::NAME, %place, %offset, "starts");
                self.consumer.start(place, *offset)?;
            }
            Effect::Pause(place) => self.consumer.pause(place)?,
            Effect::FetchSchema(id) => self.fetches.start(*id),
            Effect::RenewProducer => self.producer = new_producer(&*self.log, &self.options.transaction)?,
            Effect::Wait { place, why } => {
                warn!(transform = T::NAME, %place, why, "waits");
                self.consumer.pause(place)?;
            }
            Effect::Stop { place, stop } => {
                error!(transform = T::NAME, %place, class = %stop.class, reason = stop.reason, "stands still");
                self.consumer.pause(place)?;
            }
        }
        Ok(Vec::new())
    }

    fn survey(&mut self, place: &TopicPartition) -> Result<Survey> {
        // The offset first: it waits until the transactions that carry it are decided.
        let committed = self.consumer.committed(std::slice::from_ref(place))?.into_iter().next().flatten();
        let output = self.machine.output().clone();
        let (input_found, output_found) = (self.describe(&place.topic)?, self.describe(&output)?);
        let last = last(&mut *self.admin, &mut *self.reader, &output.partition(place.partition))?;
        Ok(Survey {
            committed,
            bounds: self.admin.bounds(place, Isolation::ReadUncommitted)?,
            input_id: input_found.id,
            output_id: output_found.id,
            partitions: (input_found.partitions, output_found.partitions),
            last,
        })
    }

    fn describe(&mut self, topic: &Topic) -> Result<TopicDescription> {
        self.admin.describe_topic(topic)?.ok_or_else(|| {
            Error::invalid(format!("topic {topic} does not exist; create it with `factum topics create {}`", T::NAME))
        })
    }

    fn publish(&mut self) {
        let (places, now) = (self.machine.status(), self.now());
        let seen = places.iter().map(|(place, status)| (place.clone(), discriminant(&status.state), status.position));
        let since = self.clocks.see(seen, now);
        // Whoever has a partition is a member; the client is asked only by those without.
        let is_member = !places.is_empty() || self.consumer.membership().is_ok_and(|member| member.is_joined());
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        *status = TransformStatus {
            places,
            since,
            totals: self.machine.totals(),
            trouble: self.trouble.clone(),
            joined: is_member.then(|| status.joined.unwrap_or(now)),
            turned: now,
            transaction_seconds: self.transaction_seconds,
        };
    }
}

impl<T: Transform, I, O> fmt::Debug for TransformRunner<T, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformRunner").field("transform", &T::NAME).finish_non_exhaustive()
    }
}
