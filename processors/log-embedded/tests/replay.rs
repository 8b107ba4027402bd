//! Whatever was done to a log, opening its files gives the same log: random
//! calls by seed, with checkpoints among them.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

mod support;

use factum_core::log::{CommitOffset, Isolation, Log, TopicSpec, TransactionalProducer};
use factum_core::{Offset, Partition, RecordBatch, TimestampMs, Topic};
use factum_log_embedded::EmbeddedLog;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use support::*;

const SEEDS: u64 = 150;
const CALLS: u64 = 120;
const TOPICS: [(&str, &[(&str, &str)]); 3] = [
    ("events", &[("retention.ms", "-1")]),
    ("commands", &[("retention.ms", "400"), ("segment.ms", "50"), ("retention.bytes", "3000")]),
    ("snapshots", &[("cleanup.policy", "compact"), ("delete.retention.ms", "100"), ("segment.bytes", "200")]),
];

struct World {
    disk: SimDisk,
    clock: Arc<AtomicI64>,
    log: EmbeddedLog,
    producers: Vec<(Box<dyn TransactionalProducer>, bool)>,
    chance: Chance,
    written: u64,
}

fn open_at(disk: &SimDisk, clock: &Arc<AtomicI64>) -> EmbeddedLog {
    let clock = clock.clone();
    let mut config = config();
    config.clock = Arc::new(move || TimestampMs(clock.load(Ordering::Relaxed)));
    EmbeddedLog::open_on(Arc::new(disk.clone()), config).unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let (disk, clock) = (SimDisk::default(), Arc::new(AtomicI64::new(1_000)));
        let log = open_at(&disk, &clock);
        let mut world = World { disk, clock, log, producers: Vec::new(), chance: Chance(seed), written: 0 };
        world.create_topics();
        world.make_producers();
        world
    }

    fn create_topics(&self) {
        let spec = |(name, settings): &(&str, &[(&str, &str)])| TopicSpec {
            topic: Topic::from(*name),
            partitions: 2,
            replication: None,
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        self.log.admin().unwrap().create_topics(&TOPICS.iter().map(spec).collect::<Vec<_>>()).unwrap();
    }

    fn make_producers(&mut self) {
        self.producers.clear();
        for number in 0..3 {
            let mut producer = transactional(&self.log, &format!("p{number}"));
            producer.init().unwrap();
            self.producers.push((producer, false));
        }
    }

    fn topic(&mut self) -> Topic {
        let index = usize::try_from(self.chance.below(TOPICS.len() as u64)).unwrap();
        Topic::from(TOPICS[index].0)
    }

    /// One to four records anywhere, tombstones among them.
    fn records(&mut self) -> RecordBatch {
        let mut batch = RecordBatch::new();
        for _ in 0..=self.chance.below(4) {
            let (topic, partition) = (self.topic(), u32::try_from(self.chance.below(2)).unwrap());
            self.written += 1;
            let mut record = batch.start(&topic, Partition(partition));
            record.key(format!("key {}", self.chance.below(5)).as_bytes());
            if self.chance.below(5) > 0 {
                record.value(format!("value {}", self.written).as_bytes());
            }
            record.header("number", self.written.to_string().as_bytes());
            record.finish();
        }
        batch
    }

    fn offsets(&mut self) -> Vec<CommitOffset> {
        let place = self.topic().partition(Partition(u32::try_from(self.chance.below(2)).unwrap()));
        vec![CommitOffset {
            place,
            offset: Offset(i64::try_from(self.chance.below(50)).unwrap()),
            metadata: String::new(),
        }]
    }

    fn call(&mut self) {
        self.clock.fetch_add(i64::try_from(self.chance.below(30)).unwrap(), Ordering::Relaxed);
        let which = usize::try_from(self.chance.below(3)).unwrap();
        match self.chance.below(20) {
            0..6 => {
                let records = self.records();
                let mut producer = self.log.producer().unwrap();
                producer.produce(&records).unwrap();
                producer.flush(std::time::Duration::ZERO).unwrap();
            }
            6..12 => {
                let (records, offsets) = (self.records(), self.offsets());
                let (producer, is_open) = &mut self.producers[which];
                if !std::mem::replace(is_open, true) {
                    producer.begin().unwrap();
                }
                producer.produce(&records).unwrap();
                producer.send_offsets(&nobody("g"), &offsets).unwrap();
            }
            12..15 => {
                let abort = self.chance.below(3) == 0;
                self.end(which, abort);
            }
            15 => {
                let offsets = self.offsets();
                self.log.admin().unwrap().reset_group_offsets("g", &offsets).unwrap();
            }
            16 => {
                let place = Topic::from("events").partition(Partition(0));
                let mut admin = self.log.admin().unwrap();
                let bounds = admin.bounds(&place, Isolation::ReadUncommitted).unwrap();
                let there = u64::try_from(bounds.end.0 - bounds.start.0).unwrap();
                let before = bounds.start.0 + i64::try_from(self.chance.below(there / 2 + 1)).unwrap();
                admin.delete_records(&place, Offset(before)).unwrap();
            }
            17 => {
                let settings = BTreeMap::from([("retention.ms".to_owned(), self.chance.below(500).to_string())]);
                self.log.admin().unwrap().alter_topic(&Topic::from("commands"), &settings).unwrap();
            }
            18 if self.chance.below(4) == 0 => {
                let topic = self.topic();
                self.log.admin().unwrap().delete_topics(&[topic]).unwrap();
                self.create_topics();
            }
            18 => self.log.run_cleaner(),
            _ => self.log.reclaim().unwrap(),
        }
    }

    fn end(&mut self, which: usize, abort: bool) {
        let (producer, is_open) = &mut self.producers[which];
        if std::mem::take(is_open) {
            if abort { producer.abort() } else { producer.commit() }.unwrap();
        }
    }

    /// Ends what is open, and compares with what opening the files gives.
    fn compare(&mut self, context: &str) {
        (0..3).for_each(|which| self.end(which, which == 1));
        let before = portrait(&self.log);
        self.producers.clear();
        // Dropping the log writes what nobody waited for.
        self.log = open_at(&SimDisk::default(), &self.clock);
        self.log = open_at(&self.disk, &self.clock);
        let after = portrait(&self.log);
        for (before, after) in before.lines().zip(after.lines()) {
            assert_eq!(after, before, "{context}");
        }
        assert_eq!(after, before, "{context}");
        self.make_producers();
    }
}

/// Everything that readers of committed records and operators can learn.
fn portrait(log: &EmbeddedLog) -> String {
    let mut admin = log.admin().unwrap();
    let mut text = String::new();
    for (name, _) in TOPICS {
        let topic = Topic::from(name);
        text += &format!("{:?}\n", admin.describe_topic(&topic).unwrap());
        for place in admin.partitions(&topic).unwrap() {
            let bounds =
                [Isolation::ReadCommitted, Isolation::ReadUncommitted].map(|of| admin.bounds(&place, of).unwrap());
            text += &format!("{bounds:?}\n");
            let mut reader = log.reader(Isolation::ReadCommitted).unwrap();
            reader.add(&place, bounds[0].start).unwrap();
            let mut records = RecordBatch::new();
            reader.poll(usize::MAX, std::time::Duration::ZERO, &mut records).unwrap();
            for record in records.iter() {
                let headers: Vec<_> = record.headers().collect();
                text += &format!("{record:?} {:?} {:?} {:?}", record.timestamp(), record.key(), record.value());
                text += &format!(" {headers:?}\n");
            }
            text += &format!("{:?}\n", admin.group_offsets("g", &[place]).unwrap());
        }
    }
    text
}

#[test]
fn opening_gives_the_log_that_was_closed_whatever_was_done() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for call in 0..CALLS {
            world.call();
            if world.chance.below(25) == 0 {
                world.compare(&format!("seed {seed}, after call {call}"));
            }
        }
        world.compare(&format!("seed {seed}, at the end"));
        assert!(world.written > 50, "seed {seed} wrote {} records", world.written);
    }
}
