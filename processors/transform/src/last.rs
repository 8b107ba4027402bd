//! The last record of a partition of the output.

use factum_core::{
    Error, Offset, RecordBatch, Result, TopicPartition,
    log::{Admin, Isolation, Reader},
    transform::{FROM_HEADER, Republished},
    wire::Token,
};
use std::time::{Duration, Instant};

/// How many offsets are looked at first; there may be only ends of transactions in them.
const FIRST_LOOK: i64 = 16;
const MAX_RECORDS: usize = 1_000;
/// A transaction that somebody left open hides what follows.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the last committed record of a partition was made of. The group's offset was decided before.
///
/// # Errors
/// `Unavailable` when the partition's end cannot be read now.
pub(crate) fn last(admin: &mut dyn Admin, reader: &mut dyn Reader, place: &TopicPartition) -> Result<Republished> {
    let bounds = admin.bounds(place, Isolation::ReadUncommitted)?;
    let mut look = FIRST_LOOK;
    loop {
        let from = Offset(bounds.end.0.saturating_sub(look).max(bounds.start.0));
        if from >= bounds.end {
            return Ok(Republished::Nothing);
        }
        reader.add(place, from)?;
        let found = read_to(reader, place, bounds.end);
        reader.remove(place)?;
        match found? {
            Some(found) => return Ok(found),
            None if from == bounds.start => return Ok(Republished::Nothing),
            None => look = look.saturating_mul(16),
        }
    }
}

/// The last record before the end, if there is one.
fn read_to(reader: &mut dyn Reader, place: &TopicPartition, end: Offset) -> Result<Option<Republished>> {
    let (mut records, mut found, begun) = (RecordBatch::new(), None, Instant::now());
    while reader.position(place)?.is_none_or(|position| position < end) {
        if begun.elapsed() > PATIENCE {
            return Err(Error::unavailable(format!(
                "{place} cannot be read to its end at {end}; a transaction is open, or its leader is away"
            )));
        }
        records.clear();
        reader.poll(MAX_RECORDS, Duration::from_millis(20), &mut records)?;
        let Some(record) = records.iter().last() else { continue };
        let token = record.header(FROM_HEADER).and_then(|text| std::str::from_utf8(text).ok()?.parse::<Token>().ok());
        found = Some(token.map_or_else(|| Republished::Foreign(format!("{record:?}")), Republished::Last));
    }
    Ok(found)
}
