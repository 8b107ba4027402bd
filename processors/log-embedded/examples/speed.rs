//! What the log on disk costs on this machine, in figures: one fsync, transactions of
//! 500 records with 1 and 8 producers, and opening a log with a million records.
//!
//! `cargo run --release -p factum-log-embedded --example speed [FOLDER]`

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a measurement for people

use factum_core::log::{Log, TopicSpec, TransactionOptions};
use factum_core::{Partition, RecordBatch, Topic};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const RECORDS_PER_TRANSACTION: usize = 500;
const RECORD_BYTES: usize = 150;
const PARTITIONS: u32 = 4;

fn main() {
    let folder = match std::env::args().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    println!("one append of 4 KiB with fdatasync, median of 200: {:?}", fsync_median(folder.path()));
    for producers in [1, 8] {
        transactions(&folder.path().join(format!("by {producers}")), producers, Duration::from_secs(5));
    }
    open_a_million(&folder.path().join("million"));
}

fn fsync_median(folder: &Path) -> Duration {
    let mut file = File::create(folder.join("fsync")).unwrap();
    let mut times: Vec<Duration> = (0..200)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[100]
}

fn transactions(folder: &Path, producers: u32, time: Duration) {
    let log = EmbeddedLog::open(folder, EmbeddedConfig::default()).unwrap();
    create(&log);
    let began = Instant::now();
    let count: usize = thread::scope(|scope| {
        let work: Vec<_> = (0..producers)
            .map(|number| {
                let log = &log;
                scope.spawn(move || write(log, number, |done| (began.elapsed() < time).then_some(done)))
            })
            .collect();
        work.into_iter().map(|work| work.join().unwrap()).sum()
    });
    let seconds = began.elapsed().as_secs_f64();
    let [per_second, records] = [count, count * RECORDS_PER_TRANSACTION].map(|n| n as f64 / seconds);
    println!("{producers} producers: {per_second:.0} transactions/s, {records:.0} records/s");
}

fn open_a_million(folder: &Path) {
    let log = EmbeddedLog::open(folder, EmbeddedConfig::default()).unwrap();
    create(&log);
    write(&log, 0, |done| (done * RECORDS_PER_TRANSACTION < 1_000_000).then_some(done));
    drop(log);
    let began = Instant::now();
    let log = EmbeddedLog::open(folder, EmbeddedConfig::default()).unwrap();
    println!("opening {} records, {} MiB: {:?}", log.opened().records, log.opened().bytes >> 20, began.elapsed());
    let began = Instant::now();
    log.reclaim().unwrap();
    println!("writing them anew: {:?}", began.elapsed());
    drop(log);
    let began = Instant::now();
    let log = EmbeddedLog::open(folder, EmbeddedConfig::default()).unwrap();
    println!("opening that: {:?}, {} records", began.elapsed(), log.opened().records);
}

fn create(log: &EmbeddedLog) {
    let topic = Topic::from("events");
    let spec = TopicSpec { topic, partitions: PARTITIONS, replication: None, settings: Default::default() };
    log.admin().unwrap().create_topics(&[spec]).unwrap();
}

/// Writes transactions as long as `goes_on` says; returns their number.
fn write(log: &EmbeddedLog, producer: u32, goes_on: impl Fn(usize) -> Option<usize>) -> usize {
    let options =
        TransactionOptions { transactional_id: format!("producer {producer}"), timeout: Duration::from_secs(60) };
    let mut client = log.transactional_producer(&options).unwrap();
    client.init().unwrap();
    let (topic, value) = (Topic::from("events"), [5; RECORD_BYTES]);
    let mut batch = RecordBatch::new();
    for number in 0..RECORDS_PER_TRANSACTION {
        let mut record = batch.start(&topic, Partition(producer % PARTITIONS));
        record.key(format!("account-{number:08}").as_bytes());
        record.value(&value);
        record.finish();
    }
    let mut done = 0;
    while goes_on(done).is_some() {
        client.begin().unwrap();
        client.produce(&batch).unwrap();
        client.commit().unwrap();
        done += 1;
    }
    done
}
