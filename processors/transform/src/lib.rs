//! Transforms: the shell around the pure machine in `factum_core::transform`, which republishes a topic
//! of events in another shape.
//!
//! What it is: a [`TransformRunner`] is one thread with a member of the transform's group and a
//! transactional producer. It polls, executes what the machine asks for, and runs each of its plans as one
//! transaction, by the same steps as the command handler ([`factum_handler::execute`]).
//!
//! What it is not: it decides nothing. Where to go on, what to commit and where to stop is the machine's.
//!
//! Invariant: the records of a batch of events and the group's offset behind it are one transaction, fenced
//! by the group's generation (KIP-447): a record is republished once.

mod last;
mod runner;
mod status;

pub use runner::{Progressed, TransformOptions, TransformRunner};
pub use status::TransformStatus;
