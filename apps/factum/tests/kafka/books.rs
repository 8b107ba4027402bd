//! What the events topic says: the truth that every test compares with.

use crate::{
    process::until,
    site::{BANK, Site},
};
use factum::{
    DecodeError, MessageCodec, Offset, RecordBatch, RecordRef, log::Isolation, schemas::RecordCodec, wire::EventHeader,
};
use factum_bank::Event;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) account: String,
    pub(crate) partition: u32,
    pub(crate) version: u64,
    /// What it adds to the balance.
    pub(crate) cents: i64,
    /// The process that wrote it.
    pub(crate) source: String,
    /// Its record's full name.
    pub(crate) record: String,
    /// The id of its schema: which version of the record.
    pub(crate) schema: u32,
}

/// All committed events; within a partition in their order.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) entries: Vec<Entry>,
}

/// An account's version and balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Balance {
    pub(crate) version: u64,
    pub(crate) cents: i64,
}

impl Books {
    /// Reads them to the end as it is now, and fails on a version that is missing or there twice.
    pub(crate) fn read(site: &Site) -> Self {
        let environment = site.environment();
        let codec = RecordCodec::<Event>::for_reading(&environment.schemas).unwrap();
        let mut admin = site.admin();
        let mut reader = environment.log.reader(Isolation::ReadCommitted).unwrap();
        let mut ends = Vec::new();
        for place in admin.partitions(&environment.topics(BANK).events).unwrap() {
            let bounds = admin.bounds(&place, Isolation::ReadCommitted).unwrap();
            assert_eq!(bounds.start, Offset(0), "{place}: events were deleted");
            reader.add(&place, bounds.start).unwrap();
            ends.push((place, bounds.end));
        }
        let mut batch = RecordBatch::new();
        until("the end of the events", || {
            reader.poll(100_000, Duration::from_millis(20), &mut batch).unwrap();
            ends.iter().all(|(place, end)| reader.position(place).unwrap() >= Some(*end) || end.0 == 0).then_some(())
        });
        let decode = |record: RecordRef<'_>| {
            let value = record.value().unwrap();
            codec.decode(value).or_else(|error| match error {
                DecodeError::UnknownSchema(id) => {
                    environment.schemas.fetch(id).unwrap();
                    codec.decode(value)
                }
                other => Err(other),
            })
        };
        let entries = batch.iter().map(|record| {
            let header = EventHeader::read(record).unwrap();
            // One that is retired may stand for several.
            let events = decode(record).unwrap_or_else(|e| panic!("{record:?}: {e}"));
            Entry {
                account: std::str::from_utf8(record.key().unwrap()).unwrap().to_owned(),
                partition: record.partition().0,
                version: header.version.0,
                cents: events.as_slice().iter().map(Event::change_cents).sum(),
                source: header.source.to_owned(),
                record: environment.schemas.record_name(record.value().unwrap()).unwrap().to_string(),
                schema: u32::from_be_bytes(record.value().unwrap()[1..5].try_into().unwrap()),
            }
        });
        let books = Books { entries: entries.collect() };
        books.check_versions();
        books
    }

    fn check_versions(&self) {
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        for entry in &self.entries {
            let version = versions.entry(&entry.account).or_default();
            assert_eq!(entry.version, *version + 1, "{entry:?} follows version {version}");
            *version = entry.version;
        }
    }

    /// Every account with its version and balance.
    pub(crate) fn balances(&self) -> BTreeMap<String, Balance> {
        let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
        for entry in &self.entries {
            let balance = balances.entry(entry.account.clone()).or_default();
            *balance = Balance { version: entry.version, cents: balance.cents + entry.cents };
        }
        balances
    }

    /// How many accounts a partition has.
    pub(crate) fn accounts(&self, partition: usize) -> usize {
        let of = |entry: &&Entry| usize::try_from(entry.partition) == Ok(partition);
        self.entries.iter().filter(of).map(|entry| &entry.account).collect::<BTreeSet<_>>().len()
    }

    /// The schemas that a record was written with in a partition, one for each time that it changed.
    pub(crate) fn schemas(&self, record: &str, partition: u32) -> Vec<u32> {
        let of = |entry: &&Entry| entry.partition == partition && entry.record == record;
        let mut schemas: Vec<u32> = self.entries.iter().filter(of).map(|entry| entry.schema).collect();
        schemas.dedup();
        schemas
    }

    /// The processes that wrote a partition, one for each time that it changed hands.
    pub(crate) fn writers(&self, partition: u32) -> Vec<&str> {
        let mut writers: Vec<&str> = self
            .entries
            .iter()
            .filter(|entry| entry.partition == partition)
            .map(|entry| entry.source.as_str())
            .collect();
        writers.dedup();
        writers
    }
}
