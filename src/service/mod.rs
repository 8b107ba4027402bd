//! Who answers what the verbs and the gateway ask for.
//!
//! [`LocalService`] answers in this process, on any log (the embedded one, one
//! in memory, Kafka). [`RemoteService`] asks the process that holds the embedded
//! log, over its HTTP interface, which in turn is a [`LocalService`] behind
//! [`router`].

mod catalog;
mod live;
mod local;
mod remote;
mod views;

pub(crate) use catalog::catalog;
pub(crate) use factum_gateway::{
    At, AuditFound, AuditRequest, AuditedEvent, CausedCommand, CausesFound, Clock, EventFound, HistoryFound,
    HistoryRequest, MAX_EVENTS, PublishAllRequest, PublishRequest, QueryFound, QueryRequest, Service, StateFound,
    StateRequest, parse_time, router,
};
pub(crate) use local::LocalService;
pub(crate) use remote::{RemoteService, error_of};
pub(crate) use views::ViewReader;
