//! A domain's aggregates, views and transforms behind object-safe interfaces, so that the
//! verbs work for any of them.

mod aggregate;
mod beside;
mod fleet;
mod redrive;
mod refold;
mod running;
mod slowed;
mod snapshots;
mod touched;
pub(crate) mod transform;
mod view;
mod watchdog;

pub(crate) use aggregate::rfc3339;
pub use aggregate::{AggregateHost, BareStep, CommandEncoder, Fold, HandlerOptions, Typed};
use beside::Beside;
pub use factum_gateway::Stop;
pub use factum_handler::WorkerStatus;
pub(crate) use fleet::{Entry, Fleet};
pub use redrive::{Doing, RedriveRequest, RedriveTally};
pub use refold::{PASS_ROWS, RefoldRequest, RefoldTally};
pub use running::Running;
pub(crate) use slowed::PAUSE;
pub use snapshots::SnapshotTally;
pub use touched::TouchedKeys;
pub use transform::{TransformHost, TransformMember, TransformProgress, TypedTransform};
pub use view::{TypedView, ViewHost, ViewMember, ViewProgress};
pub use watchdog::{DEFAULT_DEADLINE, STUCK_EXIT_CODE};
