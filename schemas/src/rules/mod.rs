//! The rules of a schema registry as a pure model: subjects and their
//! versions, global ids, soft and hard deletion, compatibility and modes.
//!
//! Queries look at a [`Model`]; a command looks too and returns what would
//! change, as [`Change`]s. Only [`Model::apply`] moves it. So whoever keeps the
//! changes in a log (see [`LogRegistry`](crate::LogRegistry)) has the same
//! registry after a restart, and in every process.
//!
//! Codes and meanings are those of Confluent's API
//! (docs.confluent.io, "Schema Registry API Reference"). What differs: the
//! compatibility of a subject that sets none is BACKWARD_TRANSITIVE, since an
//! event is read for ever; only Avro, and no references between subjects.

mod commands;
mod layout;
mod level;
mod model;
mod refusal;
#[cfg(test)]
mod tests;

pub use commands::{Force, Permanence, Submitted, Trial};
pub(crate) use layout::{read, write};
pub use level::{Level, Mode};
pub use model::{At, Change, Model, Registered, Which};
pub use refusal::Refusal;
