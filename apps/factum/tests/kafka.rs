//! The binary on a real Kafka: processors as processes, which are stopped,
//! killed and continued, and whose work is then read from the topics.
//!
//! Every test has its own prefix, and so its own topics and groups.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "kafka/books.rs"]
mod books;
#[path = "kafka/deposits.rs"]
mod deposits;
#[path = "kafka/process.rs"]
mod process;
#[path = "kafka/site.rs"]
mod site;
#[path = "kafka/traffic.rs"]
mod traffic;

#[path = "kafka/bad_input.rs"]
mod bad_input;
#[path = "kafka/child.rs"]
mod child;
#[path = "kafka/deprecated.rs"]
mod deprecated;
#[path = "kafka/example.rs"]
mod example;
#[path = "kafka/foreign.rs"]
mod foreign;
#[path = "kafka/gateway.rs"]
mod gateway;
#[path = "kafka/handover.rs"]
mod handover;
#[path = "kafka/import.rs"]
mod import;
#[path = "kafka/journal.rs"]
mod journal;
#[path = "kafka/killers.rs"]
mod killers;
#[path = "kafka/lifecycle.rs"]
mod lifecycle;
#[path = "kafka/observed.rs"]
mod observed;
#[path = "kafka/open_transaction.rs"]
mod open_transaction;
#[path = "kafka/outage.rs"]
mod outage;
#[path = "kafka/overload.rs"]
mod overload;
#[path = "kafka/parked.rs"]
mod parked;
#[path = "kafka/rebuild.rs"]
mod rebuild;
#[path = "kafka/recovery.rs"]
mod recovery;
#[path = "kafka/replay.rs"]
mod replay;
#[path = "kafka/rolling.rs"]
mod rolling;
#[path = "kafka/schemas.rs"]
mod schemas;
#[path = "kafka/snapshots.rs"]
mod snapshots;
#[path = "kafka/tracing.rs"]
mod tracing;
#[path = "kafka/transform.rs"]
mod transform;
#[path = "kafka/versions.rs"]
mod versions;
#[path = "kafka/views.rs"]
mod views;
#[path = "kafka/zombie.rs"]
mod zombie;
