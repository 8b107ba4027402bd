//! The checker: what clients asked for and were told, what the log has and
//! what views show goes in, and every promise that was not kept comes out.
//!
//! The simulation and the fault suite gather a [`History`] of the reference
//! bank, each in its own way, and have the same [`check`] judge it. The checker
//! asks no process under test: it folds the log by itself.
//!
//! ```
//! use factum_history::{History, check};
//!
//! assert_eq!(check(&History::new(4, 64)).violations, []);
//! ```

mod check;
mod log;
mod record;
mod rule;

pub use check::{Folded, Verdict, check};
pub use log::{read_committed, read_events, read_requests};
pub use record::{Asked, Event, History, Look, Request, Row, Transfer};
pub use rule::{Rule, Violation};
