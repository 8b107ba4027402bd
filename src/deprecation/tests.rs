use super::*;
use factum_core::{CommandId, Partition, RecordBatch, Version, log::Log};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use factum_schemas::{LogRegistry, Schema, SchemaCache, deprecations};
use std::{path::Path, sync::Arc, time::Duration};

const TYPE: &str = "shop.basket";
const ADDED: &str = r#"{"type":"record","name":"shop.basket.Added","fields":[{"name":"pieces","type":"long"}]}"#;
const MARKED: &str = r#"{"type":"record","name":"shop.basket.Added","fields":[{"name":"pieces","type":"long"},
    {"name":"note","type":["null","string"],"default":null,"deprecated":"use memo"}]}"#;
const GONE: &str = r#"{"type":"record","name":"shop.basket.Gone","deprecated":"use Removed","fields":[]}"#;

/// A basket's events on an embedded log.
struct Site {
    environment: Environment,
    written: u64,
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
        let name = Schema::parse_str(schema).unwrap();
        let subject = format!("{TYPE}.events-{}", name.name().unwrap().fullname(None));
        let id = self.environment.schemas.register(&subject, schema).unwrap();
        let mut value = vec![0];
        value.extend_from_slice(&id.to_be_bytes());
        value.extend_from_slice(body);
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
        let mut batch = RecordBatch::new();
        let mut record = batch.start(&self.environment.topics(TYPE).events, Partition(partition));
        record.timestamp(TimestampMs(time));
        record.key(b"one");
        record.value(&value);
        header.write(&mut record);
        record.finish();
        let mut producer = self.environment.log.producer().unwrap();
        producer.produce(&batch).unwrap();
        let mut reports = Vec::new();
        producer.poll(Duration::from_secs(60), &mut reports).unwrap();
        reports.pop().unwrap().result.unwrap();
    }

    fn find(&self, since: Option<i64>, stop: &Stop) -> (Vec<Marked>, Seen) {
        let marks = [("shop.basket.Added", MARKED), ("shop.basket.Gone", GONE)].into_iter().flat_map(|(name, text)| {
            let marks = deprecations(&Schema::parse_str(text).unwrap()).into_iter();
            marks.map(move |mark| Marked { record: name.to_owned(), mark, writers: BTreeMap::new() })
        });
        let mut marked: Vec<Marked> = marks.collect();
        let mut last = 0;
        let seen = find_writers(
            &self.environment,
            &[TYPE, "shop.absent"],
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

/// Source, number, offset and time of what each wrote.
fn told(marked: &Marked) -> Vec<(String, u64, String, i64)> {
    let writers = marked.writers.iter();
    writers.map(|(source, it)| (source.clone(), it.records, format!("{}@{}", it.place, it.offset), it.time.0)).collect()
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
    let [note, gone] = &marked[..] else { panic!("two are marked") };
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
    assert!(remark.starts_with("1 events cannot be read and were passed over; the first: "), "{remark}");
    assert!(remark.contains("truncated"), "{remark}");
}

#[test]
fn a_stop_ends_the_reading_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    stop.stop();
    let (_, seen) = filled(folder.path()).find(None, &stop);
    assert_eq!(seen.remarks(), ["stopped after 0 events: there may be more writers"]);
}
