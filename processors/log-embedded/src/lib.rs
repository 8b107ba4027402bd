//! The log on the disk of one process: the engine of the log in memory over
//! append-only files.
//!
//! What it is: every lasting change of the log's state (records, transactions'
//! ends, committed offsets, topics) is an effect, and effects go to one
//! journal of segment files, in frames with checksums. Opening reads the last
//! checkpoint and the frames after it. Topics, transactions, groups and
//! retention are those of `factum_log_memory`, and it passes the same contract
//! suite as the log on Kafka.
//!
//! What it is not: Kafka. One process has a data folder open, and another one
//! gets an error that names it ([`owner`]). There is no replica: the disk is
//! all there is. All records are in memory, too. Groups' members, producers'
//! epochs and open transactions end with the process; at the next start what
//! was open is aborted.
//!
//! Invariant: what was acknowledged, or seen by any reader, is on the disk;
//! and a transaction is there as a whole or not at all.
//!
//! # When bytes reach the disk
//! A commit, a delivery report, committed offsets and a change of a topic
//! return after `fdatasync` of the frame that holds them (and, for a new file,
//! `fsync` of the folder). One frame is written at a time; what others recorded
//! meanwhile is the next one, so that many writers share a sync. Readers see
//! nothing that is not synced yet. Records of an open transaction, and aborts,
//! wait for nobody: they go with the next frame. There is no setting for less.
//!
//! A write that fails (a full disk) is cut off again, and everything that
//! needs the disk fails with `Unavailable` until the same frame can be
//! written; a commit or a record that had met it may still count then, as its
//! error says.
//! After a sync that fails nobody knows what is on the disk: the log refuses
//! all writes until the process is started again.
//!
//! After a power cut only the end of the last segment can be torn: it is
//! dropped with a warning. A bad checksum that another frame follows is damage,
//! and so is a missing file: the log does not open, and names file and byte.
//! (Damage of the very last frame before a power cut looks like a torn one;
//! a log that was closed has a frame behind it.)
//!
//! ```
//! use factum_core::{Partition, RecordBatch, Topic, log::{Isolation, Log, TopicSpec}};
//! use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! let topic = Topic::from("greetings");
//! {
//!     let log = EmbeddedLog::open(folder, EmbeddedConfig::default())?;
//!     let spec = TopicSpec { topic: topic.clone(), partitions: 1, replication: None, settings: Default::default() };
//!     log.admin()?.create_topics(&[spec])?;
//!
//!     let mut batch = RecordBatch::new();
//!     let mut record = batch.start(&topic, Partition(0));
//!     record.value(b"hello");
//!     record.finish();
//!     let mut producer = log.producer()?;
//!     producer.produce(&batch)?;
//!     producer.flush(std::time::Duration::from_secs(1))?; // now it is on the disk
//! }
//! let log = EmbeddedLog::open(folder, EmbeddedConfig::default())?;
//! assert_eq!(log.opened().records, 1);
//! let bounds = log.admin()?.bounds(&topic.partition(Partition(0)), Isolation::ReadCommitted)?;
//! assert_eq!((bounds.start.0, bounds.end.0), (0, 1));
//! # Ok::<(), factum_core::Error>(())
//! ```

mod checkpoint;
mod codec;
pub mod disk;
mod frame;
mod journal;
mod keeper;
mod log;
mod owner;
mod recovery;
mod segments;

pub use log::{EmbeddedConfig, EmbeddedLog};
pub use owner::{Owner, owner};
pub use recovery::Opened;
