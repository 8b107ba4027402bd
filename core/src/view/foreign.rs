//! Versions that two commands claim.

use super::intake::Held;
use crate::{AggregateId, CommandId, Offset, TopicPartition, Version, wire::CONTESTED};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// How many aggregates of a partition are remembered; beyond it all are forgotten.
const MAX_AGGREGATES: usize = 10_000;

/// The newest event of each aggregate of a partition that went by lately.
///
/// An event of an aggregate is one command's: where a later record has the same
/// version by another command, one of the two is not a handler's.
#[derive(Debug, Default)]
pub(crate) struct Newest(HashMap<AggregateId, Event, FixedState>);

#[derive(Debug, Clone, Copy)]
struct Event {
    version: Version,
    command: CommandId,
    offset: Offset,
}

impl Newest {
    /// Takes a whole batch. What is delivered again says nothing.
    ///
    /// # Errors
    /// What is wrong, with both records and what to do.
    pub(crate) fn take<E>(&mut self, batch: &Held<E>, at: &TopicPartition) -> Result<(), String> {
        for item in &batch.items {
            let (aggregate, event) =
                (item.aggregate(), Event { version: item.version(), command: batch.command, offset: item.offset() });
            match self.0.get_mut(aggregate) {
                Some(known) if event.offset <= known.offset => {}
                Some(known) if event.version > known.version => *known = event,
                Some(known) if event.version == known.version && event.command != known.command => {
                    return Err(format!(
                        "{at}@{}: version {} of aggregate {aggregate} is claimed by command {} here and by command {} at \
                         offset {}: {CONTESTED}",
                        event.offset, event.version, event.command, known.command, known.offset
                    ));
                }
                Some(_) => {}
                None => {
                    if self.0.len() >= MAX_AGGREGATES {
                        self.0.clear();
                    }
                    self.0.insert(aggregate.clone(), event);
                }
            }
        }
        Ok(())
    }
}
