//! A view behind an object-safe interface.

use super::{Running, Stop, slowed::Slowed};
use crate::environment::Environment;
use factum_core::{
    Offset, Result, TopicPartition,
    view::{View, ViewTable},
};
use factum_handler::system_clock;
use factum_schemas::{AvroMessage, RecordCodec};
use factum_views::{Database, Filter, QueriedRow, ViewOptions, ViewRunner, ViewStatus};
use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

/// How far a view has come, for whoever waits for it.
#[derive(Debug, Clone)]
pub struct ViewProgress {
    /// The view's name.
    pub name: &'static str,
    /// The aggregate types that it reads.
    pub inputs: &'static [&'static str],
    /// Why it does not run, if it failed.
    pub failure: Option<String>,
    status: Arc<Mutex<ViewStatus>>,
}

impl ViewProgress {
    /// Of a view that has not begun.
    pub(crate) fn new(name: &'static str, inputs: &'static [&'static str]) -> Self {
        ViewProgress { name, inputs, failure: None, status: Arc::default() }
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
    fn inputs(&self) -> &'static [&'static str];

    /// Its table's name.
    ///
    /// # Errors
    /// `Invalid` when the name or the row type cannot be a table.
    fn table(&self) -> Result<ViewTable>;

    /// Starts it on a thread, with its rows in a database.
    ///
    /// # Errors
    /// `Invalid` when the database holds another table of this name; what log and registry say.
    fn start(&self, environment: &Environment, database: &Database, stop: &Stop) -> Result<(Running, ViewProgress)>;

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

    /// The rows that a filter lets through, by key; of a view that does not run as well.
    ///
    /// # Errors
    /// `Invalid` for a filter that names no column of the view.
    fn query(&self, database: &Database, filter: &str, limit: usize) -> Result<Vec<QueriedRow>>;
}

/// The host of a Rust type.
pub struct TypedView<V>(PhantomData<fn() -> V>);

impl<V> Default for TypedView<V> {
    fn default() -> Self {
        TypedView(PhantomData)
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

    fn inputs(&self) -> &'static [&'static str] {
        V::INPUTS
    }

    fn table(&self) -> Result<ViewTable> {
        ViewTable::of::<V>()
    }

    fn start(&self, environment: &Environment, database: &Database, stop: &Stop) -> Result<(Running, ViewProgress)> {
        start::<V>(environment, database, stop)
    }

    fn start_slowed(
        &self,
        environment: &Environment,
        database: &Database,
        stop: &Stop,
    ) -> Result<(Running, ViewProgress)> {
        start::<Slowed<V>>(environment, database, stop)
    }

    fn query(&self, database: &Database, filter: &str, limit: usize) -> Result<Vec<QueriedRow>> {
        let table = self.table()?;
        let filter = Filter::parse(filter, &table)?;
        database.open(table)?.query(&filter, limit)
    }
}

fn start<V: View>(environment: &Environment, database: &Database, stop: &Stop) -> Result<(Running, ViewProgress)>
where
    V::Event: AvroMessage,
{
    for input in V::INPUTS {
        environment.check_topics(input)?;
    }
    let codec = RecordCodec::<V::Event>::for_reading(&environment.schemas)?;
    let sink = database.open(ViewTable::of::<V>()?)?;
    let schemas = environment.schemas.clone();
    let mut options = ViewOptions::new(Arc::new(move |id| schemas.fetch(id)), system_clock);
    options.prefix.clone_from(&environment.prefix);
    let runner = ViewRunner::<V, _>::start(&*environment.log, codec, sink, options)?;
    let status = runner.status();
    let stop = stop.clone();
    let running = Running::spawn(V::NAME, move || runner.run(stop.flag()))?;
    Ok((running, ViewProgress { status, ..ViewProgress::new(V::NAME, V::INPUTS) }))
}
