//! Somebody at a keyboard, and the log's own housekeeping.

use crate::{
    fault::Fault,
    time,
    views::Totals,
    world::{Actor, World},
};
use factum_bank::{Account, Balances};
use factum_core::{
    Aggregate, Offset, Result, TimestampMs, Topic, Topics,
    log::{CommitOffset, Log},
    view::view_group,
};
use std::sync::Arc;

/// Compacts, and sets offsets back.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// Since when the handlers are held to reset their offsets.
    handlers: Option<TimestampMs>,
    /// Since when the views are held to reset theirs.
    views: Option<TimestampMs>,
}

/// Sets every offset of a group to some earlier one. A group with members takes none.
fn reset(world: &World, group: &str, topic: &Topic) -> Result<()> {
    let mut admin = world.log.admin()?;
    let places: Vec<_> = world.ends(topic).into_iter().map(|(place, _)| place).collect();
    let offsets: Vec<CommitOffset> = admin
        .group_offsets(group, &places)?
        .into_iter()
        .map(|(place, committed)| {
            let offset = Offset(world.draw(|random| random.between(0, committed.offset.0)));
            CommitOffset { place, offset, metadata: String::new() }
        })
        .collect();
    admin.reset_group_offsets(group, &offsets)
}

impl Actor for Operator {
    fn step(&mut self, world: &Arc<World>) {
        if world.strikes(Fault::Cleaning) {
            world.log.run_cleaner();
        }
        if self.handlers.is_none() && world.strikes(Fault::OffsetReset) {
            world.hold_handlers(true);
            self.handlers = Some(time::now());
        }
        if self.views.is_none() && world.strikes(Fault::ViewReset) {
            world.hold_views(true);
            self.views = Some(time::now());
        }
        // It is tried until the members are gone.
        let group = Topics::handler_group(Account::TYPE);
        if self.handlers.is_some() && (reset(world, &group, &world.topics.commands).is_ok() || world.is_calm()) {
            self.handlers = None;
            world.hold_handlers(false);
        }
        let events = &world.topics.events;
        let reset_views = || {
            reset(world, &view_group::<Balances>(), events).and_then(|()| reset(world, &view_group::<Totals>(), events))
        };
        if self.views.is_some() && (reset_views().is_ok() || world.is_calm()) {
            self.views = None;
            world.hold_views(false);
        }
    }

    fn is_done(&self, _world: &World) -> bool {
        self.handlers.is_none() && self.views.is_none()
    }

    fn describe(&self) -> String {
        format!("{self:?}")
    }
}
