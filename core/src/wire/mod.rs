//! The bytes around a record's value, as fixed by `docs/wire.md`: headers,
//! position tokens, answers, and the keys of the snapshots topic.

mod answer;
mod command;
mod event;
mod snapshot;
mod token;

pub use answer::{Answer, AnswerCode};
pub use command::{CommandHeaders, header};
pub use event::{EVENT_HEADER, EventHeader, MAX_SOURCE_BYTES};
pub use snapshot::{Progress, SnapshotHead, SnapshotKey};
pub use token::Token;

/// A W3C trace context (`traceparent`, version 00), in binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace's id.
    pub trace_id: [u8; 16],
    /// The id of the span that caused this record.
    pub parent_id: [u8; 8],
    /// The trace flags (bit 0: sampled).
    pub flags: u8,
}

impl TraceContext {
    /// Reads the header `traceparent`; none when it is not of version 00 or not well formed
    /// (the specification has a receiver ignore it then).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        // `from_str_radix` would take a sign.
        if !text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version != "00" || parts.next().is_some() || trace.len() != 32 || parent.len() != 16 || flags.len() != 2 {
            return None;
        }
        Some(TraceContext {
            trace_id: u128::from_str_radix(trace, 16).ok().filter(|&id| id != 0)?.to_be_bytes(),
            parent_id: u64::from_str_radix(parent, 16).ok().filter(|&id| id != 0)?.to_be_bytes(),
            flags: u8::from_str_radix(flags, 16).ok()?,
        })
    }
}

impl std::fmt::Display for TraceContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            u128::from_be_bytes(self.trace_id),
            u64::from_be_bytes(self.parent_id),
            self.flags
        )
    }
}
