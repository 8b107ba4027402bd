//! The recent-command window of an aggregate: what became of its last commands.

use crate::{CommandId, Offset, Version};
use std::{collections::VecDeque, sync::Arc};

/// The most commands that a window can keep: the layout counts them in 16 bits.
pub const MAX_WINDOW_COMMANDS: usize = 65_535;

/// How many tags a look-up compares before it looks at the result.
const TAGS_AT_ONCE: usize = 32;

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The command.
    pub command: CommandId,
    /// The aggregate's version after it.
    pub version: Version,
    /// Its outcome.
    pub outcome: EntryOutcome,
}

/// The outcome that a repeated command gets again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryOutcome {
    /// It caused this many events.
    Accepted {
        /// How many.
        events: u32,
        /// The offset of the last one, if known.
        last_event: Option<Offset>,
    },
    /// It was refused; the refusal as JSON.
    Refused(Arc<str>),
}

/// The last commands of an aggregate, oldest first, at most `limit` of them.
///
/// Beside each entry lies one byte of its id, so that a look-up reads one or
/// two cache lines and not the entries.
#[derive(Debug, Clone, Default)]
pub struct Window {
    tags: VecDeque<u8>,
    entries: VecDeque<Entry>,
    limit: usize,
    /// What the kept refusals take on the heap.
    refusal_bytes: usize,
    /// Entries ever pushed; the number of an entry does not change when others leave.
    pushed: u64,
}

impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Window {
    /// An empty window for `limit` commands.
    pub fn new(limit: usize) -> Self {
        Window { limit, ..Window::default() }
    }

    /// What became of a command.
    pub fn find(&self, command: CommandId) -> Option<&Entry> {
        let tag = tag(command);
        let (front, back) = self.tags.as_slices();
        let in_slice = |slice: &[u8], base: usize| {
            // Whole chunks without an early exit become a few vector instructions.
            slice.chunks(TAGS_AT_ONCE).enumerate().find_map(|(chunk, tags)| {
                if !tags.iter().fold(false, |any, &t| any | (t == tag)) {
                    return None;
                }
                tags.iter().enumerate().filter(|(_, t)| **t == tag).find_map(|(i, _)| {
                    let entry = &self.entries[base + chunk * TAGS_AT_ONCE + i];
                    (entry.command == command).then_some(entry)
                })
            })
        };
        in_slice(front, 0).or_else(|| in_slice(back, front.len()))
    }

    /// Adds a command and returns the one that left for it.
    pub fn push(&mut self, entry: Entry) -> Option<Entry> {
        if self.limit == 0 {
            return None;
        }
        let left = if self.entries.len() >= self.limit {
            self.tags.pop_front();
            self.entries.pop_front()
        } else {
            None
        };
        self.refusal_bytes -= left.as_ref().map_or(0, refusal_bytes);
        self.refusal_bytes += refusal_bytes(&entry);
        self.tags.push_back(tag(entry.command));
        self.entries.push_back(entry);
        self.pushed += 1;
        left
    }

    /// Takes the last [`Window::push`] back; `left` is what that push returned.
    pub fn undo(&mut self, left: Option<Entry>) {
        let Some(last) = self.entries.pop_back() else { return };
        self.tags.pop_back();
        self.pushed -= 1;
        self.refusal_bytes -= refusal_bytes(&last);
        if let Some(left) = left {
            self.refusal_bytes += refusal_bytes(&left);
            self.tags.push_front(tag(left.command));
            self.entries.push_front(left);
        }
    }

    /// The number that the next entry gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.pushed
    }

    /// Notes where the last event of an accepted command came to lie.
    pub(crate) fn set_offset(&mut self, number: u64, offset: Offset) {
        let first = self.pushed - self.entries.len() as u64;
        let entry =
            number.checked_sub(first).and_then(|i| usize::try_from(i).ok()).and_then(|i| self.entries.get_mut(i));
        if let Some(Entry { outcome: EntryOutcome::Accepted { last_event, .. }, .. }) = entry {
            *last_event = Some(offset);
        }
    }

    /// Notes where the last event of an accepted command lies, if it was not known.
    pub(crate) fn learn_offset(&mut self, command: CommandId, offset: Offset) {
        let tag = tag(command);
        let found = self.tags.iter().zip(&mut self.entries).find(|(t, entry)| **t == tag && entry.command == command);
        if let Some((_, Entry { outcome: EntryOutcome::Accepted { last_event, .. }, .. })) = found {
            last_event.get_or_insert(offset);
        }
    }

    /// The entries, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many commands are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The memory that it takes beyond its own size, about.
    pub fn size_bytes(&self) -> usize {
        self.tags.capacity() + self.entries.capacity() * size_of::<Entry>() + self.refusal_bytes
    }
}

/// The last byte: in UUIDs of versions 4, 5 and 7 it is random.
fn tag(command: CommandId) -> u8 {
    command.0[15]
}

fn refusal_bytes(entry: &Entry) -> usize {
    match &entry.outcome {
        EntryOutcome::Refused(refusal) => refusal.len() + 2 * size_of::<usize>(),
        EntryOutcome::Accepted { .. } => 0,
    }
}
