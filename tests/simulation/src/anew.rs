//! Topics that are deleted and made again, and who repairs the views then.

use crate::{
    fault::Fault,
    folds::{Accounts, Totals},
    handler::PARTITIONS,
    world::{Actor, World},
};
use factum_core::{
    Offset, Result,
    log::Log as _,
    topics::topic_specs,
    view::{View, ViewTable},
};
use factum_views::{MemoryDatabase, MemorySink, Rebuild as _, Rows as _};
use std::sync::Arc;

/// Turns within which processes that were told to end have ended.
const TURNS: u64 = 400;

/// Whether each partition has events that both views have applied: a view at the log's
/// start has nothing of the topic that is deleted.
pub(crate) fn is_possible(world: &World, database: &MemoryDatabase) -> Result<bool> {
    let ends = world.ends(&world.topics.events);
    let mut applied = ends.iter().all(|(_, end)| *end > Offset(0));
    for table in [ViewTable::of::<Accounts>()?, ViewTable::of::<Totals>()?] {
        let progress = database.progress(&table)?;
        applied &= ends
            .iter()
            .all(|(place, end)| progress.iter().any(|found| found.place == *place && found.position >= *end));
    }
    Ok(applied)
}

/// An operator stops the handlers, deletes all topics, makes them again, and
/// forgets the views, which run meanwhile or are away.
pub(crate) fn recreate(world: &Arc<World>) -> Result<()> {
    world.hold_handlers(true);
    world.hold_views(world.draw_for(Fault::Recreated, |random| random.chance(50_000)));
    (0..TURNS).for_each(|_| world.turn());
    let topics = &world.topics;
    let all = [&topics.commands, &topics.events, &topics.snapshots, &topics.replies, &topics.dead_letters];
    world.log.admin()?.delete_topics(&all.map(Clone::clone))?;
    (0..world.draw_for(Fault::Recreated, |random| random.below(40))).for_each(|_| world.turn());
    world.log.admin()?.create_topics(&topic_specs(topics, PARTITIONS, None))?;
    world.begin_anew();
    world.hold_handlers(false);
    world.hold_views(false);
    Ok(())
}

/// Does what the message of a stopped view says: drops its tables, and it is built again.
pub(crate) struct Restorer {
    database: MemoryDatabase,
}

impl Restorer {
    pub(crate) fn new(database: &MemoryDatabase) -> Self {
        Restorer { database: database.clone() }
    }

    fn drop_tables(&self, view: &str) -> Result<()> {
        let table = if view == Accounts::NAME { ViewTable::of::<Accounts>() } else { ViewTable::of::<Totals>() }?;
        MemorySink::open(&self.database, table.clone())?.drop_table(&table)
    }
}

impl Actor for Restorer {
    fn step(&mut self, world: &Arc<World>) {
        let Some(view) = world.notes().of_other_topics.first().copied() else { return };
        world.hold_views(true);
        let mut runs = world.does_somebody_hang();
        world.each(|actor| runs |= actor.is_view());
        if !runs && self.drop_tables(view).is_ok() {
            let mut notes = world.notes();
            notes.of_other_topics.remove(view);
            notes.given_up.remove(view);
            drop(notes);
            world.hold_views(false);
        }
    }

    fn is_done(&self, world: &World) -> bool {
        world.notes().of_other_topics.is_empty()
    }

    fn describe(&self) -> String {
        "somebody is to drop the tables of a view".into()
    }
}
