//! Somebody at a keyboard, and the log's own housekeeping.

use crate::{
    client::START,
    fault::Fault,
    handler::PARTITIONS,
    time,
    world::{Actor, World},
};
use factum_bank::Account;
use factum_core::{
    Aggregate, Offset, Partition, Result, TimestampMs, Topics,
    log::{CommitOffset, Isolation, Log},
};
use std::sync::Arc;

/// Compacts, and sets the handler's offsets back.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// Since when the handlers are held to reset their offsets.
    holding: Option<TimestampMs>,
}

impl Operator {
    /// Sets every offset of the handler's group to some earlier one.
    fn reset(world: &World) -> Result<()> {
        let mut admin = world.log.admin()?;
        let mut offsets = Vec::new();
        for partition in (0..PARTITIONS).map(Partition) {
            let place = world.topics.commands.partition(partition);
            let end = admin.bounds(&place, Isolation::ReadUncommitted)?.end;
            let offset = Offset(world.draw(|random| random.between(START.0, end.0)));
            offsets.push(CommitOffset { place, offset, metadata: String::new() });
        }
        // Not forward: that leaves commands out, and the operator wants that.
        let group = Topics::handler_group(Account::TYPE);
        let places: Vec<_> = offsets.iter().map(|offset| offset.place.clone()).collect();
        let before = admin.group_offsets(&group, &places)?;
        offsets.retain_mut(|offset| {
            let found = before.iter().find(|(place, _)| *place == offset.place);
            found.is_some_and(|(_, committed)| offset.offset <= committed.offset)
        });
        admin.reset_group_offsets(&group, &offsets)
    }
}

impl Actor for Operator {
    fn step(&mut self, world: &Arc<World>) {
        if world.strikes(Fault::Cleaning) {
            world.log.run_cleaner();
        }
        if self.holding.is_none() && world.strikes(Fault::OffsetReset) {
            world.hold_handlers(true);
            self.holding = Some(time::now());
        }
        // A group with members takes no reset; it is tried until they are gone.
        if self.holding.is_some() && (Self::reset(world).is_ok() || world.is_calm()) {
            self.holding = None;
            world.hold_handlers(false);
        }
    }

    fn is_done(&self, _world: &World) -> bool {
        self.holding.is_none()
    }

    fn describe(&self) -> String {
        format!("{self:?}")
    }
}
