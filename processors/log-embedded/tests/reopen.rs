//! A log that is opened again is the log that was closed.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

mod support;

use factum_core::log::{Isolation, Log};
use factum_core::{Offset, TimestampMs};
use factum_log_embedded::EmbeddedLog;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use support::*;

/// Everything that a client can learn of a log.
fn portrait(log: &EmbeddedLog) -> String {
    let mut admin = log.admin().unwrap();
    let description = admin.describe_topic(&topic()).unwrap();
    let mut text = format!("{description:?}\n");
    for partition in 0..description.map_or(0, |found| found.partitions) {
        for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
            text += &format!("{:?}\n", admin.bounds(&place(partition), isolation).unwrap());
        }
        text += &format!("{:?}\n", committed(log, partition));
        text += &format!("{:?}\n", admin.offset_for_time(&place(partition), TimestampMs(1)).unwrap());
    }
    text + &format!("{:?}", admin.group_offsets("g", &[place(0), place(1)]).unwrap())
}

/// Some of everything: topics, transactions both ways, offsets, deletions.
fn write_some_of_everything(log: &EmbeddedLog) {
    create_topic(log, &[]).unwrap();
    let mut admin = log.admin().unwrap();
    admin.alter_topic(&topic(), &BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())])).unwrap();
    admin.add_partitions(&topic(), 3).unwrap();
    for number in 0..5 {
        produce(log, &format!("plain {number}")).unwrap();
    }
    let mut producer = transactional(log, "p");
    producer.init().unwrap();
    for (number, ending) in ["commit", "abort", "commit"].into_iter().enumerate() {
        producer.begin().unwrap();
        producer.produce(&batch(&[(0, format!("{ending} {number}")), (1, format!("{ending} {number}"))])).unwrap();
        producer.send_offsets(&nobody("g"), &[offset(1, i64::try_from(number).unwrap())]).unwrap();
        if ending == "commit" { producer.commit() } else { producer.abort() }.unwrap();
    }
    admin.delete_records(&place(0), Offset(2)).unwrap();
    admin.reset_group_offsets("g", &[offset(0, 3)]).unwrap();
}

#[test]
fn a_log_is_the_same_after_it_was_closed() {
    let disk = SimDisk::default();
    let before = {
        let log = open(&disk).unwrap();
        assert!(log.opened().fresh);
        write_some_of_everything(&log);
        portrait(&log)
    };
    let log = open(&disk).unwrap();
    assert_eq!(portrait(&log), before);
    let opened = log.opened();
    assert!(!opened.fresh && opened.segments > 1, "{opened:?}");
    assert_eq!((opened.topics, opened.records, opened.dropped_tail_bytes, opened.aborted_transactions), (1, 9, 0, 0));
    assert_eq!(opened.bytes, disk.used() as u64);
    assert_eq!(log.file_bytes(), opened.bytes);
}

#[test]
fn a_log_is_the_same_after_it_was_written_anew() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    write_some_of_everything(&log);
    let mut open_one = transactional(&log, "open");
    open_one.init().unwrap();
    open_one.begin().unwrap();
    open_one.produce(&batch(&[(1, "across the checkpoint".to_owned())])).unwrap();
    open_one.send_offsets(&nobody("g"), &[offset(0, 9)]).unwrap();
    log.reclaim().unwrap();
    assert_eq!(disk.names().len(), 1, "{:?}", disk.names());
    open_one.commit().unwrap();
    produce(&log, "after").unwrap();
    let before = portrait(&log);
    drop((log, open_one));
    let log = open(&disk).unwrap();
    assert_eq!(portrait(&log), before);
    assert_eq!(log.opened().aborted_transactions, 0);
    log.reclaim().unwrap();
    drop(log);
    assert_eq!(portrait(&open(&disk).unwrap()), before);
}

/// The fixture was written by this test's own workload under format 1, with a
/// checkpoint in the middle; it is never written again.
#[test]
fn a_folder_of_format_1_opens() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/log-format-1");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("log")).unwrap();
    let mut files = 0;
    for entry in fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join("log").join(entry.file_name())).unwrap();
        files += 1;
    }
    assert!(files > 2, "a checkpoint and segments");
    let log = EmbeddedLog::open(folder.path(), config()).unwrap();
    assert_eq!((log.opened().topics, log.opened().records, log.opened().aborted_transactions), (1, 12, 0));
    let text = |values: &[(i64, &str)]| -> Vec<(i64, String)> {
        values.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
    };
    let plain = [(2, "plain 2"), (3, "plain 3"), (4, "plain 4"), (5, "commit 0"), (9, "commit 2")];
    let after = [(11, "after 0"), (12, "after 1"), (13, "after 2"), (14, "after 3")];
    assert_eq!(committed(&log, 0), text(&[&plain[..], &after[..]].concat()));
    assert_eq!(committed(&log, 1), text(&[(0, "commit 0"), (4, "commit 2"), (6, "across")]));
    let description = log.admin().unwrap().describe_topic(&topic()).unwrap().unwrap();
    assert_eq!((description.partitions, description.settings["retention.ms"].as_str()), (3, "-1"));
    let offsets = log.admin().unwrap().group_offsets("g", &[place(0), place(1)]).unwrap();
    let offsets: Vec<_> =
        offsets.iter().map(|(place, found)| (place.partition.0, found.offset.0, found.metadata.as_str())).collect();
    assert_eq!(offsets, [(0, 9, "at 9"), (1, 2, "at 2")]);
    produce(&log, "goes on").unwrap();
}

#[test]
fn what_was_open_is_aborted() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    let mut producer = transactional(&log, "p");
    producer.init().unwrap();
    producer.begin().unwrap();
    producer.produce(&batch(&[(0, "open".to_owned())])).unwrap();
    producer.send_offsets(&nobody("g"), &[offset(0, 1)]).unwrap();
    produce(&log, "plain").unwrap();
    assert_eq!(values(&log, 0), Vec::<String>::new(), "the open one holds the last stable offset");

    let disk = disk.after_kill();
    let log = open(&disk).unwrap();
    assert_eq!(log.opened().aborted_transactions, 1);
    assert_eq!(committed(&log, 0), [(1, "plain".to_owned())]);
    assert_eq!(log.admin().unwrap().bounds(&place(0), Isolation::ReadCommitted).unwrap().end, Offset(3));
    assert_eq!(log.admin().unwrap().group_offsets("g", &[place(0)]).unwrap(), []);
    drop(log);
    assert_eq!(open(&disk).unwrap().opened().aborted_transactions, 0, "it was aborted for good");
}

#[test]
fn a_topic_that_is_created_again_is_another_one() {
    let disk = SimDisk::default();
    let id = |log: &EmbeddedLog| log.admin().unwrap().describe_topic(&topic()).unwrap().unwrap().id;
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    produce(&log, "old").unwrap();
    let first = id(&log);
    log.admin().unwrap().delete_topics(&[topic()]).unwrap();
    log.reclaim().unwrap();
    drop(log);
    let log = open(&disk).unwrap();
    assert_eq!(log.opened().topics, 0);
    create_topic(&log, &[]).unwrap();
    let second = id(&log);
    assert_ne!(first, second);
    drop(log);
    assert_eq!(id(&open(&disk).unwrap()), second);

    let other = SimDisk::default();
    let log = open(&other).unwrap();
    create_topic(&log, &[]).unwrap();
    assert!(![first, second].contains(&id(&log)), "another log's topics are others");
}

#[test]
fn compaction_and_retention_outlive_the_process() {
    let disk = SimDisk::default();
    let clock = Arc::new(AtomicI64::new(1_000));
    let open = || {
        let time = clock.clone();
        let mut config = config();
        config.clock = Arc::new(move || TimestampMs(time.load(Ordering::Relaxed)));
        EmbeddedLog::open_on(Arc::new(disk.clone()), config).unwrap()
    };
    let log = open();
    create_topic(&log, &[("cleanup.policy", "compact,delete"), ("retention.ms", "1000"), ("segment.ms", "1")]).unwrap();
    produce(&log, "too old").unwrap();
    clock.store(5_000, Ordering::Relaxed);
    produce(&log, "superseded").unwrap();
    produce(&log, "latest").unwrap();
    log.run_cleaner();
    produce(&log, "new").unwrap();
    let expected = [(2, "latest".to_owned()), (3, "new".to_owned())];
    assert_eq!(committed(&log, 0), expected);
    drop(log);
    assert_eq!(committed(&open(), 0), expected);
}

#[test]
fn space_comes_back_when_enough_is_dead() {
    let disk = SimDisk::default();
    let mut config = config();
    config.reclaim_bytes = 20_000;
    let log = EmbeddedLog::open_on(Arc::new(disk.clone()), config).unwrap();
    create_topic(&log, &[("cleanup.policy", "compact")]).unwrap();
    for number in 0..500 {
        produce(&log, &format!("{number:0100}")).unwrap();
        if number == 50 {
            log.run_cleaner();
            assert!(disk.used() > 5_000, "too little is dead yet");
        }
    }
    assert!(disk.used() > 50_000);
    log.run_cleaner();
    assert!(disk.used() < 2_000, "{} bytes are left", disk.used());
    assert_eq!(log.file_bytes(), disk.used() as u64);
    let before = portrait(&log);
    drop(log);
    assert_eq!(portrait(&support::open(&disk).unwrap()), before);
}
