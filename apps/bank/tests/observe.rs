//! What a process tells about a bank on the log in memory.
#![allow(clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

use factum::{
    AggregateId, MemoryLog,
    environment::Environment,
    gateway::Server,
    host::{AggregateHost, HandlerOptions, Stop, Typed},
    observe::{self, Board},
    schemas::{MemoryRegistry, SchemaCache},
    send::{self, Client, Outgoing},
    wire::AnswerCode,
};
use factum_bank::Account;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const BANK: &str = "bank.account";
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn commands_move_the_metrics_and_readiness_follows_the_partitions() {
    let environment = Environment {
        log: Arc::new(MemoryLog::with_system_clock()),
        schemas: Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new()))),
        prefix: String::new(),
    };
    environment.create_topics(BANK, 2, None).unwrap();
    let (stop, end) = (Stop::default(), Stop::default());
    let board = Board::start(&environment, &stop, Board::READY_LAG).unwrap();
    let server = Server::start("127.0.0.1:0".parse().unwrap(), observe::router(board.clone()), &end).unwrap();
    let asking = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let get = |path: &str| {
        let answer = asking.get(format!("http://{}{path}", server.address())).send().unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    };
    let hindrance = || {
        let (status, told) = get("/readyz");
        (status, serde_json::from_str::<Value>(&told).unwrap()["reason"].clone())
    };
    assert_eq!(hindrance(), (503, json!("no processor was started yet")));

    let host = Typed::<Account>::default();
    let (handler, status) = host.start_handler(&environment, HandlerOptions::default(), &stop).unwrap();
    board.add_handler(BANK, status);
    let client = send::connect(&environment, BANK).unwrap();
    assert_eq!(command(&environment, &client, "Deposit", 100), AnswerCode::Accepted);
    assert_eq!(command(&environment, &client, "Withdraw", 500), AnswerCode::Refused);
    wait_for("both commands in the metrics", || {
        let (_, text) = get("/metrics");
        ["accepted", "refused"].iter().all(|outcome| {
            text.contains(&format!("\nfactum_commands_total{{aggregate_type=\"{BANK}\",outcome=\"{outcome}\"}} 1\n"))
        })
    });
    wait_for("readiness", || get("/readyz").0 == 200);

    stop.stop();
    assert_eq!(hindrance(), (503, json!("stopping")));
    assert_eq!(get("/healthz").0, 200);
    handler.join().unwrap();
    end.stop();
    server.join().unwrap();
}

fn command(environment: &Environment, client: &Client, record: &str, cents: i64) -> AnswerCode {
    let encode = Typed::<Account>::default().encoder(environment).unwrap();
    let command = Outgoing {
        id: None,
        aggregate: AggregateId::new("anna").unwrap(),
        record: record.to_owned(),
        fields: json!({ "cents": cents }),
        occurred: None,
        expected_version: None,
    };
    client.send(send::request(&encode, &command, DEADLINE).unwrap()).unwrap().code
}

#[track_caller]
fn wait_for(what: &str, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while !look() {
        assert!(began.elapsed() < DEADLINE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
