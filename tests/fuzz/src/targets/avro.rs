//! Values in the wire format: the frame, Avro of the newest schema, of an
//! older one, of a record that nobody knows.

use super::zoo::{LOGICAL, OLDER, Zoo};
use crate::{Draw, Target, target::same};
use factum_bank::{Command, Deposit, Deposited, EntryKind, Event, RecordEntry};
use factum_core::{DecodeError, MessageCodec};
use factum_schemas::{AvroMessage, MemoryRegistry, RecordCodec, Registry, SchemaCache, StoredEvent};
use std::{fmt::Debug, sync::Arc};

pub(super) struct Avro {
    cache: Arc<SchemaCache>,
    zoo: RecordCodec<Zoo>,
    events: RecordCodec<Event>,
    commands: RecordCodec<Command>,
    stored: RecordCodec<StoredEvent>,
    /// Of schemas that are only read.
    ids: Vec<u32>,
}

impl Avro {
    pub(super) fn new() -> Self {
        let registry = Arc::new(MemoryRegistry::new());
        let cache = Arc::new(SchemaCache::in_memory(registry.clone()));
        // What was registered before the newest: an older version, and records of others.
        let ids = [OLDER, LOGICAL, "\"long\""].map(|schema| {
            let id = registry.register(&format!("fuzz-{}", schema.len()), schema).expect("a sound schema");
            cache.fetch(id).expect("a registered schema");
            id
        });
        let sound = "sound schemas are registered in memory";
        Avro {
            zoo: RecordCodec::for_writing("zoo.events", &cache).expect(sound),
            events: RecordCodec::for_writing("bank.account.events", &cache).expect(sound),
            commands: RecordCodec::for_writing("bank.account.commands", &cache).expect(sound),
            stored: RecordCodec::for_reading(&cache).expect(sound),
            ids: ids.into(),
            cache,
        }
    }
}

impl Target for Avro {
    fn name(&self) -> &'static str {
        "avro"
    }

    fn share(&self) -> u64 {
        100
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let mut bytes = Vec::new();
        let cents = draw.odd_signed();
        let written = match draw.below(6) {
            0 => self.events.encode(&Deposited { cents }.into(), &mut bytes),
            1 => self.commands.encode(&Deposit { cents }.into(), &mut bytes),
            2 => self.commands.encode(&RecordEntry { kind: EntryKind::Fee, cents, reason: None }.into(), &mut bytes),
            _ => self.zoo.encode(&Zoo::drawn(draw), &mut bytes),
        };
        written.expect("what was drawn fits its schema");
        if draw.once_in(3) {
            // The same bytes under another id, and numbers that may be any type's.
            let id = self.ids[draw.below(self.ids.len())];
            bytes[1..5].copy_from_slice(&id.to_be_bytes());
            if draw.once_in(2) {
                bytes.truncate(5);
                (0..draw.below(30)).for_each(|_| bytes.push(u8::try_from(draw.below(12)).unwrap_or_default()));
            }
        }
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        again(&self.zoo, input)?;
        again(&self.events, input)?;
        again(&self.commands, input)?;
        let name = self.cache.record_name(input);
        if let Ok(event) = self.stored.decode_one(input) {
            same("the value as it is stored", &event.value.as_slice(), &input)?;
            same("the record's name", &name, &Ok(event.record))?;
        }
        match self.cache.to_json(input) {
            Ok((told, _)) => same("the record's name", &name.map(|name| name.to_string()).unwrap_or_default(), &told),
            Err(DecodeError::Malformed(_) | DecodeError::UnknownSchema(_)) => Ok(()),
            Err(error) => Err(format!("a value of a known schema is not told: {error}")),
        }
    }
}

/// What is read is the same after it was written.
fn again<M: AvroMessage + Debug>(codec: &RecordCodec<M>, input: &[u8]) -> Result<(), String> {
    let Ok(message) = codec.decode_one(input) else { return Ok(()) };
    let mut bytes = Vec::new();
    codec
        .encode(&message, &mut bytes)
        .map_err(|error| format!("{message:?} was read and cannot be written: {error}"))?;
    let read =
        codec.decode_one(&bytes).map_err(|error| format!("{message:?} was written and cannot be read: {error}"))?;
    let mut once_more = Vec::new();
    codec.encode(&read, &mut once_more).map_err(|error| error.to_string())?;
    // Compared as bytes: no number is equal to NaN.
    same("written, read and written again", &bytes, &once_more)
}
