//! Where a partition is gone on with: facts in, a position out.

use crate::{
    Offset, TopicId, TopicPartition,
    log::{Bounds, Committed},
    view::{Mark, Stop, StopClass},
    wire::Token,
};

/// The last record of a partition of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Republished {
    /// There is none.
    Nothing,
    /// It was made of this record.
    Last(Token),
    /// It does not say what it was made of: this is where it is.
    Foreign(String),
}

/// What a look at one partition found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The group's offset, once it was decided (KIP-447).
    pub committed: Option<Committed>,
    /// The bounds of the input, read uncommitted.
    pub bounds: Bounds,
    /// The identity of the input.
    pub input_id: TopicId,
    /// The identity of the output.
    pub output_id: TopicId,
    /// How many partitions the input has, and how many the output.
    pub partitions: (u32, u32),
    /// The last record of the same partition of the output, read after the group's offset was decided.
    pub last: Republished,
}

impl Survey {
    /// The next record to republish.
    ///
    /// What was republished once is not republished again, whatever the group's offset says. An offset
    /// further on that somebody set is honoured: so a record is left out on purpose.
    ///
    /// # Errors
    /// Why the partition cannot be gone on with, and what to do.
    pub(super) fn position(&self, at: &TopicPartition, output: &TopicPartition) -> Result<Offset, Stop> {
        let identity = |reason| Err(Stop::new(StopClass::TopicIdentity, reason));
        if self.partitions.0 != self.partitions.1 {
            let (input, out) = self.partitions;
            return identity(format!(
                "{} has {input} partitions and {} has {out}: a republished record stays in its partition; delete {} and \
                 have it made anew, or add partitions to it",
                at.topic, output.topic, output.topic
            ));
        }
        let republished = match &self.last {
            Republished::Nothing => None,
            Republished::Last(from) if from.place != *at || from.topic_id != Some(self.input_id) => {
                return identity(format!(
                    "the last record of {output} was made of {from}, and {at} is of the topic {}: the input was made anew; \
                     delete {} and have it made anew, too",
                    self.input_id, output.topic
                ));
            }
            Republished::Last(from) => Some(from.offset.next()),
            Republished::Foreign(what) => {
                return Err(Stop::new(
                    StopClass::ForeignRecord,
                    format!(
                        "{what} does not say which record it was made of, so no transformer wrote it; find out who did, \
                         take their permission, delete {} and have it made anew",
                        output.topic
                    ),
                ));
            }
        };
        let committed = match &self.committed {
            None => None,
            Some(committed) => {
                // An offset without our mark was set by an operator.
                let mark = Mark::parse(&committed.metadata).filter(|mark| mark.offset == committed.offset);
                if mark.as_ref().is_some_and(|mark| mark.topic_id != self.input_id) {
                    return identity(format!(
                        "the group's offset {} of {at} is of another topic of this name: the input was made anew; delete \
                         {} and have it made anew, too, and set the group's offsets to the earliest ones",
                        committed.offset, output.topic
                    ));
                }
                if mark.is_some_and(|mark| mark.database != self.output_id.to_string()) {
                    return identity(format!(
                        "{} was made anew after records up to {at}@{} had been republished; set the group's offsets to \
                         the earliest ones (kafka-consumer-groups --reset-offsets --to-earliest) to fill it again",
                        output.topic, committed.offset
                    ));
                }
                Some(committed.offset)
            }
        };
        let start = republished.max(committed).unwrap_or(Offset(0));
        if start < self.bounds.start {
            return Err(Stop::new(
                StopClass::DeletedRecords,
                format!(
                    "the next record is {at}@{start}, and the log begins at {}: what was deleted cannot be republished; \
                     set the group's offset to {} to go on without it (kafka-consumer-groups --reset-offsets)",
                    self.bounds.start, self.bounds.start
                ),
            ));
        }
        if start > self.bounds.end {
            return identity(format!(
                "the next record is {at}@{start}, and the log ends at {}: the input has lost records, or the group's \
                 offset was set beyond its end; set it right (kafka-consumer-groups --reset-offsets)",
                self.bounds.end
            ));
        }
        Ok(start)
    }

    /// The mark of an offset of the group. The output takes the place of a view's database: it is what the
    /// offset is the progress of.
    pub(super) fn mark(input_id: TopicId, output_id: TopicId, offset: Offset) -> String {
        Mark { topic_id: input_id, offset, database: &output_id.to_string() }.to_string()
    }
}
