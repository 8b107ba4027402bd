//! The registry in the log, over the log in memory.

use factum_core::{ErrorKind, log::Log};
use factum_log_memory::MemoryLog;
use factum_schemas::{LogRegistry, Registry};
use std::sync::Arc;

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
