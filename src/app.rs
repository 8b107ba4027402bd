//! A program with every verb for a domain.

use crate::{
    cli,
    host::{AggregateHost, TransformHost, Typed, TypedTransform, TypedView, ViewHost},
    journal,
    sample::Sample,
};
use factum_core::{Aggregate, Error, Result, transform::Transform, view::View};
use factum_schemas::{AvroMessage, AvroSchema};
use factum_views::HandWritten;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, process::ExitCode, sync::Arc};

/// Begins a program of that name.
pub fn app(name: &'static str) -> App {
    App {
        name,
        aggregates: Vec::new(),
        views: Vec::new(),
        transforms: Vec::new(),
        journal: None,
        samples: Vec::new(),
        verbs: Vec::new(),
    }
}

/// A program that hosts aggregates and views.
pub struct App {
    pub(crate) name: &'static str,
    pub(crate) aggregates: Vec<Arc<dyn AggregateHost>>,
    pub(crate) views: Vec<Box<dyn ViewHost>>,
    pub(crate) transforms: Vec<Box<dyn TransformHost>>,
    /// The built-in view of all events; none in a program without aggregates.
    journal: Option<Box<dyn ViewHost>>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) verbs: Vec<OwnVerb>,
}

/// What a verb of the program's own does: it reads its flags, and gives the lines of its result.
pub type RunVerb = fn(&clap::ArgMatches, &mut dyn FnMut(&str)) -> Result<()>;

/// A verb of the program's own.
pub(crate) struct OwnVerb {
    pub(crate) command: clap::Command,
    pub(crate) run: RunVerb,
}

impl App {
    /// Hosts an aggregate type.
    #[must_use]
    pub fn aggregate<A>(mut self) -> Self
    where
        A: Aggregate + AvroSchema + Serialize + DeserializeOwned,
        A::Command: AvroMessage,
        A::Event: AvroMessage,
    {
        self.aggregates.push(Arc::new(Typed::<A>::default()));
        self.journal = Some(journal::host(&self.aggregates));
        self
    }

    /// Hosts a view.
    #[must_use]
    pub fn view<V>(mut self) -> Self
    where
        V: View,
        V::Event: AvroMessage,
    {
        self.views.push(Box::new(TypedView::<V>::default()));
        self
    }

    /// Hosts a view with SQL of its author's own in each of its transactions; `make` is called
    /// whenever the view is started.
    #[must_use]
    pub fn view_with<V>(mut self, make: impl Fn() -> Box<dyn HandWritten> + Send + Sync + 'static) -> Self
    where
        V: View,
        V::Event: AvroMessage,
    {
        self.views.push(Box::new(TypedView::<V>::alongside(Arc::new(make))));
        self
    }

    /// Hosts a transform: `up` and `transform NAME` republish the events of its input in its shape.
    #[must_use]
    pub fn transform<T>(mut self) -> Self
    where
        T: Transform,
        T::From: AvroMessage,
        T::To: AvroMessage,
    {
        self.transforms.push(Box::new(TypedTransform::<T>::default()));
        self
    }

    /// Adds commands that `up` publishes when it starts with an empty log: one sample for an aggregate type.
    #[must_use]
    pub fn sample(mut self, sample: Sample) -> Self {
        self.samples.push(sample);
        self
    }

    /// Adds a verb of the program's own. Its flags are no settings: no file and no variable sets them.
    #[must_use]
    pub fn verb(mut self, command: clap::Command, run: RunVerb) -> Self {
        self.verbs.push(OwnVerb { command, run });
        self
    }

    /// Reads the command line and does what it says.
    pub fn main(self) -> ExitCode {
        cli::main(Arc::new(self))
    }

    /// No view leaves out what a retired record stands for. One with an enum of its own lists those, too.
    ///
    /// # Errors
    /// `Invalid` names the view, the record and what to write.
    pub(crate) fn check(&self) -> Result<()> {
        for view in &self.views {
            let (records, known) = view.records();
            let inputs = self.aggregates.iter().filter(|host| view.inputs().contains(&host.aggregate_type()));
            let forgotten = inputs.flat_map(|host| host.retired_into(records)).find(|name| !known.contains(name));
            if let Some(name) = forgotten {
                return Err(Error::invalid(format!(
                    "view {} would leave out {name}, which stands for events that it folds: write \
                     `#[event(retired({}))]` on its enum of events",
                    view.name(),
                    name.rsplit('.').next().unwrap_or(name)
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn aggregate_host(&self, aggregate_type: &str) -> Result<&dyn AggregateHost> {
        self.aggregates.iter().find(|host| host.aggregate_type() == aggregate_type).map(|host| &**host).ok_or_else(
            || {
                let known: Vec<_> = self.aggregates.iter().map(|host| host.aggregate_type()).collect();
                Error::invalid(format!(
                    "there is no aggregate type {aggregate_type:?} here; there are {}",
                    known.join(", ")
                ))
            },
        )
    }

    /// The aggregate type of that name; without one the only one there is. `flag` is where to name it.
    pub(crate) fn only_aggregate(&self, name: Option<&str>, flag: &str) -> Result<&dyn AggregateHost> {
        match (name, &self.aggregates[..]) {
            (Some(name), _) => self.aggregate_host(name),
            (None, [only]) => Ok(&**only),
            (None, several) => {
                let known: Vec<_> = several.iter().map(|host| host.aggregate_type()).collect();
                Err(Error::invalid(format!("name one of {} with {flag}", known.join(", "))))
            }
        }
    }

    /// The built-in journal, unless the program has a view of that name.
    pub(crate) fn journal(&self) -> Option<&dyn ViewHost> {
        self.journal.as_deref().filter(|journal| self.views.iter().all(|host| host.name() != journal.name()))
    }

    pub(crate) fn view_host(&self, name: &str) -> Result<&dyn ViewHost> {
        let all = || self.views.iter().map(|host| &**host).chain(self.journal());
        all().find(|host| host.name() == name).ok_or_else(|| {
            let known: Vec<_> = all().map(|host| host.name()).collect();
            Error::invalid(format!("there is no view {name:?} here; there are {}", known.join(", ")))
        })
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}
