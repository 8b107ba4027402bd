//! Taking partitions over: what the machine asks for before it delivers.

use crate::ViewRunner;
use factum_core::{
    Error, MessageCodec, Offset, Result, Topic, TopicId, TopicPartition,
    log::{Bounds, Committed, Isolation},
    view::{Awaited, ClaimFailed, Claimed, Effect, GroupPlace, Mark, ResetPlan, Reviewed, View, was_reset},
};
use std::time::Duration;
use tracing::{debug, info, warn};

/// Between two looks at the progress rows.
const LOOK: Duration = Duration::from_secs(1);

fn of_log(error: Error) -> ClaimFailed {
    ClaimFailed { awaited: Awaited::Log, error }
}

fn of_database(error: Error) -> ClaimFailed {
    ClaimFailed { awaited: Awaited::Database, error }
}

impl<V: View, C: MessageCodec<V::Event>> ViewRunner<V, C> {
    /// Looks now and then whether the progress is what this instance left; what follows if not.
    pub(crate) fn look_at_progress(&mut self) -> Vec<Effect> {
        if self.machine.running().next().is_none() || !self.looks.is_due((self.options.clock)(), LOOK) {
            return Vec::new();
        }
        match self.sink.standing() {
            Ok(standing) => self.machine.looked(&standing),
            Err(error) => {
                // A commit would say so too, and do something about it.
                debug!(view = V::NAME, %error, "the progress cannot be read");
                Vec::new()
            }
        }
    }

    /// What database and group say about all partitions. The view's lock is taken first.
    pub(crate) fn review(&mut self) -> Result<Reviewed, ClaimFailed> {
        let standing = self.sink.review().map_err(of_database)?;
        if standing.fold_version != V::FOLD_VERSION {
            warn!(
                view = V::NAME,
                made_by = standing.fold_version,
                now = V::FOLD_VERSION,
                "rows were made by another version of the fold and stay so: `factum views rebuild` folds all of them again"
            );
        }
        let mut places: Vec<(TopicPartition, TopicId)> = Vec::new();
        for topic in &self.topics {
            let found = self.admin.describe_topic(topic).map_err(of_log)?;
            let found = found.ok_or_else(|| of_log(no_topic(topic)))?;
            let partitions = self.admin.partitions(topic).map_err(of_log)?;
            places.extend(partitions.into_iter().map(|place| (place, found.id)));
        }
        let asked: Vec<TopicPartition> = places.iter().map(|(place, _)| place.clone()).collect();
        let committed = self.consumer.committed(&asked).map_err(of_log)?;
        self.tell_of_other_database(&committed);
        let any_reset = committed.iter().flatten().any(was_reset);
        let group = places.into_iter().zip(committed).map(|((place, topic_id), committed)| {
            let bounds = match any_reset {
                true => self.admin.bounds(&place, Isolation::ReadUncommitted).map_err(of_log)?,
                // Nobody looks at them.
                false => Bounds { start: Offset(0), end: Offset(0) },
            };
            Ok(GroupPlace { place, topic_id, committed, bounds })
        });
        Ok(Reviewed { standing, group: group.collect::<Result<_, _>>()? })
    }

    /// A database that is another one than the group's may be the one that the view was moved to, which is well. Or an
    /// instance with the other one is alive, which is not: each would have the rows of its own partitions only. Which
    /// of both it is nobody can tell from the offsets, so it is said, and the progress in this database decides.
    fn tell_of_other_database(&mut self, committed: &[Option<Committed>]) {
        let marks = committed.iter().flatten().filter_map(|committed| Mark::parse(&committed.metadata));
        let other = marks.map(|mark| mark.database).find(|database| *database != self.sink.database_id());
        let Some(other) = other.filter(|_| !self.other_database_told) else { return };
        warn!(
            view = V::NAME,
            database = self.sink.database_id(),
            other,
            "the group's offsets were committed from another database, and this one goes by its own progress: right for \
             a view that was moved; if an instance with the other database still runs, end it, since each of them has \
             only the rows of its own partitions (instances share a view in PostgreSQL)"
        );
        self.other_database_told = true;
    }

    /// Records resets and gives the lock back; then marks the group's offsets.
    pub(crate) fn honour(&mut self, plan: &ResetPlan) -> Result<(), ClaimFailed> {
        let restated = plan.restated();
        if !restated.is_empty() {
            self.consumer.commit(&restated).map_err(of_log)?;
        }
        self.sink.record(plan).map_err(of_database)?;
        for reset in &plan.told {
            info!(view = V::NAME, reset, "an operator set the group's offset, which is honoured");
        }
        debug!(view = V::NAME, marks = plan.marks.len(), "marks the group's offsets");
        self.consumer.commit(&plan.marks).map_err(of_log)
    }

    /// Raises the epoch of a partition's progress row.
    pub(crate) fn claim(&mut self, place: &TopicPartition) -> Result<Claimed, ClaimFailed> {
        let topic = self.admin.describe_topic(&place.topic).map_err(of_log)?;
        let topic = topic.ok_or_else(|| of_log(no_topic(&place.topic)))?;
        let claim = self.sink.claim(place, topic.id).map_err(of_database)?;
        // After the claim, from which on nobody else moves the position: else the log may seem to end before it.
        let bounds = self.admin.bounds(place, Isolation::ReadUncommitted).map_err(of_log)?;
        let parked = self.sink.count_parked().map_err(of_database)?.get(place).copied().unwrap_or(0);
        Ok(Claimed { topic_id: topic.id, bounds, claim, parked })
    }
}

fn no_topic(topic: &Topic) -> Error {
    Error::unavailable(format!("topic {topic} does not exist"))
}
