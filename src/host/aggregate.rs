//! An aggregate type behind an object-safe interface.

use super::{
    Beside, Running, SnapshotTally, Stop, snapshots,
    watchdog::{DEFAULT_DEADLINE, IS_FOUND, watch},
};
use crate::environment::Environment;
use factum_core::{
    Aggregate, AggregateCodec, Error, Fingerprint, Message, RecordRef, Result, Throttle, TimestampMs, Version,
    handler::{AcceptLost, Granted, Handler, HandlerConfig, Snapshots},
    log::{GroupOptions, GroupProtocol, TransactionOptions},
    wire::EventHeader,
};
use factum_handler::{PausePoint, Surroundings, Worker, WorkerOptions, WorkerStatus};
use factum_schemas::{
    AnswerCodec, AvroMessage, AvroSchema, Codec, RecordCodec, Retired, Schema, newest_schema, newest_schemas,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// How a handler is run.
pub struct HandlerOptions {
    /// Names this process among its peers; makes the member static if given.
    pub instance_id: Option<String>,
    /// How long a silent member keeps its partitions.
    pub session_timeout: Duration,
    /// How the members agree.
    pub protocol: GroupProtocol,
    /// After so long the broker aborts a transaction that was left open.
    pub transaction_timeout: Duration,
    /// The permissions granted to commands.
    pub granted: Granted,
    /// Whether to go on without commands that were lost.
    pub accept_lost_commands: AcceptLost,
    /// The most commands in one transaction.
    pub max_batch_commands: Option<usize>,
    /// A checkpoint of a partition after so many events.
    pub checkpoint_every_events: Option<u64>,
    /// A snapshot of an aggregate after so many events.
    pub snapshot_every_events: Option<u64>,
    /// What the states in snapshots are good for.
    pub snapshots: Snapshots,
    /// How many commands are taken a second; workers with clones of it share it.
    pub throttle: Throttle,
    /// How long the domain's code may take for one batch before the process ends ([`super::STUCK_EXIT_CODE`]).
    pub deadline: Duration,
    /// For tests: called before each step of each transaction.
    pub pause_point: Option<PausePoint>,
}

impl Default for HandlerOptions {
    fn default() -> Self {
        HandlerOptions {
            instance_id: None,
            session_timeout: Duration::from_secs(10),
            protocol: GroupProtocol::Classic,
            transaction_timeout: Duration::from_secs(10),
            granted: Granted::Only(BTreeSet::new()),
            accept_lost_commands: AcceptLost::No,
            max_batch_commands: None,
            checkpoint_every_events: None,
            snapshot_every_events: None,
            snapshots: Snapshots::Used,
            throttle: Throttle::default(),
            deadline: DEFAULT_DEADLINE,
            pause_point: None,
        }
    }
}

impl fmt::Debug for HandlerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerOptions")
            .field("instance_id", &self.instance_id)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

/// A command's wire bytes from its record's name and JSON.
///
/// Errors: `Invalid` when there is no such record or the JSON does not fit it.
pub type CommandEncoder = Box<dyn Fn(&str, &serde_json::Value) -> Result<Vec<u8>> + Send>;

/// See [`AggregateHost::bare_step`].
pub type BareStep = Box<dyn FnMut(&[u8], &[u8], &mut Vec<u8>)>;

/// A fold of one aggregate's events.
pub trait Fold: Send {
    /// Takes an event record of the aggregate.
    ///
    /// # Errors
    /// `Data` when it cannot be decoded, `Unavailable` when its schema cannot be had.
    fn apply(&mut self, record: RecordRef<'_>) -> Result<()> {
        let version = EventHeader::read(record)?.version;
        let value = record.value().unwrap_or_default();
        self.apply_value(version, value).map_err(|error| error.context(format!("{record:?}")))
    }

    /// Takes the event of a version by its wire bytes.
    ///
    /// # Errors
    /// As [`Fold::apply`].
    fn apply_value(&mut self, version: Version, value: &[u8]) -> Result<()>;

    /// The state's schema and the fold's version, in short: a state that was
    /// kept under another one cannot be gone on from.
    fn fingerprint(&self) -> Fingerprint;

    /// The state as bytes.
    ///
    /// # Errors
    /// `Data` when it does not fit its schema.
    fn save(&self) -> Result<Vec<u8>>;

    /// Goes on from a state that was saved under the same fingerprint.
    ///
    /// # Errors
    /// `Data` when the bytes are none.
    fn restore(&mut self, version: Version, state: &[u8]) -> Result<()>;

    /// The state as JSON.
    ///
    /// # Errors
    /// `Data` when it does not fit its schema.
    fn state(&self) -> Result<serde_json::Value>;

    /// The aggregate's version.
    fn version(&self) -> Version;
}

/// An aggregate type of a domain.
pub trait AggregateHost: Send + Sync {
    /// Its name, for example `bank.account`.
    fn aggregate_type(&self) -> &'static str;

    /// The full names of its commands' records.
    fn commands(&self) -> &'static [&'static str];

    /// The full names of its events' records.
    fn events(&self) -> &'static [&'static str];

    /// The full names of the events' records that it had before: they are in the log and not written.
    fn retired_events(&self) -> Vec<&'static str>;

    /// Those of them that stand for one of these records today.
    fn retired_into(&self, records: &[&str]) -> Vec<&'static str>;

    /// The newest schemas of its commands and of its events.
    ///
    /// # Errors
    /// `Invalid` when a type has no usable schema.
    fn schemas(&self) -> Result<(Vec<Schema>, Vec<Schema>)>;

    /// The newest schema of its state.
    ///
    /// # Errors
    /// As [`AggregateHost::schemas`].
    fn state_schema(&self) -> Result<Schema>;

    /// An encoder of commands; registers their schemas.
    ///
    /// # Errors
    /// What the registry says.
    fn encoder(&self, environment: &Environment) -> Result<CommandEncoder>;

    /// A fold that begins with no event.
    ///
    /// # Errors
    /// What the registry says.
    fn fold(&self, environment: &Environment) -> Result<Box<dyn Fold>>;

    /// What the yardstick does with a command's key and value: the domain and
    /// the codec without the handler. Appends the event's wire bytes.
    ///
    /// # Errors
    /// What the registry says.
    fn bare_step(&self, environment: &Environment) -> Result<BareStep>;

    /// Runs one worker of the handler on this thread until it has committed
    /// so many events; returns the seconds from the first command to the last commit.
    ///
    /// # Errors
    /// As [`AggregateHost::start_handler`], and `Unavailable` when nothing moves for a while.
    fn drain(&self, environment: &Environment, options: HandlerOptions, events: u64) -> Result<f64>;

    /// Folds every state again from all events and writes new snapshots, in
    /// the handler's place; `progress` hears how far it is.
    ///
    /// # Errors
    /// `Conflict` while a handler runs; as [`AggregateHost::start_handler`].
    fn rebuild_snapshots(
        &self,
        environment: &Environment,
        stop: &Stop,
        progress: &mut dyn FnMut(&SnapshotTally),
    ) -> Result<SnapshotTally>;

    /// Folds every state from all events and writes it as the snapshots with
    /// which a handler of this program will begin, beside the handlers that
    /// run; `progress` hears how far it is.
    ///
    /// # Errors
    /// As [`AggregateHost::start_handler`]; `Invalid` when another one does the same.
    fn prepare_snapshots(
        &self,
        environment: &Environment,
        stop: &Stop,
        progress: &mut dyn FnMut(&SnapshotTally),
    ) -> Result<SnapshotTally>;

    /// Checks the topics and starts one worker of the handler on a thread.
    ///
    /// # Errors
    /// `Invalid` with every problem of the topics; what log and registry say.
    fn start_handler(
        &self,
        environment: &Environment,
        options: HandlerOptions,
        stop: &Stop,
    ) -> Result<(Running, Arc<Mutex<WorkerStatus>>)>;
}

/// The host of a Rust type.
pub struct Typed<A>(PhantomData<fn() -> A>);

impl<A> Default for Typed<A> {
    fn default() -> Self {
        Typed(PhantomData)
    }
}

impl<A: Aggregate> fmt::Debug for Typed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&A::TYPE).finish()
    }
}

impl<A> Typed<A>
where
    A: Aggregate + AvroSchema + Serialize + DeserializeOwned,
    A::Command: AvroMessage,
    A::Event: AvroMessage,
{
    /// Checks the topics and makes a worker of the handler.
    fn worker(environment: &Environment, options: HandlerOptions) -> Result<Worker<A, Codec<A>>> {
        let partitions = environment.check_topics(A::TYPE)?;
        let topics = environment.topics(A::TYPE);
        let codec = Codec::<A>::open(&environment.topics(A::TYPE), &environment.schemas)?;
        let answers = AnswerCodec::for_writing(topics.replies.as_str(), &environment.schemas)?;
        let group = environment.handler_group(A::TYPE);
        let member = options.instance_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut config = HandlerConfig::new(topics.clone(), partitions);
        // The topic tells the aggregate type; eight characters tell instances apart.
        let instance = options.instance_id.as_deref().unwrap_or_else(|| &member[..8]);
        config.source = format!("handler/{instance}/{}", env!("CARGO_PKG_VERSION"));
        config.hash_seed = uuid::Uuid::new_v4().as_u64_pair().0;
        config.granted = options.granted;
        config.snapshots = options.snapshots;
        config.accept_lost_commands = options.accept_lost_commands;
        config.max_batch_commands = options.max_batch_commands.unwrap_or(config.max_batch_commands);
        config.checkpoint_every_events = options.checkpoint_every_events.unwrap_or(config.checkpoint_every_events);
        config.snapshot_every_events = options.snapshot_every_events.unwrap_or(config.snapshot_every_events);
        let schemas = environment.schemas.clone();
        let worker_options = WorkerOptions {
            group: GroupOptions {
                group: group.clone(),
                topics: vec![topics.commands.clone()],
                instance_id: options.instance_id,
                session_timeout: options.session_timeout,
                protocol: options.protocol,
            },
            transaction: TransactionOptions {
                transactional_id: format!("{group}-{member}"),
                timeout: options.transaction_timeout,
            },
            fetch_schema: Arc::new(move |id| schemas.fetch(id)),
            encode_answer: Box::new(move |answer, into| answers.encode(answer, into)),
            surroundings: Surroundings::SYSTEM,
            throttle: options.throttle,
            pause_point: options.pause_point,
        };
        Worker::start(environment.log.clone(), Handler::new(config, codec), worker_options)
    }
}

impl<A> AggregateHost for Typed<A>
where
    A: Aggregate + AvroSchema + Serialize + DeserializeOwned,
    A::Command: AvroMessage,
    A::Event: AvroMessage,
{
    fn aggregate_type(&self) -> &'static str {
        A::TYPE
    }

    fn commands(&self) -> &'static [&'static str] {
        A::Command::RECORDS
    }

    fn events(&self) -> &'static [&'static str] {
        A::Event::RECORDS
    }

    fn retired_events(&self) -> Vec<&'static str> {
        A::Event::retired().iter().map(Retired::name).collect()
    }

    fn retired_into(&self, records: &[&str]) -> Vec<&'static str> {
        let retired = A::Event::retired();
        let mut found: Vec<&'static str> = Vec::new();
        // One may stand for another retired one, so once more for each that was found.
        while let Some(next) = retired.iter().find(|old| {
            let leads = |into: &&str| records.contains(into) || found.contains(into);
            !found.contains(&old.name()) && old.into_records().iter().any(leads)
        }) {
            found.push(next.name());
        }
        found
    }

    fn schemas(&self) -> Result<(Vec<Schema>, Vec<Schema>)> {
        Ok((newest_schemas::<A::Command>()?, newest_schemas::<A::Event>()?))
    }

    fn state_schema(&self) -> Result<Schema> {
        newest_schema::<A>()
    }

    fn encoder(&self, environment: &Environment) -> Result<CommandEncoder> {
        let topics = environment.topics(A::TYPE);
        let codec = RecordCodec::<A::Command>::for_writing(topics.commands.as_str(), &environment.schemas)?;
        Ok(Box::new(move |record, json| codec.encode_json(record, json)))
    }

    fn fold(&self, environment: &Environment) -> Result<Box<dyn Fold>> {
        let codec = Codec::<A>::open(&environment.topics(A::TYPE), &environment.schemas)?;
        Ok(Box::new(TypedFold { codec, environment: environment.clone(), state: A::default(), version: Version::NONE }))
    }

    fn bare_step(&self, environment: &Environment) -> Result<BareStep> {
        let codec = Codec::<A>::open(&environment.topics(A::TYPE), &environment.schemas)?;
        let mut states: HashMap<Vec<u8>, A> = HashMap::new();
        Ok(Box::new(move |key, value, event| {
            let Ok(command) = codec.decode_command(value) else { return };
            if !states.contains_key(key) {
                states.insert(key.to_vec(), A::default());
            }
            let Some(state) = states.get_mut(key) else { return };
            let Ok(events) = state.decide(command) else { return };
            for decided in &events {
                state.evolve(decided);
                // What cannot be encoded shows as an empty event.
                codec.encode_event(decided, event).unwrap_or_default();
            }
        }))
    }

    fn drain(&self, environment: &Environment, options: HandlerOptions, events: u64) -> Result<f64> {
        let mut worker = Self::worker(environment, options)?;
        let (mut first, mut last, mut moved) = (None, 0, Instant::now());
        while last < events {
            let before = Instant::now();
            worker.step(Duration::from_millis(100))?;
            let decided = worker.handler().stats().events;
            if decided > last {
                first.get_or_insert(before);
                (last, moved) = (decided, Instant::now());
            } else if moved.elapsed() > Duration::from_secs(60) {
                return Err(Error::unavailable(format!("{last} of {events} events were committed; nothing moves")));
            }
        }
        let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
        worker.close()?;
        Ok(seconds)
    }

    fn rebuild_snapshots(
        &self,
        environment: &Environment,
        stop: &Stop,
        progress: &mut dyn FnMut(&SnapshotTally),
    ) -> Result<SnapshotTally> {
        let partitions = environment.check_topics(A::TYPE)?;
        environment.check_no_handler(A::TYPE)?;
        let options = HandlerOptions {
            snapshots: Snapshots::FoldedAgain,
            // Every partition with an event writes its checkpoint.
            checkpoint_every_events: Some(1),
            ..HandlerOptions::default()
        };
        snapshots::write(Self::worker(environment, options)?, partitions, stop, progress)
    }

    fn prepare_snapshots(
        &self,
        environment: &Environment,
        stop: &Stop,
        progress: &mut dyn FnMut(&SnapshotTally),
    ) -> Result<SnapshotTally> {
        let partitions = environment.check_topics(A::TYPE)?;
        let beside = Environment { log: Arc::new(Beside::new(environment.log.clone())), ..environment.clone() };
        let options = HandlerOptions {
            snapshots: Snapshots::Prepared,
            checkpoint_every_events: Some(1),
            // One at a time: the transactional id is that of all who prepare.
            instance_id: Some("prepare".to_owned()),
            ..HandlerOptions::default()
        };
        snapshots::write(Self::worker(&beside, options)?, partitions, stop, progress)
    }

    fn start_handler(
        &self,
        environment: &Environment,
        options: HandlerOptions,
        stop: &Stop,
    ) -> Result<(Running, Arc<Mutex<WorkerStatus>>)> {
        let deadline = options.deadline;
        let worker = Self::worker(environment, options)?;
        watch(A::TYPE, worker.pulse(), deadline, IS_FOUND)?;
        let status = worker.status();
        let stop = stop.clone();
        let running = Running::spawn(&environment.handler_group(A::TYPE), move || worker.run(stop.flag()))?;
        Ok((running, status))
    }
}

struct TypedFold<A: Aggregate> {
    codec: Codec<A>,
    environment: Environment,
    state: A,
    version: Version,
}

impl<A> Fold for TypedFold<A>
where
    A: Aggregate + AvroSchema + Serialize + DeserializeOwned,
    A::Command: AvroMessage,
    A::Event: AvroMessage,
{
    fn apply_value(&mut self, version: Version, value: &[u8]) -> Result<()> {
        let events = self.environment.schemas.with_schema(|| self.codec.decode_event(value))?;
        events.as_slice().iter().for_each(|event| self.state.evolve(event));
        self.version = version;
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        self.codec.fingerprint()
    }

    fn save(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.codec.encode_state(&self.state, &mut bytes)?;
        Ok(bytes)
    }

    fn restore(&mut self, version: Version, state: &[u8]) -> Result<()> {
        self.state = self.codec.decode_state(state)?;
        self.version = version;
        Ok(())
    }

    fn state(&self) -> Result<serde_json::Value> {
        self.codec.state_to_json(&self.state)
    }

    fn version(&self) -> Version {
        self.version
    }
}

/// A timestamp as RFC 3339 text, always with milliseconds: columns stay as wide.
pub(crate) fn rfc3339(time: TimestampMs) -> String {
    jiff::Timestamp::from_millisecond(time.0).map_or_else(|_| time.0.to_string(), |time| format!("{time:.3}"))
}
