//! A domain's aggregates and views behind object-safe interfaces, so that the
//! verbs work for any of them.

mod aggregate;
mod fleet;
mod running;
mod slowed;
mod view;

pub(crate) use aggregate::rfc3339;
pub use aggregate::{AggregateHost, BareStep, CommandEncoder, Fold, HandlerOptions, Typed};
pub use factum_gateway::Stop;
pub use factum_handler::WorkerStatus;
pub(crate) use fleet::{Entry, Fleet};
pub use running::Running;
pub(crate) use slowed::PAUSE;
pub use view::{TypedView, ViewHost, ViewProgress};
