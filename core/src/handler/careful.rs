//! Commands that end the process, found by what is written down before they are decided
//! (`docs/decisions/0010-records-that-kill.md`).
//!
//! Before each batch that a process before this one may have had in hand, and before the first of a
//! tenure, a mark goes into the snapshots topic: the first command's offset, and how often it was begun.
//! Once the command is handled the mark says nothing any more. A recovery that finds it true knows that a
//! process ended with commands from there on in hand. The partition is then *careful*: its commands are
//! decided one by one, each alone in its process and behind a mark of its own. What was begun
//! [`MAX_DEATHS`](crate::careful::MAX_DEATHS) times is not decoded again: it is dead-lettered.

use super::{
    Effect, Handler,
    batch::Scribe,
    tenure::{Phase, Tenure},
};
use crate::{
    Aggregate, AggregateCodec, CommitOffset, Offset, Partition, RecordBatch,
    careful::{Queue, times},
    wire::Begun,
};

/// How many commands of a careful partition wait for their turn before no more are delivered.
const MAX_WAITING: usize = 100;

/// What a plan is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Turn {
    /// The inbox, and what is due.
    #[default]
    Inbox,
    /// What is begun next, to be written down before.
    Mark(Vec<(Partition, Mark)>),
    /// The next command of a careful partition, alone.
    Alone(Partition),
}

/// A command's offset, and how often it was begun, with this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: Offset,
    pub(super) tries: u32,
}

/// How far a partition is careful: as far as what the process may have had in hand that ended.
#[derive(Debug)]
pub(super) struct Careful {
    /// The end of the commands then, or later.
    pub(super) until: Offset,
    /// Commands left, of as many as one batch may have held.
    pub(super) left: usize,
    /// For people.
    pub(super) why: String,
    waiting: Queue,
    /// No more are delivered for now.
    paused: bool,
}

impl Careful {
    pub(super) fn new(mark: Mark, until: Offset, left: usize) -> Self {
        let why = format!(
            "the process ended {} with the commands from offset {} in hand; they are decided one by one, at most \
             up to offset {until}",
            times(mark.tries),
            mark.offset
        );
        Careful { until, left, why, waiting: Queue::default(), paused: false }
    }
}

impl<A: Aggregate> Tenure<A> {
    /// The cause for which a command is not decided, if it ended the process too often.
    pub(super) fn killer(&self, offset: Offset, max_deaths: u32) -> Option<String> {
        let mark = self.deaths.filter(|mark| mark.offset == offset && mark.tries >= max_deaths)?;
        Some(format!("the process ended {} times while this command was in hand", mark.tries))
    }

    /// A copy of the command that waits first, to be decided.
    pub(super) fn first_waiting(&self) -> Option<RecordBatch> {
        let mut first = RecordBatch::new();
        first.push(self.careful.as_ref()?.waiting.first()?);
        Some(first)
    }

    /// Commands that wait are delivered again.
    pub(super) fn forget_waiting(&mut self) {
        if let Some(careful) = &mut self.careful {
            careful.waiting.clear();
            careful.paused = false;
        }
    }
}

impl<A: Aggregate, C: AggregateCodec<A>> Handler<A, C> {
    /// Takes the commands of careful partitions out of the inbox.
    pub(super) fn set_aside(&mut self) {
        for index in self.set_aside..self.inbox.len() {
            let record = self.inbox.get(index);
            let Some(tenure) = self.tenures.get_mut(&record.partition()) else { continue };
            if tenure.is_ready()
                && tenure.number == self.stamps[index]
                && let Some(careful) = &mut tenure.careful
            {
                careful.waiting.push(record);
                // It is no command of any tenure any more.
                self.stamps[index] = 0;
                if careful.waiting.len() >= MAX_WAITING && !careful.paused {
                    careful.paused = true;
                    self.effects.push_back(Effect::Pause(self.config.topics.commands.partition(record.partition())));
                }
            }
        }
        self.set_aside = self.inbox.len();
        if self.stamps.iter().all(|stamp| *stamp == 0) && self.waiting() > 0 {
            self.forget_inbox();
        }
    }

    /// How many commands of careful partitions wait.
    pub(super) fn waiting(&self) -> usize {
        let ready = self.tenures.values().filter(|tenure| tenure.is_ready());
        ready.filter_map(|tenure| Some(tenure.careful.as_ref()?.waiting.len())).sum()
    }

    /// What the next plan decides about: the first command, and how many there are.
    pub fn hand(&self) -> Option<(Partition, Offset, usize)> {
        match self.alone() {
            Some((partition, mark, true)) => Some((partition, mark.offset, 1)),
            _ => self.inbox.iter().next().map(|first| (first.partition(), first.offset(), self.inbox.len())),
        }
    }

    /// The careful partition whose command is next, with its mark, and whether there is nothing more to be written down.
    fn alone(&self) -> Option<(Partition, Mark, bool)> {
        let mut ready = self.tenures.iter().filter(|(_, tenure)| tenure.is_ready());
        ready.find_map(|(partition, tenure)| {
            let offset = tenure.careful.as_ref()?.waiting.first()?.offset();
            let tries = tenure.deaths.filter(|mark| mark.offset == offset).map_or(0, |mark| mark.tries);
            let mark = Mark { offset, tries: tries + 1 };
            Some((*partition, mark, tries >= self.config.max_deaths || self.marks.get(partition) == Some(&mark)))
        })
    }

    /// What the next plan is about. What is marked comes before anything else, so that nothing else
    /// is in hand meanwhile.
    pub(super) fn next_turn(&self) -> Turn {
        let alone = self.alone();
        if let Some((partition, _, true)) = alone {
            return Turn::Alone(partition);
        }
        if let Some((partition, mark, _)) = alone.filter(|_| self.inbox.is_empty() || self.careful_next) {
            return Turn::Mark(vec![(partition, mark)]);
        }
        let marks = self.first_marks();
        if marks.is_empty() { Turn::Inbox } else { Turn::Mark(marks) }
    }

    /// The first command of each partition in the inbox, where it is to be written down and is not.
    fn first_marks(&self) -> Vec<(Partition, Mark)> {
        let mut marks: Vec<(Partition, Mark)> = Vec::new();
        // Records come in runs of one partition each.
        let mut begun: Vec<Partition> = Vec::new();
        for (record, stamp) in self.inbox.iter().zip(&self.stamps) {
            let partition = record.partition();
            if begun.last() == Some(&partition) || begun.contains(&partition) {
                continue;
            }
            let tenure = self.tenures.get(&partition).filter(|tenure| tenure.is_ready() && !tenure.begun);
            let mark = Mark { offset: record.offset(), tries: 1 };
            match tenure {
                None => begun.push(partition),
                Some(tenure) if tenure.number == *stamp && record.offset() >= tenure.next_command => {
                    if self.marks.get(&partition) != Some(&mark) {
                        marks.push((partition, mark));
                    }
                    begun.push(partition);
                }
                Some(_) => {}
            }
        }
        marks
    }

    /// Fills the plan with marks.
    pub(super) fn stage_marks(&mut self, marks: &[(Partition, Mark)]) {
        self.plan.records.clear();
        self.plan.offsets.clear();
        for &(partition, mark) in marks {
            let Some(tenure) = self.tenures.get(&partition) else { continue };
            let begun = Begun { command: mark.offset, tries: mark.tries, commands_id: tenure.commands_id };
            let mut scribe = Scribe { config: &self.config, codec: &self.codec, plan: &mut self.plan, partition };
            scribe.begun(begun);
            self.plan.offsets.push(CommitOffset {
                place: self.config.topics.commands.partition(partition),
                offset: tenure.next_command,
                metadata: format!("factum:{}", tenure.commands_id),
            });
        }
    }

    /// The marks may be in the log.
    pub(super) fn marked(&mut self, marks: Vec<(Partition, Mark)>) {
        for (partition, mark) in marks {
            self.marks.insert(partition, mark);
        }
    }

    /// A careful partition's command is done with.
    pub(super) fn put_down(&mut self, partition: Partition) {
        self.careful_next = false;
        let Some(tenure) = self.tenures.get_mut(&partition) else { return };
        let is_ready = matches!(tenure.phase, Phase::Ready);
        let Some(careful) = tenure.careful.as_mut().filter(|_| is_ready) else { return };
        careful.waiting.skip(1);
        careful.left = careful.left.saturating_sub(1);
        let is_over = careful.left == 0 || tenure.next_command >= careful.until;
        let is_to_start =
            careful.paused && (is_over || careful.waiting.is_empty()) || is_over && !careful.waiting.is_empty();
        if careful.waiting.is_empty() {
            careful.paused = false;
        }
        if is_over {
            tenure.careful = None;
            tenure.begun = true;
        }
        if is_to_start {
            // What waited comes again.
            let place = self.config.topics.commands.partition(partition);
            self.effects.push_back(Effect::Start(place, tenure.next_command));
        }
    }
}
