//! Somebody at a keyboard, and the log's own housekeeping.

use crate::{
    fault::Fault,
    folds::{Accounts, Totals},
    poison::Code,
    time,
    world::{Actor, World},
};
use factum_bank::Account;
use factum_core::{
    Aggregate, Offset, Result, TimestampMs, Topic, Topics,
    log::{CommitOffset, Log},
    view::{View as _, view_group},
};
use std::sync::Arc;

/// Compacts, and sets offsets back.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// Since when the handlers are held to reset their offsets.
    handlers: Option<TimestampMs>,
    /// Since when the views are held to reset theirs.
    views: Option<TimestampMs>,
    /// A view's code has a fault, which is mended then.
    mends: Option<(&'static str, TimestampMs)>,
}

impl Operator {
    /// Deploys code of a view that cannot apply some events, and later code that can.
    fn deploy(&mut self, world: &World) {
        match self.mends {
            Some((view, at)) if at <= time::now() => {
                world.deploy(view, Code::Good);
                self.mends = None;
            }
            None if world.strikes(Fault::BadCode) => {
                let (view, number, ms) = world.draw_for(Fault::BadCode, |random| {
                    let view = if random.chance(50_000) { Accounts::NAME } else { Totals::NAME };
                    (view, random.between(0, 1_000), random.between(200, 4_000))
                });
                world.deploy(view, Code::bad(number));
                self.mends = Some((view, TimestampMs(time::now().0 + ms)));
            }
            _ => {}
        }
    }
}

/// Sets every offset of a group to some earlier one. A group with members takes none.
fn reset(world: &World, group: &str, topic: &Topic) -> Result<()> {
    let mut admin = world.log.admin()?;
    let places: Vec<_> = world.ends(topic).into_iter().map(|(place, _)| place).collect();
    let offsets: Vec<CommitOffset> = admin
        .group_offsets(group, &places)?
        .into_iter()
        .map(|(place, committed)| {
            // To the earliest one, or to some other.
            let far = world.draw(|random| random.chance(50_000));
            let offset = Offset(if far { 0 } else { world.draw(|random| random.between(0, committed.offset.0)) });
            CommitOffset { place, offset, metadata: String::new() }
        })
        .collect();
    admin.reset_group_offsets(group, &offsets)?;
    if *topic == world.topics.events {
        offsets.iter().for_each(|set| world.notes().deliveries.reset(group, &set.place, set.offset));
    }
    Ok(())
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
        self.deploy(world);
        if self.views.is_none() && !world.is_skipping() && world.strikes(Fault::ViewReset) {
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
            reset(world, &view_group::<Accounts>(), events).and_then(|()| reset(world, &view_group::<Totals>(), events))
        };
        if self.views.is_some() {
            world.hold_views(true);
            if reset_views().is_ok() || world.is_calm() {
                self.views = None;
                world.hold_views(false);
            }
        }
    }

    fn is_done(&self, _world: &World) -> bool {
        self.handlers.is_none() && self.views.is_none()
    }

    fn describe(&self) -> String {
        format!("{self:?}")
    }
}
