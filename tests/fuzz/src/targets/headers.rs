//! Headers of commands and events, and answers.

use super::records::{put, record};
use crate::{Draw, Target, target::same};
use factum_core::{
    CommandId, EventId, Offset, Partition, RecordBatch, TimestampMs, Topic, Version,
    wire::{Answer, AnswerCode, CommandHeaders, EVENT_HEADER, EventHeader, TraceContext, header},
};
use factum_schemas::{AnswerCodec, MemoryRegistry, SchemaCache};
use std::sync::Arc;

const NAMES: [&str; 8] = [
    header::ID,
    header::TIME,
    header::REPLY_TO,
    header::EXPECTED_VERSION,
    header::DEADLINE,
    header::CORRELATION_ID,
    header::CAUSATION_ID,
    header::TRACEPARENT,
];

/// A command's headers: an input is a record (see [`record`]).
pub(super) struct CommandHeader;

impl Target for CommandHeader {
    fn name(&self) -> &'static str {
        "command-headers"
    }

    fn share(&self) -> u64 {
        200
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..draw.below(9) {
            let name = draw.below(NAMES.len());
            let value = match NAMES[name] {
                header::ID | header::CORRELATION_ID => id(draw).to_string(),
                header::CAUSATION_ID => EventId { command: id(draw), index: draw.odd_u32() }.to_string(),
                header::TIME | header::DEADLINE => "2026-01-31T12:00:00.001Z".to_owned(),
                header::TRACEPARENT => trace(draw).to_string(),
                _ => draw.odd_number().to_string(),
            };
            put(&mut bytes, name, value.as_bytes());
        }
        bytes
    }

    fn words(&self) -> &'static [&'static str] {
        &["-", "Z", "+23:59", "[Europe/Paris]", "-009999-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "/", "00-"]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let batch = record(input, &NAMES);
        let read = match CommandHeaders::read(batch.get(0)) {
            Ok(read) => read,
            Err(wrong) => wrong.1,
        };
        // What was read is read from its own text, too.
        let mut again = Vec::new();
        let mut tell = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                put(&mut again, NAMES.iter().position(|n| *n == name).unwrap_or_default(), value.as_bytes());
            }
        };
        tell(header::ID, read.id.map(|id| id.to_string()));
        tell(header::REPLY_TO, read.reply_to.map(|number| number.to_string()));
        tell(header::EXPECTED_VERSION, read.expected_version.map(|version| version.to_string()));
        tell(header::CORRELATION_ID, read.correlation.map(|id| id.to_string()));
        tell(header::CAUSATION_ID, read.cause.map(|id| id.to_string()));
        tell(header::TRACEPARENT, read.trace.map(|trace| trace.to_string()));
        let told = CommandHeaders::read(record(&again, &NAMES).get(0)).map_err(|wrong| wrong.0)?;
        same("the headers", &CommandHeaders { time: None, deadline: None, ..read }, &told)
    }
}

/// The event header: an input is its bytes.
pub(super) struct EventHeaders;

impl Target for EventHeaders {
    fn name(&self) -> &'static str {
        "event-header"
    }

    fn share(&self) -> u64 {
        300
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let command = id(draw);
        let size = draw.odd_u32().max(1);
        let source = draw.text();
        let header = EventHeader {
            version: Version(draw.odd_number().max(1)),
            command,
            command_offset: Offset(draw.odd_signed().max(0)),
            index: draw.odd_u32() % size,
            size,
            occurred: TimestampMs(draw.odd_signed()),
            correlation: if draw.once_in(2) { command } else { id(draw) },
            cause: draw.once_in(2).then(|| EventId { command: id(draw), index: draw.odd_u32() }),
            trace: draw.once_in(2).then(|| trace(draw)),
            source: &source,
        };
        written(&header)
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let batch = with_header(input);
        let Ok(header) = EventHeader::read(batch.get(0)) else { return Ok(()) };
        same("is it the last", &header.is_last(), &(header.index == header.size - 1))?;
        let again = with_header(&written(&header));
        same("the header", &header, &EventHeader::read(again.get(0)).map_err(|error| error.to_string())?)
    }
}

fn with_header(bytes: &[u8]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&Topic::from("bank.account.events"), Partition(0));
    record.header(EVENT_HEADER, bytes);
    record.finish();
    batch
}

fn written(header: &EventHeader<'_>) -> Vec<u8> {
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&Topic::from("bank.account.events"), Partition(0));
    header.write(&mut record);
    record.finish();
    batch.get(0).header(EVENT_HEADER).unwrap_or_default().to_vec()
}

/// Answers: an input is a reply's value.
pub(super) struct Answers(AnswerCodec);

impl Answers {
    pub(super) fn new() -> Self {
        let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
        let codec = AnswerCodec::for_writing("bank.account.replies", &cache);
        Answers(codec.expect("a sound schema is registered in memory"))
    }
}

impl Target for Answers {
    fn name(&self) -> &'static str {
        "answers"
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let codes: Vec<AnswerCode> = AnswerCode::all().collect();
        let answer = Answer {
            command: id(draw),
            code: codes[draw.below(codes.len())],
            version: Version(draw.odd_signed().max(0).unsigned_abs()),
            events: draw.odd_u32() >> 1,
            token: draw.once_in(2).then(|| super::tokens::token(draw)),
            detail: draw.once_in(2).then(|| draw.text()),
        };
        let mut bytes = Vec::new();
        self.0.encode(&answer, &mut bytes).expect("an answer fits its schema");
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Ok(answer) = self.0.decode(input) else { return Ok(()) };
        let mut bytes = Vec::new();
        self.0.encode(&answer, &mut bytes).map_err(|error| format!("{answer:?} cannot be written: {error}"))?;
        same("the answer", &Ok(answer), &self.0.decode(&bytes))
    }
}

fn id(draw: &mut Draw) -> CommandId {
    CommandId((u128::from(draw.number()) << 64 | u128::from(draw.odd_number())).to_be_bytes())
}

fn trace(draw: &mut Draw) -> TraceContext {
    TraceContext {
        trace_id: (u128::from(draw.number()) << 64 | 1).to_be_bytes(),
        parent_id: draw.number().max(1).to_be_bytes(),
        flags: u8::try_from(draw.below(256)).unwrap_or_default(),
    }
}
