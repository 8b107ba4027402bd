//! Records in an input: what a log's record has, as bytes that can be changed.

use factum_core::{Offset, Partition, RecordBatch, Topic};

/// A record of an input: fields, each a number of its kind (1 byte), a length
/// (1 byte) and so many bytes, or what is left. The kind names a header of
/// `names`; 254 is the key, 255 the value; others are headers that nobody knows.
pub(super) fn record(input: &[u8], names: &[&str]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&Topic::from("bank.account.events"), Partition(0));
    record.offset(Offset(7));
    let mut rest = input;
    while let [kind, length, after @ ..] = rest {
        let (value, behind) = after.split_at(usize::from(*length).min(after.len()));
        rest = behind;
        match kind {
            254 => record.key(value),
            255 => record.value(value),
            kind => record.header_opt(
                names.get(usize::from(*kind)).copied().unwrap_or("other"),
                // A header may have no value at all.
                (*length != 255).then_some(value),
            ),
        }
    }
    record.finish();
    batch
}

/// A field as [`record`] reads it.
pub(super) fn put(into: &mut Vec<u8>, kind: usize, value: &[u8]) {
    let value = &value[..value.len().min(254)];
    into.push(u8::try_from(kind).unwrap_or(u8::MAX));
    into.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    into.extend_from_slice(value);
}
