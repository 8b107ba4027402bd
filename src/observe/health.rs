//! Whether a process lives, and whether it is ready: for probes and for people.

use super::snapshot::{Processor, Snapshot, State};
use crate::{host::rfc3339, journal::JOURNAL};
use serde::Serialize;

/// A loop that turned last so long ago hangs. It is the time after which Kafka
/// takes a silent consumer's partitions away (`max.poll.interval.ms`); what a
/// turn waits for (the log, the database) has shorter time-outs.
const HANGING_MS: i64 = 300_000;

/// What `/healthz` tells.
#[derive(Debug, Serialize)]
pub(super) struct Alive {
    pub(super) alive: bool,
    loops: Vec<Loop>,
}

#[derive(Debug, Serialize)]
struct Loop {
    processor: Processor,
    name: &'static str,
    turns: bool,
    last_turn: String,
}

/// Whether every loop turns.
pub(super) fn alive(snapshot: &Snapshot) -> Alive {
    // What failed has no loop that could hang: `/readyz` tells why, and the others are not killed for it.
    let turning = snapshot.members.iter().filter(|member| member.state != State::Stopped);
    let loops = turning.map(|member| Loop {
        processor: member.processor,
        name: member.name,
        turns: snapshot.now.0 - member.turned.0 <= HANGING_MS,
        last_turn: rfc3339(member.turned),
    });
    let loops: Vec<_> = loops.collect();
    Alive { alive: loops.iter().all(|one| one.turns), loops }
}

/// What `/readyz` tells.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    pub(super) ready: bool,
    /// Why not, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    members: Vec<Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    processor: Processor,
    name: &'static str,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    partitions: Vec<Partition>,
}

#[derive(Debug, Serialize)]
struct Partition {
    topic: String,
    partition: u32,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When it began to do what it does.
    since: String,
    position: Option<i64>,
    end: Option<i64>,
    lag_records: Option<u64>,
    /// Aggregates of a view that wait for `factum parked redrive`; the others go on, so the partition is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked_aggregates: Option<u64>,
    last_progress: String,
}

/// Whether every member is in its group and each of its partitions is ready, but for a journal that catches up.
pub(super) fn ready(snapshot: &Snapshot) -> Ready {
    let members = snapshot.members.iter().map(|member| Member {
        processor: member.processor,
        name: member.name,
        state: member.state,
        reason: member.reason.clone(),
        partitions: member
            .partitions
            .iter()
            .map(|partition| Partition {
                topic: partition.place.topic.to_string(),
                partition: partition.place.partition.0,
                state: partition.state,
                reason: partition.reason.clone(),
                since: rfc3339(partition.since.state),
                position: partition.position.map(|offset| offset.0),
                end: partition.end.map(|offset| offset.0),
                lag_records: partition.lag(),
                parked_aggregates: partition.parked,
                last_progress: rfc3339(partition.since.progress),
            })
            .collect(),
    });
    let members: Vec<_> = members.collect();
    let reason = hindrance(snapshot);
    Ready { ready: reason.is_none(), reason, members }
}

/// Whether nothing keeps the process from being ready.
pub(super) fn is_ready(snapshot: &Snapshot) -> bool {
    hindrance(snapshot).is_none()
}

/// The first thing that keeps the process from being ready.
fn hindrance(snapshot: &Snapshot) -> Option<String> {
    if snapshot.stopping {
        return Some("stopping".to_owned());
    }
    if snapshot.members.is_empty() && snapshot.expects_members {
        return Some("no processor was started yet".to_owned());
    }
    let says = |what: String, state: State, reason: Option<&String>| match reason {
        Some(reason) => format!("{what}: {}: {reason}", state.as_str()),
        None => format!("{what}: {}", state.as_str()),
    };
    // A journal that fills answers from the log what it has not yet, or says what it lacks: commands
    // and views need not wait for it. A process that has nothing else does.
    let beside_others = snapshot.members.iter().any(|member| member.name != JOURNAL);
    let hinders = |member: &str, state| match state {
        State::Ready => false,
        State::CatchingUp => member != JOURNAL || !beside_others,
        _ => true,
    };
    snapshot.members.iter().find_map(|member| {
        let partition = member.partitions.iter().find(|partition| hinders(member.name, partition.state));
        let of_partition =
            partition.map(|partition| says(partition.place.to_string(), partition.state, partition.reason.as_ref()));
        let of_member =
            (member.state != State::Ready).then(|| says(member.name.to_owned(), member.state, member.reason.as_ref()));
        of_partition.or(of_member)
    })
}
