//! A view behind an object-safe interface.

use super::{
    RedriveRequest, RedriveTally, RefoldRequest, RefoldTally, Running, Stop, redrive, refold,
    slowed::{self, Slowed},
    touched::{self, TouchedKeys},
    watchdog::{DEFAULT_DEADLINE, IS_FOUND, watch},
};
use crate::environment::Environment;
use factum_core::{
    Error, Message, Offset, Result, Throttle, TopicPartition,
    log::GroupProtocol,
    view::{Scope, View, ViewTable, view_group},
};
use factum_handler::system_clock;
use factum_schemas::{AvroMessage, RecordCodec, Retired};
use factum_views::{
    Database, HandWritten, RebuildOptions, RebuildPlace, Rebuilder, Sink, ViewOptions, ViewRunner, ViewStatus,
    yardstick::{self, Writing},
};
use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How an instance of a view belongs to the view's group.
#[derive(Debug, Clone)]
pub struct ViewMember {
    /// Names the instance among its peers; makes the member static if given.
    pub instance_id: Option<String>,
    /// How long a silent member keeps its partitions.
    pub session_timeout: Duration,
    /// How the members agree.
    pub protocol: GroupProtocol,
    /// How many events it takes a second.
    pub throttle: Throttle,
    /// How long the view's code may take for one batch before the process ends ([`super::STUCK_EXIT_CODE`]).
    pub deadline: Duration,
}

impl Default for ViewMember {
    fn default() -> Self {
        ViewMember {
            instance_id: None,
            session_timeout: Duration::from_secs(10),
            protocol: GroupProtocol::Classic,
            throttle: Throttle::default(),
            deadline: DEFAULT_DEADLINE,
        }
    }
}

/// How far a view has come, for whoever waits for it.
#[derive(Debug, Clone)]
pub struct ViewProgress {
    /// The view's name.
    pub name: &'static str,
    /// The aggregate types that it reads.
    pub inputs: Arc<[&'static str]>,
    /// Why it does not run, if it failed.
    pub failure: Option<String>,
    status: Arc<Mutex<ViewStatus>>,
}

impl ViewProgress {
    /// Of a view that has not begun.
    pub(crate) fn new(name: &'static str, inputs: &[&'static str]) -> Self {
        ViewProgress { name, inputs: inputs.into(), failure: None, status: Arc::default() }
    }

    /// All that is known of it.
    pub fn status(&self) -> ViewStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The position on each partition that this instance has.
    pub fn positions(&self) -> BTreeMap<TopicPartition, Offset> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.places.iter().filter_map(|(place, status)| Some((place.clone(), status.position?))).collect()
    }

    /// The first partition that stands still until somebody acts, and why.
    pub fn stopped(&self) -> Option<String> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status
            .stopped()
            .next()
            .map(|(place, stop)| format!("view {} at {place} stands still: {}", self.name, stop.reason))
    }
}

/// A view of a domain.
pub trait ViewHost: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// The aggregate types that it reads.
    fn inputs(&self) -> &[&'static str];

    /// The records that its events are made of, and those that it knows as retired.
    fn records(&self) -> (&'static [&'static str], Vec<&'static str>);

    /// The consumer group of its instances, without a deployment's prefix.
    fn group(&self) -> String;

    /// Whose rows its partitions feed.
    fn scope(&self) -> Scope;

    /// Its table's name.
    ///
    /// # Errors
    /// `Invalid` when the name or the row type cannot be a table.
    fn table(&self) -> Result<ViewTable>;

    /// Starts it on a thread, with its rows in a database.
    ///
    /// # Errors
    /// `Invalid` when the database holds another table of this name; what log and registry say.
    fn start(&self, environment: &Environment, database: &Database, stop: &Stop) -> Result<(Running, ViewProgress)> {
        self.start_as_member(environment, database, &ViewMember::default(), stop)
    }

    /// The same as a member of its group that is not as usual.
    ///
    /// # Errors
    /// As of [`ViewHost::start`].
    fn start_as_member(
        &self,
        environment: &Environment,
        database: &Database,
        member: &ViewMember,
        stop: &Stop,
    ) -> Result<(Running, ViewProgress)>;

    /// Starts the same view with a pause in each fold, under another name: for benchmarks.
    ///
    /// # Errors
    /// As of [`ViewHost::start`].
    fn start_slowed(
        &self,
        environment: &Environment,
        database: &Database,
        stop: &Stop,
    ) -> Result<(Running, ViewProgress)>;

    /// Begins to fold its log into tables beside the live ones.
    ///
    /// # Errors
    /// `Conflict` when somebody else builds it; else what log, registry and database say.
    fn rebuild(&self, environment: &Environment, database: &Database, options: RebuildOptions) -> Result<Rebuilder>;

    /// Projects the first events of its first input by the yardstick that it is measured against;
    /// events a second.
    ///
    /// # Errors
    /// `Invalid` for a database that is not in PostgreSQL; what log, registry and database say.
    fn project_bare(
        &self,
        environment: &Environment,
        database: &Database,
        writing: Writing,
        events: u64,
    ) -> Result<f64>;

    /// Which rows an event touches.
    ///
    /// # Errors
    /// `Invalid` when the view's events have no usable schema.
    fn touched_keys(&self, environment: &Environment) -> Result<TouchedKeys>;

    /// Folds rows of single aggregates again, while it is down; `progress` hears
    /// how much of how much was read.
    ///
    /// # Errors
    /// `Invalid`: its rows are not of one aggregate each; `Conflict`: it runs; what log and database say.
    fn refold(
        &self,
        environment: &Environment,
        sink: &mut dyn Sink,
        request: &RefoldRequest<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<RefoldTally>;

    /// Tries the records of a parked key again, in their order, whether the view
    /// runs or not; `progress` hears how many are done.
    ///
    /// # Errors
    /// `Conflict`: the key moved on; what log, registry and database say.
    fn redrive(
        &self,
        environment: &Environment,
        database: &Database,
        request: &RedriveRequest<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<RedriveTally>;
}

/// The host of a Rust type.
pub struct TypedView<V> {
    inputs: Vec<&'static str>,
    wrap: Option<Wrap>,
    hand_written: Option<MakeHandWritten>,
    view: PhantomData<fn() -> V>,
}

/// Puts a sink of its own around the one that a view was given.
pub(crate) type Wrap = Arc<dyn Fn(&Environment, &Database, Box<dyn Sink>) -> Result<Box<dyn Sink>> + Send + Sync>;

/// Makes the SQL that a view's author wrote by hand.
pub(crate) type MakeHandWritten = Arc<dyn Fn() -> Box<dyn HandWritten> + Send + Sync>;

impl<V: View> Default for TypedView<V> {
    fn default() -> Self {
        TypedView { inputs: V::INPUTS.to_vec(), wrap: None, hand_written: None, view: PhantomData }
    }
}

impl<V: View> TypedView<V> {
    /// One that reads these aggregate types, and writes through a sink around its own.
    pub(crate) fn reading(inputs: Vec<&'static str>, wrap: Wrap) -> Self {
        TypedView { inputs, wrap: Some(wrap), hand_written: None, view: PhantomData }
    }

    /// One with SQL written by hand in each of its transactions.
    pub(crate) fn alongside(make: MakeHandWritten) -> Self {
        TypedView { hand_written: Some(make), ..TypedView::default() }
    }

    /// Starts it, or a view that stands for it.
    fn start_as<W: View>(
        &self,
        environment: &Environment,
        database: &Database,
        options: ViewOptions,
        deadline: Duration,
        stop: &Stop,
    ) -> Result<(Running, ViewProgress)>
    where
        W::Event: AvroMessage,
    {
        let codec = self.codec::<W::Event>(environment)?;
        let sink = self.sink::<W>(environment, database)?;
        let runner = ViewRunner::<W, _>::start(environment.log.clone(), codec, sink, options)?;
        let status = runner.status();
        watch(W::NAME, runner.pulse(), deadline, IS_FOUND)?;
        let stop = stop.clone();
        let running = Running::spawn(W::NAME, move || runner.run(stop.flag()))?;
        Ok((running, ViewProgress { status, ..ViewProgress::new(W::NAME, &self.inputs) }))
    }

    /// Its sink, with everything that takes part in its transactions.
    fn sink<W: View>(&self, environment: &Environment, database: &Database) -> Result<Box<dyn Sink>> {
        let mut sink = database.open(ViewTable::of::<W>()?)?;
        if let Some(make) = &self.hand_written {
            sink.alongside(make())?;
        }
        match &self.wrap {
            Some(wrap) => wrap(environment, database, sink),
            None => Ok(sink),
        }
    }

    /// Checks what it reads, and reads it.
    fn codec<E: AvroMessage>(&self, environment: &Environment) -> Result<RecordCodec<E>> {
        for input in &self.inputs {
            environment.check_topics(input)?;
        }
        RecordCodec::<E>::for_reading(&environment.schemas)
    }

    fn options(&self, environment: &Environment) -> ViewOptions {
        let schemas = environment.schemas.clone();
        ViewOptions {
            prefix: environment.prefix.clone(),
            inputs: Some(self.inputs.iter().map(|input| (*input).to_owned()).collect()),
            ..ViewOptions::new(Arc::new(move |id| schemas.fetch(id)), system_clock)
        }
    }
}

impl<V: View> fmt::Debug for TypedView<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedView").field(&V::NAME).finish()
    }
}

impl<V> ViewHost for TypedView<V>
where
    V: View,
    V::Event: AvroMessage,
{
    fn name(&self) -> &'static str {
        V::NAME
    }

    fn inputs(&self) -> &[&'static str] {
        &self.inputs
    }

    fn records(&self) -> (&'static [&'static str], Vec<&'static str>) {
        (V::Event::RECORDS, V::Event::retired().iter().map(Retired::name).collect())
    }

    fn group(&self) -> String {
        view_group::<V>()
    }

    fn scope(&self) -> Scope {
        V::SCOPE
    }

    fn table(&self) -> Result<ViewTable> {
        ViewTable::of::<V>()
    }

    fn start_as_member(
        &self,
        environment: &Environment,
        database: &Database,
        member: &ViewMember,
        stop: &Stop,
    ) -> Result<(Running, ViewProgress)> {
        let options = ViewOptions {
            instance_id: member.instance_id.clone(),
            session_timeout: member.session_timeout,
            protocol: member.protocol,
            throttle: member.throttle.clone(),
            ..self.options(environment)
        };
        self.start_as::<V>(environment, database, options, member.deadline, stop)
    }

    fn start_slowed(
        &self,
        environment: &Environment,
        database: &Database,
        stop: &Stop,
    ) -> Result<(Running, ViewProgress)> {
        let options = ViewOptions { max_records: slowed::MAX_RECORDS, ..self.options(environment) };
        self.start_as::<Slowed<V>>(environment, database, options, DEFAULT_DEADLINE, stop)
    }

    fn rebuild(&self, environment: &Environment, database: &Database, options: RebuildOptions) -> Result<Rebuilder> {
        let wrap = |sink| match &self.wrap {
            Some(wrap) => wrap(environment, database, sink),
            None => Ok(sink),
        };
        let place = RebuildPlace { log: &*environment.log, open: &|table| database.open_rebuild(table), wrap: &wrap };
        Rebuilder::start::<V, _>(&place, self.codec::<V::Event>(environment)?, self.options(environment), options)
    }

    fn project_bare(
        &self,
        environment: &Environment,
        database: &Database,
        writing: Writing,
        events: u64,
    ) -> Result<f64> {
        let Database::Postgres(url) = database else {
            return Err(Error::invalid("the yardstick of views is a loop on PostgreSQL: give --views postgres://…"));
        };
        let codec = RecordCodec::<V::Event>::for_reading(&environment.schemas)?;
        // What the registry has beyond the program's own schemas, the first event asks for.
        let topic = environment.topics(self.inputs.first().copied().unwrap_or_default()).events;
        yardstick::project::<V, _>(&*environment.log, &topic, &codec, url, writing, events)
    }

    fn touched_keys(&self, environment: &Environment) -> Result<TouchedKeys> {
        touched::keys::<V>(environment)
    }

    fn refold(
        &self,
        environment: &Environment,
        sink: &mut dyn Sink,
        request: &RefoldRequest<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<RefoldTally> {
        refold::refold::<V>(environment, sink, request, progress)
    }

    fn redrive(
        &self,
        environment: &Environment,
        database: &Database,
        request: &RedriveRequest<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<RedriveTally> {
        let mut sink = self.sink::<V>(environment, database)?;
        redrive::redrive::<V>(environment, &mut *sink, request, progress)
    }
}
