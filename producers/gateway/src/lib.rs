//! The HTTP gateway: commands, states, histories and views for clients that speak HTTP.
//!
//! What it is: the routes ([`router`]) over a [`Backend`], the server that puts
//! limits around any router ([`Server`]), and the requests that both fronts of
//! a process share, HTTP and the command line.
//!
//! What it is not: it opens no log and no database, and knows no domain; who
//! implements [`Backend`] does.
//!
//! Invariant: whatever is not accepted is told as `application/problem+json`
//! (RFC 9457), and everything that comes from outside has a limit.
//!
//! ```
//! use factum_gateway::Outgoing;
//! use factum_core::AggregateId;
//!
//! let id = AggregateId::new("anna")?;
//! let command = Outgoing::new(id, "Deposit", serde_json::json!({ "cents": 100 }));
//! assert_eq!(command.record, "Deposit");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catalog;
mod chunks;
mod command;
mod journal;
mod limits;
mod lines;
mod live;
mod openapi;
mod overload;
mod pages;
mod past;
mod query;
mod rates;
mod request_id;
mod routes;
pub mod serve;
mod service;
mod stop;
mod tally;
#[cfg(test)]
mod tests;
mod token;

pub use catalog::{AggregateEntry, Catalog, OtherEntry, ViewEntry};
pub use command::{CommandBody, Outgoing};
pub use journal::{
    AuditFound, AuditRequest, AuditedEvent, CausedCommand, CausesFound, MAX_AUDIT_EVENTS, MAX_CAUSED_EVENTS,
};
pub use limits::Limits;
pub use lines::{Lines, in_lines};
pub use live::{FollowRequest, Followed, Inlet, Offered, Outlet, QUEUE_BYTES, Told, Update, queue};
pub use past::{At, Clock, parse_time};
pub use query::{BehindFound, DEFAULT_PATIENCE, Patience, QueryFound, QueryRequest};
pub use routes::{CAUSATION, CORRELATION, MAX_BATCH, OCCURRED, entity_tag, router};
pub use serve::Server;
pub use service::{
    Backend, BatchError, Commands, EventFound, HistoryFound, HistoryRequest, MAX_EVENTS, OutcomeRequest,
    PublishAllRequest, PublishRequest, Service, StateFound, StateRequest,
};
pub use stop::Stop;
pub use tally::{Counted, Tally};
pub use token::{opaque, parse_token};
