//! Workers over the log in memory, stepped one after the other by the test.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

#[path = "../../../core/tests/handler/domain.rs"]
#[allow(dead_code)] // the machine's tests use more of it
mod domain;

use domain::{Counter, TextCodec};
use factum_core::{
    CommandId, Error, Offset, Partition, RecordBatch, RecordRef, Result, Throttle, TimestampMs, Topic, Topics,
    handler::{Activity, Handler, HandlerConfig},
    log::{GroupOptions, GroupProtocol, Isolation, Log, TransactionOptions},
    partition_of,
    topics::topic_specs,
    transaction::TxnStep,
};
use factum_handler::{PausePoint, SchemaFetch, Surroundings, Worker, WorkerOptions};
use factum_log_memory::{MemoryLog, faults::CommitFault};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const PARTITIONS: u32 = 4;
const SESSION: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);

type TestWorker = Worker<Counter, TextCodec>;

/// A log whose clock stands still unless the test moves it.
struct World {
    log: MemoryLog,
    clock: Arc<AtomicI64>,
    topics: Topics,
    codec: TextCodec,
    fetch: SchemaFetch,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let log = MemoryLog::new({
            let clock = clock.clone();
            Arc::new(move || TimestampMs(clock.load(Ordering::SeqCst)))
        });
        let topics = Topics::of("test.counter");
        log.admin().unwrap().create_topics(&topic_specs(&topics, PARTITIONS, None)).unwrap();
        World { log, clock, topics, codec: TextCodec::default(), fetch: Arc::new(|_| Ok(())) }
    }

    fn advance(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn worker(&self, name: &str) -> TestWorker {
        self.worker_with(name, None, Throttle::default())
    }

    fn worker_with(&self, name: &str, pause_point: Option<PausePoint>, throttle: Throttle) -> TestWorker {
        let mut config = HandlerConfig::new(self.topics.clone(), PARTITIONS);
        config.retry_ms = 0;
        config.snapshot_every_events = 10;
        config.checkpoint_every_events = 25;
        let group = Topics::handler_group("test.counter");
        let options = WorkerOptions {
            group: GroupOptions {
                group: group.clone(),
                topics: vec![self.topics.commands.clone()],
                instance_id: None,
                session_timeout: SESSION,
                protocol: GroupProtocol::Classic,
            },
            transaction: TransactionOptions {
                transactional_id: format!("{group}-{name}"),
                timeout: Duration::from_secs(60),
            },
            fetch_schema: self.fetch.clone(),
            encode_answer: Box::new(|answer, into| {
                into.extend_from_slice(format!("{} v{}", answer.code, answer.version).as_bytes());
                Ok(())
            }),
            surroundings: Surroundings::SYSTEM,
            throttle,
            pause_point,
        };
        Worker::start(Arc::new(self.log.clone()), Handler::new(config, self.codec.clone()), options).unwrap()
    }

    /// Sends `add n` under id `n`, for each n to the key `k<n % 5>`.
    fn send(&self, numbers: impl IntoIterator<Item = u8>) {
        self.send_of_schema(numbers, 1);
    }

    fn send_of_schema(&self, numbers: impl IntoIterator<Item = u8>, schema: u8) {
        let mut batch = RecordBatch::new();
        for n in numbers {
            let key = format!("k{}", n % 5);
            let mut record = batch.start(&self.topics.commands, partition_of(key.as_bytes(), PARTITIONS));
            record.key(key.as_bytes());
            record.value(&[&[schema], format!("add {n}").as_bytes()].concat());
            record.header("ce_id", CommandId([n; 16]).to_string().as_bytes());
            record.header("reply-to", b"0");
            record.finish();
        }
        self.log.producer().unwrap().produce(&batch).unwrap();
    }

    /// Everything committed in a topic.
    fn lines(&self, topic: &Topic, line: impl Fn(RecordRef<'_>) -> String) -> Vec<String> {
        let mut admin = self.log.admin().unwrap();
        let mut reader = self.log.reader(Isolation::ReadCommitted).unwrap();
        let mut batch = RecordBatch::new();
        for partition in (0..PARTITIONS).map(Partition) {
            let place = topic.partition(partition);
            let end = admin.bounds(&place, Isolation::ReadCommitted).unwrap().end;
            reader.add(&place, Offset(0)).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while reader.position(&place).unwrap().is_none_or(|position| position < end) {
                assert!(Instant::now() < deadline, "{place} cannot be read to {end}");
                reader.poll(1_000, Duration::from_millis(1), &mut batch).unwrap();
            }
            reader.remove(&place).unwrap();
        }
        batch.iter().map(line).collect()
    }

    /// The numbers of the events, in order; one that comes twice was handled twice.
    fn added(&self) -> Vec<u8> {
        let mut numbers: Vec<u8> = self
            .lines(&self.topics.events, |record| String::from_utf8_lossy(&record.value().unwrap()[7..]).into_owned())
            .iter()
            .map(|n| n.parse().unwrap())
            .collect();
        numbers.sort_unstable();
        numbers
    }

    fn answers(&self) -> Vec<String> {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap()).into_owned();
        self.lines(&self.topics.replies, |record| {
            let id: CommandId = text(record.key()).parse().unwrap();
            format!("{} {}", id.0[0], text(record.value()))
        })
    }
}

/// Steps the workers in turn until `done`.
#[track_caller]
fn until(workers: &mut [&mut TestWorker], done: impl Fn(&[&mut TestWorker]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done(workers) {
        let health: Vec<_> = workers.iter().map(|worker| worker.handler().health()).collect();
        assert!(Instant::now() < deadline, "it does not happen: {health:?}");
        workers.iter_mut().for_each(|worker| worker.step(Duration::from_millis(1)).unwrap());
    }
}

fn ready(worker: &TestWorker) -> BTreeSet<u32> {
    let health = worker.handler().health();
    health.iter().filter(|p| p.activity == Activity::Ready).map(|p| p.partition.0).collect()
}

fn events(worker: &TestWorker) -> u64 {
    worker.handler().stats().events
}

#[test]
fn workers_that_share_a_throttle_take_no_more_than_it_allows_and_lose_nothing() {
    let world = World::new();
    let throttle = Throttle::new(NonZeroU32::new(50));
    let mut a = world.worker_with("a", None, throttle.clone());
    let mut b = world.worker_with("b", None, throttle);
    until(&mut [&mut a, &mut b], |w| ready(w[0]).len() + ready(w[1]).len() == 4);
    let begun = Instant::now();
    world.send(1..=60);
    until(&mut [&mut a, &mut b], |w| events(w[0]) + events(w[1]) == 60);
    // A tenth of a second's worth may have been saved up, for each of them to see at the same time.
    let least = Duration::from_secs_f64(f64::from(60 - 12) / 50.0);
    assert!(begun.elapsed() >= least, "{:?} of {least:?}", begun.elapsed());
    assert_eq!(world.added(), (1..=60).collect::<Vec<_>>());
}

#[test]
fn commands_come_in_events_and_answers_go_out_and_a_restart_remembers() {
    let world = World::new();
    world.send(1..=60);
    let mut worker = world.worker("a");
    until(&mut [&mut worker], |w| events(w[0]) == 60);
    assert_eq!(world.added(), (1..=60).collect::<Vec<_>>());
    let answers = world.answers();
    assert_eq!(answers.len(), 60);
    assert!(answers.contains(&"5 accepted v1".to_owned()) && answers.contains(&"60 accepted v12".to_owned()));
    let before: BTreeMap<_, _> = (0..5)
        .map(|n| format!("k{n}"))
        .map(|key| (key.clone(), worker.handler().state(&key).map(|(state, version)| (state.total, version))))
        .collect();
    worker.close().unwrap();

    let mut worker = world.worker("a");
    until(&mut [&mut worker], |w| ready(w[0]).len() == 4);
    for (key, state) in before {
        assert_eq!(worker.handler().state(&key).map(|(state, version)| (state.total, version)), state);
    }
    // A retry gets its answer and nothing else.
    world.send([60]);
    until(&mut [&mut worker], |w| w[0].handler().stats().repeats == 1);
    assert_eq!(world.answers().iter().filter(|answer| **answer == "60 accepted v12").count(), 2);
    assert_eq!(world.added().len(), 60);
}

#[test]
fn whatever_a_commit_does_every_command_is_handled_once() {
    use CommitFault::{Abort, Fenced, Retry, UnknownAborted, UnknownCommitted};
    for fault in [UnknownCommitted, UnknownAborted, Retry, Abort, Fenced] {
        let world = World::new();
        let mut worker = world.worker("a");
        until(&mut [&mut worker], |w| ready(w[0]).len() == 4);
        world.send(1..=20);
        until(&mut [&mut worker], |w| events(w[0]) == 20);
        world.log.fail_next_commit(fault);
        world.send(21..=40);
        // After an unknown commit that did happen nothing is decided again.
        until(&mut [&mut worker], |_| world.added().len() >= 40);
        until(&mut [&mut worker], |w| ready(w[0]).len() == 4);
        world.send(41..=50);
        until(&mut [&mut worker], |_| world.added().len() >= 50);
        assert_eq!(world.added(), (1..=50).collect::<Vec<_>>(), "{fault:?}");
        // Every requester that asks again learns what became of its command.
        world.send(21..=40);
        until(&mut [&mut worker], |w| w[0].handler().stats().repeats == 20);
        let answered: BTreeSet<String> = world.answers().into_iter().filter(|a| a.contains("accepted")).collect();
        assert_eq!(answered.len(), 50, "{fault:?}: each command has one answer, however often it is asked for");
    }
}

#[test]
fn two_workers_share_the_partitions_and_one_goes_on_when_the_other_leaves() {
    let world = World::new();
    let (mut a, mut b) = (world.worker("a"), world.worker("b"));
    world.send(1..=20);
    until(&mut [&mut a, &mut b], |w| ready(w[0]).len() == 2 && ready(w[1]).len() == 2);
    assert!(ready(&a).is_disjoint(&ready(&b)));
    world.send(21..=40);
    until(&mut [&mut a, &mut b], |_| world.added().len() >= 40);
    a.close().unwrap();
    world.send(41..=60);
    until(&mut [&mut b], |_| world.added().len() >= 60);
    until(&mut [&mut b], |w| ready(w[0]).len() == 4);
    assert_eq!(world.added(), (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_worker_that_was_silent_too_long_cannot_commit_what_another_took_over() {
    let world = Arc::new(World::new());
    let other: Arc<Mutex<Option<TestWorker>>> = Arc::default();
    let paused = Arc::new(AtomicUsize::new(0));
    let pause_point: PausePoint = Box::new({
        let (world, other, paused) = (world.clone(), other.clone(), paused.clone());
        let mut armed = true;
        move |step| {
            if step != TxnStep::SendOffsets || !std::mem::take(&mut armed) {
                return;
            }
            // Its events are in the log; now it hangs until its session is over and another has all partitions.
            paused.fetch_add(1, Ordering::SeqCst);
            let mut worker = world.worker("b");
            worker.step(Duration::from_millis(1)).unwrap();
            world.advance(SESSION + Duration::from_millis(1));
            until(&mut [&mut worker], |w| w[0].handler().health().len() == 4);
            *other.lock().unwrap() = Some(worker);
        }
    });
    let mut zombie = world.worker_with("a", Some(pause_point), Throttle::default());
    until(&mut [&mut zombie], |w| ready(w[0]).len() == 4);
    world.send(1..=30);
    until(&mut [&mut zombie], |w| w[0].handler().stats().aborted == 1);
    assert_eq!(paused.load(Ordering::SeqCst), 1);
    assert!(world.added().is_empty(), "nothing of the zombie is in the log");
    let mut other = other.lock().unwrap().take().unwrap();
    until(&mut [&mut zombie, &mut other], |_| world.added().len() >= 30);
    world.send(31..=60);
    until(&mut [&mut zombie, &mut other], |_| world.added().len() >= 60);
    assert_eq!(world.added(), (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_schema_that_cannot_be_fetched_now_is_fetched_later() {
    let mut world = World::new();
    let tries = Arc::new(AtomicUsize::new(0));
    world.fetch = Arc::new({
        let (tries, known) = (tries.clone(), world.codec.known.clone());
        move |id| -> Result<()> {
            if tries.fetch_add(1, Ordering::SeqCst) < 3 {
                return Err(Error::unavailable("registry away"));
            }
            known.lock().unwrap().insert(u8::try_from(id).unwrap());
            Ok(())
        }
    });
    let mut worker = world.worker("a");
    world.send_of_schema([1], 9);
    world.send(2..=10);
    until(&mut [&mut worker], |w| events(w[0]) == 10);
    assert_eq!((world.added(), tries.load(Ordering::SeqCst)), ((1..=10).collect(), 4));
}

#[test]
fn a_running_worker_stops_when_it_is_told_and_leaves_the_group() {
    let world = World::new();
    let worker = world.worker("a");
    let status = worker.status();
    let stop = Arc::new(AtomicBool::new(false));
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || worker.run(&stop)
    });
    world.send(1..=10);
    let deadline = Instant::now() + PATIENCE;
    while status.lock().unwrap().stats.events < 10 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
    // No session has to time out before the next one goes on.
    let mut next = world.worker("b");
    until(&mut [&mut next], |w| ready(w[0]).len() == 4);
    assert_eq!(world.added(), (1..=10).collect::<Vec<_>>());
}
