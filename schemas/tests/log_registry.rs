//! The registry in the log, over the log in memory.

#![allow(clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

use factum_core::{
    ErrorKind, Partition, RecordBatch, Topic, TopicPartition,
    log::{Isolation, Log},
};
use factum_log_memory::MemoryLog;
use factum_schemas::{
    LogRegistry, Registry, SCHEMAS_TOPIC,
    rules::{At, Force, Level, Mode, Permanence, Which},
};
use std::{sync::Arc, time::Duration};

const ONE: &str = r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#;
const MORE: &str =
    r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"},{"name":"d","type":"long","default":0}]}"#;
const BREAKING: &str =
    r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"},{"name":"d","type":"long"}]}"#;

fn open(log: &Arc<dyn Log>) -> LogRegistry {
    LogRegistry::open(log.clone(), None).expect("a log in memory")
}

#[test]
fn what_one_process_registers_another_finds_under_the_same_id() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_system_clock());
    let (first, second) = (open(&log), open(&log));
    let id = first.register("t-a.B", ONE).unwrap();
    assert_eq!(second.schema_by_id(id).unwrap(), first.schema_by_id(id).unwrap());
    assert_eq!(second.register("t-a.B", ONE).unwrap(), id);
    let next = second.register("t-a.B", MORE).unwrap();
    assert_ne!(next, id);
    assert_eq!(first.latest("t-a.B").unwrap().unwrap().0, next);
    // A process that starts later reads it all from the topic.
    assert_eq!(open(&log).register("t-a.B", MORE).unwrap(), next);
}

#[test]
fn two_that_register_at_once_never_give_one_id_to_two_schemas() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_system_clock());
    let ids: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    let registry = open(log);
                    let schema = ONE.replace("a.B", &format!("a.B{thread}"));
                    registry.register(&format!("t-a.B{thread}"), &schema).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
}

#[test]
fn a_breaking_schema_is_refused_and_leaves_no_trace() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_system_clock());
    let registry = open(&log);
    let id = registry.register("t-a.B", ONE).unwrap();
    let refused = registry.register("t-a.B", BREAKING).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert_eq!(registry.latest("t-a.B").unwrap().unwrap().0, id);
    assert!(registry.schema_by_id(id + 1).is_err());
}

#[test]
fn what_was_registered_at_once_is_one_transaction_and_all_or_none() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_system_clock());
    let registry = open(&log);
    let named = |schema: &str| ("t-a.B".to_owned(), schema.to_owned());
    assert_eq!(registry.register_all(&[named(ONE), named(MORE)]).unwrap(), [1, 2]);
    // Two records and the mark of the commit.
    assert_eq!(end(&log), 3);
    assert_eq!(registry.register_all(&[named(ONE), named(MORE)]).unwrap(), [1, 2]);
    let refused = registry.register_all(&[("u-a.B".to_owned(), ONE.to_owned()), named(BREAKING)]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert_eq!(end(&log), 3);
    assert_eq!(open(&log).latest("u-a.B").unwrap(), None);
}

#[test]
fn deletions_levels_and_modes_are_there_after_a_restart() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_system_clock());
    let registry = open(&log);
    registry.register("t-a.B", ONE).unwrap();
    registry.register("t-a.B", MORE).unwrap();
    registry.register("u-a.B", MORE).unwrap();
    registry.change(|model| model.delete_version("t-a.B", At::Number(1), Permanence::Soft)).unwrap().unwrap();
    registry.change(|model| model.delete_version("t-a.B", At::Number(1), Permanence::Hard)).unwrap().unwrap();
    registry.change(|model| model.delete_subject("u-a.B", Permanence::Soft)).unwrap().unwrap();
    registry.change(|model| model.set_level(Some("t-a.B"), Some(Level::Full))).unwrap().unwrap();
    registry.change(|model| model.set_mode(None, Some(Mode::ReadOnly), Force::No)).unwrap().unwrap();
    let again = open(&log);
    let (versions, subjects, level, mode) = again
        .read(|model| {
            let versions = model.versions("t-a.B", Which::All).unwrap();
            (versions, model.subjects("", Which::Live), model.level("t-a.B"), model.default_mode())
        })
        .unwrap();
    assert_eq!((versions, subjects), (vec![2], vec!["t-a.B".to_owned()]));
    assert_eq!((level, mode), (Level::Full, Mode::ReadOnly));
    assert_eq!(again.schema_by_id(1).unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(again.register("v-a.B", ONE).unwrap_err().kind(), ErrorKind::Invalid);
    again.change(|model| model.set_mode(None, Some(Mode::ReadWrite), Force::No)).unwrap().unwrap();
    assert_eq!(again.register("v-a.B", ONE).unwrap(), 3, "the id of a removed schema does not come back");
}

#[test]
fn records_of_earlier_versions_are_read() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_system_clock());
    open(&log);
    let schema = serde_json::to_string(ONE).unwrap();
    append(
        &log,
        r#"{"keytype":"SCHEMA","subject":"t-a.B","version":1,"magic":1}"#,
        &format!(r#"{{"subject":"t-a.B","version":1,"id":1,"schema":{schema},"deleted":false}}"#),
    );
    append(&log, r#"{"keytype":"NOOP","magic":0}"#, "");
    let registry = open(&log);
    assert_eq!(registry.register("t-a.B", ONE).unwrap(), 1);
    assert_eq!(registry.register("t-a.B", MORE).unwrap(), 2);
}

#[test]
fn a_record_that_is_not_the_registrys_is_named_and_never_passed_over() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::with_system_clock());
    let registry = open(&log);
    registry.register("t-a.B", ONE).unwrap();
    append(&log, r#"{"keytype":"CONTEXT","magic":0}"#, "{}");
    for registry in [&registry, &open(&log)] {
        for _ in 0..2 {
            let error = registry.latest("t-a.B").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data);
            assert!(error.to_string().contains("is not a registry's record: unknown variant `CONTEXT`"), "{error}");
        }
    }
}

fn place() -> TopicPartition {
    Topic::from(SCHEMAS_TOPIC).partition(Partition(0))
}

fn end(log: &Arc<dyn Log>) -> i64 {
    log.admin().unwrap().bounds(&place(), Isolation::ReadUncommitted).unwrap().end.0
}

fn append(log: &Arc<dyn Log>, key: &str, value: &str) {
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&place().topic, place().partition);
    record.key(key.as_bytes());
    record.value(value.as_bytes());
    record.finish();
    let mut producer = log.producer().unwrap();
    producer.produce(&batch).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
}
