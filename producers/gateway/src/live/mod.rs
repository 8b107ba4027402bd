//! Live updates: what is followed, and the queue between who tells them and who takes them.

mod queue;
mod told;

pub use queue::{Inlet, Offered, Outlet, QUEUE_BYTES, queue};
pub use told::{Told, Update};

use factum_core::AggregateId;

/// Whose updates, and from where.
#[derive(Debug, Clone)]
pub struct FollowRequest {
    /// Whose.
    pub what: Followed,
    /// Positions as a stream tells them, or a command's position token: behind these. Partitions that
    /// are not named, and all of them without it, begin at the end as it is now.
    pub from: Option<String>,
}

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Followed {
    /// The events of an aggregate.
    Aggregate {
        /// Its type.
        aggregate_type: String,
        /// Its id.
        id: AggregateId,
    },
    /// The rows of a view that events touch.
    View(String),
}
