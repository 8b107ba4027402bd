use super::*;
use factum_core::{CommandId, Partition, RecordBatch, RecordBuilder, Version, log::Log, wire::header};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use factum_schemas::{LogRegistry, Schema, SchemaCache, deprecations};
use std::{path::Path, sync::Arc, time::Duration};

const TYPE: &str = "shop.basket";
const ADDED: &str = r#"{"type":"record","name":"shop.basket.Added","fields":[{"name":"pieces","type":"long"}]}"#;
const MARKED: &str = r#"{"type":"record","name":"shop.basket.Added","fields":[{"name":"pieces","type":"long"},
    {"name":"note","type":["null","string"],"default":null,"deprecated":"use memo"}]}"#;
/// A command.
const ADD: &str = r#"{"type":"record","name":"shop.basket.Add","fields":[{"name":"voucher","type":{"type":"record",
    "name":"Voucher","fields":[{"name":"code","type":"string","default":"","deprecated":"use key"}]}}]}"#;
const GONE: &str = r#"{"type":"record","name":"shop.basket.Gone","deprecated":"use Removed","fields":[]}"#;

/// A basket's events on an embedded log.
struct Site {
    environment: Environment,
    written: u64,
}

fn source(aggregate_type: &str, kind: Kind) -> Source {
    Source { aggregate_type: aggregate_type.to_owned(), kind }
}

impl Site {
    fn open(folder: &Path) -> Self {
        let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(folder, EmbeddedConfig::default()).unwrap());
        let registry = Arc::new(LogRegistry::open(log.clone(), None).unwrap());
        let schemas = Arc::new(SchemaCache::in_memory(registry));
        Site { environment: Environment { log, schemas, prefix: String::new() }, written: 0 }
    }

    /// Writes an event as a handler of that name does.
    fn write(&mut self, source: &str, time: i64, partition: u32, schema: &str, body: &[u8]) {
        self.written += 1;
        let header = EventHeader {
            version: Version(self.written),
            command: CommandId([1; 16]),
            command_offset: Offset(0),
            index: 0,
            size: 1,
            occurred: TimestampMs(0),
            correlation: CommandId([1; 16]),
            cause: None,
            trace: None,
            source,
        };
        self.produce(Kind::Events, time, partition, schema, body, |record| header.write(record));
    }

    /// Sends a command as a client of that name does, or one that does not say who it is.
    fn send(&self, source: Option<&str>, schema: &str, body: &[u8]) {
        // Their topic has the log's time.
        self.produce(Kind::Commands, 0, 0, schema, body, |record| {
            source.into_iter().for_each(|source| record.header(header::SOURCE, source.as_bytes()));
        });
    }

    fn produce(
        &self,
        kind: Kind,
        time: i64,
        partition: u32,
        schema: &str,
        body: &[u8],
        headers: impl FnOnce(&mut RecordBuilder<'_>),
    ) {
        let topics = self.environment.topics(TYPE);
        let topic = if kind == Kind::Events { topics.events } else { topics.commands };
        let name = Schema::parse_str(schema).unwrap();
        let subject = format!("{topic}-{}", name.name().unwrap().fullname(None));
        let id = self.environment.schemas.register(&subject, schema).unwrap();
        let value = [&[0][..], &id.to_be_bytes(), body].concat();
        let mut batch = RecordBatch::new();
        let mut record = batch.start(&topic, Partition(partition));
        record.timestamp(TimestampMs(time));
        record.key(b"one");
        record.value(&value);
        headers(&mut record);
        record.finish();
        let mut producer = self.environment.log.producer().unwrap();
        producer.produce(&batch).unwrap();
        let mut reports = Vec::new();
        producer.poll(Duration::from_secs(60), &mut reports).unwrap();
        reports.pop().unwrap().result.unwrap();
    }

    fn find(&self, since: Option<i64>, stop: &Stop) -> (Vec<Marked>, Seen) {
        let mut marked: Vec<Marked> = [MARKED, GONE, ADD].into_iter().flat_map(marks).collect();
        let mut last = 0;
        let seen = find_writers(
            &self.environment,
            &[source(TYPE, Kind::Events), source("shop.absent", Kind::Events), source(TYPE, Kind::Commands)],
            since.map(TimestampMs),
            &mut marked,
            stop,
            &mut |progress| {
                assert!(last <= progress.done && progress.done <= progress.total);
                last = progress.done;
            },
        );
        (marked, seen.unwrap())
    }
}

fn marks(schema: &str) -> Vec<Marked> {
    let schema = Schema::parse_str(schema).unwrap();
    let record = schema.name().unwrap().fullname(None);
    let marked = |mark| Marked { record: record.clone(), mark, writers: BTreeMap::new() };
    deprecations(&schema).into_iter().map(marked).collect()
}

/// Source, number, offset and time of what each wrote.
fn told(marked: &Marked) -> Vec<(String, u64, String, i64)> {
    let writers = marked.writers.iter();
    writers.map(|(source, it)| (source.clone(), it.records, it.last.to_string(), it.time.0)).collect()
}

/// Two handlers: an old one, which goes on writing the note, and one that has stopped it.
fn filled(folder: &Path) -> Site {
    let mut site = Site::open(folder);
    site.environment.create_topics(TYPE, 2, None).unwrap();
    site.write("shop/old/1", 1_000, 0, ADDED, &[2]);
    site.write("shop/old/1", 2_000, 0, MARKED, &[2, 2, 2, b'x']);
    site.write("shop/new/2", 3_000, 1, MARKED, &[2, 2, 2, b'y']);
    site.write("shop/old/1", 4_000, 1, MARKED, &[2, 2, 2, b'z']);
    site.write("shop/new/2", 5_000, 0, MARKED, &[2, 0]);
    site.write("shop/old/1", 6_000, 0, GONE, &[]);
    site
}

#[test]
fn who_writes_what_is_deprecated_is_told_with_number_last_offset_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let (marked, seen) = filled(folder.path()).find(None, &Stop::default());
    let [note, gone, ..] = &marked[..] else { panic!("two of events are marked") };
    assert_eq!(
        (called(note), called(gone)),
        ("shop.basket.Added, field note".to_owned(), "shop.basket.Gone".to_owned())
    );
    let (first, second) = ("shop.basket.events/1@0".to_owned(), "shop.basket.events/1@1".to_owned());
    assert_eq!(told(note), [("shop/new/2".to_owned(), 1, first, 3_000), ("shop/old/1".to_owned(), 2, second, 4_000)]);
    assert_eq!(told(gone), [("shop/old/1".to_owned(), 1, "shop.basket.events/0@3".to_owned(), 6_000)]);
    assert_eq!(seen, Seen { records: 6, ..Seen::default() });
}

#[test]
fn who_sends_a_command_with_a_marked_field_within_is_told_also_where_a_sender_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::open(folder.path());
    site.environment.create_topics(TYPE, 1, None).unwrap();
    site.send(Some("web/1/2"), ADD, &[2, b'x']);
    site.send(Some("web/1/2"), ADD, &[0]);
    site.send(None, ADD, &[2, b'y']);
    site.send(Some("web/1/2"), ADD, &[2, b'z']);
    // An event of another name beside it is nobody's mark.
    site.write("shop/new/2", 5_000, 0, ADDED, &[2]);
    let (marked, seen) = site.find(None, &Stop::default());
    let [.., code] = &marked[..] else { panic!("one of a command is marked") };
    assert_eq!(called(code), "shop.basket.Add, field voucher.code");
    let told: Vec<_> = told(code).into_iter().map(|(source, records, last, _)| (source, records, last)).collect();
    let (silent, last) = ("shop.basket.commands/0@2".to_owned(), "shop.basket.commands/0@3".to_owned());
    assert_eq!(told, [(UNKNOWN.to_owned(), 1, silent), ("web/1/2".to_owned(), 2, last)]);
    assert_eq!(seen, Seen { records: 5, ..Seen::default() });
}

#[test]
fn what_the_owner_of_the_log_tells_comes_over_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (marked, seen) = filled(folder.path()).find(None, &Stop::default());
    for marked in marked {
        let text = serde_json::to_string(&marked.writers).unwrap();
        assert_eq!(serde_json::from_str::<BTreeMap<String, Written>>(&text).unwrap(), marked.writers);
        let text = serde_json::to_string(&marked.mark).unwrap();
        assert_eq!(serde_json::from_str::<factum_schemas::Deprecation>(&text).unwrap(), marked.mark);
    }
    assert_eq!(serde_json::from_str::<Seen>(&serde_json::to_string(&seen).unwrap()).unwrap(), seen);
}

#[test]
fn only_what_was_recorded_since_counts() {
    let folder = tempfile::tempdir().unwrap();
    let site = filled(folder.path());
    let (marked, _) = site.find(Some(4_000), &Stop::default());
    assert_eq!(told(&marked[0]), [("shop/old/1".to_owned(), 1, "shop.basket.events/1@1".to_owned(), 4_000)]);
    let (marked, seen) = site.find(Some(6_001), &Stop::default());
    assert_eq!((marked[0].writers.len() + marked[1].writers.len(), seen), (0, Seen::default()));
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_the_others_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = filled(folder.path());
    site.write("shop/old/1", 7_000, 0, MARKED, &[2, 2, 200]);
    site.write("shop/old/1", 8_000, 0, MARKED, &[2, 2, 2, b'x']);
    let (marked, seen) = site.find(None, &Stop::default());
    assert_eq!(marked[0].writers["shop/old/1"].records, 3);
    let remark = seen.remarks().remove(0);
    assert!(remark.starts_with("1 records cannot be read and were passed over; the first: "), "{remark}");
    assert!(remark.contains("truncated"), "{remark}");
}

#[test]
fn a_stop_ends_the_reading_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    stop.stop();
    let (_, seen) = filled(folder.path()).find(None, &stop);
    assert_eq!(seen.remarks(), ["stopped after 0 records: there may be more writers"]);
}
