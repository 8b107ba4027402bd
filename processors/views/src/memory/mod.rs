//! A sink in memory: for tests, and for views that are folded anew at each start.

mod in_hand;
mod parked;
mod rebuild;
mod resets;

use crate::{Build, Page, Progress, Query, Rebuild as _, Rows, Sink, evaluate, rows::never_built};
use factum_core::{
    AggregateId, Error, Offset, Result, Topic, TopicId, TopicPartition,
    view::{
        Claim, Commit, CommitOutcome, Compare, LastEvent, LoadRequest, Loaded, Parked, RowLocking, Value, ViewTable,
    },
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A database in memory. Its clones are the same database.
#[derive(Debug, Clone)]
pub struct MemoryDatabase {
    id: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tables: BTreeMap<String, Table>,
    /// What is not built to its end, with the name of the live table.
    builds: Vec<(String, Build)>,
    /// What is being built now, by the name of the live table.
    locked: BTreeMap<String, Build>,
    /// The live table that a sink holds still.
    frozen: Option<String>,
}

impl MemoryDatabase {
    /// An empty database. Its id tells it from every other one, also of earlier processes.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        MemoryDatabase { id: id.into(), state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone)]
struct Table {
    table: ViewTable,
    /// The rows, each with the number of the commit that wrote it.
    rows: BTreeMap<String, (u64, Vec<Value>)>,
    last: BTreeMap<(Topic, AggregateId), LastEvent>,
    progress: BTreeMap<TopicPartition, Claim>,
    /// What was begun: from which position, and how often.
    in_hand: BTreeMap<TopicPartition, (Offset, u32)>,
    /// What an operator had the view leave out.
    skipped: BTreeMap<TopicPartition, Vec<Range<Offset>>>,
    parked: BTreeMap<(Topic, AggregateId, Offset), Parked>,
    /// The version of the fold that made the rows.
    fold_version: u32,
    /// The sink that holds the view's lock.
    reviewer: Option<u64>,
    /// Sinks that were opened.
    sinks: u64,
    commits: u64,
}

/// A view in a [`MemoryDatabase`]. Shared rows are not locked but compared: a
/// commit over a row that has changed since it was loaded answers
/// [`CommitOutcome::RowsChanged`].
#[derive(Debug)]
pub struct MemorySink {
    database: MemoryDatabase,
    table: ViewTable,
    /// Tells it from the other sinks of this table.
    number: u64,
    /// What was loaded to be locked: keys, and the commits that wrote the rows.
    loaded: Vec<(String, Option<u64>)>,
    /// A progress row that must be so at the next commit.
    held: Option<(TopicPartition, Option<Claim>)>,
    /// The live table whose view this sink has locked.
    locked: Option<String>,
    /// This sink's table as it was when it began to hold the live one still.
    before: Option<Table>,
}

impl MemorySink {
    /// Opens a view's tables, making those that are missing.
    ///
    /// # Errors
    /// `Invalid`: the table exists with other columns.
    pub fn open(database: &MemoryDatabase, table: ViewTable) -> Result<Self> {
        let mut sink = MemorySink {
            database: database.clone(),
            table: table.clone(),
            number: 0,
            loaded: Vec::new(),
            held: None,
            locked: None,
            before: None,
        };
        let mut state = database.lock();
        let found = state.tables.entry(table.name()).or_insert_with(|| Table {
            table: table.clone(),
            rows: BTreeMap::new(),
            last: BTreeMap::new(),
            progress: BTreeMap::new(),
            in_hand: BTreeMap::new(),
            skipped: BTreeMap::new(),
            parked: BTreeMap::new(),
            fold_version: table.fold_version(),
            reviewer: None,
            sinks: 0,
            commits: 0,
        });
        if found.table.columns() != table.columns() {
            return Err(Error::invalid(format!(
                "table {} has other columns than view {}: raise its View::VERSION",
                table.name(),
                table.view()
            )));
        }
        found.sinks += 1;
        sink.number = found.sinks;
        drop(state);
        Ok(sink)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.database.lock()
    }

    fn with<T>(&self, run: impl FnOnce(&mut Table) -> T) -> Result<T> {
        let name = self.table.name();
        let mut state = self.state();
        let table = state.tables.get_mut(&name);
        Ok(run(table.ok_or_else(|| Error::invalid(format!("table {name} is not there any more")))?))
    }

    /// The same for a change, which waits while another sink holds the table still.
    fn change<T>(&self, run: impl FnOnce(&mut Table) -> T) -> Result<T> {
        let name = self.table.name();
        if self.before.is_none() && self.state().frozen.as_ref() == Some(&name) {
            return Err(Error::unavailable(format!("table {name} is held still by a rebuild")));
        }
        self.with(run)
    }
}

impl Drop for MemorySink {
    fn drop(&mut self) {
        // A connection that ends gives its locks back.
        self.thaw().unwrap_or_default();
        self.rollback().unwrap_or_default();
        if let Some(locked) = self.locked.take() {
            self.state().locked.remove(&locked);
        }
    }
}

impl Sink for MemorySink {
    fn database_id(&self) -> &str {
        &self.database.id
    }

    fn table(&self) -> &ViewTable {
        &self.table
    }

    fn claim(&mut self, place: &TopicPartition, topic_id: TopicId) -> Result<Claim> {
        self.change(|table| {
            let new = Claim { topic_id, epoch: 0, position: Offset(0), tries: 0 };
            let row = table.progress.entry(place.clone()).or_insert(new);
            row.epoch += 1;
            let marked = table.in_hand.get(place).filter(|(position, _)| *position == row.position);
            Claim { tries: marked.map_or(0, |(_, tries)| *tries), ..*row }
        })
    }

    fn load(&mut self, request: &LoadRequest) -> Result<Loaded> {
        let (loaded, locked) = self.with(|table| {
            let found: Vec<_> = request.keys.iter().map(|key| table.rows.get(key)).collect();
            let locked: Vec<(String, Option<u64>)> = match request.locking {
                RowLocking::Unlocked => Vec::new(),
                RowLocking::Locked => {
                    let commits = found.iter().map(|row| row.map(|(commit, _)| *commit));
                    request.keys.iter().cloned().zip(commits).collect()
                }
            };
            let last = request.aggregates.iter().map(|key| table.last.get(key).copied().unwrap_or_default());
            let loaded = Loaded {
                rows: found.into_iter().map(|row| row.map(|(_, values)| values.clone())).collect(),
                last: last.collect(),
                parked: request
                    .may_be_parked
                    .iter()
                    .copied()
                    .filter(|number| parked::is_parked(table, &request.aggregates[*number]))
                    .collect(),
            };
            (loaded, locked)
        })?;
        self.loaded = locked;
        Ok(loaded)
    }

    fn commit(&mut self, commit: &Commit) -> Result<CommitOutcome> {
        let loaded = std::mem::take(&mut self.loaded);
        let held = self.held.take();
        self.change(|table| {
            let mut lost = Vec::new();
            for moved in &commit.moves {
                let held = table.progress.get(&moved.place).is_some_and(|row| match commit.compare {
                    Compare::Nothing => true,
                    Compare::EpochAndPosition => row.epoch == moved.epoch && row.position == moved.from,
                });
                if !held {
                    lost.push(moved.place.clone());
                }
            }
            if !lost.is_empty() {
                return CommitOutcome::ClaimLost(lost);
            }
            if loaded.iter().any(|(key, wrote)| table.rows.get(key).map(|(commit, _)| *commit) != *wrote) {
                return CommitOutcome::RowsChanged;
            }
            let is_held = held.is_none_or(|(place, row)| table.progress.get(&place) == row.as_ref());
            if !is_held || !parked::is_as_read(table, &commit.parking) {
                return CommitOutcome::RowsChanged;
            }
            parked::park(table, &commit.parking);
            for moved in &commit.moves {
                if let Some(row) = table.progress.get_mut(&moved.place) {
                    (row.position, row.topic_id) = (moved.to, moved.topic_id);
                }
            }
            table.commits += 1;
            for (key, values) in &commit.upserts {
                table.rows.insert(key.clone(), (table.commits, values.clone()));
            }
            for key in &commit.deletes {
                table.rows.remove(key);
            }
            for mark in &commit.watermarks {
                table.last.insert((mark.topic.clone(), mark.aggregate.clone()), mark.last);
            }
            CommitOutcome::Committed
        })
    }

    fn rollback(&mut self) -> Result<()> {
        self.loaded.clear();
        self.held = None;
        let me = self.number;
        if let Some(table) = self.state().tables.get_mut(&self.table.name()) {
            table.reviewer = table.reviewer.filter(|reviewer| *reviewer != me);
        }
        Ok(())
    }
}

impl Rows for MemoryDatabase {
    fn page(&self, query: &Query) -> Result<Page> {
        let state = self.lock();
        let table = state.tables.get(&query.table().name()).ok_or_else(|| never_built(query.table(), "memory"))?;
        let row = |(key, (_, values)): (&String, &(u64, Vec<Value>))| {
            std::iter::once(Value::Text(key.clone())).chain(values.iter().cloned()).collect()
        };
        evaluate(query, table.rows.iter().map(row))
    }

    fn progress(&self, table: &ViewTable) -> Result<Vec<Progress>> {
        let state = self.lock();
        let found = state.tables.get(&table.name()).ok_or_else(|| never_built(table, "memory"))?;
        let progress = found.progress.iter().map(|(place, claim)| Progress {
            place: place.clone(),
            topic_id: claim.topic_id,
            position: claim.position,
        });
        Ok(progress.collect())
    }
}
