//! How long a view is behind its log.

use crate::{environment::Environment, host::ViewProgress};
use factum_core::{
    Offset, Result, Topic, TopicPartition,
    log::{Admin, Isolation},
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Follows the ends of a topic and a view's positions on it.
pub(super) struct Lag<'a> {
    admin: Box<dyn Admin>,
    view: &'a ViewProgress,
    /// Ends that the view has not come to, and when each was seen first.
    ends: BTreeMap<TopicPartition, VecDeque<(Instant, Offset)>>,
    worst: Duration,
}

impl<'a> Lag<'a> {
    /// Of a view that has caught up.
    pub(super) fn of(environment: &Environment, topic: &Topic, view: &'a ViewProgress) -> Result<Self> {
        let mut admin = environment.log.admin()?;
        let ends = admin.partitions(topic)?.into_iter().map(|place| (place, VecDeque::new())).collect();
        Ok(Lag { admin, view, ends, worst: Duration::ZERO })
    }

    /// Looks once, and waits until the next look is due: an end that the view has not come to was
    /// seen at least so long ago as it is behind.
    pub(super) fn look(&mut self) -> Result<()> {
        let now = Instant::now();
        for (place, seen) in &mut self.ends {
            let end = self.admin.bounds(place, Isolation::ReadCommitted)?.end;
            if seen.back().is_none_or(|(_, last)| *last < end) {
                seen.push_back((now, end));
            }
        }
        let positions = self.view.positions();
        for (place, seen) in &mut self.ends {
            // A partition that is claimed again has none for a moment, and is behind.
            let position = positions.get(place).copied().unwrap_or(Offset(0));
            while seen.front().is_some_and(|(_, end)| *end <= position) {
                seen.pop_front();
            }
            if let Some((since, _)) = seen.front() {
                self.worst = self.worst.max(since.elapsed());
            }
        }
        std::thread::sleep(LOOK);
        Ok(())
    }

    /// Looks for so long.
    pub(super) fn watch_for(&mut self, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.look()?;
        }
        Ok(())
    }

    /// The worst since it was forgotten.
    pub(super) fn forget(&mut self) -> Duration {
        std::mem::take(&mut self.worst)
    }
}
