//! Offsets of the view's group that an operator set: which are honoured, and how.
//!
//! Facts in, a verdict out: the progress rows, and what the group has committed
//! for every partition of the view's topics. A committed offset with a [`Mark`]
//! that names it is the view's own, of this database or of another one, and the
//! progress row decides; so it does where nothing is committed. Any other was set
//! by an operator: Kafka's reset tool writes no metadata.

use super::{Mark, Stop, StopClass};
use crate::{
    CommitOffset, Offset, TopicId, TopicPartition,
    log::{Bounds, Committed},
};
use std::ops::Range;

/// A partition's progress, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressRow {
    /// Which partition.
    pub place: TopicPartition,
    /// The topic that the position belongs to.
    pub topic_id: TopicId,
    /// The next record to apply.
    pub position: Offset,
}

/// Records of a partition that an operator had the view leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which partition.
    pub place: TopicPartition,
    /// From the first offset to before the second.
    pub offsets: Range<Offset>,
}

/// How a view stands in its database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The partitions that were claimed at least once, in order.
    pub rows: Vec<ProgressRow>,
    /// What was left out, in order.
    pub skipped: Vec<Skipped>,
    /// The version of the fold that made the rows.
    pub fold_version: u32,
}

impl Standing {
    /// What was left out of a partition.
    pub fn skipped_of(&self, place: &TopicPartition) -> Vec<Range<Offset>> {
        self.skipped.iter().filter(|skipped| skipped.place == *place).map(|skipped| skipped.offsets.clone()).collect()
    }

    /// A partition's next record to apply; 0 where there is no row.
    pub fn position(&self, place: &TopicPartition) -> Offset {
        self.rows.iter().find(|row| row.place == *place).map_or(Offset(0), |row| row.position)
    }
}

/// A partition of the view's topics, as log and group have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlace {
    /// Which partition.
    pub place: TopicPartition,
    /// The topic's identity now.
    pub topic_id: TopicId,
    /// The group's offset.
    pub committed: Option<Committed>,
    /// The partition's bounds, read uncommitted; asked for where anything [was reset](was_reset).
    pub bounds: Bounds,
}

/// Whether a committed offset was set by somebody else than a view.
pub fn was_reset(committed: &Committed) -> bool {
    Mark::parse(&committed.metadata).is_none_or(|mark| mark.offset != committed.offset)
}

/// How much of a view is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it: rows, watermarks and what was left out go, every position
    /// becomes 0, and the rows are those of the current fold.
    Whole,
    /// The progress of some partitions.
    Places,
}

/// A partition's new progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceReset {
    /// The row, whose epoch goes up.
    pub row: ProgressRow,
    /// All that is left out of this partition from now on.
    pub skipped: Vec<Range<Offset>>,
}

/// What is to be recorded in one transaction, and marked after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetPlan {
    /// How much of the view.
    pub extent: Extent,
    /// The progress rows to write.
    pub places: Vec<PlaceReset>,
    /// The group's offsets to commit, so that nobody honours them again.
    pub marks: Vec<CommitOffset>,
    /// What is done, for people: a line for each reset.
    pub told: Vec<String>,
}

impl ResetPlan {
    /// What the group's offsets become before the plan is recorded: an operator's reset of
    /// everything to the start, where that is what the reset comes to. If the marks are then
    /// lost, the next reviewer finds positions and offsets equal. It would take an offset that
    /// was set elsewhere for a step forward from the new position 0, and leave records out.
    pub fn restated(&self) -> Vec<CommitOffset> {
        match self.extent {
            Extent::Whole => self.marks.iter().map(|m| CommitOffset { metadata: String::new(), ..m.clone() }).collect(),
            Extent::Places => Vec::new(),
        }
    }
}

/// What is to be done about the group's offsets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// What is honoured, if anything.
    pub plan: Option<ResetPlan>,
    /// Partitions whose reset cannot be honoured, and why.
    pub stops: Vec<(TopicPartition, Stop)>,
}

/// The facts about a view's progress and its group's offsets.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// The view's name.
    pub view: &'a str,
    /// The database's id.
    pub database: &'a str,
    /// The version of the fold now.
    pub fold_version: u32,
    /// What the database has.
    pub standing: &'a Standing,
    /// What the group has, of all partitions of the view's topics.
    pub group: &'a [GroupPlace],
}

/// What one partition's reset comes to.
enum Ruling {
    /// Only the mark is missing.
    Mark,
    Rebuild,
    Move(PlaceReset, String),
    Refuse(String),
}

impl Review<'_> {
    /// Decides. Resets of partitions to the log's start, however many, are one
    /// rebuild of the whole view, and what was reset elsewhere is in it.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        let mut plan = ResetPlan { extent: Extent::Places, places: Vec::new(), marks: Vec::new(), told: Vec::new() };
        for at in self.group {
            let Some(committed) = at.committed.as_ref().filter(|committed| was_reset(committed)) else { continue };
            match self.rule(at, committed.offset) {
                Ruling::Mark => plan.marks.push(self.mark(at, committed.offset)),
                Ruling::Rebuild => {
                    plan.extent = Extent::Whole;
                    let from = self.standing.position(&at.place);
                    plan.told
                        .push(format!("{}: {from} to the log's start, so the whole view is built again", at.place));
                }
                Ruling::Move(reset, told) => {
                    plan.marks.push(self.mark(at, reset.row.position));
                    plan.places.push(reset);
                    plan.told.push(told);
                }
                Ruling::Refuse(why) => verdict.stops.push((at.place.clone(), Stop::new(StopClass::OffsetReset, why))),
            }
        }
        if plan.extent == Extent::Whole {
            let anew = |at: &GroupPlace| PlaceReset {
                row: ProgressRow { place: at.place.clone(), topic_id: at.topic_id, position: Offset(0) },
                skipped: Vec::new(),
            };
            plan.places = self.group.iter().map(anew).collect();
            plan.marks = self.group.iter().map(|at| self.mark(at, Offset(0))).collect();
            // It ends what stood in the way of a smaller reset.
            verdict.stops.clear();
        }
        verdict.plan = (!plan.marks.is_empty()).then_some(plan);
        verdict
    }

    /// What a reset of one partition to `to` means.
    fn rule(&self, at: &GroupPlace, to: Offset) -> Ruling {
        let (place, view) = (&at.place, self.view);
        let row = self.standing.rows.iter().find(|row| row.place == *place);
        let from = self.standing.position(place);
        if to == from {
            return Ruling::Mark;
        }
        let set = format!("the group's offset of {place} was set from {from} to {to}");
        if to <= at.bounds.start {
            return match self.group.iter().find(|other| other.bounds.start > Offset(0)) {
                None => Ruling::Rebuild,
                Some(short) => Ruling::Refuse(format!(
                    "{set}, which builds view {view} anew, and {} begins at {}: records were deleted; restore the \
                     log, or set the offset to {from} to go on",
                    short.place, short.bounds.start
                )),
            };
        }
        if row.is_some_and(|row| row.topic_id != at.topic_id) {
            // The position is of another topic: the claim says so, and what to do.
            return Ruling::Mark;
        }
        if to > at.bounds.end {
            return Ruling::Refuse(format!(
                "{set}, and the log ends at {}: set it to an offset that is in the log",
                at.bounds.end
            ));
        }
        let row = ProgressRow { place: place.clone(), topic_id: at.topic_id, position: to };
        let before = self.standing.skipped_of(place);
        if to > from {
            let told = format!("{place}: {from} to {to}, so the records between are left out");
            return Ruling::Move(PlaceReset { row, skipped: joined(before, from..to) }, told);
        }
        match self.hinders_delivery_again(place, to) {
            Some(why) => Ruling::Refuse(format!(
                "{set}, and to deliver again would not be enough: {why}; see `factum replay {view} --help`, build the \
                 view anew with `factum views rebuild {view}`, or set the offset to {from} to go on"
            )),
            None => {
                let told = format!("{place}: {from} to {to}, so the records between are delivered again");
                Ruling::Move(PlaceReset { row, skipped: cut(before, to) }, told)
            }
        }
    }

    /// Why delivering a partition again from an offset on would leave out what
    /// it is done for; none if it would not.
    pub fn hinders_delivery_again(&self, place: &TopicPartition, from: Offset) -> Option<String> {
        let standing = self.standing;
        if standing.fold_version != self.fold_version {
            return Some(format!(
                "its rows were made by version {} of the fold, which is at {} now, and what was applied once is not \
                 applied again",
                standing.fold_version, self.fold_version
            ));
        }
        let position = standing.position(place);
        let skipped = standing.skipped_of(place).into_iter().find(|range| range.end > from && range.end < position)?;
        Some(format!(
            "the records from {} to {} were left out and later ones were applied, and events are applied in order only",
            skipped.start, skipped.end
        ))
    }

    fn mark(&self, at: &GroupPlace, offset: Offset) -> CommitOffset {
        let mark = Mark { topic_id: at.topic_id, offset, database: self.database };
        CommitOffset { place: at.place.clone(), offset, metadata: mark.to_string() }
    }
}

/// The ranges with one more, which begins at or behind the end of all of them.
fn joined(mut ranges: Vec<Range<Offset>>, more: Range<Offset>) -> Vec<Range<Offset>> {
    match ranges.last_mut().filter(|last| last.end == more.start) {
        Some(last) => last.end = more.end,
        None => ranges.push(more),
    }
    ranges
}

/// What the ranges leave out before an offset.
fn cut(ranges: Vec<Range<Offset>>, before: Offset) -> Vec<Range<Offset>> {
    let ranges = ranges.into_iter().filter(|range| range.start < before);
    ranges.map(|range| range.start..range.end.min(before)).collect()
}
