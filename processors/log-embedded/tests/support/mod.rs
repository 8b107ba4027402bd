//! A disk that forgets, tears and refuses, and short ways to use a log on it.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // helpers of tests unwrap as tests do, and not each file uses all

use factum_core::log::{
    CommitOffset, GroupProtocol, Isolation, Log, TopicSpec, TransactionOptions, TransactionalProducer,
};
use factum_core::{Membership, Offset, Partition, RecordBatch, Topic, TopicPartition};
use factum_log_embedded::disk::{Disk, DiskFile};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A small generator (splitmix64): the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

/// A disk in memory that keeps what was synced apart from what was not.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Files by number: a name can go and its file stay open.
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Bytes that all files may have.
    room: Option<usize>,
    read_only: bool,
    fail_next_sync: bool,
    sync_time: Duration,
    syncs: u64,
    /// Operations that change something, until the power goes.
    steps_left: Option<u64>,
    steps: u64,
}

#[derive(Debug, Default, Clone)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Debug)]
struct SimFile(SimDisk, usize);

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    /// A change of the disk; an error once the power is off.
    fn step(&mut self) -> io::Result<()> {
        if self.read_only {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        self.steps += 1;
        match &mut self.steps_left {
            Some(0) => Err(no_power()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl SimDisk {
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.0.lock().unwrap())
    }

    /// The power goes before the change after the next `steps`.
    pub fn cut_after(&self, steps: u64) {
        self.with(|state| state.steps_left = Some(steps));
    }

    /// Changes of the disk so far.
    pub fn steps(&self) -> u64 {
        self.with(|state| state.steps)
    }

    /// What a power cut leaves: what was synced; of the rest, a random prefix
    /// of each file with some of its pages missing, and a random part of the
    /// changed names.
    pub fn after_power_cut(&self, chance: &mut Chance) -> SimDisk {
        self.with(|state| {
            let mut names = state.durable_names.clone();
            for name in state.names.keys().chain(state.durable_names.keys()) {
                if chance.below(2) == 0 {
                    match state.names.get(name) {
                        Some(file) => names.insert(name.clone(), *file),
                        None => names.remove(name),
                    };
                }
            }
            let files: Vec<Contents> = state.files.iter().map(|file| file.after_power_cut(chance)).collect();
            let state = State { files, durable_names: names.clone(), names, ..State::default() };
            SimDisk(Arc::new(Mutex::new(state)))
        })
    }

    /// What is left when every byte and name since the last sync is gone.
    pub fn after_losing_what_was_not_synced(&self) -> SimDisk {
        self.with(|state| {
            let forget = |file: &Contents| Contents { now: file.durable.clone(), durable: file.durable.clone() };
            let (files, names) = (state.files.iter().map(forget).collect(), state.durable_names.clone());
            let state = State { files, durable_names: names.clone(), names, ..State::default() };
            SimDisk(Arc::new(Mutex::new(state)))
        })
    }

    /// Each sync of bytes takes so long.
    pub fn slow_down(&self, sync: Duration) {
        self.with(|state| state.sync_time = sync);
    }

    /// Syncs of bytes so far.
    pub fn syncs(&self) -> u64 {
        self.with(|state| state.syncs)
    }

    /// What a killed process leaves: everything that it wrote.
    pub fn after_kill(&self) -> SimDisk {
        self.with(|state| {
            let files: Vec<Contents> =
                state.files.iter().map(|file| Contents { now: file.now.clone(), durable: file.now.clone() }).collect();
            let state =
                State { files, names: state.names.clone(), durable_names: state.names.clone(), ..State::default() };
            SimDisk(Arc::new(Mutex::new(state)))
        })
    }

    pub fn limit(&self, room: Option<usize>) {
        self.with(|state| state.room = room);
    }

    pub fn used(&self) -> usize {
        self.with(|state| state.names.values().map(|file| state.files[*file].now.len()).sum())
    }

    pub fn set_read_only(&self, read_only: bool) {
        self.with(|state| state.read_only = read_only);
    }

    pub fn fail_next_sync(&self) {
        self.with(|state| state.fail_next_sync = true);
    }

    pub fn contents(&self, name: &str) -> Vec<u8> {
        self.with(|state| state.files[state.names[name]].now.clone())
    }

    /// Changes a file behind the log's back, as a bad disk does.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        self.with(|state| {
            let file = state.names[name];
            let contents = &mut state.files[file];
            change(&mut contents.now);
            contents.durable = contents.now.clone();
        });
    }

    pub fn names(&self) -> Vec<String> {
        self.with(|state| state.names.keys().cloned().collect())
    }
}

impl Contents {
    fn after_power_cut(&self, chance: &mut Chance) -> Contents {
        let mut kept = self.durable.clone();
        if self.now.len() > kept.len() {
            let more = self.now.len() - kept.len();
            let more = usize::try_from(chance.below(more as u64 + 1)).unwrap();
            let synced = kept.len();
            kept.extend_from_slice(&self.now[synced..synced + more]);
            // Pages reach a disk in any order.
            for page in kept[synced..].chunks_mut(16) {
                if chance.below(4) == 0 {
                    page.fill(0);
                }
            }
        }
        Contents { now: kept.clone(), durable: kept }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.with(|state| state.names.get(name).copied());
        Ok(Box::new(SimFile(self.clone(), file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.with(|state| {
            state.step()?;
            state.files.push(Contents::default());
            state.names.insert(name.to_owned(), state.files.len() - 1);
            Ok::<_, io::Error>(state.files.len() - 1)
        })?;
        Ok(Box::new(SimFile(self.clone(), file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|state| {
            state.step()?;
            let file = state.names.remove(from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            state.names.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|state| {
            state.step()?;
            state.names.remove(name).map(|_| ()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.with(|state| {
            state.step()?;
            state.durable_names = state.names.clone();
            Ok(())
        })
    }

    fn path(&self, name: &str) -> String {
        format!("log/{name}")
    }
}

impl DiskFile for SimFile {
    fn length(&mut self) -> io::Result<u64> {
        Ok(self.0.with(|state| state.files[self.1].now.len()) as u64)
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.with(|state| {
            let offset = usize::try_from(offset).unwrap();
            let bytes = state.files[self.1].now.get(offset..offset + into.len());
            into.copy_from_slice(bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
            Ok(())
        })
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let used = self.0.used();
        self.0.with(|state| {
            // When the power goes, a part of the bytes may have been written.
            let step = state.step();
            let room = state.room.map_or(usize::MAX, |room| room.saturating_sub(used));
            let contents = &mut state.files[self.1].now;
            let offset = usize::try_from(offset).unwrap();
            let length = bytes.len().min(room);
            contents.resize(contents.len().max(offset + length), 0);
            contents[offset..offset + length].copy_from_slice(&bytes[..length]);
            step?;
            if length < bytes.len() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
        })
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.with(|state| {
            state.step()?;
            state.files[self.1].now.truncate(usize::try_from(length).unwrap());
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        std::thread::sleep(self.0.with(|state| state.sync_time));
        self.0.with(|state| {
            state.step()?;
            state.syncs += 1;
            if std::mem::take(&mut state.fail_next_sync) {
                return Err(io::Error::other("input/output error"));
            }
            let contents = &mut state.files[self.1];
            contents.durable = contents.now.clone();
            Ok(())
        })
    }
}

/// Files of a few hundred bytes, so that there are several, and no thread of its own.
pub fn config() -> EmbeddedConfig {
    EmbeddedConfig { segment_bytes: 600, reclaim_bytes: u64::MAX, clean_every: None, ..EmbeddedConfig::default() }
}

pub fn open(disk: &SimDisk) -> factum_core::Result<EmbeddedLog> {
    EmbeddedLog::open_on(Arc::new(disk.clone()), config())
}

pub fn topic() -> Topic {
    Topic::from("t")
}

pub fn place(partition: u32) -> TopicPartition {
    topic().partition(Partition(partition))
}

pub fn create_topic(log: &dyn Log, settings: &[(&str, &str)]) -> factum_core::Result<()> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    log.admin()?.create_topics(&[TopicSpec { topic: topic(), partitions: 2, replication: None, settings }])
}

/// A record for partition 0 or 1 with the key `k` and this value.
pub fn batch(values: &[(u32, String)]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for (partition, value) in values {
        let mut record = batch.start(&topic(), Partition(*partition));
        record.key(b"k");
        record.value(value.as_bytes());
        record.finish();
    }
    batch
}

/// Produces outside a transaction and waits for the report.
pub fn produce(log: &dyn Log, value: &str) -> factum_core::Result<Offset> {
    let mut producer = log.producer()?;
    producer.produce(&batch(&[(0, value.to_owned())]))?;
    let mut reports = Vec::new();
    producer.poll(Duration::from_secs(60), &mut reports)?;
    reports.pop().unwrap().result
}

pub fn transactional(log: &dyn Log, id: &str) -> Box<dyn TransactionalProducer> {
    let options = TransactionOptions { transactional_id: id.to_owned(), timeout: Duration::from_secs(60) };
    log.transactional_producer(&options).unwrap()
}

/// No member of a group, which any group without members takes.
pub fn nobody(group: &str) -> Membership {
    Membership {
        group: group.to_owned(),
        member_id: String::new(),
        generation: -1,
        instance_id: None,
        protocol: GroupProtocol::Classic,
    }
}

pub fn offset(partition: u32, offset: i64) -> CommitOffset {
    CommitOffset { place: place(partition), offset: Offset(offset), metadata: format!("at {offset}") }
}

/// Offset and value of all records of a partition, as a reader sees them.
pub fn read(log: &dyn Log, partition: u32, isolation: Isolation) -> Vec<(i64, String)> {
    let place = place(partition);
    let bounds = log.admin().unwrap().bounds(&place, isolation).unwrap();
    let mut reader = log.reader(isolation).unwrap();
    reader.add(&place, bounds.start).unwrap();
    let mut records = RecordBatch::new();
    reader.poll(usize::MAX, Duration::ZERO, &mut records).unwrap();
    let value = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).unwrap();
    records.iter().map(|record| (record.offset().0, value(record.value()))).collect()
}

pub fn committed(log: &dyn Log, partition: u32) -> Vec<(i64, String)> {
    read(log, partition, Isolation::ReadCommitted)
}

pub fn values(log: &dyn Log, partition: u32) -> Vec<String> {
    committed(log, partition).into_iter().map(|(_, value)| value).collect()
}
