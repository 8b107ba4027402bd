//! An operator who has a view leave records out, and then builds it anew.

use crate::{
    fault::Fault,
    folds::Totals,
    world::{Actor, World},
};
use factum_core::{
    Offset, Result, TopicPartition,
    log::{CommitOffset, Log as _},
    view::{View as _, ViewTable, view_group, was_reset},
};
use factum_views::{MemoryDatabase, MemorySink, Resets as _, Rows as _};
use std::sync::Arc;

/// Sets an offset of the totals' group forward by Kafka's means, waits until the
/// view has gone there and wrote down what it left out, and sets all offsets to
/// the log's start, which builds the view anew.
pub(crate) struct Skipper {
    database: MemoryDatabase,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    Idle,
    /// The view is to be stopped.
    Stops,
    /// The view is to leave out what is between.
    Waits {
        place: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// The view is to be stopped and built anew.
    Builds,
}

impl Skipper {
    pub(crate) fn new(database: &MemoryDatabase) -> Self {
        Skipper { database: database.clone(), stage: Stage::Idle }
    }

    /// The view's next record.
    fn position(&self, place: &TopicPartition) -> Result<Offset> {
        let progress = self.database.progress(&ViewTable::of::<Totals>()?)?;
        Ok(progress.iter().find(|found| found.place == *place).map_or(Offset(0), |found| found.position))
    }

    fn set(&self, world: &World, places: &[(TopicPartition, Offset)]) -> Result<()> {
        let group = view_group::<Totals>();
        let offsets: Vec<CommitOffset> = places
            .iter()
            .map(|(place, offset)| CommitOffset { place: place.clone(), offset: *offset, metadata: String::new() })
            .collect();
        world.log.admin()?.reset_group_offsets(&group, &offsets)?;
        places.iter().for_each(|(place, offset)| world.notes().deliveries.reset(&group, place, *offset));
        Ok(())
    }

    /// Sets one offset forward, once the group has no members.
    fn skip(&self, world: &World) -> Result<Stage> {
        let ends = world.ends(&world.topics.events);
        let (place, end) = ends[world.draw_for(Fault::ForwardReset, |random| random.index(ends.len()))].clone();
        let from = self.position(&place)?;
        // A reset that was not honoured yet may mean that the view is built anew, and this one with it.
        let places: Vec<TopicPartition> = ends.iter().map(|(place, _)| place.clone()).collect();
        let committed = world.log.admin()?.group_offsets(&view_group::<Totals>(), &places)?;
        if from >= end || committed.iter().any(|(_, committed)| was_reset(committed)) {
            return Ok(Stage::Idle);
        }
        let to = Offset(world.draw_for(Fault::ForwardReset, |random| random.between(from.0 + 1, end.0)));
        self.set(world, &[(place.clone(), to)])?;
        Ok(Stage::Waits { place, from, to })
    }

    fn next(&self, world: &World) -> Result<Stage> {
        match &self.stage {
            Stage::Idle => Ok(Stage::Idle),
            Stage::Stops => self.skip(world),
            Stage::Waits { place, from, to } => {
                if self.position(place)? < *to {
                    return Ok(self.stage.clone());
                }
                let standing = MemorySink::open(&self.database, ViewTable::of::<Totals>()?)?.standing()?;
                let is_noted = standing.skipped_of(place).iter().any(|range| range.start <= *from && range.end >= *to);
                if !is_noted {
                    world.notes().wrong.push(format!(
                        "offset resets: an operator set {} from {place}@{from} to {to}, and what was left out is {:?}",
                        Totals::NAME,
                        standing.skipped
                    ));
                }
                Ok(Stage::Builds)
            }
            Stage::Builds => {
                let ends = world.ends(&world.topics.events);
                let places: Vec<_> = ends.into_iter().map(|(place, _)| (place, Offset(0))).collect();
                self.set(world, &places)?;
                Ok(Stage::Idle)
            }
        }
    }
}

impl Actor for Skipper {
    fn step(&mut self, world: &Arc<World>) {
        let is_idle = matches!(self.stage, Stage::Idle);
        if is_idle && (world.are_views_held() || world.is_skipping() || !world.strikes(Fault::ForwardReset)) {
            return;
        }
        if is_idle {
            self.stage = Stage::Stops;
        }
        world.set_skipping(true);
        let stops = matches!(self.stage, Stage::Stops | Stage::Builds);
        world.hold_views(stops);
        // One that hangs in the middle of a commit would move what is read here.
        if !world.does_somebody_hang()
            && let Ok(next) = self.next(world)
        {
            self.stage = next;
            world.hold_views(matches!(self.stage, Stage::Builds));
            world.set_skipping(!matches!(self.stage, Stage::Idle));
        }
    }

    fn is_done(&self, _world: &World) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    fn describe(&self) -> String {
        format!("a skipper: {:?}", self.stage)
    }
}
