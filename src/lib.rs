//! Factum: event sourcing on Apache Kafka.
//!
//! This crate is the facade: it re-exports what a domain author writes
//! against, chooses the implementations of the log and of the views' sinks,
//! and holds the verbs of the command line for any domain. It knows no domain.
//!
//! `examples/account.rs` is a whole domain with its tests. In short:
//!
//! ```no_run
//! # use factum::{Aggregate, command, event};
//! # #[event("shop.basket")] pub struct Added { pub pieces: i64 }
//! # #[event] pub enum Event { Added(Added) }
//! # #[command("shop.basket")] pub struct Add { pub pieces: i64 }
//! # #[command] pub enum Command { Add(Add) }
//! # #[derive(Debug, serde::Serialize)] pub enum Refusal {}
//! # impl std::fmt::Display for Refusal { fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) } }
//! # #[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
//! # pub struct Basket { pieces: i64 }
//! # impl Aggregate for Basket {
//! #     const TYPE: &'static str = "shop.basket"; const FOLD_VERSION: u32 = 1;
//! #     type Command = Command; type Event = Event; type Refusal = Refusal;
//! #     fn decide(&self, _: Command) -> Result<Vec<Event>, Refusal> { Ok(vec![]) }
//! #     fn evolve(&mut self, _: &Event) {}
//! # }
//! fn main() -> std::process::ExitCode {
//!     factum::app("shop").aggregate::<Basket>().main()
//! }
//! ```
//!
//! Commands are sent by a [`TypedClient`]: `environment.client::<Basket>()?` makes
//! one, and `client.send(to("basket-1", Add { pieces: 2 }))?` gives a [`Reply`].
//! The examples `send`, `fire_and_forget` and `batches` run on a log in memory.

mod adopt;
mod app;
mod aside;
mod build;
mod cli;
mod config;
mod deprecation;
pub mod environment;
mod errand;
pub mod history;
pub mod host;
pub mod import;
mod journal;
mod local_kafka;
mod node;
pub mod observe;
mod pass_over;
mod replay;
mod sample;
pub mod send;
mod service;

pub use app::{App, RunVerb, app};
pub use factum_client::{
    Accepted, Conflict, Envelope, PendingReply, Refused, Reply, TypedClient, Undecided, new_trace, to,
};
pub use factum_core::*;
pub use factum_gateway as gateway;
pub use factum_log_kafka::{KafkaConfig, KafkaLog};
pub use factum_log_memory::MemoryLog;
pub use factum_registry as registry;
pub use factum_schemas as schemas;
pub use factum_schemas::{Upcast, Upcasted, command, event};
pub use factum_transform::TransformStatus;
pub use factum_views as views;
pub use factum_views::{Database, HandWritten, MemoryDatabase, SqlTransaction};
pub use sample::Sample;

/// The examples of the page on changing events and commands, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/schema-evolution.md")]
struct SchemaEvolution;
