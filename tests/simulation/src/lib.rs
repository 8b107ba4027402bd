//! A simulation of Factum in which everything goes wrong, and a checker that
//! reads what came of it.
//!
//! What runs is production code: the worker and the machine of the command
//! handler, and the client's machine, over the log in memory, which is
//! a model of Kafka that passes the contract suite that Kafka passes. What is
//! simulated is everything around them: time, processes that are killed or
//! hang in the middle of a call, requests and replies that get lost, commits
//! whose outcome nobody is told, and what else [`Fault`] names.
//!
//! One thread runs all of it. A process that hangs is a call that lets the
//! others have their turns before it goes on, and a process that is killed
//! unwinds from the call that it was in.
//!
//! Invariant: a seed and a number of steps are all that a run depends on.
//!
//! ```
//! use factum_core::Protections;
//! use factum_simulation::Simulator;
//!
//! let report = Simulator::new(Protections::ALL)?.run(1, 300)?;
//! assert!(report.violations.is_empty(), "{report}");
//! # Ok::<(), factum_core::Error>(())
//! ```

mod anew;
mod auditor;
mod bank;
mod check;
mod client;
mod deliveries;
mod directed;
mod fault;
mod folds;
mod handler;
mod joining;
mod keeper;
mod log;
mod mutation;
mod notes;
mod operator;
mod parked;
mod poison;
mod random;
mod run;
mod sink;
mod skipper;
mod time;
mod views;
mod world;

pub use directed::full_inbox_over_a_recreated_topic;
pub use fault::{Fault, Struck};
pub use mutation::{each_switched_off, first_caught};
pub use run::{Report, Simulator};
