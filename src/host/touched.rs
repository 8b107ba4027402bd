//! Which rows of a view an event touches.

use crate::environment::Environment;
use factum_core::{
    AggregateId, DecodeError, MessageCodec, RecordRef, Result,
    view::{Recorded, View},
    wire::EventHeader,
};
use factum_schemas::{AvroMessage, RecordCodec};
use std::sync::Arc;

/// The keys of the rows that an event's record touches; none of a record that the view does not read.
///
/// Errors: `Data` when it cannot be decoded, `Unavailable` when its schema cannot be had.
pub type TouchedKeys = Box<dyn Fn(RecordRef<'_>) -> Result<Vec<String>> + Send>;

/// Those of a view.
///
/// # Errors
/// `Invalid` when the view's events have no usable schema.
pub(super) fn keys<V: View>(environment: &Environment) -> Result<TouchedKeys>
where
    V::Event: AvroMessage,
{
    let codec = RecordCodec::<V::Event>::for_reading(&environment.schemas)?;
    let schemas = environment.schemas.clone();
    Ok(Box::new(move |record| {
        let header = EventHeader::read(record)?;
        let value = record.value().unwrap_or_default();
        let events = schemas.with_schema(|| match codec.decode(value) {
            Err(DecodeError::UnknownRecord(_)) => Ok(None),
            decoded => decoded.map(Some),
        });
        let Some(events) = events.map_err(|error| error.context(format!("{record:?}")))? else {
            return Ok(Vec::new());
        };
        let aggregate = AggregateId::check(record.key().unwrap_or_default()).and_then(AggregateId::new)?;
        let source: Arc<str> = header.source.into();
        let mut keys = Vec::new();
        for part in (0..).zip(events.into_vec()) {
            keys.extend(V::keys(&Recorded::new(record, &header, aggregate.clone(), source.clone(), part)));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }))
}
