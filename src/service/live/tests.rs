//! Channels over a source that a test fills.

use super::{
    catch_up::CatchUps,
    channel::{Channel, Live, NotYet, SLOW},
    positions::{Place, Positions},
    source::{Content, Origin, Source, Step},
    start,
};
use factum_core::{Offset, Partition, RecordBatch, Result, Topic, TopicId, TopicPartition};
use factum_gateway::{Inlet, QUEUE_BYTES, Stop, Told, Update, queue};
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(60);

/// A log of one partition.
#[derive(Default)]
struct Script {
    /// The key of each record.
    keys: Mutex<Vec<&'static str>>,
    /// How often it was opened.
    opened: AtomicUsize,
    /// Bytes of each update beside its number.
    weight: usize,
}

struct Reading {
    script: Arc<Shared>,
    positions: Positions,
}

/// The script as an origin.
struct Shared(Script);

fn place() -> TopicPartition {
    Topic::new("shop.order.events").partition(Partition(0))
}

fn at(next: i64) -> Positions {
    let topic_id = TopicId(7_u128.to_be_bytes());
    Positions([(place(), Place { topic_id, next: Offset(next) })].into())
}

impl Origin for Arc<Shared> {
    fn open(&self, at: Positions) -> Result<Box<dyn Source>> {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Reading { script: self.clone(), positions: at }))
    }

    fn tell(&self, step: &Step, key: &[u8], at: &Positions) -> Result<Option<Told>> {
        let Content::Records(records) = &step.content else { return Ok(None) };
        let next = at.next(&place()).unwrap();
        let told = records.iter().filter(|record| record.key() == Some(key) && record.offset() >= next);
        let weight = "x".repeat(self.0.weight);
        let update = |offset: Offset| Update {
            name: "event",
            data: json!({ "number": offset.0, "weight": weight }),
            position: Some(offset.to_string()),
        };
        let updates: Vec<Update> = told.map(|record| update(record.offset())).collect();
        Ok((!updates.is_empty()).then(|| Told::updates(&updates)))
    }
}

impl Source for Reading {
    fn read(&mut self, wait: Duration) -> Result<Option<Step>> {
        let next = self.positions.next(&place()).unwrap();
        let keys = self.script.0.keys.lock().unwrap().clone();
        let mut batch = RecordBatch::new();
        for (offset, key) in (0..).zip(keys).skip(usize::try_from(next.0).unwrap()).take(10) {
            let mut record = batch.start(&place().topic, Partition(0));
            record.offset(Offset(offset));
            record.key(key.as_bytes());
            record.finish();
        }
        if batch.is_empty() {
            std::thread::sleep(wait.min(Duration::from_millis(2)));
            return Ok(None);
        }
        self.positions = at(next.0 + i64::try_from(batch.len()).unwrap());
        Ok(Some(Step { after: self.positions.clone(), content: Content::Records(batch) }))
    }

    fn positions(&self) -> &Positions {
        &self.positions
    }
}

/// A channel that runs.
struct Running {
    script: Arc<Shared>,
    channel: Arc<Channel>,
    catch_ups: CatchUps,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(weight: usize, records: usize) -> Self {
        let script = Arc::new(Shared(Script { weight, ..Script::default() }));
        script.0.keys.lock().unwrap().extend(vec!["anna"; records]);
        let stop = Stop::default();
        let end = at(i64::try_from(records).unwrap());
        let (channel, thread) = start(Arc::new(script.clone()), end, &stop).unwrap();
        Running { script, channel, catch_ups: CatchUps::default(), stop, thread: Some(thread) }
    }

    fn add(&self, key: &'static str, count: usize) {
        self.script.0.keys.lock().unwrap().extend(vec![key; count]);
    }

    /// A stream that is in the channel, or on its way.
    fn follow(&self, key: &str, next: i64) -> Inlet {
        let (outlet, inlet) = queue(&self.stop, ());
        let live = Live { key: key.as_bytes().to_vec(), at: at(next), outlet, heard: Instant::now() };
        match self.channel.join(live) {
            Ok(()) => {}
            Err(NotYet::TooOld(live) | NotYet::Full(live)) => self.catch_ups.add(&self.channel, live).unwrap(),
            Err(NotYet::Ended(_)) => panic!("it has ended"),
        }
        inlet
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        self.catch_ups.end();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What a stream tells until it has told so many updates, or has ended.
fn numbers(inlet: &mut Inlet, count: usize) -> (Vec<i64>, String) {
    let (mut numbers, mut rest) = (Vec::new(), String::new());
    let begun = Instant::now();
    while numbers.len() < count {
        match inlet.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(text)) => {
                for line in std::str::from_utf8(&text).unwrap().lines() {
                    let data = line.strip_prefix("data: ");
                    let data: Option<serde_json::Value> = data.and_then(|data| serde_json::from_str(data).ok());
                    match data.and_then(|data| data["number"].as_i64()) {
                        Some(number) => numbers.push(number),
                        None => rest += line,
                    }
                }
            }
            Poll::Ready(None) => break,
            Poll::Pending => {
                assert!(begun.elapsed() < DEADLINE, "only {numbers:?} came: {rest}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    (numbers, rest)
}

#[test]
fn many_streams_share_one_reader_and_each_gets_its_own() {
    let running = Running::start(1, 5);
    let mut anna: Vec<Inlet> = (0..500).map(|_| running.follow("anna", 5)).collect();
    let mut ben = running.follow("ben", 5);
    running.add("anna", 1);
    running.add("ben", 1);
    running.add("anna", 20);
    for inlet in &mut anna {
        assert_eq!(numbers(inlet, 21).0, [vec![5], (7..27).collect()].concat());
    }
    assert_eq!(numbers(&mut ben, 1).0, [6]);
    assert_eq!(running.script.0.opened.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stream_that_comes_back_soon_is_served_from_memory_and_one_from_long_ago_reads_history_first() {
    let running = Running::start(1, 1_000);
    let mut first = running.follow("anna", 1_000);
    running.add("anna", 30);
    assert_eq!(numbers(&mut first, 30).0, (1_000..1_030).collect::<Vec<_>>());
    let mut again = running.follow("anna", 1_010);
    assert_eq!(numbers(&mut again, 20).0, (1_010..1_030).collect::<Vec<_>>());
    assert_eq!(running.script.0.opened.load(Ordering::Relaxed), 1);
    // All of it, while more comes.
    let mut old = running.follow("anna", 0);
    for _ in 0..100 {
        running.add("anna", 7);
    }
    assert_eq!(numbers(&mut old, 1_730).0, (0..1_730).collect::<Vec<_>>());
    assert!(running.script.0.opened.load(Ordering::Relaxed) > 1);
    running.add("anna", 1);
    assert_eq!(numbers(&mut old, 1).0, [1_730]);
}

#[test]
fn a_stream_that_begins_ahead_of_the_channel_is_not_told_what_it_knows() {
    let running = Running::start(1, 0);
    let mut ahead = running.follow("anna", 15);
    running.add("anna", 20);
    assert_eq!(numbers(&mut ahead, 5).0, [15, 16, 17, 18, 19]);
}

#[test]
fn a_stream_that_is_too_slow_is_told_so_at_its_end_and_comes_back_without_a_loss() {
    let running = Running::start(QUEUE_BYTES / 20, 0);
    let mut slow = running.follow("anna", 0);
    let mut quick = running.follow("ben", 0);
    running.add("anna", 200);
    running.add("ben", 1);
    // It does not hold up the others.
    assert_eq!(numbers(&mut quick, 1).0, [200]);
    let (told, rest) = numbers(&mut slow, 200);
    assert!((1..200).contains(&told.len()), "{}", told.len());
    assert!(rest.contains("event: problem") && rest.contains(SLOW), "{rest}");
    let next = told.last().unwrap() + 1;
    let mut again = running.follow("anna", next);
    let missing = usize::try_from(200 - next).unwrap();
    assert_eq!(numbers(&mut again, missing).0, (next..200).collect::<Vec<_>>());
}

#[test]
fn streams_end_with_the_process() {
    let running = Running::start(1, 1_000);
    let mut live = running.follow("anna", 1_000);
    let mut old = running.follow("ben", 0);
    running.stop.stop();
    assert_eq!(numbers(&mut live, 1).0.len(), 0);
    assert_eq!(numbers(&mut old, 1).0.len(), 0);
}
