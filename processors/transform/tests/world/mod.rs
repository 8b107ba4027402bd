//! Events of a small domain on the log in memory, and transformers that the test steps.

use factum_core::{
    CommandId, DecodeError, Decoded, Error, Message, MessageCodec, Offset, Partition, RecordBatch, Result, Throttle,
    TimestampMs, Topic, TopicPartition, Version,
    log::{CommitOffset, GroupOptions, GroupProtocol, Isolation, Log, TopicSpec, TransactionOptions},
    transform::{FROM_HEADER, Transform, UnknownRecords, output_topic, transform_group},
    view::{PlaceState, Recorded},
    wire::EventHeader,
};
use factum_handler::{PausePoint, SchemaFetch, Surroundings};
use factum_log_memory::MemoryLog;
use factum_transform::{TransformOptions, TransformRunner};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

pub(crate) const PARTITIONS: u32 = 2;
pub(crate) const SESSION: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);

/// The new shape: words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word(pub(crate) String);

impl Message for Word {
    const RECORDS: &'static [&'static str] = &["test.thing.Word"];
    fn record(&self) -> usize {
        0
    }
}

/// The old shape: each letter of a word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Letter(pub(crate) char);

impl Message for Letter {
    const RECORDS: &'static [&'static str] = &["test.thing.Letter"];
    fn record(&self) -> usize {
        0
    }
}

/// A schema id in one byte, then text. Id 1 is known; id 7 is of another record.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextCodec {
    pub(crate) known: Arc<Mutex<BTreeSet<u8>>>,
}

impl MessageCodec<Word> for TextCodec {
    fn encode(&self, _: &Word, _: &mut Vec<u8>) -> Result<(), Error> {
        Err(Error::invalid("a transformer writes no words"))
    }

    fn decode(&self, value: &[u8]) -> Result<Decoded<Word>, DecodeError> {
        let word = |text: &[u8]| Word(String::from_utf8_lossy(text).into_owned());
        match value.split_first() {
            Some((1, text)) => Ok(Decoded::One(word(text))),
            // A record of earlier times: several words, or none.
            Some((2, text)) => {
                let words = text.split(|byte| *byte == b' ').filter(|text| !text.is_empty());
                Ok(Decoded::Upcast(words.map(word).collect()))
            }
            Some((7, _)) => Err(DecodeError::UnknownRecord("test.thing.Number".into())),
            Some((id, text)) if self.known.lock().unwrap().contains(id) => Ok(Decoded::One(word(text))),
            Some((0, _)) | None => Err(DecodeError::Malformed("no schema id".into())),
            Some((id, _)) => Err(DecodeError::UnknownSchema(u32::from(*id))),
        }
    }
}

impl MessageCodec<Letter> for TextCodec {
    fn encode(&self, letter: &Letter, into: &mut Vec<u8>) -> Result<(), Error> {
        into.extend_from_slice(letter.0.to_string().as_bytes());
        if letter.0 == '€' { Err(Error::data("no such letter")) } else { Ok(()) }
    }

    fn decode(&self, _: &[u8]) -> Result<Decoded<Letter>, DecodeError> {
        Err(DecodeError::Malformed("a transformer reads no letters".into()))
    }
}

/// Spells words; an empty one becomes nothing.
#[derive(Debug)]
pub(crate) struct Spelled;

impl Transform for Spelled {
    const NAME: &'static str = "spelled";
    const INPUT: &'static str = "test.thing";
    type From = Word;
    type To = Letter;

    fn transform(event: &Recorded<Word>) -> Vec<Letter> {
        assert!(event.event.0 != "unspeakable", "nobody says that");
        event.event.0.chars().map(Letter).collect()
    }
}

/// The same for all that it knows, and nothing of the rest.
#[derive(Debug)]
pub(crate) struct Lenient;

impl Transform for Lenient {
    const NAME: &'static str = Spelled::NAME;
    const INPUT: &'static str = Spelled::INPUT;
    const UNKNOWN: UnknownRecords = UnknownRecords::Skip;
    type From = Word;
    type To = Letter;

    fn transform(event: &Recorded<Word>) -> Vec<Letter> {
        event.event.0.chars().filter(|letter| *letter != '€').map(Letter).collect()
    }
}

pub(crate) type Runner<T = Spelled> = TransformRunner<T, TextCodec, TextCodec>;

/// A record of the output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Out {
    pub(crate) partition: u32,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) version: u64,
    pub(crate) command: u8,
    pub(crate) index: u32,
    pub(crate) size: u32,
    pub(crate) occurred: i64,
    pub(crate) recorded: i64,
    pub(crate) source: String,
    pub(crate) from: String,
}

/// A log whose clock stands still unless the test moves it.
pub(crate) struct World {
    pub(crate) log: MemoryLog,
    clock: Arc<AtomicI64>,
    pub(crate) input: Topic,
    pub(crate) output: Topic,
    pub(crate) codec: TextCodec,
    pub(crate) fetch: SchemaFetch,
    pub(crate) max_records: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_000_000));
        let log = MemoryLog::new({
            let clock = clock.clone();
            Arc::new(move || TimestampMs(clock.load(Ordering::SeqCst)))
        });
        let (input, output) = (Topic::from("test.thing.events"), output_topic::<Spelled>(""));
        assert_eq!(output.as_str(), "test.thing.events.spelled");
        let world = World {
            log,
            clock,
            input: input.clone(),
            output: output.clone(),
            codec: TextCodec::default(),
            fetch: Arc::new(|_| Ok(())),
            max_records: 500,
        };
        world.create(&input, PARTITIONS);
        world.create(&output, PARTITIONS);
        world
    }

    pub(crate) fn create(&self, topic: &Topic, partitions: u32) {
        let spec = TopicSpec { topic: topic.clone(), partitions, replication: None, settings: [].into() };
        self.log.admin().unwrap().create_topics(&[spec]).unwrap();
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.clock.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn runner(&self, name: &str) -> Runner {
        self.runner_with(name, None)
    }

    pub(crate) fn runner_with<T: Transform<From = Word, To = Letter>>(
        &self,
        name: &str,
        pause_point: Option<PausePoint>,
    ) -> Runner<T> {
        let group = transform_group::<T>("");
        let options = TransformOptions {
            group: GroupOptions {
                group: group.clone(),
                topics: vec![self.input.clone()],
                instance_id: None,
                session_timeout: SESSION,
                protocol: GroupProtocol::Classic,
            },
            transaction: TransactionOptions {
                transactional_id: format!("{group}-{name}"),
                timeout: Duration::from_secs(60),
            },
            max_records: self.max_records,
            throttle: Throttle::default(),
            fetch_schema: self.fetch.clone(),
            surroundings: Surroundings::SYSTEM,
            pause_point,
        };
        let codecs = (self.codec.clone(), self.codec.clone());
        TransformRunner::start(Arc::new(self.log.clone()), codecs, self.output.clone(), options).unwrap()
    }

    /// The events of one command: words of an aggregate from a version on, with a schema id each.
    pub(crate) fn write(&self, partition: u32, command: u8, first_version: u64, words: &[(u8, &str)]) {
        let mut batch = RecordBatch::new();
        let size = u32::try_from(words.len()).unwrap();
        for (index, (schema, word)) in (0..).zip(words) {
            let mut record = batch.start(&self.input, Partition(partition));
            record.key(format!("thing-{partition}").as_bytes());
            record.timestamp(TimestampMs(2_000 + i64::from(command)));
            record.value(&[&[*schema], word.as_bytes()].concat());
            EventHeader {
                version: Version(first_version + u64::from(index)),
                command: CommandId([command; 16]),
                command_offset: Offset(i64::from(command)),
                index,
                size,
                occurred: TimestampMs(1_000 + i64::from(command)),
                correlation: CommandId([command; 16]),
                cause: None,
                trace: None,
                source: "test/1",
            }
            .write(&mut record);
            record.finish();
        }
        self.log.producer().unwrap().produce(&batch).unwrap();
    }

    /// Commands of one word each to a partition, with the numbers as commands and versions.
    pub(crate) fn write_words(&self, partition: u32, numbers: impl IntoIterator<Item = u8>) {
        for number in numbers {
            self.write(partition, number, u64::from(number), &[(1, "ab")]);
        }
    }

    /// Everything committed in the output; within a partition in its order.
    pub(crate) fn republished(&self) -> Vec<Out> {
        let mut admin = self.log.admin().unwrap();
        let mut reader = self.log.reader(Isolation::ReadCommitted).unwrap();
        let mut batch = RecordBatch::new();
        for place in admin.partitions(&self.output).unwrap() {
            let end = admin.bounds(&place, Isolation::ReadCommitted).unwrap().end;
            reader.add(&place, Offset(0)).unwrap();
            let deadline = Instant::now() + PATIENCE;
            while reader.position(&place).unwrap().is_none_or(|position| position < end) {
                assert!(Instant::now() < deadline, "{place} cannot be read to {end}");
                reader.poll(1_000, Duration::from_millis(1), &mut batch).unwrap();
            }
            reader.remove(&place).unwrap();
        }
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap()).into_owned();
        let out = batch.iter().map(|record| {
            let header = EventHeader::read(record).unwrap();
            let from = text(record.header(FROM_HEADER));
            Out {
                partition: record.partition().0,
                key: text(record.key()),
                value: text(record.value()),
                version: header.version.0,
                command: header.command.0[0],
                index: header.index,
                size: header.size,
                occurred: header.occurred.0,
                recorded: record.timestamp().unwrap().0,
                source: header.source.to_owned(),
                from: from.split('#').next().unwrap().to_owned(),
            }
        });
        out.collect()
    }

    /// The commands of a partition whose words were republished as "ab", each once and in order.
    #[track_caller]
    pub(crate) fn spelled(&self, partition: u32) -> Vec<u8> {
        let out: Vec<Out> = self.republished().into_iter().filter(|out| out.partition == partition).collect();
        for pair in out.chunks(2) {
            assert_eq!(pair.iter().map(|out| out.value.as_str()).collect::<String>(), "ab", "{out:?}");
            assert_eq!(pair[0].command, pair[1].command, "{out:?}");
        }
        out.iter().step_by(2).map(|out| out.command).collect()
    }

    pub(crate) fn committed(&self, partition: u32) -> Option<i64> {
        let place = self.place(partition);
        let found = self.log.admin().unwrap().group_offsets(&transform_group::<Spelled>(""), &[place]).unwrap();
        found.first().map(|(_, committed)| committed.offset.0)
    }

    /// As Kafka's own tool does it.
    pub(crate) fn reset(&self, partition: u32, offset: i64) {
        let offset = CommitOffset { place: self.place(partition), offset: Offset(offset), metadata: String::new() };
        self.log.admin().unwrap().reset_group_offsets(&transform_group::<Spelled>(""), &[offset]).unwrap();
    }

    pub(crate) fn place(&self, partition: u32) -> TopicPartition {
        self.input.partition(Partition(partition))
    }
}

/// Steps the runners in turn until `done`.
#[track_caller]
pub(crate) fn until<T: Transform<From = Word, To = Letter>>(runners: &mut [&mut Runner<T>], done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        let health: Vec<_> = runners.iter().map(|runner| runner.status().lock().unwrap().clone()).collect();
        assert!(Instant::now() < deadline, "it does not happen: {health:?}");
        for runner in runners.iter_mut() {
            runner.step(Duration::from_millis(1)).unwrap();
        }
    }
}

/// Why a partition stands still.
pub(crate) fn stopped<T: Transform<From = Word, To = Letter>>(runner: &Runner<T>, partition: u32) -> Option<String> {
    let status = runner.status().lock().unwrap().clone();
    status.places.iter().find_map(|(place, found)| match &found.state {
        PlaceState::Stopped(stop) if place.partition.0 == partition => Some(stop.to_string()),
        _ => None,
    })
}
