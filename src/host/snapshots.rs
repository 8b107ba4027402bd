//! Writing an aggregate type's snapshots anew.

use factum_core::{
    Aggregate, AggregateCodec, Error, ErrorKind, Result,
    handler::{Activity, HandlerStats},
};
use factum_handler::Worker;
use serde::Serialize;
use std::time::{Duration, Instant};

use super::Stop;

/// So long partitions of another member may take to come here: longer than its session.
const OTHERS: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

/// What became of the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SnapshotTally {
    /// Partitions that were read.
    pub partitions: u32,
    /// Aggregates in them.
    pub aggregates: u64,
    /// Events that were folded.
    pub events: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
}

/// Has a worker that folds everything again work until each partition has
/// written its checkpoint. `progress` hears of how many aggregates were read.
pub(super) fn write<A: Aggregate, C: AggregateCodec<A>>(
    mut worker: Worker<A, C>,
    partitions: u32,
    stop: &Stop,
    progress: &mut dyn FnMut(&SnapshotTally),
) -> Result<SnapshotTally> {
    let begun = Instant::now();
    let done = loop {
        worker.step(STEP)?;
        let handler = worker.handler();
        let health = handler.health();
        if let Some((partition, reason)) = health.iter().find_map(|health| match &health.activity {
            Activity::Stopped(reason) => Some((health.partition, reason.clone())),
            _ => None,
        }) {
            break Err(Error::data(format!("partition {partition} of {} cannot be folded: {reason}", A::TYPE)));
        }
        let HandlerStats { recovered_events, snapshots, .. } = handler.stats();
        let tally = SnapshotTally {
            partitions: u32::try_from(health.len()).unwrap_or(u32::MAX),
            aggregates: health.iter().map(|health| health.aggregates as u64).sum(),
            events: recovered_events,
            snapshots,
        };
        progress(&tally);
        let all_ready = health.iter().all(|health| health.activity == Activity::Ready);
        // Between the end of a recovery and the next step its checkpoint is due.
        if tally.partitions == partitions && all_ready && !handler.has_duties(factum_handler::system_clock()) {
            break Ok(tally);
        }
        if stop.is_stopped() {
            break Err(Error::unavailable(
                "stopped before the end: partitions that were done stay so; run the same again",
            ));
        }
        if tally.partitions < partitions && begun.elapsed() > OTHERS {
            break Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "{} of the {partitions} partitions of {} are another handler's: end it, and run this again",
                    partitions - tally.partitions,
                    A::TYPE
                ),
            ));
        }
    };
    worker.close()?;
    done
}
