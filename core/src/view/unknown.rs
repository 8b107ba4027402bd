//! Records of types that a view has not.

use super::{
    Stop, StopClass,
    intake::{Held, Item},
};
use crate::RecordRef;

/// What a view does about a record whose type [`View::Event`](super::View::Event) has not:
/// one that it does not care for, or that a newer program writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownRecords {
    /// Its version counts, nothing is folded, and it is counted.
    #[default]
    Skip,
    /// Its aggregate waits, from this record on, until a program that knows the type redrives it.
    Park,
    /// Its partition waits at it for a program that knows the type.
    Stop,
}

impl UnknownRecords {
    /// Does it to the record that was taken in last.
    ///
    /// # Errors
    /// The stop of the partition, at the start of the record's batch.
    pub(super) fn judge<E>(self, held: &mut Option<Held<E>>, record: RecordRef<'_>) -> Result<(), Stop> {
        let Some(item) = held.as_mut().and_then(|held| held.items.last_mut()) else { return Ok(()) };
        let Item::Unknown { aggregate, version, offset, record: Some(name) } = item else { return Ok(()) };
        let why = || {
            format!(
                "{record:?} has record type {name}, which this version of the view does not know: deploy one that does"
            )
        };
        match self {
            UnknownRecords::Skip => {}
            UnknownRecords::Park => {
                *item = Item::Bad { aggregate: aggregate.clone(), version: *version, offset: *offset, why: why() };
            }
            UnknownRecords::Stop => return Err(Stop::new(StopClass::UnknownRecord, why())),
        }
        Ok(())
    }
}
