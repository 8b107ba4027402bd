//! A transform behind an object-safe interface.

use super::{
    HandlerOptions, Running, Stop,
    watchdog::{DEFAULT_DEADLINE, watch},
};
use crate::environment::Environment;
use factum_core::{
    Error, Message, Offset, Result, Throttle, Topic, TopicPartition,
    log::{CommitOffset, GroupOptions, GroupProtocol, Isolation, TransactionOptions},
    transform::{Transform, output_topic, remedy, transform_group},
};
use factum_handler::{PausePoint, Surroundings};
use factum_schemas::{AvroMessage, RecordCodec};
use factum_transform::{TransformOptions, TransformRunner, TransformStatus};
use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What somebody can do whose transform does not go on.
pub(crate) const MEANWHILE: &str = "`up --no-transforms` runs everything else meanwhile";

/// The most events of one transaction.
const MAX_RECORDS: usize = 1_000;

/// How an instance of a transform belongs to the transform's group.
pub struct TransformMember {
    /// Names the instance among its peers; makes the member static if given.
    pub instance_id: Option<String>,
    /// How long a silent member keeps its partitions.
    pub session_timeout: Duration,
    /// After this time the log aborts a transaction that was left open.
    pub transaction_timeout: Duration,
    /// How the members agree.
    pub protocol: GroupProtocol,
    /// How many events it takes a second.
    pub throttle: Throttle,
    /// How long the transform's code may take for one event before the process ends ([`super::STUCK_EXIT_CODE`]).
    pub deadline: Duration,
    /// For tests: called before each step of each transaction.
    pub pause_point: Option<PausePoint>,
}

impl Default for TransformMember {
    fn default() -> Self {
        let as_handler = HandlerOptions::default();
        TransformMember {
            instance_id: None,
            session_timeout: as_handler.session_timeout,
            transaction_timeout: as_handler.transaction_timeout,
            protocol: GroupProtocol::Classic,
            throttle: Throttle::default(),
            deadline: DEFAULT_DEADLINE,
            pause_point: None,
        }
    }
}

impl fmt::Debug for TransformMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformMember").field("instance_id", &self.instance_id).finish_non_exhaustive()
    }
}

/// How far a transform has come, for whoever waits for it.
#[derive(Debug, Clone)]
pub struct TransformProgress {
    /// The transform's name.
    pub name: &'static str,
    /// The aggregate type whose events it republishes.
    pub input: &'static str,
    status: Arc<Mutex<TransformStatus>>,
}

impl TransformProgress {
    /// All that is known of it.
    pub fn status(&self) -> TransformStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The offset behind what was republished, on each partition that this instance has.
    pub fn positions(&self) -> BTreeMap<TopicPartition, Offset> {
        let places = self.status().places;
        places.into_iter().filter_map(|(place, status)| Some((place, status.position?))).collect()
    }

    /// What became of the events since the start, in one line.
    pub fn tally(&self) -> String {
        let totals = self.status().totals;
        let (read, written, skipped) = (totals.read, totals.written, totals.skipped);
        format!("{}: {read} events became {written} records, {skipped} were left out", self.name)
    }

    /// The first partition that stands still until somebody acts, and why.
    pub fn stopped(&self) -> Option<String> {
        let status = self.status();
        let stopped = status.stopped().next();
        stopped.map(|(place, stop)| format!("transform {} at {place} stands still: {}", self.name, stop.reason))
    }
}

/// A transform of a domain.
pub trait TransformHost: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// The aggregate type whose events it republishes.
    fn input(&self) -> &'static str;

    /// The topic that it writes, in a deployment whose names begin with `prefix`.
    fn output(&self, prefix: &str) -> Topic;

    /// The consumer group of its instances in that deployment.
    fn group(&self, prefix: &str) -> String;

    /// The full names of the records that it writes.
    fn records(&self) -> &'static [&'static str];

    /// Checks the topics, registers the schemas of what it writes, and starts it on a thread.
    ///
    /// # Errors
    /// `Invalid` with every problem of the topics; what log and registry say.
    fn start(
        &self,
        environment: &Environment,
        member: TransformMember,
        stop: &Stop,
    ) -> Result<(Running, TransformProgress)>;
}

/// Where a group has to come to, to have republished what is in the log now.
///
/// # Errors
/// What the log says.
pub(crate) fn ends(environment: &Environment, host: &dyn TransformHost) -> Result<Vec<CommitOffset>> {
    let mut admin = environment.log.admin()?;
    let places = admin.partitions(&environment.topics(host.input()).events)?;
    let ends = places.into_iter().map(|place| {
        let offset = admin.bounds(&place, Isolation::ReadCommitted)?.end;
        Ok(CommitOffset { place, offset, metadata: String::new() })
    });
    ends.collect()
}

/// The first partition whose group has not come to its end, whichever process has it.
///
/// # Errors
/// What the log says.
pub(crate) fn behind<'a>(
    environment: &Environment,
    host: &dyn TransformHost,
    ends: &'a [CommitOffset],
) -> Result<Option<&'a CommitOffset>> {
    let places: Vec<_> = ends.iter().map(|end| end.place.clone()).collect();
    let committed = environment.log.admin()?.group_offsets(&host.group(&environment.prefix), &places)?;
    let is_behind = |end: &&CommitOffset| {
        let found = committed.iter().find(|(place, _)| *place == end.place);
        end.offset.0 > 0 && found.is_none_or(|(_, committed)| committed.offset < end.offset)
    };
    Ok(ends.iter().find(is_behind))
}

/// The host of a Rust type.
pub struct TypedTransform<T>(PhantomData<fn() -> T>);

impl<T> Default for TypedTransform<T> {
    fn default() -> Self {
        TypedTransform(PhantomData)
    }
}

impl<T: Transform> fmt::Debug for TypedTransform<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedTransform").field(&T::NAME).finish()
    }
}

impl<T> TransformHost for TypedTransform<T>
where
    T: Transform,
    T::From: AvroMessage,
    T::To: AvroMessage,
{
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn input(&self) -> &'static str {
        T::INPUT
    }

    fn output(&self, prefix: &str) -> Topic {
        output_topic::<T>(prefix)
    }

    fn group(&self, prefix: &str) -> String {
        transform_group::<T>(prefix)
    }

    fn records(&self) -> &'static [&'static str] {
        T::To::RECORDS
    }

    fn start(
        &self,
        environment: &Environment,
        member: TransformMember,
        stop: &Stop,
    ) -> Result<(Running, TransformProgress)> {
        environment.check_output(self)?;
        let (group, output) = (self.group(&environment.prefix), self.output(&environment.prefix));
        let from = RecordCodec::<T::From>::for_reading(&environment.schemas)?;
        let to = RecordCodec::<T::To>::for_writing(output.as_str(), &environment.schemas)?;
        let name = member.instance_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let schemas = environment.schemas.clone();
        let options = TransformOptions {
            group: GroupOptions {
                group: group.clone(),
                topics: vec![environment.topics(T::INPUT).events],
                instance_id: member.instance_id,
                session_timeout: member.session_timeout,
                protocol: member.protocol,
            },
            transaction: TransactionOptions {
                transactional_id: format!("{group}-{name}"),
                timeout: member.transaction_timeout,
            },
            max_records: MAX_RECORDS,
            throttle: member.throttle,
            fetch_schema: Arc::new(move |id| schemas.fetch(id)),
            surroundings: Surroundings::SYSTEM,
            pause_point: member.pause_point,
        };
        let runner = TransformRunner::<T, _, _>::start(environment.log.clone(), (from, to), output, options)?;
        // It is found at once and every time: nothing but a person can leave it out.
        let then = format!("the process ends, and nothing was left out; {}; {MEANWHILE}", remedy::<T>());
        watch(&format!("transform {}", T::NAME), runner.pulse(), member.deadline, then)?;
        let progress = TransformProgress { name: T::NAME, input: T::INPUT, status: runner.status() };
        let stop = stop.clone();
        let running = Running::spawn(&group, move || runner.run(stop.flag()))?;
        Ok((running, progress))
    }
}

/// The transform of that name.
///
/// # Errors
/// `Invalid` with the names that there are.
pub(crate) fn named<'a>(transforms: &'a [Box<dyn TransformHost>], name: &str) -> Result<&'a dyn TransformHost> {
    transforms.iter().find(|host| host.name() == name).map(|host| &**host).ok_or_else(|| {
        let known: Vec<_> = transforms.iter().map(|host| host.name()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::invalid(format!("there is no transform {name:?} here; there is {known}"))
    })
}
