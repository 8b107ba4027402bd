//! Traces: which distributed trace a command and its events belong to.

use crate::{CommandId, Error, Result};
use std::{fmt, str::FromStr};

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

impl FromStr for TraceContext {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        TraceContext::parse(text.as_bytes()).ok_or_else(|| {
            Error::invalid(format!(
                "{text:?} is not a W3C trace context of version 00: expected 00-<32 digits>-<16 digits>-<2 digits>, hexadecimal"
            ))
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            u128::from_be_bytes(self.trace_id),
            u64::from_be_bytes(self.parent_id),
            self.flags
        )
    }
}

/// The most trace ids that a unit of work names.
const MAX_IDS: usize = 16;

/// The commands of one unit of work that carry a trace. A unit of work has many
/// commands, so that its span cannot be the child of all of them: it names
/// their traces instead.
///
/// As text the different trace ids, at most 16, joined by commas; each in 32
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traces(Vec<(CommandId, TraceContext)>);

impl Traces {
    /// Adds a command.
    pub fn push(&mut self, command: CommandId, trace: TraceContext) {
        self.0.push((command, trace));
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether no command carries a trace.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The commands in their order.
    pub fn iter(&self) -> impl Iterator<Item = &(CommandId, TraceContext)> {
        self.0.iter()
    }
}

impl fmt::Display for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named: Vec<[u8; 16]> = Vec::new();
        for (_, trace) in &self.0 {
            if named.len() == MAX_IDS {
                break;
            }
            if named.contains(&trace.trace_id) {
                continue;
            }
            let comma = if named.is_empty() { "" } else { "," };
            write!(f, "{comma}{:032x}", u128::from_be_bytes(trace.trace_id))?;
            named.push(trace.trace_id);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(n: u8) -> TraceContext {
        TraceContext { trace_id: [n; 16], parent_id: [1; 8], flags: 0 }
    }

    #[test]
    fn a_unit_of_work_names_each_of_its_traces_once_and_not_too_many() {
        let mut traces = Traces::default();
        for n in [1, 2, 1] {
            traces.push(CommandId([n; 16]), trace(n));
        }
        assert_eq!(traces.to_string(), format!("{},{}", "01".repeat(16), "02".repeat(16)));
        (3..100).for_each(|n| traces.push(CommandId([n; 16]), trace(n)));
        assert_eq!(traces.to_string().split(',').count(), MAX_IDS);
    }

    #[test]
    fn text_is_read_as_it_is_written_and_what_is_no_trace_context_is_an_error() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(text.parse::<TraceContext>().unwrap().to_string(), text);
        assert!("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse::<TraceContext>().is_err());
    }
}
