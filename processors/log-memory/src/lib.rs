//! The log in memory: a model of what Factum relies on in Kafka, for tests and
//! as the base of the simulator.
//!
//! What it is: topics with identities and settings, partitions whose control
//! records take offsets, transactions with epochs, timeouts and a last stable
//! offset, groups with sessions, generations and a cooperative-sticky
//! assignment, compaction and retention. It passes the same contract suite as
//! the log on Kafka.
//!
//! What it is not: durable (with a [`journal`] it is the engine of a log that
//! is), replicated or distributed. `unclean.leader.election`,
//! `min.insync.replicas` and the like are kept and described, nothing more, and
//! a replication factor is taken as it is given. A member is told its new
//! generation by its poll, where Kafka's client learns it in the background.
//! All members of a group speak one protocol.
//!
//! Invariant: the same calls at the same times give the same log. Only the
//! clients wait; the state behind them has no thread, no clock and no chance.
//!
//! ```
//! use factum_core::{Partition, RecordBatch, Topic, log::{Log, TopicSpec}};
//! use factum_log_memory::MemoryLog;
//!
//! let log = MemoryLog::with_system_clock();
//! let topic = Topic::from("greetings");
//! let spec = TopicSpec { topic: topic.clone(), partitions: 1, replication: None, settings: Default::default() };
//! log.admin()?.create_topics(&[spec])?;
//!
//! let mut batch = RecordBatch::new();
//! let mut record = batch.start(&topic, Partition(0));
//! record.value(b"hello");
//! record.finish();
//! log.producer()?.produce(&batch)?;
//! # Ok::<(), factum_core::Error>(())
//! ```

mod admin;
mod assignment;
mod broker;
mod cleaner;
mod consumer;
mod ends;
pub mod faults;
mod fetcher;
mod group;
pub mod journal;
mod late;
mod log;
mod markers;
mod offsets;
mod partition;
mod producer;
mod reader;
mod restore;
mod segment;
mod snapshot;
mod topic;
mod transactional;
mod transactions;

pub use cleaner::Compaction;
pub use log::{Clock, MemoryLog, system_clock};
pub use restore::Restore;
