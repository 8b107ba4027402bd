//! Replays: a view gets events again, or leaves some out.
//!
//! What a replay does is what a reset of the group's offsets with Kafka's own tool
//! does: the offsets are set while the view is down, and the view honours them
//! when it starts ([`factum_core::view::Review`]). Where to deliver again is not
//! enough, rows that are of one aggregate each are folded again from their history.

mod plan;
mod run;
mod target;

pub(crate) use plan::{Plan, Replay, Wishes};
pub(crate) use run::{Outcome, run};
pub(crate) use target::{PartitionName, To};
