//! A rebuild against the live view's own drain, and the live view's lag meanwhile:
//! `cargo run --release -p factum-views --example rebuild`.
//!
//! On the log in memory and a SQLite file, so that what is compared is the views' own work.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // an example's failure is its panic, and it tells people

use factum_core::{
    CommandId, DecodeError, Error, Message, MessageCodec, Offset, Partition, RecordBatch, TimestampMs, Topic, Version,
    log::{Isolation, Log, TopicSpec},
    view::{Recorded, View, ViewTable},
    wire::EventHeader,
};
use factum_log_memory::MemoryLog;
use factum_views::{
    Database, RebuildOptions, RebuildPlace, Rebuilder, Target, ViewOptions, ViewRunner, ViewStatus, roll_back,
};
use serde::{Deserialize, Serialize};
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const EVENTS: u64 = 200_000;
const ACCOUNTS: u64 = 10_000;
const PARTITIONS: u32 = 6;
/// The default of `factum views rebuild --rate`.
const DEFAULT_RATE: u32 = 20_000;
const LIVE_EVENTS_PER_SECOND: u64 = 500;

#[derive(Debug, Clone)]
struct Deposited;

impl Message for Deposited {
    const RECORDS: &'static [&'static str] = &["Deposited"];
    fn record(&self) -> usize {
        0
    }
}

struct Codec;

impl MessageCodec<Deposited> for Codec {
    fn encode(&self, _: &Deposited, _: &mut Vec<u8>) -> Result<(), Error> {
        Err(Error::invalid("only read here"))
    }
    fn decode(&self, _: &[u8]) -> Result<Deposited, DecodeError> {
        Ok(Deposited)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Balance {
    balance: i64,
    entries: i64,
}

#[derive(Debug)]
struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["bank"];
    type Event = Deposited;
    type Row = Balance;

    fn keys(event: &Recorded<Deposited>) -> Vec<String> {
        vec![event.aggregate.to_string()]
    }

    fn fold(_: &str, row: Option<Balance>, _: &Recorded<Deposited>) -> Option<Balance> {
        let Balance { balance, entries } = row.unwrap_or(Balance { balance: 0, entries: 0 });
        Some(Balance { balance: balance + 1, entries: entries + 1 })
    }
}

/// Appends events from that number on, account after account.
fn write(log: &MemoryLog, from: u64, count: u64) {
    let topic = Topic::from("bank.events");
    let mut producer = log.producer().unwrap();
    let mut batch = RecordBatch::new();
    for number in from..from + count {
        let account = number % ACCOUNTS;
        let mut record = batch.start(&topic, Partition(u32::try_from(account % u64::from(PARTITIONS)).unwrap()));
        record.key(format!("account-{account:05}").as_bytes());
        record.value(b"a deposit of one cent, in as many bytes as Avro takes");
        let header = EventHeader {
            version: Version(number / ACCOUNTS + 1),
            command: CommandId(u128::from(number).to_be_bytes()),
            command_offset: Offset(i64::try_from(number).unwrap()),
            index: 0,
            size: 1,
            occurred: now(),
            correlation: CommandId([0; 16]),
            cause: None,
            trace: None,
            source: "example",
        };
        header.write(&mut record);
        record.finish();
    }
    producer.produce(&batch).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn now() -> TimestampMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    TimestampMs(i64::try_from(since.as_millis()).unwrap())
}

fn options() -> ViewOptions {
    ViewOptions::new(Arc::new(|_| Ok(())), now)
}

fn live(log: &MemoryLog, database: &Database) -> ViewRunner<Balances, Codec> {
    ViewRunner::start(log, Codec, database.open(ViewTable::of::<Balances>().unwrap()).unwrap(), options()).unwrap()
}

fn rebuild(log: &MemoryLog, database: &Database, rate: Option<NonZeroU32>) -> f64 {
    let table = ViewTable::of::<Balances>().unwrap();
    let place = RebuildPlace { log, open: &|table| database.open_rebuild(table), wrap: &Ok };
    let wanted = RebuildOptions {
        suffix: "rebuild".into(),
        target: Target::Live,
        sample: None,
        anew: false,
        rate,
        owner: "the example".into(),
    };
    let begun = Instant::now();
    let mut rebuild = Rebuilder::start::<Balances, _>(&place, Codec, options(), wanted).unwrap();
    loop {
        assert!(rebuild.fold(&AtomicBool::new(false), &mut |_| {}).unwrap());
        match rebuild.compare(1) {
            Ok(parity) => break assert!(parity.unwrap().is_equal()),
            Err(error) => println!("again: {error}"),
        }
    }
    rebuild.switch().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let mut sink = database.open_rebuild(table.clone()).unwrap();
    roll_back(&mut *sink, &table).unwrap();
    sink.drop_table(&table.beside("old").unwrap()).unwrap();
    seconds
}

/// Events that are in the log and not in the view.
fn lag(log: &MemoryLog, status: &ViewStatus) -> i64 {
    let mut admin = log.admin().unwrap();
    let behind = status.places.iter().map(|(place, status)| {
        let end = admin.bounds(place, Isolation::ReadCommitted).unwrap().end;
        end.0 - status.position.map_or(end.0, |position| position.0)
    });
    behind.sum()
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let log = MemoryLog::with_system_clock();
    let settings = [("retention.ms".to_owned(), "-1".to_owned())].into();
    let spec = TopicSpec { topic: "bank.events".into(), partitions: PARTITIONS, replication: None, settings };
    log.admin().unwrap().create_topics(&[spec]).unwrap();
    write(&log, 0, EVENTS);

    let (mut drains, mut rebuilds) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let database = Database::file(folder.path().join(format!("{round}.sqlite")));
        let mut view = live(&log, &database);
        let begun = Instant::now();
        while view.status().lock().unwrap().totals.applied < EVENTS {
            view.step(Duration::from_millis(10)).unwrap();
        }
        drains.push(begun.elapsed().as_secs_f64());
        view.close().unwrap();
        rebuilds.push(rebuild(&log, &database, None));
        let (drain, again) = (drains[round], rebuilds[round]);
        let rate = |seconds: f64| EVENTS as f64 / seconds;
        println!("live drain {:.0}/s, rebuild {:.0}/s, ratio {:.2}", rate(drain), rate(again), drain / again);
    }

    let database = Database::file(folder.path().join("0.sqlite"));
    let stop = Arc::new(AtomicBool::new(false));
    let view = live(&log, &database);
    let status = view.status();
    let runner = std::thread::spawn({
        let stop = stop.clone();
        move || view.run(&stop).unwrap()
    });
    let builder = std::thread::spawn({
        let (log, database) = (log.clone(), database.clone());
        move || rebuild(&log, &database, NonZeroU32::new(DEFAULT_RATE))
    });
    let (mut number, mut worst) = (EVENTS, 0_i64);
    while !builder.is_finished() {
        write(&log, number, LIVE_EVENTS_PER_SECOND / 50);
        number += LIVE_EVENTS_PER_SECOND / 50;
        std::thread::sleep(Duration::from_millis(20));
        if status.lock().unwrap().places.len() == PARTITIONS as usize {
            worst = worst.max(lag(&log, &status.lock().unwrap().clone()));
        }
    }
    println!(
        "at {DEFAULT_RATE}/s the rebuild took {:.1} s; at {LIVE_EVENTS_PER_SECOND} events a second the live view was \
         at most {worst} events behind, {:.2} s",
        builder.join().unwrap(),
        worst as f64 / LIVE_EVENTS_PER_SECOND as f64
    );
    stop.store(true, Ordering::Relaxed);
    runner.join().unwrap();
}
