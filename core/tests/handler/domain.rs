//! A counter with every kind of command, and a codec of plain text.

use factum_core::{Aggregate, AggregateCodec, DecodeError, Decoded, Error, Fingerprint, Message, Result};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// One event.
    Add(i64),
    /// Refused when there is less.
    Take(i64),
    /// So many events of 1.
    Split(i64),
    /// No event.
    Nothing,
    /// Needs a permission.
    Reset,
    /// An event that asks for a snapshot.
    Milestone,
    PanicInDecide,
    PanicInEvolve,
    /// An event that has no bytes.
    Unencodable,
    /// A state that has no bytes.
    Spoil,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Added(i64),
    Broken,
    Unencodable,
    Milestone,
    Spoiled,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Counter {
    pub(crate) total: i64,
    spoiled: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct TooLittle {
    has: i64,
}

impl fmt::Display for TooLittle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {}", self.has)
    }
}

impl Message for Command {
    const RECORDS: &'static [&'static str] = &["test.Command"];
    fn record(&self) -> usize {
        0
    }
}

impl Message for Event {
    const RECORDS: &'static [&'static str] = &["test.Event"];
    fn record(&self) -> usize {
        0
    }
}

impl Aggregate for Counter {
    const TYPE: &'static str = "test.counter";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = TooLittle;

    fn decide(&self, command: Command) -> Result<Vec<Event>, TooLittle> {
        Ok(match command {
            Command::Add(n) => vec![Event::Added(n)],
            Command::Take(n) if n > self.total => return Err(TooLittle { has: self.total }),
            Command::Take(n) => vec![Event::Added(-n)],
            Command::Split(n) => (0..n).map(|_| Event::Added(1)).collect(),
            Command::Nothing => vec![],
            Command::Reset => vec![Event::Added(-self.total)],
            Command::Milestone => vec![Event::Milestone],
            Command::PanicInDecide => panic!("decide is broken"),
            Command::PanicInEvolve => vec![Event::Added(1), Event::Broken],
            Command::Unencodable => vec![Event::Added(1), Event::Unencodable],
            Command::Spoil => vec![Event::Spoiled],
        })
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Added(n) => self.total += n,
            Event::Broken => panic!("evolve is broken"),
            Event::Spoiled => self.spoiled = true,
            Event::Unencodable | Event::Milestone => {}
        }
    }

    fn permission(command: &Command) -> Option<&'static str> {
        (*command == Command::Reset).then_some("reset")
    }

    fn snapshot_after(&self, event: &Event) -> bool {
        matches!(event, Event::Milestone | Event::Spoiled)
    }
}

/// Text behind one byte that stands for the schema's id.
#[derive(Debug, Clone)]
pub(crate) struct TextCodec {
    pub(crate) known: Arc<Mutex<BTreeSet<u8>>>,
    pub(crate) fingerprint: u8,
    /// Set where a command would have ended the process.
    died: Arc<AtomicBool>,
}

impl Default for TextCodec {
    fn default() -> Self {
        TextCodec { known: Arc::new(Mutex::new([1].into())), fingerprint: 1, died: Arc::default() }
    }
}

impl TextCodec {
    /// Whether the process is no more. The next one lives.
    pub(crate) fn has_died(&self) -> bool {
        self.died.swap(false, Ordering::Relaxed)
    }

    fn text<'a>(&self, value: &'a [u8]) -> Result<(&'a str, Option<i64>), DecodeError> {
        let (schema, text) = value.split_first().ok_or_else(|| DecodeError::Malformed("no bytes".into()))?;
        if !self.known.lock().unwrap().contains(schema) {
            return Err(DecodeError::UnknownSchema((*schema).into()));
        }
        let text = std::str::from_utf8(text).map_err(|e| DecodeError::Malformed(e.to_string()))?;
        Ok(text.split_once(' ').map_or((text, None), |(word, n)| (word, n.parse().ok())))
    }
}

impl AggregateCodec<Counter> for TextCodec {
    fn decode_command(&self, value: &[u8]) -> Result<Command, DecodeError> {
        Ok(match self.text(value)? {
            ("add", Some(n)) => Command::Add(n),
            ("take", Some(n)) => Command::Take(n),
            ("split", Some(n)) => Command::Split(n),
            ("nothing", None) => Command::Nothing,
            ("reset", None) => Command::Reset,
            ("milestone", None) => Command::Milestone,
            ("die", None) => {
                self.died.store(true, Ordering::Relaxed);
                Command::Nothing
            }
            ("panic", None) => Command::PanicInDecide,
            ("break", None) => Command::PanicInEvolve,
            ("unencodable", None) => Command::Unencodable,
            ("spoil", None) => Command::Spoil,
            (other, _) => return Err(DecodeError::Malformed(format!("{other:?} is no command"))),
        })
    }

    fn encode_event(&self, event: &Event, into: &mut Vec<u8>) -> Result<()> {
        into.push(1);
        let text = match event {
            Event::Added(n) => format!("added {n}"),
            Event::Broken => "broken".into(),
            Event::Milestone => "milestone".into(),
            Event::Spoiled => "spoiled".into(),
            Event::Unencodable => return Err(Error::data("no bytes for this")),
        };
        into.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn decode_event(&self, value: &[u8]) -> Result<Decoded<Event>, DecodeError> {
        Ok(Decoded::One(match self.text(value)? {
            // Records of earlier times: what was added twice, what broke after it, and what was nothing.
            ("doubled", Some(n)) => return Ok(Decoded::Upcast(vec![Event::Added(n), Event::Added(n)])),
            ("half-broken", None) => return Ok(Decoded::Upcast(vec![Event::Added(1), Event::Broken])),
            ("visited", None) => return Ok(Decoded::Upcast(Vec::new())),
            ("added", Some(n)) => Event::Added(n),
            ("milestone", None) => Event::Milestone,
            ("spoiled", None) => Event::Spoiled,
            ("broken", None) => Event::Broken,
            ("renamed", None) => return Err(DecodeError::UnknownRecord("test.Renamed".into())),
            (other, _) => return Err(DecodeError::Malformed(format!("{other:?} is no event"))),
        }))
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([self.fingerprint; 8])
    }

    fn encode_state(&self, state: &Counter, into: &mut Vec<u8>) -> Result<()> {
        if state.spoiled {
            return Err(Error::data("a spoiled state has no bytes"));
        }
        into.extend_from_slice(state.total.to_string().as_bytes());
        Ok(())
    }

    fn decode_state(&self, bytes: &[u8]) -> Result<Counter> {
        let text = std::str::from_utf8(bytes).unwrap_or("");
        let total = text.parse().map_err(|_| Error::data("not a total"))?;
        Ok(Counter { total, spoiled: false })
    }
}
