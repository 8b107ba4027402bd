//! The journal: a built-in view with one row for every event of every aggregate
//! type of the program, in the order of type, aggregate and version.
//!
//! It answers what would otherwise read a whole partition: a page of a history,
//! a state at a version or a time, all events of a conversation, an audit. It is
//! a view like any other, so it can be deleted and is built again from the log.

mod audit;
mod entry;
mod keeper;
mod key;
mod past;
mod reader;
mod states;

pub(crate) use audit::{audit, causes};
pub(crate) use past::{event_found, history, state};
pub(crate) use reader::Reader;

use crate::host::{AggregateHost, TypedView, ViewHost};
use entry::Journal;
use factum_core::view::View;
use keeper::StateKeeper;
use std::sync::Arc;

/// The journal's name.
pub(crate) const JOURNAL: &str = <Journal as View>::NAME;

/// The journal of these aggregate types.
pub(crate) fn host(aggregates: &[Arc<dyn AggregateHost>]) -> Box<dyn ViewHost> {
    let types = aggregates.iter().map(|host| host.aggregate_type()).collect();
    let hosts = aggregates.to_vec();
    let wrap = Arc::new(move |environment: &_, database: &_, sink| {
        Ok(Box::new(StateKeeper::open(environment, database, sink, &hosts)?) as Box<dyn factum_views::Sink>)
    });
    Box::new(TypedView::<Journal>::reading(types, wrap))
}
