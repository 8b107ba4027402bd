//! The binary on the embedded log: the first day, other processes beside the
//! one that has the log, its HTTP interface, kills and bad input.
//!
//! Every test has its own folder. No broker is needed.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "embedded/books.rs"]
mod books;
#[path = "kafka/deposits.rs"]
mod deposits;
#[path = "embedded/http.rs"]
mod http;
#[path = "kafka/process.rs"]
mod process;
#[path = "embedded/site.rs"]
mod site;

#[path = "embedded/aside.rs"]
mod aside;
#[path = "embedded/bad_input.rs"]
mod bad_input;
#[path = "embedded/bench.rs"]
mod bench;
#[path = "embedded/first_day.rs"]
mod first_day;
#[path = "embedded/health.rs"]
mod health;
#[path = "embedded/http_bad_input.rs"]
mod http_bad_input;
#[path = "embedded/interface.rs"]
mod interface;
#[path = "embedded/interrupted.rs"]
mod interrupted;
#[path = "embedded/journal.rs"]
mod journal;
#[path = "embedded/kill.rs"]
mod kill;
#[path = "embedded/live.rs"]
mod live;
#[path = "embedded/parked.rs"]
mod parked;
#[path = "embedded/query.rs"]
mod query;
#[path = "embedded/rebuild.rs"]
mod rebuild;
#[path = "embedded/replay.rs"]
mod replay;
#[path = "embedded/snapshots.rs"]
mod snapshots;
#[path = "embedded/transform.rs"]
mod transform;
#[path = "embedded/verbs.rs"]
mod verbs;
