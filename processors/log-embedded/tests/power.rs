//! The power goes at every step of a workload: what was acknowledged or seen
//! is there, transactions are whole, and the log opens.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

mod support;

use factum_core::log::{Isolation, Log};
use factum_core::{ErrorKind, Offset, RecordBatch, Result};
use factum_log_embedded::EmbeddedLog;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use support::*;

/// How many ways in which the same power cut may leave the disk are tried.
const CUTS: u64 = 30;

/// What the clients know when the power goes.
#[derive(Debug, Default, Clone)]
struct Known {
    /// Records that were acknowledged or read: partition, offset, value.
    there: Vec<(u32, i64, String)>,
    /// Transactions whose commit was acknowledged, and how many were tried.
    /// Each has the value `txn N` in both partitions and commits the offset N.
    committed: Vec<i64>,
    tried: i64,
}

fn plain(log: &EmbeddedLog, known: &mut Known, value: &str) -> Result<()> {
    let offset = produce(log, value)?;
    known.there.push((0, offset.0, value.to_owned()));
    Ok(())
}

fn transaction(log: &EmbeddedLog, known: &mut Known) -> Result<()> {
    known.tried += 1;
    let number = known.tried;
    let mut producer = transactional(log, "p");
    let steps = |error: factum_core::log::TxnError| error.into_error();
    producer.init().map_err(steps)?;
    producer.begin().map_err(steps)?;
    let value = format!("txn {number}");
    producer.produce(&batch(&[(0, value.clone()), (1, value)])).map_err(steps)?;
    producer.send_offsets(&nobody("g"), &[offset(0, number)]).map_err(steps)?;
    producer.commit().map_err(steps)?;
    known.committed.push(number);
    Ok(())
}

fn aborted(log: &EmbeddedLog) -> Result<()> {
    let mut producer = transactional(log, "a");
    let steps = |error: factum_core::log::TxnError| error.into_error();
    producer.init().map_err(steps)?;
    producer.begin().map_err(steps)?;
    producer.produce(&batch(&[(0, "aborted".to_owned()), (1, "aborted".to_owned())])).map_err(steps)?;
    producer.abort().map_err(steps)
}

/// What a reader sees counts like what was acknowledged.
fn look(log: &EmbeddedLog, known: &mut Known) -> Result<()> {
    for partition in 0..2 {
        let mut reader = log.reader(Isolation::ReadUncommitted)?;
        reader.add(&place(partition), Offset(0))?;
        let mut records = RecordBatch::new();
        reader.poll(usize::MAX, Duration::ZERO, &mut records)?;
        for record in records.iter() {
            let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
            if !value.starts_with("aborted") {
                known.there.push((partition, record.offset().0, value));
            }
        }
    }
    Ok(())
}

fn workload(log: &EmbeddedLog, known: &mut Known) -> Result<()> {
    create_topic(log, &[])?;
    for round in 0..3 {
        plain(log, known, &format!("plain {round}"))?;
        transaction(log, known)?;
        aborted(log)?;
        look(log, known)?;
        // An open transaction across all that follows, whose producer is never heard of again.
        let mut open = transactional(log, &format!("open {round}"));
        open.init().unwrap();
        open.begin().unwrap();
        if open.produce(&batch(&[(1, format!("aborted, left open in round {round}"))])).is_err() {
            return Err(factum_core::Error::unavailable("the power is off"));
        }
        plain(log, known, &format!("more {round}"))?;
        transaction(log, known)?;
        if round == 1 {
            log.reclaim()?;
        }
        drop(open);
    }
    transaction(log, known)
}

fn check(log: &EmbeddedLog, known: &Known, context: &str) {
    if log.admin().unwrap().describe_topic(&topic()).unwrap().is_none() {
        assert!(known.there.is_empty() && known.committed.is_empty(), "{context}: the topic is gone");
        return;
    }
    let records = [committed(log, 0), committed(log, 1)];
    for (partition, offset, value) in &known.there {
        let found = records[*partition as usize].contains(&(*offset, value.clone()));
        assert!(found, "{context}: {value} is not at {offset} of {partition} any more: {records:?}");
    }
    assert!(!format!("{records:?}").contains("aborted"), "{context}: {records:?}");
    let transactions = |partition: usize| -> Vec<i64> {
        let values = records[partition].iter().map(|(_, value)| value);
        values.filter_map(|value| value.strip_prefix("txn ").map(|number| number.parse().unwrap())).collect()
    };
    let there = transactions(0);
    assert_eq!(there, transactions(1), "{context}: a transaction is there in part");
    assert!(there.starts_with(&known.committed), "{context}: {there:?} of {:?}", known.committed);
    assert!(there.len() <= known.committed.len() + 1 && there.iter().all(|number| *number <= known.tried), "{context}");
    let offsets = log.admin().unwrap().group_offsets("g", &[place(0)]).unwrap();
    let last = offsets.first().map(|(_, committed)| committed.offset.0);
    assert_eq!(last, there.last().copied(), "{context}: offsets are the transaction's");
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_acknowledged() {
    keep_log();
    let whole = SimDisk::default();
    let mut known = Known::default();
    workload(&open(&whole).unwrap(), &mut known).unwrap();
    let steps = whole.steps();
    assert!(steps > 40, "{steps} steps are few");

    let mut torn = 0;
    for step in 0..steps {
        let disk = SimDisk::default();
        disk.cut_after(step);
        let mut known = Known::default();
        let log = open(&disk).unwrap();
        // The last steps are those of closing.
        let ended = workload(&log, &mut known);
        drop(log);
        assert!(ended.is_err() || known.committed.len() == 7, "{ended:?}");
        for seed in 0..CUTS {
            let context = format!("power cut after step {step}, seed {seed}");
            let mut chance = Chance(step << 8 | seed);
            let disk = disk.after_power_cut(&mut chance);
            // It goes again while the log opens.
            let again = disk.after_power_cut(&mut chance);
            again.cut_after(chance.below(6));
            let opened = open(&again);
            drop(opened);
            let disk = again.after_power_cut(&mut chance);

            let mut known = known.clone();
            let log = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            torn += u64::from(log.opened().dropped_tail_bytes > 0);
            check(&log, &known, &context);
            create_topic(&log, &[]).unwrap();
            plain(&log, &mut known, "afterwards").unwrap();
            let before = committed(&log, 0);
            drop(log);
            let log = open(&disk.after_power_cut(&mut chance)).unwrap();
            assert_eq!(committed(&log, 0), before, "{context}");
        }
    }
    assert!(torn > 20, "{torn} torn tails are few: the test does not test");
}

thread_local! {
    /// What this thread logged.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps what each thread logs. One subscriber for the process, set before
/// anything is logged: whether a line is wanted is cached for all threads, and
/// a thread's own subscriber can come while another thread fills that cache.
fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(|| ThisThread).finish();
        tracing::subscriber::set_global_default(lines).unwrap();
    });
}

/// What is logged while something is done.
fn logged<R>(work: impl FnOnce() -> R) -> (R, String) {
    LOGGED.take();
    let result = work();
    (result, String::from_utf8(LOGGED.take()).unwrap())
}

#[test]
fn a_torn_tail_is_dropped_and_told() {
    keep_log();
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    produce(&log, "whole").unwrap();
    let disk = disk.after_kill();
    let name = disk.names().pop().unwrap();
    let length = disk.contents(&name).len();
    for keep in 1..200 {
        let disk = disk.after_kill();
        disk.edit(&name, |bytes| bytes.extend_from_slice(&vec![0; keep]));
        let (log, told) = logged(|| open(&disk).unwrap());
        assert_eq!(log.opened().dropped_tail_bytes, keep as u64);
        let expected = "WARN factum_log_embedded::recovery: \
                        the end of the log was not written completely and is dropped";
        let place = format!(" path=\"log/{name}\" at={length} bytes={keep}");
        assert!(told.contains(&(expected.to_owned() + &place)), "{told}");
        assert_eq!(disk.contents(&name).len(), length, "it is cut off");
        assert_eq!(values(&log, 0), ["whole"]);
        produce(&log, "next").unwrap();
        drop(log);
        let log = open(&disk).unwrap();
        assert_eq!(
            (values(&log, 0), log.opened().dropped_tail_bytes),
            (vec!["whole".to_owned(), "next".to_owned()], 0)
        );
    }
}

#[test]
fn nothing_is_seen_before_it_is_durable() {
    keep_log();
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    produce(&log, "durable").unwrap();
    // No more bytes: what is produced now is in memory only.
    disk.limit(Some(disk.used()));
    let error = produce(&log, "not durable").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let mut reader = log.reader(Isolation::ReadUncommitted).unwrap();
    reader.add(&place(0), Offset(0)).unwrap();
    let mut records = RecordBatch::new();
    reader.poll(10, Duration::from_millis(1), &mut records).unwrap();
    reader.poll(10, Duration::from_millis(1), &mut records).unwrap();
    assert_eq!(records.len(), 1);
    // A reader that waits brings it to the disk once there is room.
    disk.limit(None);
    reader.poll(10, Duration::from_secs(60), &mut records).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(values(&open(&disk.after_power_cut(&mut Chance(1))).unwrap(), 0), ["durable", "not durable"]);
}

/// Writes transactions of one writer until the power goes: `txn WRITER NUMBER`
/// in both partitions, with that number as the offset of the writer's group.
fn write_until_cut(log: &EmbeddedLog, writer: u32) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut producer = transactional(log, &format!("p{writer}"));
    producer.init().unwrap();
    for number in 1.. {
        let value = format!("txn {writer} {number}");
        let written = producer.begin().and_then(|()| {
            producer.produce(&batch(&[(0, value.clone()), (1, value.clone())]))?;
            producer.send_offsets(&nobody(&format!("g{writer}")), &[offset(0, number)])?;
            if number % 7 == 0 { producer.abort() } else { producer.commit() }
        });
        match written {
            Ok(()) if number % 7 != 0 => acknowledged.push(value),
            Ok(()) => {}
            Err(_) => break,
        }
    }
    acknowledged
}

/// Reads both partitions until the power goes; what it saw.
fn read_until_cut(log: &EmbeddedLog, over: &AtomicBool) -> Vec<(u32, i64, String)> {
    let mut reader = log.reader(Isolation::ReadCommitted).unwrap();
    reader.add(&place(0), Offset(0)).unwrap();
    reader.add(&place(1), Offset(0)).unwrap();
    let mut records = RecordBatch::new();
    while !over.load(Ordering::Relaxed) {
        reader.poll(100, Duration::from_millis(5), &mut records).unwrap();
    }
    let value = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    records.iter().map(|record| (record.partition().0, record.offset().0, value(record.value()))).collect()
}

#[test]
fn a_power_cut_under_many_clients_loses_nothing_acknowledged_or_seen() {
    keep_log();
    const WRITERS: u32 = 3;
    let mut chance = Chance(4711);
    let mut total = 0;
    for round in 0..60 {
        let disk = SimDisk::default();
        let log = open(&disk).unwrap();
        create_topic(&log, &[]).unwrap();
        disk.cut_after(chance.below(400));
        let over = AtomicBool::new(false);
        let (acknowledged, seen) = thread::scope(|scope| {
            let reading = scope.spawn(|| read_until_cut(&log, &over));
            let reclaiming = scope.spawn(|| while log.reclaim().is_ok() {});
            let log = &log;
            let writing: Vec<_> =
                (0..WRITERS).map(|writer| scope.spawn(move || write_until_cut(log, writer))).collect();
            let acknowledged: Vec<Vec<String>> = writing.into_iter().map(|writing| writing.join().unwrap()).collect();
            reclaiming.join().unwrap();
            over.store(true, Ordering::Relaxed);
            (acknowledged, reading.join().unwrap())
        });
        drop(log);
        let log = open(&disk.after_power_cut(&mut chance)).unwrap_or_else(|error| panic!("round {round}: {error}"));
        let records = [committed(&log, 0), committed(&log, 1)];
        for (partition, offset, value) in seen {
            let found = records[partition as usize].contains(&(offset, value.clone()));
            assert!(found, "round {round}: {value} was seen at {offset} of {partition}: {records:?}");
        }
        let there = values(&log, 0);
        let whole: BTreeSet<&String> = there.iter().collect();
        assert_eq!(whole, values(&log, 1).iter().collect(), "round {round}: a transaction is there in part");
        for (writer, acknowledged) in (0..WRITERS).zip(acknowledged) {
            total += acknowledged.len();
            let of_writer = format!("txn {writer} ");
            let there: Vec<&String> = there.iter().filter(|value| value.starts_with(&of_writer)).collect();
            let told: Vec<&String> = acknowledged.iter().collect();
            assert!(there.starts_with(&told) && there.len() <= told.len() + 1, "round {round}: {told:?} of {there:?}");
            let offsets = log.admin().unwrap().group_offsets(&format!("g{writer}"), &[place(0)]).unwrap();
            let last = there.last().map(|value| value[of_writer.len()..].parse::<i64>().unwrap());
            assert_eq!(offsets.first().map(|(_, committed)| committed.offset.0), last, "round {round}");
        }
    }
    assert!(total > 60, "{total} acknowledged transactions are few");
}
