//! A trace goes with a command from the client through the events to the view.
//! The only test of its program: what the threads log is the process's.
#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum::{
    Database, Offset, RecordBatch, TypedClient,
    environment::Environment,
    host::{AggregateHost, HandlerOptions, Stop, Typed, TypedView, ViewHost},
    log::Isolation,
    new_trace, to,
    wire::{EventHeader, Token, TraceContext},
};
use factum_bank::{Account, Balances, Deposit};
use serde_json::Value;
use std::{
    io::Write,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const BANK: &str = "bank.account";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was logged, as JSON lines.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The fields of every span of that name in which something was logged.
    fn spans(&self, name: &str) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        let lines = String::from_utf8(bytes).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let spans = lines.flat_map(|line| line["spans"].as_array().cloned().unwrap_or_default());
        spans.filter(|span| span["name"] == name).collect()
    }
}

/// The header of the event that a token names.
fn trace_of(environment: &Environment, token: &Token) -> Option<TraceContext> {
    let mut reader = environment.log.reader(Isolation::ReadCommitted).unwrap();
    reader.add(&token.place, Offset(0)).unwrap();
    let mut batch = RecordBatch::new();
    let began = Instant::now();
    while batch.iter().all(|record| record.offset() != token.offset) {
        assert!(began.elapsed() < PATIENCE, "{token} cannot be read");
        reader.poll(100, Duration::from_millis(5), &mut batch).unwrap();
    }
    let record = batch.iter().find(|record| record.offset() == token.offset).unwrap();
    EventHeader::read(record).unwrap().trace
}

#[test]
fn a_trace_goes_from_the_client_to_the_event_and_to_the_view() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().json().with_env_filter("debug").with_writer({
        let lines = lines.clone();
        move || lines.clone()
    });
    subscriber.init();
    let environment = Environment::in_memory();
    environment.create_topics(BANK, 6, None).unwrap();
    let stop = Stop::default();
    let (handler, _) =
        Typed::<Account>::default().start_handler(&environment, HandlerOptions::default(), &stop).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let view = TypedView::<Balances>::default();
    let (view, progress) =
        view.start(&environment, &Database::file(folder.path().join("views.sqlite")), &stop).unwrap();
    let client: TypedClient<Account> = environment.client().unwrap();

    let trace = new_trace();
    let traced = client.send(to("anna", Deposit { cents: 1 }).trace(trace)).unwrap().accepted().unwrap();
    let plain = client.send(to("anna", Deposit { cents: 1 })).unwrap().accepted().unwrap();
    let (traced, plain) = (traced.token.unwrap(), plain.token.unwrap());
    assert_eq!(trace_of(&environment, &traced), Some(trace), "the very context that the client gave");
    assert_eq!(trace_of(&environment, &plain), None);

    let began = Instant::now();
    while progress.positions().get(&plain.place).is_none_or(|position| *position <= plain.offset) {
        assert!(began.elapsed() < PATIENCE, "the view does not come to {plain}");
        thread::sleep(Duration::from_millis(5));
    }
    stop.stop();
    handler.join().unwrap();
    view.join().unwrap();

    let trace_id = trace.to_string()[3..35].to_owned();
    for name in ["command.handle", "view.batch"] {
        let named: Vec<_> = lines.spans(name).into_iter().map(|span| span["trace_ids"].clone()).collect();
        assert!(named.contains(&trace_id.clone().into()), "{name} does not name {trace_id}: {named:?}");
    }
    assert!(
        lines.spans("command.handle").iter().any(|span| span.get("trace_ids").is_none()),
        "a batch without a trace names none"
    );
    let commits = lines.spans("log.commit");
    assert!(commits.iter().any(|span| span["records"].as_u64() > Some(0) && span["size_bytes"].as_u64() > Some(0)));
}
