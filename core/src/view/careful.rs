//! Records that end the process, found by what is written down before they are taken in
//! (`docs/decisions/0010-records-that-kill.md`).
//!
//! A partition's progress says what is done; beside it a mark says what was begun: the position, and
//! how often it was begun from there. It is written before the first batch of a tenure, and
//! before each that a process before this one may have had in hand, and says nothing any more once
//! the position has moved. A claim that finds it true knows that the process
//! before ended with these records in hand. The partition is then *careful*: the events of one
//! command are taken in at a time, alone in the process, each behind a mark of their own. What was
//! begun [`MAX_DEATHS`](crate::careful::MAX_DEATHS) times is not begun again: it is parked.

use super::{Awaited, Effect, View, ViewMachine, intake::MAX_HELD_EVENTS, place::Place, work::Work};
use crate::{
    Error, MessageCodec, Offset, RecordRef, Result, TopicPartition,
    careful::{Queue, in_hand_until, times},
    wire::EventHeader,
};

/// The most commands' events that are taken in between two polls where that is done one by one.
pub(super) const MAX_UNITS: usize = 100;

/// What is said of a command's events that ended their process.
const ENDED: &str = "the process ended";
const IN_HAND: &str = "while the events of this command were in hand";

/// Whether something is parked for this cause: that its process ended, again and again, with it in hand. Then it is
/// not known what trying it again does to a process.
pub fn ended_its_process(cause: &str) -> bool {
    cause.contains(ENDED) && cause.contains(IN_HAND)
}

/// What is begun in a partition, to be written down before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InHand {
    /// Which partition.
    pub place: TopicPartition,
    /// The epoch of the claim; where it is another one now, nothing is written.
    pub epoch: u64,
    /// The position from which records are taken in. The mark says nothing once it is another one.
    pub position: Offset,
    /// How often that was begun, with this time; 0 takes the mark back.
    pub tries: u32,
}

/// How far a partition is careful: as far as what the process may have had in hand that ended.
#[derive(Debug)]
pub(super) struct Careful {
    /// The log's end then, or later.
    pub(super) until: Offset,
    /// Commands left, of as many as one batch may have held.
    pub(super) left: usize,
    /// For people.
    pub(super) why: String,
}

/// Records of a partition that wait for their turn, as they came.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    records: Queue,
    /// The consumer delivers no more of them for now.
    paused: bool,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn push(&mut self, record: RecordRef<'_>) {
        self.records.push(record);
    }

    pub(super) fn clear(&mut self) {
        *self = Waiting::default();
    }

    /// How many records the first command's events are; none while the last of them has not come.
    /// A record that is no event of theirs is the last of them: whoever takes it says what is wrong.
    fn unit(&self) -> Option<usize> {
        for (record, index) in self.records.iter().zip(0..) {
            let is_inner = EventHeader::read(record).is_ok_and(|header| header.index == index && !header.is_last());
            if !is_inner || index as usize >= MAX_HELD_EVENTS {
                return Some(index as usize + 1);
            }
        }
        None
    }
}

impl<E> Place<E> {
    /// Whether records may be taken in as they come.
    pub(super) fn is_open(&self) -> bool {
        self.careful.is_none() && self.waiting.is_empty() && self.is_marked()
    }

    /// Whether what is taken in next is written down.
    fn is_marked(&self) -> bool {
        self.careful.is_none() && self.begun || self.marked.is_some_and(|(position, _)| self.stored == Some(position))
    }

    fn mark(&self, tries: u32) -> Option<InHand> {
        Some(InHand { place: self.at.clone(), epoch: self.epoch, position: self.stored?, tries })
    }

    /// Takes what a claim found: how often the next records were begun. What this process began is no death.
    pub(super) fn found(&mut self, position: Offset, tries: u32, end: Offset, batch: usize) {
        let is_own = self.marked == Some((position, tries));
        self.deaths = tries - u32::from(is_own && tries > 0);
        self.marked = self.marked.filter(|_| is_own);
        self.begun = false;
        self.begun_at = in_hand_until(position, end, batch);
        self.waiting.clear();
        let careful = self.careful.take().filter(|careful| careful.until > position);
        self.careful = careful.or_else(|| {
            (self.deaths > 0).then(|| Careful {
                until: end,
                // What was held, and a whole batch of single events behind it.
                left: batch + 1,
                why: format!(
                    "the process ended {} with the records from offset {position} in hand; the events of one \
                     command are applied at a time, at most up to offset {end}",
                    times(self.deaths)
                ),
            })
        });
    }

    /// Takes a commit that the database refused for what is in it. Of a batch up to `end` nobody knows whose
    /// events are guilty: its commands' events are taken in one by one. Those that are alone and refused are
    /// parked. False when that was done already: then it is not their content.
    pub(super) fn suspect(&mut self, end: Offset, alone: bool, error: &Error, batch: usize) -> bool {
        let Some(stored) = self.stored else { return false };
        if self.refused.as_ref().is_some_and(|(position, _)| *position == stored) {
            return false;
        }
        if self.careful.is_some() && alone {
            self.refused = Some((stored, format!("the database refuses it: {error}")));
            return true;
        }
        self.careful = Some(Careful {
            until: end,
            left: batch + 1,
            why: format!(
                "the database refused the records from offset {stored} on ({error}); the events of one command are \
                 applied at a time up to offset {end}"
            ),
        });
        true
    }

    /// Why the next command's events are parked without a look at them.
    fn condemned(&self, max_deaths: u32) -> Option<String> {
        if self.deaths >= max_deaths {
            return Some(format!("{ENDED} {} times {IN_HAND}", self.deaths));
        }
        self.refused.as_ref().filter(|(position, _)| self.stored == Some(*position)).map(|(_, why)| why.clone())
    }

    /// Takes a commit: what was in hand is done. Whether the partition is careful no longer.
    pub(super) fn put_down(&mut self) -> bool {
        (self.deaths, self.marked, self.refused) = (0, None, None);
        self.begun |= self.stored >= Some(self.begun_at);
        let Some(careful) = &mut self.careful else { return false };
        careful.left = careful.left.saturating_sub(1);
        let is_over = careful.left == 0 || self.stored >= Some(careful.until);
        if is_over {
            self.careful = None;
            self.begun = true;
        }
        is_over
    }
}

impl<V: View, C: MessageCodec<V::Event>> ViewMachine<V, C> {
    /// The same machine for polls of at most so many records: what a process may have had in hand when it ended.
    #[must_use]
    pub fn with_batches_of(mut self, max_records: usize) -> Self {
        self.max_records = max_records;
        self
    }

    /// What is taken in or folded next: the first record, and how many there are.
    pub fn hand(&self) -> Option<(&TopicPartition, Offset, usize)> {
        let Some(&index) = self.in_hand.first() else {
            let (place, first, records) = self.flight.as_ref()?.work.first()?;
            return Some((&self.places.get(place)?.at, first, records));
        };
        let place = self.places.get(index)?;
        let records = place.careful.as_ref().and_then(|_| place.waiting.unit());
        Some((
            &place.at,
            place.waiting.records.first()?.offset(),
            records.unwrap_or_else(|| place.waiting.records.len()),
        ))
    }

    /// The same machine, which parks what ended so many processes ([`MAX_DEATHS`](super::MAX_DEATHS) as a rule).
    #[must_use]
    pub fn parking_after(mut self, max_deaths: u32) -> Self {
        self.max_deaths = max_deaths;
        self
    }

    /// Whether records wait for their turn, so that the next poll need not wait for any.
    pub fn has_waiting(&self) -> bool {
        self.places.iter().any(|place| place.is_running() && place.waiting.unit().is_some())
    }

    /// Leaves all partitions in good order: what was begun and did not end the process is no trace of a death.
    pub fn leave(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take_back(|_| true, &mut effects);
        self.places.clear();
        effects
    }

    /// Takes back the marks of partitions that are given up.
    pub(super) fn take_back(&self, gone: impl Fn(&TopicPartition) -> bool, effects: &mut Vec<Effect>) {
        let given_up = self.places.iter().filter(|place| gone(&place.at));
        let marked = given_up.filter(|place| place.marked.is_some_and(|(position, _)| place.stored == Some(position)));
        let marks: Vec<InHand> = marked.filter_map(|place| place.mark(place.deaths)).collect();
        if !marks.is_empty() {
            effects.push(Effect::Unmark(marks));
        }
    }

    /// Goes on with records that wait: first the batches that begin tenures, together; then careful
    /// partitions, one command's events at a time. What waits longer is delivered no more for now.
    pub(super) fn go_on(&mut self, effects: &mut Vec<Effect>) {
        if self.flight.is_some() || !self.in_hand.is_empty() {
            return;
        }
        let waiting = self.places.iter().enumerate().filter(|(_, place)| place.is_running());
        let begin = waiting.filter(|(_, place)| place.careful.is_none() && !place.waiting.is_empty());
        let mut hand: Vec<usize> = begin.map(|(index, _)| index).collect();
        if hand.is_empty() && self.units_left > 0 {
            let mut places = self.places.iter();
            let next = places.position(|place| place.is_running() && place.waiting.unit().is_some());
            self.units_left -= usize::from(next.is_some());
            hand.extend(next);
        }
        if hand.is_empty() {
            return self.hold_delivery(effects);
        }
        let unmarked = hand.iter().map(|index| &self.places[*index]);
        let unmarked = unmarked.filter(|place| !place.is_marked() && place.deaths < self.max_deaths);
        let marks: Vec<InHand> = unmarked.filter_map(|place| place.mark(place.deaths + 1)).collect();
        self.in_hand = hand;
        if marks.is_empty() {
            self.take_hand(effects);
        } else {
            effects.push(Effect::Mark(marks));
        }
    }

    /// Has no more delivered where commands' events wait for their turn, and has it where none does.
    fn hold_delivery(&mut self, effects: &mut Vec<Effect>) {
        for place in self.places.iter_mut().filter(|place| place.is_running()) {
            match (place.waiting.unit(), place.waiting.paused) {
                (Some(_), false) => {
                    place.waiting.paused = true;
                    effects.push(Effect::Pause(place.at.clone()));
                }
                (None, true) => {
                    place.waiting.paused = false;
                    let from = place.waiting.records.last().map_or(place.next, Offset::next);
                    effects.push(Effect::Start(place.at.clone(), from));
                }
                _ => {}
            }
        }
    }

    /// Takes the answer to [`Effect::Mark`]: the partitions that somebody else has claimed.
    pub fn marked(&mut self, outcome: Result<Vec<TopicPartition>>) -> Vec<Effect> {
        let mut effects = Vec::new();
        match outcome {
            Ok(lost) => {
                for index in self.in_hand.clone() {
                    let place = &mut self.places[index];
                    if lost.contains(&place.at) && self.protections.progress_compare_and_set {
                        let why = format!(
                            "another instance claimed {} of view {}: it is claimed again if still ours",
                            place.at,
                            V::NAME
                        );
                        self.back_off(index, Awaited::Owner, why, &mut effects);
                    } else if let (false, Some(position)) = (place.is_marked(), place.stored) {
                        place.marked = Some((position, place.deaths + 1));
                    }
                }
            }
            Err(error) => {
                for index in std::mem::take(&mut self.in_hand) {
                    self.fail(index, &error, Awaited::Database, &mut effects);
                }
            }
        }
        self.take_hand(&mut effects);
        effects
    }

    /// Takes in what is in hand.
    fn take_hand(&mut self, effects: &mut Vec<Effect>) {
        let mut work = Work::new();
        for index in std::mem::take(&mut self.in_hand) {
            let place = &mut self.places[index];
            if !place.is_running() {
                continue;
            }
            let killed = place.condemned(self.max_deaths);
            let count = if place.careful.is_some() { place.waiting.unit().unwrap_or(0) } else { usize::MAX };
            let records = place.waiting.records.take(count);
            for record in records.iter() {
                if self.places[index].is_running() {
                    self.take(index, record, killed.as_deref(), &mut work, effects);
                }
            }
        }
        if work.is_empty() { self.go_on(effects) } else { self.load(work, effects) }
    }
}
