//! The aggregates of one partition, in memory.

use crate::{
    Aggregate, Offset, Version,
    handler::window::{Entry, MAX_WINDOW_COMMANDS, Window},
};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::{collections::VecDeque, hash::BuildHasher};

/// One aggregate. An index into the partition's slots names it until
/// [`Aggregates::remove`], after which another aggregate may get the index.
#[derive(Debug)]
pub(super) struct Slot<A> {
    /// The aggregate's id, checked UTF-8.
    pub(super) id: Box<[u8]>,
    pub(super) state: A,
    pub(super) version: Version,
    /// The offset of the last event; none if there is none or it is not known.
    pub(super) last_event: Option<Offset>,
    pub(super) window: Window,
    /// Recovery: events up to this version are in the window that was read.
    pub(super) window_version: Version,
    /// The version of the newest snapshot (also of one that is being written).
    pub(super) snapshot_version: Version,
    /// Whether the next checkpoint has to look at it.
    pub(super) dirty: bool,
    /// The number of the batch that touched it last.
    pub(super) touched_in: u64,
    /// Its last event in the batch under way, as an index into the plan.
    pub(super) staged_event: Option<usize>,
    /// A snapshot is due at the end of the batch under way.
    pub(super) snapshot_due: bool,
    /// Its window is to be written at the end of the batch under way.
    pub(super) window_due: bool,
    /// Whether it is among the aggregates without events that may be forgotten.
    listed: bool,
}

/// All aggregates of a partition.
#[derive(Debug)]
pub(super) struct Aggregates<A> {
    index: HashTable<usize>,
    slots: Vec<Slot<A>>,
    /// Slots that hold no aggregate.
    free: Vec<usize>,
    /// Aggregates that were without events when they were listed, oldest first.
    eventless: VecDeque<usize>,
    /// Ids of forgotten ones, whose window records are to be deleted.
    forgotten: Vec<Box<[u8]>>,
    hasher: FixedState,
    window_limit: usize,
    /// Aggregates that changed since the last checkpoint began.
    dirty: Vec<usize>,
    /// What ids and windows take on the heap, about.
    heap_bytes: usize,
}

impl<A: Aggregate> Aggregates<A> {
    pub(super) fn new(hash_seed: u64, window_limit: usize) -> Self {
        Aggregates {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            eventless: VecDeque::new(),
            forgotten: Vec::new(),
            hasher: FixedState::with_seed(hash_seed),
            window_limit: window_limit.min(MAX_WINDOW_COMMANDS),
            dirty: Vec::new(),
            heap_bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn find(&self, id: &[u8]) -> Option<usize> {
        let hash = self.hasher.hash_one(id);
        self.index.find(hash, |&slot| *self.slots[slot].id == *id).copied()
    }

    /// The slot of an id, made if there is none.
    pub(super) fn find_or_create(&mut self, id: &[u8]) -> usize {
        self.find(id).unwrap_or_else(|| self.create(id))
    }

    /// The slot of an id that has none yet.
    pub(super) fn create(&mut self, id: &[u8]) -> usize {
        self.heap_bytes += id.len();
        let new = Slot {
            id: id.into(),
            state: A::default(),
            version: Version::NONE,
            last_event: None,
            window: Window::new(self.window_limit),
            window_version: Version::NONE,
            snapshot_version: Version::NONE,
            dirty: false,
            touched_in: 0,
            staged_event: None,
            snapshot_due: false,
            window_due: false,
            listed: false,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = new;
                slot
            }
            None => {
                self.slots.push(new);
                self.slots.len() - 1
            }
        };
        let Aggregates { index, slots, hasher, .. } = self;
        index.insert_unique(hasher.hash_one(id), slot, |&slot| hasher.hash_one(&*slots[slot].id));
        slot
    }

    /// Removes an aggregate and returns its id.
    pub(super) fn remove(&mut self, slot: usize) -> Box<[u8]> {
        let hash = self.hasher.hash_one(&*self.slots[slot].id);
        if let Ok(entry) = self.index.find_entry(hash, |&found| found == slot) {
            entry.remove();
        }
        let old = &mut self.slots[slot];
        self.heap_bytes = self.heap_bytes.saturating_sub(old.window.size_bytes() + old.id.len());
        // A vacant slot is of version 0 and clean: a checkpoint that still names it passes it over.
        old.state = A::default();
        old.window = Window::new(0);
        (old.version, old.snapshot_version) = (Version::NONE, Version::NONE);
        old.dirty = false;
        self.free.push(slot);
        std::mem::take(&mut self.slots[slot].id)
    }

    /// Forgets which removed aggregates had changed.
    pub(super) fn tidy_dirty(&mut self) {
        let slots = &self.slots;
        self.dirty.retain(|&slot| slots[slot].dirty);
    }

    /// Lists an aggregate that has no events, and forgets the longest listed
    /// ones beyond `most`: everybody can name ids that do not exist, and what
    /// was refused to them must not fill the memory.
    pub(super) fn list_eventless(&mut self, slot: usize, most: usize) {
        let found = &mut self.slots[slot];
        if found.version > Version::NONE || found.listed {
            return;
        }
        found.listed = true;
        self.eventless.push_back(slot);
        while self.eventless.len() > most {
            let Some(oldest) = self.eventless.pop_front() else { return };
            self.slots[oldest].listed = false;
            if self.slots[oldest].version == Version::NONE {
                let id = self.remove(oldest);
                self.forgotten.push(id);
            }
        }
    }

    /// Lists everything without events, after a recovery.
    pub(super) fn list_all_eventless(&mut self, most: usize) {
        for slot in 0..self.slots.len() {
            if !self.slots[slot].id.is_empty() {
                self.list_eventless(slot, most);
            }
        }
    }

    /// The ids whose window records are to be deleted, unless they came back.
    pub(super) fn forgotten(&self) -> impl Iterator<Item = &[u8]> {
        self.forgotten.iter().map(|id| &**id).filter(|id| self.find(id).is_none())
    }

    /// Their window records are deleted.
    pub(super) fn forgotten_is_written(&mut self) {
        self.forgotten.clear();
    }

    pub(super) fn get(&self, slot: usize) -> &Slot<A> {
        &self.slots[slot]
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> &mut Slot<A> {
        &mut self.slots[slot]
    }

    /// Adds an entry to a slot's window, and returns what left it.
    pub(super) fn remember(&mut self, slot: usize, entry: Entry) -> Option<Entry> {
        let window = &mut self.slots[slot].window;
        let before = window.size_bytes();
        let left = window.push(entry);
        self.heap_bytes = (self.heap_bytes + window.size_bytes()).saturating_sub(before);
        left
    }

    /// Takes the last [`Aggregates::remember`] back; `left` is what it returned.
    pub(super) fn unremember(&mut self, slot: usize, left: Option<Entry>) {
        let window = &mut self.slots[slot].window;
        let before = window.size_bytes();
        window.undo(left);
        self.heap_bytes = (self.heap_bytes + window.size_bytes()).saturating_sub(before);
    }

    /// Replaces a slot's window by one that was read, which knows the events up to `version`.
    pub(super) fn set_window(&mut self, slot: usize, window: Window, version: Version) {
        let slot = &mut self.slots[slot];
        self.heap_bytes = (self.heap_bytes + window.size_bytes()).saturating_sub(slot.window.size_bytes());
        slot.window = window;
        slot.window_version = version;
    }

    /// Notes that the next checkpoint has to look at a slot.
    pub(super) fn mark_dirty(&mut self, slot: usize) {
        if !self.slots[slot].dirty {
            self.slots[slot].dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Hands the changed slots to a checkpoint that begins.
    pub(super) fn take_dirty(&mut self) -> Vec<usize> {
        let dirty = std::mem::take(&mut self.dirty);
        for &slot in &dirty {
            self.slots[slot].dirty = false;
        }
        dirty
    }

    /// The memory that the partition takes, about, without what states hold on the heap.
    pub(super) fn size_bytes(&self) -> usize {
        self.slots.capacity() * (size_of::<Slot<A>>() + size_of::<usize>() + 1) + self.heap_bytes
    }
}
