//! The command client: sends commands and waits for their replies.
//!
//! What it is: a shell around the pure machine in `factum_core::client`. It
//! takes the log's interface, so it works on every log. One thread per client
//! owns the producer and the reader of its replies partition.
//! [`TypedClient`] is for a domain's author, [`Client`] for programs that know
//! a command only as bytes or JSON.
//!
//! What it is not: it decides nothing, reads no state and no view.
//!
//! Invariant: a command is only ever repeated under its own id, so the
//! handler's window answers a repeat with the first outcome.
//!
//! ```no_run
//! use factum_client::{Reply, TypedClient, to};
//! # use factum_core::{Aggregate, Result, Version};
//! # fn deposit<A: Aggregate, C: Into<A::Command>>(client: TypedClient<A>, deposit: C, withdraw: C) -> Result<()>
//! # where A::Command: factum_schemas::AvroMessage {
//! let accepted = client.send(to("anna", deposit))?.accepted()?;
//! match client.send(to("anna", withdraw).expected_version(accepted.version))? {
//!     Reply::Accepted(accepted) => println!("at version {}", accepted.version),
//!     Reply::Refused(refused) => println!("refused: {}", refused.json),
//!     Reply::Conflict(conflict) => println!("somebody was faster: version {}", conflict.actual),
//!     Reply::Undecided(undecided) => println!("{}: {}", undecided.code, undecided.why),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The facade's examples `send`, `fire_and_forget` and `batches` run.

mod answers;
mod client;
mod envelope;
mod permits;
mod reply;
mod request;
mod typed;
mod worker;

pub use answers::Answers;
pub use client::Client;
pub use envelope::{Envelope, to};
pub use factum_core::client::ClientConfig;
pub use reply::{Accepted, Conflict, Refused, Reply, Undecided};
pub use request::{Pending, Request, new_trace};
pub use typed::{PendingReply, TypedClient};

use std::time::Duration;

/// The time that a command waits for its reply, unless it says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
