//! When bytes reach the disk, on one that loses every byte since the last sync.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

mod support;

use factum_core::log::{GroupOptions, GroupProtocol, Isolation, Log};
use factum_core::{Offset, RecordBatch};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use support::*;

fn with_topic() -> (SimDisk, EmbeddedLog) {
    let disk = SimDisk::default();
    // A file's head takes a sync of its own: one file is enough here.
    let config = EmbeddedConfig { segment_bytes: u64::MAX, ..config() };
    let log = EmbeddedLog::open_on(Arc::new(disk.clone()), config).unwrap();
    create_topic(&log, &[]).unwrap();
    (disk, log)
}

/// The log after a power cut now.
fn afterwards(disk: &SimDisk) -> EmbeddedLog {
    open(&disk.after_losing_what_was_not_synced()).unwrap()
}

#[test]
fn a_call_that_returned_is_on_the_disk() {
    let (disk, log) = with_topic();
    let mut admin = log.admin().unwrap();
    let description = |log: &EmbeddedLog| log.admin().unwrap().describe_topic(&topic()).unwrap();
    assert!(description(&afterwards(&disk)).is_some(), "a created topic");

    admin.alter_topic(&topic(), &BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())])).unwrap();
    assert_eq!(description(&afterwards(&disk)).unwrap().settings["retention.ms"], "-1");
    admin.add_partitions(&topic(), 5).unwrap();
    assert_eq!(description(&afterwards(&disk)).unwrap().partitions, 5);

    produce(&log, "reported").unwrap();
    assert_eq!(values(&afterwards(&disk), 0), ["reported"]);
    let mut producer = log.producer().unwrap();
    producer.produce(&batch(&[(0, "flushed".to_owned())])).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(values(&afterwards(&disk), 0), ["reported", "flushed"]);

    let mut producer = transactional(&log, "p");
    producer.init().unwrap();
    producer.begin().unwrap();
    producer.produce(&batch(&[(1, "committed".to_owned())])).unwrap();
    producer.send_offsets(&nobody("g"), &[offset(0, 1)]).unwrap();
    producer.commit().unwrap();
    let found = afterwards(&disk);
    assert_eq!(values(&found, 1), ["committed"]);
    let offset_of = |log: &EmbeddedLog, group: &str| {
        let found = log.admin().unwrap().group_offsets(group, &[place(0)]).unwrap();
        found.first().map(|(_, committed)| committed.offset.0)
    };
    assert_eq!(offset_of(&found, "g"), Some(1));

    admin.reset_group_offsets("g", &[offset(0, 2)]).unwrap();
    assert_eq!(offset_of(&afterwards(&disk), "g"), Some(2));
    let options = GroupOptions {
        group: "members".to_owned(),
        topics: vec![topic()],
        instance_id: None,
        session_timeout: Duration::from_secs(10),
        protocol: GroupProtocol::Classic,
    };
    let mut member = log.group_consumer(&options).unwrap();
    while member.poll(1, Duration::from_millis(10), &mut RecordBatch::new()).unwrap().is_none() {}
    member.commit(&[offset(0, 1)]).unwrap();
    assert_eq!(offset_of(&afterwards(&disk), "members"), Some(1));

    admin.delete_records(&place(0), Offset(1)).unwrap();
    assert_eq!(committed(&afterwards(&disk), 0), [(1, "flushed".to_owned())]);
    admin.delete_topics(&[topic()]).unwrap();
    assert!(description(&afterwards(&disk)).is_none(), "a deleted topic");
}

#[test]
fn what_nobody_waits_for_costs_no_sync() {
    let (disk, log) = with_topic();
    let before = disk.syncs();
    let mut producer = transactional(&log, "p");
    producer.init().unwrap();
    for _ in 0..10 {
        producer.begin().unwrap();
        producer.produce(&batch(&[(0, "aborted".to_owned())])).unwrap();
        producer.send_offsets(&nobody("g"), &[offset(0, 1)]).unwrap();
        producer.abort().unwrap();
    }
    producer.begin().unwrap();
    producer.produce(&batch(&[(0, "committed".to_owned())])).unwrap();
    assert_eq!(disk.syncs(), before);
    producer.commit().unwrap();
    assert_eq!(disk.syncs(), before + 1, "all of it goes with the commit");
    assert_eq!(values(&afterwards(&disk), 0), ["committed"]);
}

#[test]
fn a_reader_of_open_transactions_sees_what_is_on_the_disk() {
    let (disk, log) = with_topic();
    let mut producer = transactional(&log, "p");
    producer.init().unwrap();
    producer.begin().unwrap();
    producer.produce(&batch(&[(0, "open".to_owned())])).unwrap();
    let before = disk.syncs();
    assert_eq!(read(&log, 0, Isolation::ReadUncommitted), [(0, "open".to_owned())]);
    assert_eq!(disk.syncs(), before + 1);
    let end = afterwards(&disk).admin().unwrap().bounds(&place(0), Isolation::ReadUncommitted).unwrap().end;
    assert_eq!(end, Offset(2), "its record, and the marker of its abort");
}

#[test]
fn many_writers_share_a_sync() {
    const WRITERS: u64 = 8;
    const COMMITS: u64 = 20;
    let (disk, log) = with_topic();
    disk.slow_down(Duration::from_millis(3));
    let before = disk.syncs();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let log = &log;
            scope.spawn(move || {
                for number in 0..COMMITS {
                    produce(log, &format!("{writer} {number}")).unwrap();
                }
            });
        }
    });
    let syncs = disk.syncs() - before;
    assert_eq!(values(&afterwards(&disk), 0).len() as u64, WRITERS * COMMITS);
    assert!(syncs < WRITERS * COMMITS / 2, "{syncs} syncs for {} commits", WRITERS * COMMITS);
}
