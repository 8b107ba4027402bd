//! Effects as bytes: a tag, then numbers in LEB128 (signed ones zigzag) and
//! texts behind their length. A version of the format fixes tags and fields.

use factum_core::log::CommitOffset;
use factum_core::{Error, Offset, Partition, RecordBatch, RecordRef, Result, TimestampMs, Topic, TopicId};
use factum_log_memory::journal::{Effect, Ending};
use std::borrow::Cow;
use std::collections::BTreeMap;

const TOPIC_CREATED: u8 = 1;
const TOPIC_DELETED: u8 = 2;
const TOPIC_ALTERED: u8 = 3;
const PARTITIONS_ADDED: u8 = 4;
const APPENDED: u8 = 5;
const OFFSETS_HELD: u8 = 6;
const COMMITTED: u8 = 7;
const ABORTED: u8 = 8;
const OFFSETS_COMMITTED: u8 = 9;
const RECORDS_DELETED: u8 = 10;
const COMPACTED: u8 = 11;
const PARTITION_STATE: u8 = 12;
const NUMBERS: u8 = 13;

/// Appends an effect.
pub(crate) fn encode(effect: &Effect<'_>, into: &mut Vec<u8>) {
    match effect {
        Effect::TopicCreated { topic, id, name, partitions, replication, settings } => {
            into.push(TOPIC_CREATED);
            number(into, *topic);
            into.extend_from_slice(&id.0);
            text(into, name.as_str().as_bytes());
            number(into, u64::from(*partitions));
            number(into, u64::from(*replication));
            put_settings(into, settings);
        }
        Effect::TopicDeleted { topic } => {
            into.push(TOPIC_DELETED);
            number(into, *topic);
        }
        Effect::TopicAltered { topic, settings } => {
            into.push(TOPIC_ALTERED);
            number(into, *topic);
            put_settings(into, settings);
        }
        Effect::PartitionsAdded { topic, partitions } => {
            into.push(PARTITIONS_ADDED);
            number(into, *topic);
            number(into, u64::from(*partitions));
        }
        Effect::Appended { topic, record, offset, timestamp, transaction } => {
            into.push(APPENDED);
            place(into, *topic, record.partition());
            signed(into, offset.0);
            signed(into, timestamp.0);
            // No transaction has the number 0.
            number(into, transaction.unwrap_or(0));
            put_record(into, *record);
        }
        Effect::OffsetsHeld { transaction, group, offsets } => {
            into.push(OFFSETS_HELD);
            number(into, *transaction);
            text(into, group.as_bytes());
            put_offsets(into, offsets);
        }
        Effect::TransactionEnded { transaction, ending } => {
            into.push(if *ending == Ending::Commit { COMMITTED } else { ABORTED });
            number(into, *transaction);
        }
        Effect::OffsetsCommitted { group, offsets } => {
            into.push(OFFSETS_COMMITTED);
            text(into, group.as_bytes());
            put_offsets(into, offsets);
        }
        Effect::RecordsDeleted { topic, partition, before } => {
            into.push(RECORDS_DELETED);
            place(into, *topic, *partition);
            signed(into, before.0);
        }
        Effect::Compacted { topic, partition, below, tombstones_before } => {
            into.push(COMPACTED);
            place(into, *topic, *partition);
            signed(into, below.0);
            signed(into, tombstones_before.0);
        }
        Effect::PartitionState { topic, partition, start, end, open } => {
            into.push(PARTITION_STATE);
            place(into, *topic, *partition);
            signed(into, start.0);
            signed(into, end.0);
            number(into, open.len() as u64);
            for (transaction, first) in open.iter() {
                number(into, *transaction);
                signed(into, first.0);
            }
        }
        Effect::Numbers { topics, transactions } => {
            into.push(NUMBERS);
            number(into, *topics);
            number(into, *transactions);
        }
    }
}

/// Hands every effect of a frame's body to `apply`.
///
/// # Errors
/// `Data` for bytes that are no effects; those of `apply`.
pub(crate) fn decode(body: &[u8], apply: &mut dyn FnMut(&Effect<'_>) -> Result<()>) -> Result<()> {
    let mut source = Source(body);
    let mut scratch = RecordBatch::new();
    let nowhere = Topic::from("");
    while !source.0.is_empty() {
        let effect = match source.byte()? {
            APPENDED => {
                let (topic, partition) = (source.number()?, source.partition()?);
                let (offset, timestamp) = (Offset(source.signed()?), TimestampMs(source.signed()?));
                let transaction = Some(source.number()?).filter(|number| *number != 0);
                scratch.clear();
                source.record(&mut scratch, &nowhere, partition)?;
                Effect::Appended { topic, record: scratch.get(0), offset, timestamp, transaction }
            }
            tag => source.effect(tag)?,
        };
        apply(&effect)?;
    }
    Ok(())
}

fn number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push((number & 0x7f) as u8);
}

fn signed(into: &mut Vec<u8>, value: i64) {
    number(into, (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
}

fn text(into: &mut Vec<u8>, text: &[u8]) {
    number(into, text.len() as u64);
    into.extend_from_slice(text);
}

/// A text that may be absent: its length plus 1, or 0.
fn option(into: &mut Vec<u8>, text: Option<&[u8]>) {
    number(into, text.map_or(0, |text| text.len() as u64 + 1));
    into.extend_from_slice(text.unwrap_or_default());
}

fn place(into: &mut Vec<u8>, topic: u64, partition: Partition) {
    number(into, topic);
    number(into, u64::from(partition.0));
}

fn put_record(into: &mut Vec<u8>, record: RecordRef<'_>) {
    option(into, record.key());
    option(into, record.value());
    number(into, record.headers().count() as u64);
    for (name, value) in record.headers() {
        text(into, name.as_bytes());
        option(into, value);
    }
}

fn put_settings(into: &mut Vec<u8>, settings: &BTreeMap<String, String>) {
    number(into, settings.len() as u64);
    for (name, value) in settings {
        text(into, name.as_bytes());
        text(into, value.as_bytes());
    }
}

fn put_offsets(into: &mut Vec<u8>, offsets: &[CommitOffset]) {
    number(into, offsets.len() as u64);
    for CommitOffset { place, offset, metadata } in offsets {
        text(into, place.topic.as_str().as_bytes());
        number(into, u64::from(place.partition.0));
        signed(into, offset.0);
        text(into, metadata.as_bytes());
    }
}

/// The bytes that are still to be read.
struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    /// An effect that is no record.
    fn effect(&mut self, tag: u8) -> Result<Effect<'a>> {
        Ok(match tag {
            TOPIC_CREATED => {
                let topic = self.number()?;
                let mut id = [0; 16];
                id.copy_from_slice(self.take(16)?);
                Effect::TopicCreated {
                    topic,
                    id: TopicId(id),
                    name: Topic::from(self.str()?),
                    partitions: self.partition()?.0,
                    replication: u16::try_from(self.number()?).map_err(|_| bad("a number is too large"))?,
                    settings: Cow::Owned(self.settings()?),
                }
            }
            TOPIC_DELETED => Effect::TopicDeleted { topic: self.number()? },
            TOPIC_ALTERED => Effect::TopicAltered { topic: self.number()?, settings: Cow::Owned(self.settings()?) },
            PARTITIONS_ADDED => Effect::PartitionsAdded { topic: self.number()?, partitions: self.partition()?.0 },
            OFFSETS_HELD => Effect::OffsetsHeld {
                transaction: self.number()?,
                group: self.str()?,
                offsets: Cow::Owned(self.offsets()?),
            },
            COMMITTED => Effect::TransactionEnded { transaction: self.number()?, ending: Ending::Commit },
            ABORTED => Effect::TransactionEnded { transaction: self.number()?, ending: Ending::Abort },
            OFFSETS_COMMITTED => Effect::OffsetsCommitted { group: self.str()?, offsets: Cow::Owned(self.offsets()?) },
            RECORDS_DELETED => Effect::RecordsDeleted {
                topic: self.number()?,
                partition: self.partition()?,
                before: Offset(self.signed()?),
            },
            COMPACTED => Effect::Compacted {
                topic: self.number()?,
                partition: self.partition()?,
                below: Offset(self.signed()?),
                tombstones_before: TimestampMs(self.signed()?),
            },
            PARTITION_STATE => Effect::PartitionState {
                topic: self.number()?,
                partition: self.partition()?,
                start: Offset(self.signed()?),
                end: Offset(self.signed()?),
                open: Cow::Owned(self.many(|source| Ok((source.number()?, Offset(source.signed()?))))?),
            },
            NUMBERS => Effect::Numbers { topics: self.number()?, transactions: self.number()? },
            _ => return Err(bad(&format!("there is no effect {tag}"))),
        })
    }

    fn record(&mut self, into: &mut RecordBatch, topic: &Topic, partition: Partition) -> Result<()> {
        let mut record = into.start(topic, partition);
        if let Some(key) = self.option()? {
            record.key(key);
        }
        if let Some(value) = self.option()? {
            record.value(value);
        }
        for _ in 0..self.number()? {
            let name = self.str()?;
            record.header_opt(name, self.option()?);
        }
        record.finish();
        Ok(())
    }

    fn settings(&mut self) -> Result<BTreeMap<String, String>> {
        Ok(self.many(|source| Ok((source.str()?.to_owned(), source.str()?.to_owned())))?.into_iter().collect())
    }

    fn offsets(&mut self) -> Result<Vec<CommitOffset>> {
        self.many(|source| {
            let topic = Topic::from(source.str()?);
            let place = topic.partition(source.partition()?);
            Ok(CommitOffset { place, offset: Offset(source.signed()?), metadata: source.str()?.to_owned() })
        })
    }

    /// So many as are told. Each takes bytes, so their number is bounded by the frame.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| one(self)).collect()
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(count).ok().and_then(|count| self.0.split_at_checked(count));
        let (taken, rest) = split.ok_or_else(|| bad("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(bad("a number is too large"))
    }

    fn signed(&mut self) -> Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn partition(&mut self) -> Result<Partition> {
        u32::try_from(self.number()?).map(Partition).map_err(|_| bad("a number is too large"))
    }

    fn option(&mut self) -> Result<Option<&'a [u8]>> {
        match self.number()? {
            0 => Ok(None),
            length => self.take(length - 1).map(Some),
        }
    }

    fn str(&mut self) -> Result<&'a str> {
        let length = self.number()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| bad("a name is no UTF-8"))
    }
}

fn bad(what: &str) -> Error {
    Error::data(format!("the frame's body makes no sense: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_come_back_as_they_went() {
        let topic = Topic::from("bank.events");
        let mut batch = RecordBatch::new();
        let mut record = batch.start(&topic, Partition(300));
        record.key(b"");
        record.header("trace", b"1");
        record.header_opt("none", None);
        record.finish();
        let settings = BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]);
        let offset =
            CommitOffset { place: topic.partition(Partition(7)), offset: Offset(-1), metadata: "é".to_owned() };
        let effects = [
            Effect::TopicCreated {
                topic: 1,
                id: TopicId([9; 16]),
                name: topic.clone(),
                partitions: 4,
                replication: 3,
                settings: Cow::Owned(settings.clone()),
            },
            Effect::TopicAltered { topic: 1, settings: Cow::Owned(settings) },
            Effect::PartitionsAdded { topic: 1, partitions: u32::MAX },
            Effect::OffsetsHeld { transaction: u64::MAX, group: "g", offsets: Cow::Owned(vec![offset.clone()]) },
            Effect::TransactionEnded { transaction: 5, ending: Ending::Abort },
            Effect::TransactionEnded { transaction: 6, ending: Ending::Commit },
            Effect::OffsetsCommitted { group: "", offsets: Cow::Owned(vec![offset.clone(), offset]) },
            Effect::RecordsDeleted { topic: 1, partition: Partition(0), before: Offset(i64::MAX) },
            Effect::Compacted {
                topic: 1,
                partition: Partition(1),
                below: Offset(64),
                tombstones_before: TimestampMs(i64::MIN),
            },
            Effect::PartitionState {
                topic: 1,
                partition: Partition(2),
                start: Offset(1),
                end: Offset(2),
                open: Cow::Owned(vec![(3, Offset(4))]),
            },
            Effect::Numbers { topics: 1, transactions: 128 },
            Effect::TopicDeleted { topic: 1 },
        ];
        let mut bytes = Vec::new();
        effects.iter().for_each(|effect| encode(effect, &mut bytes));
        let mut read = Vec::new();
        decode(&bytes, &mut |effect| {
            read.push(format!("{effect:?}"));
            Ok(())
        })
        .unwrap();
        assert_eq!(read, effects.map(|effect| format!("{effect:?}")));

        bytes.clear();
        let (record, timestamp) = (batch.get(0), TimestampMs(-5));
        encode(&Effect::Appended { topic: 1, record, offset: Offset(9), timestamp, transaction: None }, &mut bytes);
        decode(&bytes, &mut |effect| {
            let Effect::Appended { record, offset, timestamp: at, transaction, .. } = effect else { panic!() };
            assert_eq!((record.partition(), *offset, *at, *transaction), (Partition(300), Offset(9), timestamp, None));
            assert_eq!((record.key(), record.value()), (Some(&b""[..]), None));
            let headers: Vec<_> = record.headers().collect();
            assert_eq!(headers, [("trace", Some(&b"1"[..])), ("none", None)]);
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn bytes_that_are_no_effects_are_an_error() {
        for (bytes, text) in [
            (&[99][..], "there is no effect 99"),
            (&[TOPIC_DELETED][..], "it ends too early"),
            (&[TOPIC_DELETED, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], "a number is too large"),
            (&[OFFSETS_COMMITTED, 1, 0xff][..], "a name is no UTF-8"),
        ] {
            let error = decode(bytes, &mut |_| Ok(())).unwrap_err();
            assert!(error.to_string().ends_with(text), "{error}");
        }
        decode(&[TOPIC_DELETED, 1], &mut |_| Ok(())).unwrap();
    }
}
