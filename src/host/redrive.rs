//! Trying the parked records of a key again, from their topic.

use super::Stop;
use crate::environment::Environment;
use factum_core::{
    Result,
    view::{Parked, View},
};
use factum_schemas::{AvroMessage, RecordCodec};
use factum_views::{Redriver, Sink};

pub use factum_views::{Doing, Tally as RedriveTally};

/// Which parked key is meant.
#[derive(Debug, Clone, Copy)]
pub struct RedriveRequest<'a> {
    /// Its first record as it was read. Where it is another one now, the key moved on and is left alone.
    pub first: &'a Parked,
    /// What is to be done.
    pub doing: Doing,
    /// Ends it between two steps.
    pub stop: &'a Stop,
}

/// Goes on from the key's first record, in steps that are transactions of their own.
pub(super) fn redrive<V: View>(
    environment: &Environment,
    sink: &mut dyn Sink,
    request: &RedriveRequest<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<RedriveTally>
where
    V::Event: AvroMessage,
{
    let redriver = Redriver {
        log: &*environment.log,
        fetch_schema: &|id| environment.schemas.fetch(id).map(drop),
        is_stopped: &|| request.stop.is_stopped(),
    };
    let codec = || RecordCodec::<V::Event>::for_reading(&environment.schemas);
    redriver.redrive::<V, _>(&codec, sink, request.first, request.doing, progress)
}
