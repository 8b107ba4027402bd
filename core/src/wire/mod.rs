//! The bytes around a record's value, as fixed by `docs/wire.md`: headers,
//! position tokens, answers, and the keys of the snapshots topic.

mod answer;
mod command;
mod event;
mod snapshot;
mod token;
mod trace;

pub use answer::{Answer, AnswerCode};
pub use command::{CommandHeaders, header};
pub use event::{CONTESTED, EVENT_HEADER, EventHeader, MAX_SOURCE_BYTES, pass_over};
pub use snapshot::{Begun, Convicted, Progress, SnapshotHead, SnapshotKey};
pub use token::Token;
pub use trace::{TraceContext, Traces};
