//! The loop around the machine.

use crate::{
    Sink, ViewStatus,
    pace::Pace,
    schemas::{Fetches, SchemaFetch, Spawn, spawn_thread},
};
use factum_core::{
    Error, ErrorKind, GroupEvent, MessageCodec, Offset, Protections, RecordBatch, Result, Retry, Throttle, TimestampMs,
    Topic, TopicPartition, Topics,
    log::{Admin, GroupConsumer, GroupOptions, GroupProtocol, Isolation, Log},
    measure::{Clocks, Histogram},
    pulse::{Pulse, Working},
    view::{Effect, Focus, MAX_DEATHS, PlaceState, Polled, View, ViewMachine, ViewTable, view_group, view_topics},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    mem::{Discriminant, discriminant},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tracing::{
    Span, debug, debug_span, error,
    field::{self, display},
    info, trace, warn,
};

/// Waiting for a record on an idle system; a record ends the wait at once.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// How often parked aggregates are counted, where there are some: a redrive frees them elsewhere.
const COUNT_INTERVAL: Duration = Duration::from_secs(2);

/// What a runner needs beside log, codec and sink.
pub struct ViewOptions {
    /// The id of a static member; none makes a dynamic one.
    pub instance_id: Option<String>,
    /// The aggregate types that it reads, where they are not the view's own ([`View::INPUTS`]).
    pub inputs: Option<Vec<String>>,
    /// Stands in front of the group's and the topics' names.
    pub prefix: String,
    /// How long a silent member keeps its partitions.
    pub session_timeout: Duration,
    /// How the group's members agree.
    pub protocol: GroupProtocol,
    /// The most records of one transaction, of all partitions together.
    pub max_records: usize,
    /// How many events are taken a second; what is not taken waits in the log.
    pub throttle: Throttle,
    /// How often the ends of the partitions are asked for the health, when idle.
    pub ends_interval: Duration,
    /// Fetches schemas.
    pub fetch_schema: SchemaFetch,
    /// Fetches a schema beside the loop. A simulation does it on the spot.
    pub spawn: Spawn,
    /// The clock; it paces retries and looks.
    pub clock: fn() -> TimestampMs,
    /// How often a process may end with the same events in hand before they are parked.
    pub max_deaths: u32,
    /// Everything on, but in a test.
    pub protections: Protections,
}

impl ViewOptions {
    /// A dynamic member with 5 000 records a transaction.
    pub fn new(fetch_schema: SchemaFetch, clock: fn() -> TimestampMs) -> Self {
        ViewOptions {
            instance_id: None,
            inputs: None,
            prefix: String::new(),
            session_timeout: Duration::from_secs(10),
            protocol: GroupProtocol::default(),
            max_records: 5_000,
            throttle: Throttle::default(),
            ends_interval: Duration::from_secs(1),
            fetch_schema,
            spawn: spawn_thread,
            clock,
            max_deaths: MAX_DEATHS,
            protections: Protections::ALL,
        }
    }

    /// The topics that a view reads.
    pub(crate) fn topics<V: View>(&self) -> Vec<Topic> {
        match &self.inputs {
            Some(inputs) => inputs.iter().map(|input| Topics::with_prefix(&self.prefix, input).events).collect(),
            None => view_topics::<V>().iter().map(|topic| Topic::new(format!("{}{topic}", self.prefix))).collect(),
        }
    }
}

impl fmt::Debug for ViewOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewOptions").field("max_records", &self.max_records).finish_non_exhaustive()
    }
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progressed {
    /// There were records, or an event, or something to do.
    Worked,
    /// There was nothing.
    Idle,
}

/// One instance of a view: a member of the view's group, and its sink.
pub struct ViewRunner<V: View, C> {
    pub(crate) machine: ViewMachine<V, C>,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) consumer: Box<dyn GroupConsumer>,
    /// None outside of a group.
    membership: Option<Membership>,
    pub(crate) admin: Box<dyn Admin>,
    /// Those that the group shares.
    pub(crate) topics: Vec<Topic>,
    pub(crate) options: ViewOptions,
    fetches: Fetches,
    records: RecordBatch,
    ends: BTreeMap<TopicPartition, Offset>,
    ends_asked: Pace,
    /// When the progress rows were looked at.
    pub(crate) looks: Pace,
    /// Whether it was said that the group's offsets are of another database.
    pub(crate) other_database_told: bool,
    counts: Pace,
    status: Arc<Mutex<ViewStatus>>,
    pulse: Arc<Pulse>,
    clocks: Clocks<TopicPartition, Discriminant<PlaceState>, Option<Offset>>,
    commit_seconds: Histogram,
    batch_records: Histogram,
    trouble: Option<String>,
}

/// How a runner joins its group anew.
struct Membership {
    log: Arc<dyn Log>,
    group: GroupOptions,
    /// The consumer is of no use any more.
    fenced: bool,
}

impl<V: View, C> fmt::Debug for ViewRunner<V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewRunner").field("view", &V::NAME).field("sink", &self.sink).finish_non_exhaustive()
    }
}

impl<V: View, C: MessageCodec<V::Event>> ViewRunner<V, C> {
    /// Makes the clients and joins the group `<name>_v<version>.view`. The
    /// topics have been checked; the sink is open on [`ViewTable::of`] this view.
    ///
    /// # Errors
    /// `Invalid`: the sink is another view's. Else what the log says when a client cannot be made.
    pub fn start(log: Arc<dyn Log>, codec: C, sink: Box<dyn Sink>, options: ViewOptions) -> Result<Self> {
        let group = GroupOptions {
            group: format!("{}{}", options.prefix, view_group::<V>()),
            topics: options.topics::<V>(),
            instance_id: options.instance_id.clone(),
            session_timeout: options.session_timeout,
            protocol: options.protocol,
        };
        let (consumer, admin) = (log.group_consumer(&group)?, log.admin()?);
        let runner = Self::outside_group(consumer, admin, codec, sink, Focus::default(), options)?;
        Ok(ViewRunner { membership: Some(Membership { log, group, fenced: false }), ..runner })
    }

    /// The same with a consumer of any kind, which folds a part of its log.
    pub(crate) fn outside_group(
        consumer: Box<dyn GroupConsumer>,
        admin: Box<dyn Admin>,
        codec: C,
        sink: Box<dyn Sink>,
        focus: Focus,
        options: ViewOptions,
    ) -> Result<Self> {
        if sink.table().live() != ViewTable::of::<V>()? {
            return Err(Error::invalid(format!("view {} was given the sink of {}", V::NAME, sink.table().name())));
        }
        let status = ViewStatus { turned: (options.clock)(), ..ViewStatus::default() };
        Ok(ViewRunner {
            machine: ViewMachine::new(codec, sink.database_id(), options.protections)?
                .focused(focus)
                .with_batches_of(options.max_records)
                .parking_after(options.max_deaths),
            admin,
            consumer,
            membership: None,
            pulse: Arc::new(Pulse::new(options.topics::<V>())),
            topics: options.topics::<V>(),
            sink,
            fetches: Fetches::new(options.fetch_schema.clone(), options.spawn),
            clocks: Clocks::default(),
            commit_seconds: status.commit_seconds,
            batch_records: status.batch_records,
            status: Arc::new(Mutex::new(status)),
            options,
            records: RecordBatch::new(),
            ends: BTreeMap::new(),
            ends_asked: Pace::default(),
            looks: Pace::default(),
            other_database_told: false,
            counts: Pace::default(),
            trouble: None,
        })
    }

    /// How it is doing, to be read from other threads; renewed after every step.
    pub fn status(&self) -> Arc<Mutex<ViewStatus>> {
        self.status.clone()
    }

    /// What it is at, for a watchdog.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Works until `stop` is set, then leaves the group.
    ///
    /// # Errors
    /// Only what no retry can help with.
    pub fn run(mut self, stop: &AtomicBool) -> Result<()> {
        let mut worked = Ok(());
        while worked.is_ok() && !stop.load(Ordering::Relaxed) {
            worked = self.step(IDLE_WAIT).map(drop);
            if self.trouble.is_some() {
                // A log that cannot be asked may say so at once.
                std::thread::sleep(IDLE_WAIT);
            }
        }
        self.settle();
        worked.and_then(|()| self.close())
    }

    /// Polls once, waiting up to `timeout`, and does everything that follows from it.
    ///
    /// # Errors
    /// Only what no retry can help with, or that a partition cannot be started
    /// or paused; what is tried again is told by the status.
    pub fn step(&mut self, timeout: Duration) -> Result<Progressed> {
        let mut worked = false;
        while let Some((id, outcome)) = self.fetches.next() {
            let effects = self.machine.schema_fetched(id, outcome);
            self.execute(effects)?;
            worked = true;
        }
        self.records.clear();
        let timeout = if self.machine.has_waiting() { Duration::ZERO } else { timeout };
        let event = match self.poll(timeout) {
            Ok(event) => event,
            Err(e) => {
                // What was read before the error goes through the machine all the same.
                self.trouble(e, "poll")?;
                None
            }
        };
        self.tell(event.as_ref());
        let positions = match self.positions() {
            Ok(positions) => positions,
            Err(e) => {
                self.trouble(e, "positions")?;
                Vec::new()
            }
        };
        let now = (self.options.clock)();
        let poll = Polled { now, records: &self.records, event: event.as_ref(), positions: &positions };
        let working = self.pulse.begin_batch(&self.records);
        let effects = self.machine.polled(&poll);
        drop(working);
        worked |= event.is_some() || !self.records.is_empty() || !effects.is_empty();
        if !self.records.is_empty() {
            self.batch_records.record(f64::from(u32::try_from(self.records.len()).unwrap_or(u32::MAX)));
        }
        let span = debug_span!("view.batch", view = V::NAME, records = self.records.len(), trace_ids = field::Empty);
        self.name_traces(&span);
        span.in_scope(|| self.execute(effects))?;
        let effects = self.look_at_progress();
        self.execute(effects)?;
        let progressed = if worked { Progressed::Worked } else { Progressed::Idle };
        if progressed == Progressed::Idle {
            self.ask_ends();
        }
        self.count_parked();
        self.publish();
        Ok(progressed)
    }

    /// Has the span of a batch tell the traces of what was taken in.
    fn name_traces(&self, span: &Span) {
        let traces = self.machine.traces();
        if traces.is_empty() || span.is_disabled() {
            return;
        }
        span.record("trace_ids", display(traces));
        span.in_scope(|| {
            for (command, context) in traces.iter() {
                trace!(%command, %context, "events of a command with a trace");
            }
        });
    }

    /// Leaves the group.
    ///
    /// # Errors
    /// What the log says.
    pub fn close(mut self) -> Result<()> {
        self.settle();
        info!(view = V::NAME, "leaves its group");
        self.consumer.close()
    }

    /// Takes back what was begun and did not end the process.
    fn settle(&mut self) {
        let effects = self.machine.leave();
        if let Err(error) = self.execute(effects) {
            debug!(view = V::NAME, %error, "what was begun is not taken back");
        }
    }

    /// Polls. A consumer that was fenced (another has the name of this static member, or the
    /// coordinator gave it to this one a second time) has lost what it had, and another one takes its place.
    fn poll(&mut self, timeout: Duration) -> Result<Option<GroupEvent>> {
        if let Some(membership) = self.membership.as_mut().filter(|membership| membership.fenced) {
            self.consumer = membership.log.group_consumer(&membership.group)?;
            membership.fenced = false;
        }
        let allowed = match self.options.throttle.allow((self.options.clock)(), self.options.max_records) {
            Ok(allowed) => allowed,
            Err(pause) => {
                std::thread::sleep(pause.min(timeout));
                return Ok(None);
            }
        };
        let polled = self.consumer.poll(allowed, timeout, &mut self.records);
        self.options.throttle.pay(self.records.len());
        match (polled, &mut self.membership) {
            (Err(error), Some(membership)) if error.kind() == ErrorKind::Fenced => {
                warn!(view = V::NAME, %error, "joins its group anew");
                membership.fenced = true;
                let places: Vec<TopicPartition> = self.machine.status().into_keys().collect();
                Ok((!places.is_empty()).then_some(GroupEvent::Lost(places)))
            }
            (polled, _) => polled,
        }
    }

    /// Does what the machine wants, and what it wants then.
    fn execute(&mut self, effects: Vec<Effect>) -> Result<()> {
        let mut todo: VecDeque<Effect> = effects.into();
        while let Some(effect) = todo.pop_front() {
            // What an effect leads to comes before the effects after it.
            for next in self.execute_one(effect)?.into_iter().rev() {
                todo.push_front(next);
            }
        }
        Ok(())
    }

    fn execute_one(&mut self, effect: Effect) -> Result<Vec<Effect>> {
        match effect {
            Effect::Claim(place) => {
                let outcome = self.claim(&place);
                return Ok(self.machine.claimed(&place, outcome));
            }
            Effect::Review => {
                let outcome = self.review();
                return Ok(self.machine.reviewed(outcome));
            }
            Effect::Honour(plan) => {
                let outcome = self.honour(&plan);
                return Ok(self.machine.honoured(outcome));
            }
            Effect::Load(request) => {
                let loaded = self.sink.load(&request);
                let working = self.machine.hand().map(|hand| begin(&self.pulse, hand));
                let effects = self.machine.loaded(loaded);
                drop(working);
                return Ok(effects);
            }
            Effect::Commit(commit) => {
                debug!(upserts = commit.upserts.len(), deletes = commit.deletes.len(), "commits");
                let begun = Instant::now();
                let outcome = self.sink.commit(&commit);
                self.commit_seconds.record(begun.elapsed().as_secs_f64());
                return Ok(self.machine.committed(outcome));
            }
            Effect::Rollback => {
                if let Err(e) = self.sink.rollback() {
                    self.trouble(e, "roll back")?;
                }
            }
            Effect::Mark(marks) => {
                let lost = self.sink.mark(&marks);
                let working = self.machine.hand().map(|hand| begin(&self.pulse, hand));
                let effects = self.machine.marked(lost);
                drop(working);
                // Only now they are taken in.
                self.name_traces(&Span::current());
                return Ok(effects);
            }
            Effect::Unmark(marks) => {
                if let Err(error) = self.sink.mark(&marks) {
                    debug!(view = V::NAME, %error, "what was begun is not taken back");
                }
            }
            Effect::FetchSchema(id) => self.fetches.start(id),
            Effect::CommitGroupOffsets(offsets) => {
                // They are for operators and other tools; the progress rows decide.
                if let Err(error) = self.consumer.commit(&offsets) {
                    debug!(view = V::NAME, %error, "the group's offsets were not committed");
                }
            }
            Effect::Start(place, offset) => {
                info!(view = V::NAME, %place, %offset, "starts");
                self.consumer.start(&place, offset)?;
            }
            Effect::Pause(place) => self.consumer.pause(&place)?,
            Effect::Wait { place, why } => {
                warn!(view = V::NAME, %place, why, "waits");
                self.consumer.pause(&place)?;
            }
            Effect::Stop { place, stop } => {
                error!(view = V::NAME, %place, class = %stop.class, reason = stop.reason, "stands still");
                self.consumer.pause(&place)?;
            }
        }
        Ok(Vec::new())
    }

    fn positions(&mut self) -> Result<Vec<(TopicPartition, Offset)>> {
        let mut positions = Vec::new();
        for place in self.machine.running() {
            if let Some(position) = self.consumer.position(place)? {
                positions.push((place.clone(), position));
            }
        }
        Ok(positions)
    }

    fn tell(&mut self, event: Option<&GroupEvent>) {
        match event {
            Some(GroupEvent::Assigned(places)) => info!(view = V::NAME, ?places, "assigned"),
            Some(GroupEvent::Revoked(places)) => info!(view = V::NAME, ?places, "revoked"),
            Some(GroupEvent::Lost(places)) => warn!(view = V::NAME, ?places, "lost"),
            None => {}
        }
    }

    /// Keeps an error for the status, or passes it on if no retry can help.
    fn trouble(&mut self, error: Error, doing: &str) -> Result<()> {
        let error = error.context(format!("view {}: {doing}", V::NAME));
        if error.kind().retry() == Retry::No {
            return Err(error);
        }
        warn!(view = V::NAME, %error, "tries again");
        self.trouble = Some(error.to_string());
        Ok(())
    }

    /// Asks for the ends now and then. Nothing depends on them but the health.
    fn ask_ends(&mut self) {
        if !self.ends_asked.is_due((self.options.clock)(), self.options.ends_interval) {
            return;
        }
        self.ends.clear();
        for place in self.machine.status().into_keys() {
            match self.admin.bounds(&place, Isolation::ReadCommitted) {
                Ok(bounds) => drop(self.ends.insert(place, bounds.end)),
                Err(error) => debug!(view = V::NAME, %place, %error, "the end is not known"),
            }
        }
    }

    /// Counts what is parked, for the health and so that batches are not asked about in vain.
    fn count_parked(&mut self) {
        if !self.machine.has_parked() || !self.counts.is_due((self.options.clock)(), COUNT_INTERVAL) {
            return;
        }
        match self.sink.count_parked() {
            Ok(counts) => self.machine.parked_counted(&counts),
            Err(error) => debug!(view = V::NAME, %error, "what is parked was not counted"),
        }
    }

    fn publish(&mut self) {
        let mut places = self.machine.status();
        let now = (self.options.clock)();
        places.iter_mut().for_each(|(place, status)| status.end = self.ends.get(place).copied());
        let seen = places.iter().map(|(place, status)| (place.clone(), discriminant(&status.state), status.position));
        let since = self.clocks.see(seen, now);
        // Whoever has a partition is a member; the client is asked only by those without.
        let is_member = !places.is_empty() || self.consumer.membership().is_ok_and(|member| member.is_joined());
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        *status = ViewStatus {
            places,
            since,
            totals: self.machine.totals(),
            // The trouble of this step; the next one begins without.
            trouble: self.trouble.take(),
            joined: is_member.then(|| status.joined.unwrap_or(now)),
            turned: now,
            commit_seconds: self.commit_seconds,
            batch_records: self.batch_records,
        };
    }
}

/// Begins work on what is in hand.
fn begin<'a>(pulse: &'a Pulse, (place, first, records): (&TopicPartition, Offset, usize)) -> Working<'a> {
    pulse.begin(&place.topic, place.partition, first, records)
}
