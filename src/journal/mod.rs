//! The journal: a built-in view with one row for every event of every aggregate
//! type of the program, in the order of type, aggregate and version.
//!
//! It answers what would otherwise read a whole partition: a page of a history,
//! a state at a version or a time, all events of a conversation, an audit. It is
//! a view like any other, so it can be deleted and is built again from the log.

mod entry;
mod key;

use entry::Journal;

use crate::host::{AggregateHost, TypedView, ViewHost};
use std::sync::Arc;

/// The journal of these aggregate types.
pub(crate) fn host(aggregates: &[Arc<dyn AggregateHost>]) -> Box<dyn ViewHost> {
    let types = aggregates.iter().map(|host| host.aggregate_type()).collect();
    Box::new(TypedView::<Journal>::reading(types, Arc::new(|_, _, sink| Ok(sink))))
}
