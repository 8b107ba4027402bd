//! Segment files of the embedded log: damaged ones, and frames whose checksums
//! are right around effects that make no sense.

use crate::{Draw, Target};
use factum_core::{
    ErrorKind, Partition, RecordBatch, Topic,
    log::{CommitOffset, Log, TopicSpec},
};
use factum_log_embedded::{
    EmbeddedConfig, EmbeddedLog,
    disk::{Disk, DiskFile},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const SEGMENT: &str = "00000000000000000001.segment";
const FRAME_HEAD_BYTES: usize = 20;
const FILE_HEAD_BYTES: usize = 16;

/// An input's first byte says whether the rest is a file or, even, the body of its first frame.
pub(super) struct Segments;

impl Target for Segments {
    fn name(&self) -> &'static str {
        "segments"
    }

    fn share(&self) -> u64 {
        3
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let disk = Files::default();
        fill(&disk, draw).expect("a log on files in memory");
        let file = disk.with(|files| files.get(SEGMENT).cloned()).unwrap_or_default();
        if draw.once_in(3) {
            return [&[1], file.as_slice()].concat();
        }
        // The bodies of all frames, as one: whoever reads them gets deeper than a checksum.
        let mut body = vec![0];
        let mut rest = file.get(FILE_HEAD_BYTES..).unwrap_or_default();
        while let Some(length) = rest.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) {
            let end = FRAME_HEAD_BYTES + length;
            body.extend_from_slice(rest.get(FRAME_HEAD_BYTES..end).unwrap_or_default());
            rest = rest.get(end..).unwrap_or_default();
        }
        body
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Some((kind, rest)) = input.split_first() else { return Ok(()) };
        let file = if kind.is_multiple_of(2) { framed(rest) } else { rest.to_vec() };
        let disk = Files::default();
        disk.with(|files| files.insert(SEGMENT.to_owned(), file));
        match EmbeddedLog::open_on(Arc::new(disk), quiet()) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::Invalid) => Ok(()),
            Err(error) => Err(format!("a damaged file is no reason to try again: {error}")),
        }
    }
}

fn quiet() -> EmbeddedConfig {
    EmbeddedConfig { clean_every: None, ..EmbeddedConfig::default() }
}

/// A file with one frame (`processors/log-embedded/src/frame.rs` has the layout).
fn framed(body: &[u8]) -> Vec<u8> {
    let mut file = b"factumlg".to_vec();
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
    let mut head = u32::try_from(body.len()).unwrap_or_default().to_le_bytes().to_vec();
    head.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    head.extend_from_slice(&1u64.to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    [file.as_slice(), &head, body].concat()
}

/// A log with topics, records, offsets, a topic that was changed and one that was deleted.
fn fill(disk: &Files, draw: &mut Draw) -> factum_core::Result<()> {
    let log = EmbeddedLog::open_on(Arc::new(disk.clone()), quiet())?;
    let mut admin = log.admin()?;
    let (kept, gone) = (Topic::from("kept"), Topic::from("gone"));
    let settings = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let spec = |topic: &Topic, partitions| TopicSpec {
        topic: topic.clone(),
        partitions,
        replication: None,
        settings: settings.clone(),
    };
    admin.create_topics(&[spec(&kept, 2), spec(&gone, 1)])?;
    let mut batch = RecordBatch::new();
    for number in 0..draw.below(5) {
        let mut record = batch.start(&kept, Partition(u32::try_from(number % 2).unwrap_or_default()));
        record.key(draw.text().as_bytes());
        if draw.once_in(2) {
            record.value(draw.text().as_bytes());
        }
        record.header_opt("name", draw.once_in(2).then_some(&b"value"[..]));
        record.finish();
    }
    let mut producer = log.producer()?;
    producer.produce(&batch)?;
    producer.flush(Duration::from_secs(10))?;
    let place = kept.partition(Partition(0));
    let offset = CommitOffset { place, offset: factum_core::Offset(draw.odd_signed()), metadata: draw.text() };
    admin.reset_group_offsets("group", &[offset])?;
    admin.delete_topics(&[gone])
}

/// Files in memory; nothing is lost.
#[derive(Debug, Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Files {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct OpenFile(Files, String);

impl Disk for Files {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.with(|files| files.keys().cloned().collect()))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        if self.with(|files| files.contains_key(name)) {
            Ok(Box::new(OpenFile(self.clone(), name.to_owned())))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.with(|files| files.insert(name.to_owned(), Vec::new()));
        self.open(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|files| {
            let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            files.insert(to.to_owned(), file);
            Ok(())
        })
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|files| files.remove(name)).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
    fn path(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl OpenFile {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.0.with(|files| act(files.entry(self.1.clone()).or_default()))
    }
}

impl DiskFile for OpenFile {
    fn length(&mut self) -> io::Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.with(|bytes| {
            let found = bytes.get(offset..offset.saturating_add(into.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
            into.copy_from_slice(found);
            Ok(())
        })
    }
    fn write_at(&mut self, offset: u64, new: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.with(|bytes| {
            bytes.resize(bytes.len().max(offset + new.len()), 0);
            bytes[offset..offset + new.len()].copy_from_slice(new);
        });
        Ok(())
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.with(|bytes| bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX)));
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
