//! The driver of a rebuild.

use super::{
    AsOf, Build, OLD, Parity, REBUILD, Rebuild, Rename, Target,
    bounded::{BoundedConsumer, Bounds},
    shared::Shared,
    target::Goal,
};
use crate::{Progressed, Sink, ViewOptions, ViewRunner, ViewStatus};
use factum_core::{
    Error, ErrorKind, MessageCodec, Offset, Rate, Result, TopicPartition,
    log::{Admin, Isolation, Log},
    view::{Focus, PlaceState, Sample, View, ViewTable},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Between two looks at where the live view is.
const LOOK: Duration = Duration::from_millis(100);
/// What is left at most when the live view is held still, so that it stands only for a moment.
const CLOSE_RECORDS: u64 = 1_000;
/// How long the live view is held still at most while the rest is folded.
const LAST_STEPS: Duration = Duration::from_secs(4);
/// Waiting for a record in one step.
const STEP: Duration = Duration::from_millis(20);

/// What is built, and how.
#[derive(Debug, Clone)]
pub struct RebuildOptions {
    /// The suffix of the tables that are written.
    pub suffix: String,
    /// Up to where.
    pub target: Target,
    /// Only these rows are folded and compared.
    pub sample: Option<Sample>,
    /// Whether what an earlier process left is thrown away. Else it is gone on
    /// with, if it is the same that was begun.
    pub anew: bool,
    /// Events a second at most; none for no limit.
    pub rate: Option<NonZeroU32>,
    /// Who builds, to be told to whoever wants to build as well.
    pub owner: String,
}

impl RebuildOptions {
    /// What is built, in words that are the same when it is gone on with.
    fn what(&self, live: &ViewTable) -> String {
        let what = match self.target {
            Target::Live => "up to the live view".to_owned(),
            Target::Past(AsOf::Recorded(time)) => format!("as recorded by {} ms", time.0),
            Target::Past(AsOf::Occurred(time)) => format!("as occurred by {} ms", time.0),
        };
        // Rows of another fold would not fit to those that are folded now.
        let what = format!("{what}, fold {}", live.fold_version());
        self.sample.map_or_else(|| what.clone(), |sample| format!("{what}, {sample:?}"))
    }
}

/// How far a rebuild is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RebuildProgress {
    /// Offsets that were folded, of all partitions together, also by earlier processes.
    pub done: u64,
    /// Offsets that are to be folded; grows with the live view.
    pub total: u64,
    /// Events that this process has folded.
    pub applied: u64,
    /// Aggregates with an event that could not be folded, left aside with their later ones.
    pub parked: u64,
    /// What it waits for, if it does.
    pub waits: Option<String>,
}

/// Folds a view's log into tables beside the live ones. It reads the log by
/// itself, so that the live view's group is left alone, and keeps its progress
/// as a live view does, so that another process goes on where it ended.
pub struct Rebuilder {
    runner: Box<dyn Runner>,
    status: Arc<Mutex<ViewStatus>>,
    sink: Shared,
    /// Has the view's lock, on a connection of its own.
    holder: Box<dyn Rebuild>,
    admin: Box<dyn Admin>,
    bounds: Bounds,
    places: Vec<TopicPartition>,
    goal: Goal,
    live: ViewTable,
    options: RebuildOptions,
    /// Events that were folded while the live view was held still, and rolled back with that.
    undone: u64,
}

impl fmt::Debug for Rebuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rebuilder")
            .field("view", &self.live.view())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A runner of any view.
trait Runner: Send {
    fn step(&mut self, timeout: Duration) -> Result<Progressed>;
}

impl<V: View, C: MessageCodec<V::Event> + Send> Runner for ViewRunner<V, C> {
    fn step(&mut self, timeout: Duration) -> Result<Progressed> {
        ViewRunner::step(self, timeout)
    }
}

/// Where a rebuild reads and writes.
pub struct RebuildPlace<'a> {
    /// The view's log.
    pub log: &'a dyn Log,
    /// Opens tables of the view in its database.
    pub open: &'a dyn Fn(ViewTable) -> Result<Box<dyn Rebuild>>,
    /// Puts around the new table's sink what is around the live one's.
    pub wrap: &'a dyn Fn(Box<dyn Sink>) -> Result<Box<dyn Sink>>,
}

impl fmt::Debug for RebuildPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RebuildPlace").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Rebuilder {
    /// Takes the view's lock and makes the tables, or finds them half built.
    /// The view is read as `view` says.
    ///
    /// # Errors
    /// `Conflict`: the view is being built by somebody else, or tables are in
    /// the way. Else what log and sink say.
    pub fn start<V: View, C: MessageCodec<V::Event> + Send + 'static>(
        place: &RebuildPlace<'_>,
        codec: C,
        view: ViewOptions,
        options: RebuildOptions,
    ) -> Result<Self> {
        let RebuildPlace { log, open, wrap } = place;
        let live = ViewTable::of::<V>()?;
        let table = live.beside(&options.suffix)?;
        let mut holder = open(live.clone())?;
        let build = Build { table: table.name(), what: options.what(&live), owner: options.owner.clone() };
        let before = holder.lock(&live, &build)?;
        let goes_on = before.is_some_and(|before| before.what == build.what);
        if holder.exists(&table)? && (options.anew || !goes_on) {
            if matches!(options.target, Target::Past(_)) && !options.anew {
                holder.unlock(&live)?;
                return Err(in_the_way(&table, "choose another suffix, or drop it with `factum views drop`"));
            }
            holder.drop_table(&table)?;
        }
        let old = live.beside(OLD)?;
        if options.suffix == REBUILD && holder.exists(&old)? {
            holder.unlock(&live)?;
            let view = live.view();
            return Err(in_the_way(
                &old,
                &format!(
                    "the last rebuild keeps them; drop them with `factum views drop-old {view}`, or go back to them \
                     with `factum views rollback {view}`"
                ),
            ));
        }
        // Nobody waits for a row of it, so that fewer and larger transactions cost nothing.
        let max_records = if options.rate.is_none() { view.max_records * 4 } else { view.max_records };
        let view = ViewOptions { max_records, ..view };
        let mut admin = log.admin()?;
        let mut places = Vec::new();
        for topic in view.topics::<V>() {
            places.extend(admin.partitions(&topic)?);
        }
        let goal = goal(&mut *admin, &places, &mut *holder, &live, options.target)?;
        let bounds = Bounds::new(places.iter().cloned(), Rate::new(options.rate));
        bounds.set(&goal.ends);
        let consumer = BoundedConsumer::new(log.reader(Isolation::ReadCommitted)?, bounds.clone());
        let sink = Shared::new(open(table)?);
        let focus = Focus {
            occurred_by: match options.target {
                Target::Past(AsOf::Occurred(time)) => Some(time),
                _ => None,
            },
            sample: options.sample,
        };
        let inner = wrap(Box::new(sink.clone()))?;
        let runner = ViewRunner::<V, C>::outside_group(Box::new(consumer), log.admin()?, codec, inner, focus, view)?;
        let status = runner.status();
        Ok(Rebuilder {
            runner: Box::new(runner),
            status,
            sink,
            holder,
            admin,
            bounds,
            places,
            goal,
            live,
            options,
            undone: 0,
        })
    }

    /// Folds until it is close to its target, or `stop` is set; answers whether it is.
    ///
    /// # Errors
    /// What stops a partition, and what no retry helps with.
    pub fn fold(&mut self, stop: &AtomicBool, tell: &mut dyn FnMut(&RebuildProgress)) -> Result<bool> {
        let mut looked: Option<Instant> = None;
        while !stop.load(Ordering::Relaxed) {
            self.runner.step(STEP)?;
            if looked.is_some_and(|looked| looked.elapsed() < LOOK) {
                continue;
            }
            looked = Some(Instant::now());
            if self.options.target == Target::Live {
                self.goal = goal(&mut *self.admin, &self.places, &mut *self.holder, &self.live, self.options.target)?;
                self.bounds.set(&self.goal.ends);
            }
            let progress = self.progress()?;
            tell(&progress);
            if self.is_close() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Holds the live view still, folds the rest, and compares; the first
    /// `limit` differences are kept. The live view stays still until one of
    /// [`Rebuilder::switch`], [`Rebuilder::leave`] and [`Rebuilder::discard`].
    ///
    /// None where there is no live view to compare with: there never was, or
    /// its topics were made again.
    ///
    /// # Errors
    /// `Unavailable`: the rest took too long, or the live view cannot be held
    /// still; the live view goes on, and so can [`Rebuilder::fold`].
    pub fn compare(&mut self, limit: usize) -> Result<Option<Parity>> {
        self.sink.get().freeze(&self.live)?;
        let before = self.applied();
        let compared = self.compare_frozen(limit);
        if compared.is_err() {
            self.undone += self.applied() - before;
            self.sink.get().thaw()?;
            // What the runner has in mind was rolled back.
            self.bounds.assign();
            self.bounds.limit(Rate::new(self.options.rate));
        }
        compared
    }

    /// Events that this process has folded for good, also while the live view was held still.
    pub fn applied(&self) -> u64 {
        self.status().totals.applied - self.undone
    }

    /// Makes the new tables the live ones; the live ones become the old ones.
    ///
    /// # Errors
    /// What the sink says: nothing was switched, unless it does not know.
    pub fn switch(mut self) -> Result<()> {
        let old = self.live.beside(OLD)?;
        let new = self.live.beside(&self.options.suffix)?;
        let mut renames = vec![Rename { from: &self.live, to: &old }, Rename { from: &new, to: &self.live }];
        if !self.holder.exists(&self.live)? {
            renames.remove(0);
        }
        self.sink.get().rename(&renames)?;
        self.holder.unlock(&self.live)
    }

    /// Ends with the tables as they are, to be gone on with or to be looked at; `finished` ones are the user's.
    ///
    /// # Errors
    /// What the sink says.
    pub fn leave(mut self, finished: bool) -> Result<()> {
        self.sink.get().thaw()?;
        if finished { self.holder.unlock(&self.live) } else { Ok(()) }
    }

    /// Drops the tables.
    ///
    /// # Errors
    /// What the sink says.
    pub fn discard(mut self) -> Result<()> {
        self.sink.get().thaw()?;
        self.holder.drop_table(&self.live.beside(&self.options.suffix)?)?;
        self.holder.unlock(&self.live)
    }

    fn compare_frozen(&mut self, limit: usize) -> Result<Option<Parity>> {
        self.goal = {
            let progress = self.sink.get().progress(&self.live)?;
            Goal::live(&mut *self.admin, &self.places, &progress)?
        };
        self.bounds.set(&self.goal.ends);
        self.bounds.limit(Rate::new(None));
        let begun = Instant::now();
        while self.behind() != 0 {
            self.runner.step(STEP)?;
            if let Some(why) = self.progress()?.waits {
                return Err(Error::unavailable(why));
            }
            if begun.elapsed() > LAST_STEPS {
                return Err(Error::unavailable(format!(
                    "view {} was held still for {} s and its new tables are not where it is: was it reset to an \
                     earlier offset, or is the log away?",
                    self.live.view(),
                    LAST_STEPS.as_secs()
                )));
            }
        }
        if !self.goal.is_live {
            return Ok(None);
        }
        let new = self.live.beside(&self.options.suffix)?;
        let focus = Focus { sample: self.options.sample, ..Focus::default() };
        Parity::compare(&mut **self.sink.get(), &self.live, &new, &focus, limit).map(Some)
    }

    /// How many offsets lie between here and the goal.
    fn behind(&self) -> u64 {
        self.behind_of(&self.status())
    }

    /// A tenth of a second's worth.
    fn close_records(&self) -> u64 {
        self.options.rate.map_or(CLOSE_RECORDS, |rate| u64::from(rate.get() / 10).clamp(1, CLOSE_RECORDS))
    }

    fn status(&self) -> MutexGuard<'_, ViewStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn behind_of(&self, status: &ViewStatus) -> u64 {
        let gap = |(place, end): (&TopicPartition, &Offset)| {
            let position = status.places.get(place).and_then(|place| place.position);
            position.map_or(u64::from(u32::MAX), |position| position.0.abs_diff(end.0))
        };
        self.goal.ends.iter().map(gap).sum()
    }

    fn is_close(&self) -> bool {
        match self.options.target {
            Target::Live => {
                let status = self.status();
                let is_running =
                    |place| status.places.get(place).is_some_and(|place| place.state == PlaceState::Running);
                self.places.iter().all(is_running) && self.behind_of(&status) <= self.close_records()
            }
            // The last batch may reach beyond the goal: it is held back and no part of the view.
            Target::Past(_) => {
                let status = self.status();
                self.bounds.are_reached()
                    && self.goal.ends.iter().all(|(place, end)| {
                        status.places.get(place).is_some_and(|place| {
                            place.position == Some(*end) || matches!(place.state, PlaceState::HoldingBatch { .. })
                        })
                    })
            }
        }
    }

    fn progress(&self) -> Result<RebuildProgress> {
        let status = self.status();
        if let Some((place, stop)) = status.stopped().next() {
            return Err(Error::data(format!(
                "the rebuild of view {} at {place} stands still: {stop}",
                self.live.view()
            )));
        }
        let mut progress =
            RebuildProgress { applied: status.totals.applied - self.undone, ..RebuildProgress::default() };
        progress.waits.clone_from(&status.trouble);
        for (place, end) in &self.goal.ends {
            let Some(place) = status.places.get(place) else { continue };
            progress.parked += place.parked_keys;
            let position = place.position.unwrap_or(Offset(0));
            progress.done += u64::try_from(position.0.min(end.0)).unwrap_or_default();
            progress.total += u64::try_from(end.0).unwrap_or_default();
            match &place.state {
                PlaceState::Waiting { why, .. } => progress.waits = Some(why.clone()),
                _ if position > *end => {
                    progress.waits = Some(format!("the live view, which is at {end} and was at {position}"));
                }
                _ => {}
            }
        }
        Ok(progress)
    }
}

fn goal(
    admin: &mut dyn Admin,
    places: &[TopicPartition],
    holder: &mut dyn Rebuild,
    live: &ViewTable,
    target: Target,
) -> Result<Goal> {
    match target {
        Target::Live => Goal::live(admin, places, &holder.progress(live)?),
        Target::Past(as_of) => Goal::past(admin, places, as_of),
    }
}

/// Refuses because of tables that somebody may still want.
fn in_the_way(table: &ViewTable, cure: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("there are tables {} already: {cure}", table.name()))
}
