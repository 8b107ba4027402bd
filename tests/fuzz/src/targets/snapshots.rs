//! Records of the snapshots topic: keys, heads with windows, progress, states.

use crate::{Draw, Target, target::same};
use factum_bank::Account;
use factum_core::{
    AggregateCodec, CommandId, Fingerprint, Offset, TimestampMs, TopicId, Topics, Version,
    handler::window::{Entry, EntryOutcome, Window},
    wire::{Progress, SnapshotHead, SnapshotKey},
};
use factum_schemas::{Codec, MemoryRegistry, SchemaCache};
use std::sync::Arc;

/// What a window keeps at most, in this test.
const WINDOW: usize = 1_000;

/// An input is the key's length in one byte, the key and the value.
pub(super) struct Snapshots(Codec<Account>);

impl Snapshots {
    pub(super) fn new() -> Self {
        let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
        Snapshots(Codec::open(&Topics::of("bank.account"), &cache).expect("sound schemas are registered in memory"))
    }
}

impl Target for Snapshots {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let print = Fingerprint(draw.number().to_be_bytes());
        let id = draw.text();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let offset = |draw: &mut Draw| draw.once_in(2).then(|| Offset(draw.odd_signed().max(0)));
        match draw.below(6) {
            4 => SnapshotKey::Prepared(print, id.as_bytes()).write(&mut key),
            5 => SnapshotKey::PreparedMarker(print).write(&mut key),
            0 => SnapshotKey::Marker(print).write(&mut key),
            1 => SnapshotKey::Position.write(&mut key),
            2 => SnapshotKey::Window(id.as_bytes()).write(&mut key),
            _ => SnapshotKey::Snapshot(print, id.as_bytes()).write(&mut key),
        }
        if draw.once_in(3) {
            let progress = Progress {
                events: Offset(draw.odd_signed()),
                next_command: Offset(draw.odd_signed()),
                floor: Offset(draw.odd_signed()),
                clock: TimestampMs(draw.odd_signed()),
                commands_id: TopicId([draw.number().to_le_bytes()[0]; 16]),
                events_id: TopicId([draw.number().to_le_bytes()[0]; 16]),
            };
            progress.write(&mut value);
        } else {
            let mut window = Window::new(WINDOW);
            let most = if draw.once_in(30) { 1_500 } else { 4 };
            for _ in 0..draw.below(most) {
                let outcome = if draw.once_in(2) {
                    EntryOutcome::Accepted { events: draw.odd_u32(), last_event: offset(draw) }
                } else {
                    EntryOutcome::Refused(draw.text().into())
                };
                let command = CommandId(u128::from(draw.number()).to_be_bytes());
                window.push(Entry { command, version: Version(draw.odd_number()), outcome });
            }
            SnapshotHead::write(Version(draw.odd_number()), offset(draw), &window, &mut value);
            let account = Account { balance_cents: draw.odd_signed(), overdraft_limit_cents: draw.odd_signed() };
            self.0.encode_state(&account, &mut value).expect("an account fits its schema");
        }
        let mut bytes = vec![u8::try_from(key.len()).unwrap_or(u8::MAX)];
        bytes.extend_from_slice(&key[..key.len().min(255)]);
        bytes.extend_from_slice(&value);
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Some((length, rest)) = input.split_first() else { return Ok(()) };
        let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
        if let Some(read) = SnapshotKey::read(key) {
            let mut again = Vec::new();
            read.write(&mut again);
            same("the key", &key, &again.as_slice())?;
        }
        if let Some(progress) = Progress::read(value) {
            let mut again = Vec::new();
            progress.write(&mut again);
            same("the progress", &value, &again.as_slice())?;
        }
        for limit in [0, 1, WINDOW] {
            let Some((head, state)) = SnapshotHead::read(value, limit) else { continue };
            let mut again = Vec::new();
            SnapshotHead::write(head.version, head.last_event, &head.window, &mut again);
            let told = SnapshotHead::read(&again, limit).map(|(head, _)| head);
            same("the head", &Some(head), &told)?;
            if let Ok(account) = self.0.decode_state(state) {
                let mut again = Vec::new();
                self.0.encode_state(&account, &mut again).map_err(|error| error.to_string())?;
                same("the state", &account, &self.0.decode_state(&again).map_err(|error| error.to_string())?)?;
            }
        }
        Ok(())
    }
}
