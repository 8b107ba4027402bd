//! The machine's part in taking partitions over: which are claimed when, and what a claim finds.

use super::{
    Awaited, Claim, Effect, Stop, StopClass, View, ViewMachine,
    place::{Phase, Place},
};
use crate::{Error, MessageCodec, Result, TopicId, TopicPartition, log::Bounds};

/// What the shell learned for a [`Effect::Claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The topic's identity now.
    pub topic_id: TopicId,
    /// The partition's bounds, read uncommitted.
    pub bounds: Bounds,
    /// The progress row.
    pub claim: Claim,
    /// How many aggregates of the partition are parked, asked after the claim.
    pub parked: u64,
}

/// A claim that failed.
#[derive(Debug)]
pub struct ClaimFailed {
    /// Where.
    pub awaited: Awaited,
    /// Why.
    pub error: Error,
}

impl<V: View, C: MessageCodec<V::Event>> ViewMachine<V, C> {
    /// Takes the answer to [`Effect::Claim`].
    pub fn claimed(&mut self, at: &TopicPartition, outcome: Result<Claimed, ClaimFailed>) -> Vec<Effect> {
        let Some(index) = self.places.iter().position(|place| place.at == *at && place.phase == Phase::Claiming) else {
            return Vec::new(); // revoked since
        };
        let mut effects = Vec::new();
        let claimed = match outcome {
            Ok(claimed) => claimed,
            Err(ClaimFailed { awaited, error }) => {
                self.fail(index, &error, awaited, &mut effects);
                return effects;
            }
        };
        let Claimed { topic_id, bounds, claim, parked } = claimed;
        let stop = if !self.protections.topic_identity {
            None
        } else if claim.topic_id != topic_id {
            Some(Stop::new(
                StopClass::TopicIdentity,
                format!(
                    "the progress of view {} at {at}@{} belongs to topic id {}, and the topic is {topic_id} now: it was \
                     deleted and created again; build the view anew with `factum views rebuild {}`, or drop its tables",
                    V::NAME,
                    claim.position,
                    claim.topic_id,
                    V::NAME
                ),
            ))
        } else if claim.position > bounds.end {
            Some(Stop::new(
                StopClass::TopicIdentity,
                format!(
                    "view {} has applied {at} up to {}, and the log ends at {}: it was truncated or restored; build \
                     the view anew with `factum views rebuild {}`",
                    V::NAME,
                    claim.position,
                    bounds.end,
                    V::NAME
                ),
            ))
        } else {
            None
        };
        let stop = stop.or_else(|| {
            (claim.position < bounds.start).then(|| {
                Stop::new(
                    StopClass::DeletedRecords,
                    format!(
                        "view {} has applied {at} up to {}, and the log begins at {}: up to {} records were deleted \
                         before they were read; restore the log",
                        V::NAME,
                        claim.position,
                        bounds.start,
                        bounds.start.0 - claim.position.0
                    ),
                )
            })
        });
        let place = &mut self.places[index];
        place.stored = Some(claim.position);
        match stop {
            Some(stop) => self.stop(index, stop, &mut effects),
            None => {
                place.topic_id = topic_id;
                place.epoch = claim.epoch;
                place.next = claim.position;
                place.held = None;
                place.parked = parked;
                place.found(claim.position, claim.tries, bounds.end, self.max_records);
                place.phase = Phase::Running;
                effects.push(Effect::Start(at.clone(), claim.position));
            }
        }
        effects
    }

    /// Claims what is new or due. The poll that brings us here followed the
    /// assignment, or the failure, and reported no loss.
    pub(super) fn claim_due(&mut self, effects: &mut Vec<Effect>) {
        let now = self.now;
        let due = |place: &&mut Place<V::Event>| match &place.phase {
            Phase::Assigned => true,
            Phase::Backoff { until, .. } => *until <= now,
            _ => false,
        };
        for place in self.places.iter_mut().filter(due) {
            place.phase = Phase::Claiming;
        }
        if self.places.iter().all(|place| place.phase != Phase::Claiming) {
            return;
        }
        match self.protections.offset_resets {
            true => effects.push(Effect::Review),
            false => self.claims(effects),
        }
    }
}
