//! Reading a stretch of a partition.

use factum_core::{
    Error, Offset, RecordBatch, RecordRef, Result, TopicPartition,
    log::{Isolation, Log},
};
use std::{
    ops::{ControlFlow, Range},
    time::{Duration, Instant},
};

/// A reader that gets nothing for so long gives up.
const STALL: Duration = Duration::from_secs(30);

/// Calls `each` for every committed record of a partition between two offsets,
/// both of them in the log, or until `each` breaks off.
///
/// # Errors
/// `Unavailable` when nothing moves for a while; what the log and `each` say.
pub fn read_range(
    log: &dyn Log,
    place: &TopicPartition,
    range: Range<Offset>,
    mut each: impl FnMut(RecordRef<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let mut reader = log.reader(Isolation::ReadCommitted)?;
    reader.add(place, range.start)?;
    let mut batch = RecordBatch::new();
    let mut next: Offset = range.start;
    let mut moved = Instant::now();
    while next < range.end {
        batch.clear();
        reader.poll(10_000, Duration::from_millis(100), &mut batch)?;
        for record in batch.iter().filter(|record| record.offset() < range.end) {
            if each(record)?.is_break() {
                return Ok(());
            }
        }
        let position = reader.position(place)?.unwrap_or(next);
        if position > next {
            (next, moved) = (position, Instant::now());
        } else if moved.elapsed() > STALL {
            return Err(Error::unavailable(format!(
                "reading {place} stands still at offset {next} before {}",
                range.end
            )));
        }
    }
    Ok(())
}
