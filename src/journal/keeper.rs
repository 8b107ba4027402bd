//! A sink that keeps states beside the journal's rows.

use super::{
    key,
    states::{self, KEPT_EVERY, Keeping, KeepingFold},
};
use crate::{environment::Environment, host::AggregateHost};
use factum_core::{
    Error, Result, TopicId, TopicPartition, Version,
    view::{Claim, Commit, CommitOutcome, LoadRequest, Loaded, Value, ViewTable},
};
use factum_views::{AroundSink, Database, Query, Rows, Sink};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tracing::warn;

/// Keeps the state of every aggregate at every [`KEPT_EVERY`]th version, before
/// the commit that has the event of that version. So whatever version is in the
/// journal, a state near by is kept.
///
/// A kept state follows from the log alone: one that is written before a commit
/// that fails is as good. What cannot be folded is told and not kept; the
/// journal goes on.
pub(super) struct StateKeeper {
    journal: Box<dyn Sink>,
    states: Box<dyn Sink>,
    rows: Arc<dyn Rows>,
    environment: Environment,
    hosts: Vec<Arc<dyn AggregateHost>>,
}

impl StateKeeper {
    /// Puts it around the journal's sink.
    pub(super) fn open(
        environment: &Environment,
        database: &Database,
        journal: Box<dyn Sink>,
        hosts: &[Arc<dyn AggregateHost>],
    ) -> Result<Self> {
        Ok(StateKeeper {
            journal,
            states: database.open(states::table()?)?,
            rows: database.rows(),
            environment: environment.clone(),
            hosts: hosts.to_vec(),
        })
    }

    fn keep(&mut self, commit: &Commit) -> Result<()> {
        let mut kept = Keeping::default();
        // The rows are in the order of their keys, so those of an aggregate are together.
        for run in commit.upserts.chunk_by(|(left, _), (right, _)| start_of(left) == start_of(right)) {
            let is_due = |(key, _): &&(String, Vec<Value>)| {
                key::version_of(key).is_some_and(|version| version.0.is_multiple_of(KEPT_EVERY))
            };
            let Some(last) = run.iter().rposition(|row| is_due(&row)) else { continue };
            match catch_unwind(AssertUnwindSafe(|| self.fold(commit, &run[..=last]))) {
                Ok(Ok(states)) => kept.append(states),
                Ok(Err(error)) => warn!(key = run[last].0, %error, "a state was not kept"),
                Err(_) => warn!(key = run[last].0, "a state was not kept: the fold panicked"),
            }
        }
        states::keep(&mut *self.states, kept)
    }

    /// The states to be kept of an aggregate, of which these rows are to be written.
    fn fold(&self, commit: &Commit, run: &[(String, Vec<Value>)]) -> Result<Keeping> {
        let Some(first) = run.first().and_then(|(key, _)| key::RowKey::parse(key)) else {
            return Ok(Keeping::default());
        };
        let topic = |host: &Arc<dyn AggregateHost>| self.environment.topics(host.aggregate_type()).events;
        let Some(host) = self.hosts.iter().find(|host| key::type_of(&topic(host)) == first.aggregate_type) else {
            return Ok(Keeping::default());
        };
        let events = topic(host);
        let topic_id = commit.moves.iter().find(|moved| moved.place.topic == events).map(|moved| moved.topic_id);
        let topic_id = topic_id.ok_or_else(|| Error::invalid(format!("{events} did not move")))?;
        let start = first.start();
        let before = Version(first.version.0.saturating_sub(1));
        let fold = host.fold(&self.environment)?;
        let mut fold = KeepingFold::begin(fold, &*self.rows, &start, topic_id, before)?;
        while fold.fold().version() < before {
            let page = payloads(&*self.rows, self.journal.table(), &start, fold.fold().version(), before)?;
            if page.is_empty() {
                return Err(Error::data(format!("the journal ends at version {}", fold.fold().version())));
            }
            for (version, payload) in page {
                fold.apply(version, &payload)?;
            }
        }
        let at = self.journal.table().columns().iter().position(|column| column.name == "payload");
        for (key, values) in run {
            if let (Some(version), Some(Value::Bytes(payload))) =
                (key::version_of(key), at.and_then(|at| values.get(at)))
            {
                fold.apply(version, payload)?;
            }
        }
        fold.into_kept(&*self.rows)
    }
}

/// The payloads of an aggregate's events from the version after `after` to `up_to`, a page of them.
fn payloads(
    rows: &dyn Rows,
    table: &ViewTable,
    start: &str,
    after: Version,
    up_to: Version,
) -> Result<Vec<(Version, Vec<u8>)>> {
    let (low, high) = (key::key_of(start, after), key::key_of(start, up_to));
    let filter = format!("key > {} and key <= {}", key::quoted(&low), key::quoted(&high));
    let query = Query::new(table).filtered(&filter)?.projected("key,payload")?.limited(1_000)?;
    let found = rows.page(&query)?.rows.into_iter();
    Ok(found
        .filter_map(|row| match <[Value; 2]>::try_from(row) {
            Ok([Value::Text(key), Value::Bytes(payload)]) => Some((key::version_of(&key)?, payload)),
            _ => None,
        })
        .collect())
}

fn start_of(key: &str) -> Option<&str> {
    key.rfind('/').map(|end| &key[..=end])
}

impl Sink for StateKeeper {
    fn database_id(&self) -> &str {
        self.journal.database_id()
    }

    fn table(&self) -> &ViewTable {
        self.journal.table()
    }

    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim> {
        self.journal.claim(place, topic_id)
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        self.journal.load(request)
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        self.keep(commit)?;
        self.journal.commit(commit)
    }

    fn rollback(&mut self) -> Result<()> {
        self.journal.rollback()
    }
}

impl AroundSink for StateKeeper {
    fn within<R>(&mut self, ask: impl FnOnce(&mut dyn Sink) -> Result<R>) -> Result<R> {
        ask(&mut *self.journal)
    }
}

impl fmt::Debug for StateKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateKeeper").field("journal", &self.journal).finish_non_exhaustive()
    }
}
