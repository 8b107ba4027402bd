//! The command handler's shell: it polls, executes what the pure machine in
//! `factum_core::handler` asks for, and tells it what came of it.
//!
//! A worker is one thread with its own consumer and its own transactional
//! producer. Workers share nothing; more of them are more members of the group.
//!
//! How a plan is executed and how schemas are fetched, transforms share ([`execute()`], [`Fetches`]).
//!
//! Invariant: nothing is decided here. No retry, no offset and no order of
//! steps comes from this crate.

mod answers;
mod clients;
mod schemas;
mod status;
mod surroundings;
mod transact;
mod worker;

pub use answers::AnswerEncoder;
pub use clients::{new_producer, recover};
pub use schemas::{Fetches, SchemaFetch};
pub use status::WorkerStatus;
pub use surroundings::{Errand, Surroundings, system_clock};
pub use transact::{PausePoint, execute};
pub use worker::{Worker, WorkerOptions};
