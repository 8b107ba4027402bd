//! Whether what was acknowledged is in the log, and once.

use super::load::{Bits, Load};
use crate::{environment::Environment, history::read_partition};
use factum_core::{Result, Topic, wire::EventHeader};
use std::ops::ControlFlow;

/// What the log says.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) acknowledged: u64,
    pub(super) lost: u64,
    pub(super) twice: u64,
}

/// Reads all events.
///
/// # Errors
/// What the log says.
pub(super) fn read(environment: &Environment, events: &Topic, load: &Load<'_>) -> Result<Proof> {
    let (mut found, mut twice) = (Bits::default(), 0);
    for place in environment.log.admin()?.partitions(events)? {
        read_partition(environment, &place, None, |record| {
            let header = EventHeader::read(record)?;
            if let Some(number) = load.number(header.command).filter(|_| header.index == 0) {
                twice += u64::from(!found.insert(number));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let acknowledged = load.acknowledged();
    Ok(Proof { acknowledged: acknowledged.len(), lost: acknowledged.missing_in(&found), twice })
}
