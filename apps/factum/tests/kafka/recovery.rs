//! What a restart reads, and what it does when its group's offsets were set back.

use crate::{
    books::{Balance, Books},
    process::{DEADLINE, until},
    site::{BANK, Site},
};
use factum::{
    Offset, RecordBatch,
    handler::{Activity, HandlerStats},
    host::{AggregateHost, HandlerOptions, Stop, Typed},
    log::Isolation,
    partition_of,
    wire::SnapshotKey,
};
use factum_bank::Account;
use factum_test_broker::kafka_tool;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

const PARTITIONS: u32 = 2;
const ACCOUNTS: u64 = 1_000;
const ROUNDS: u64 = 100;
const CHECKPOINT_EVERY: u64 = 5_000;
const BATCH: u64 = 500;

/// Writes a deposit of one cent for each account, `rounds` times, as any Kafka client would.
fn write_deposits(site: &Site, rounds: u64) {
    let environment = site.environment();
    let topic = environment.topics(BANK).commands;
    let value = Typed::<Account>::default().encoder(&environment).unwrap()("Deposit", &json!({ "cents": 1 })).unwrap();
    let mut producer = environment.log.producer().unwrap();
    let mut batch = RecordBatch::new();
    for _ in 0..rounds {
        batch.clear();
        for number in 0..ACCOUNTS {
            let key = format!("account-{number}");
            let mut record = batch.start(&topic, partition_of(key.as_bytes(), PARTITIONS));
            record.key(key.as_bytes());
            record.value(&value);
            record.finish();
        }
        producer.produce(&batch).unwrap();
    }
    producer.flush(DEADLINE).unwrap();
}

/// Starts a handler in this process; returns its counts once every partition is ready.
fn recover(site: &Site) -> HandlerStats {
    let stop = Stop::default();
    let host = Typed::<Account>::default();
    let (running, status) = host.start_handler(&site.environment(), HandlerOptions::default(), &stop).unwrap();
    let stats = until("every partition is ready", || {
        assert_eq!(running.failure(), None);
        let status = status.lock().unwrap();
        let ready = status.partitions.iter().filter(|partition| partition.activity == Activity::Ready).count();
        (ready == PARTITIONS as usize).then_some(status.stats)
    });
    stop.stop();
    running.join().unwrap();
    stats
}

/// Copies of each snapshot in the topic, newest state of the topic, and how many records were ever written.
fn snapshot_copies(site: &Site) -> (BTreeMap<Vec<u8>, usize>, i64) {
    let environment = site.environment();
    let mut admin = site.admin();
    let mut reader = environment.log.reader(Isolation::ReadCommitted).unwrap();
    let mut ends = Vec::new();
    for place in admin.partitions(&environment.topics(BANK).snapshots).unwrap() {
        ends.push((place.clone(), admin.bounds(&place, Isolation::ReadCommitted).unwrap().end));
        reader.add(&place, Offset(0)).unwrap();
    }
    let mut batch = RecordBatch::new();
    until("the end of the snapshots", || {
        reader.poll(100_000, Duration::from_millis(20), &mut batch).unwrap();
        ends.iter().all(|(place, end)| reader.position(place).unwrap() >= Some(*end)).then_some(())
    });
    let mut copies = BTreeMap::new();
    for record in batch.iter() {
        if let Some(SnapshotKey::Snapshot(..)) = record.key().and_then(SnapshotKey::read) {
            *copies.entry(record.key().unwrap_or_default().to_vec()).or_default() += 1;
        }
    }
    (copies, ends.iter().map(|(_, end)| end.0).sum())
}

#[test]
fn a_restart_reads_one_checkpoint_interval_and_old_snapshots_go() {
    let site = Site::new(PARTITIONS);
    let snapshots = site.topics().snapshots;
    site.alter(&snapshots, "segment.ms", "2000");
    site.alter(&snapshots, "max.compaction.lag.ms", "2000");
    let settings = ["--checkpoint-every", &CHECKPOINT_EVERY.to_string(), "--max-batch", &BATCH.to_string()];
    let mut handler = site.handler(&settings);
    write_deposits(&site, ROUNDS);
    site.handles_all();
    handler.kill();

    let read = recover(&site);
    // A checkpoint takes what changed before it began; events go on while it is written.
    let bound = u64::from(PARTITIONS) * (CHECKPOINT_EVERY + 2 * BATCH);
    assert!(read.recovered_events <= bound, "{} of {} events were read", read.recovered_events, ACCOUNTS * ROUNDS);
    assert!(read.recovered_snapshots >= ACCOUNTS, "{read:?}");
    // What was not read is there all the same.
    let mut handler = site.handler(&settings);
    assert_eq!(site.deposit("account-0", 1), ROUNDS + 1);

    // A segment is only cleaned when a later record has closed it.
    let mut cents = 1;
    let (copies, written) = until("old snapshots are gone", || {
        cents += 1;
        write_deposits(&site, 1);
        let (copies, written) = snapshot_copies(&site);
        copies.values().all(|&count| count <= 3).then_some((copies, written))
    });
    assert_eq!(copies.len() as u64, ACCOUNTS);
    assert!(written > 5 * ACCOUNTS as i64, "only {written} snapshots were ever written");
    handler.stop();
    recover(&site);
    Books::read(&site);
}

#[test]
fn a_group_reset_to_the_earliest_offset_decides_nothing_twice() {
    let site = Site::new(PARTITIONS);
    let mut handler = site.handler(&[]);
    for cents in [100, 20, 3] {
        site.deposit("anna", cents);
    }
    site.publish("anna", "Withdraw", 1_000).refused_with(&["refused"]);
    handler.stop();
    let before = Books::read(&site).balances();

    let (group, topic) = (site.environment().handler_group(BANK), site.topics().commands.to_string());
    kafka_tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &[
            "--bootstrap-server",
            site.kafka(),
            "--group",
            &group,
            "--topic",
            &topic,
            "--reset-offsets",
            "--to-earliest",
            "--execute",
        ],
    )
    .unwrap();
    let mut handler = site.handler(&[]);
    handler.says("commands were handled before; none was decided again", 1);
    assert_eq!(Books::read(&site).balances(), before);
    assert_eq!(site.deposit("anna", 7), 4);
    assert_eq!(Books::read(&site).balances()["anna"], Balance { version: 4, cents: 130 });
    handler.stop();
}
