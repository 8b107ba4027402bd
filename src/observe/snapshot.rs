//! How everything in a process is at one moment, and what that means.

use super::{board::Member, ends::Ends};
use crate::host::{TransformProgress, ViewProgress};
use factum_core::{
    Offset, TimestampMs, TopicPartition,
    handler::{Activity, HandlerStats, PartitionHealth},
    measure::{Histogram, Since},
    transform::Totals,
    view::{Awaited, Counts, PlaceState, PlaceStatus},
};
use factum_handler::WorkerStatus;
use serde::Serialize;
use std::sync::PoisonError;

/// Ends that were looked at longer ago say nothing any more.
const STALE_MS: i64 = 10_000;
/// A member that has got no partition for so long is a spare one, and ready.
const SPARE_MS: i64 = 3_000;
/// The rest of a command's events is written with the first of them; it may be longer on its way than that only if something is wrong.
const HOLDING_MS: i64 = 10_000;

/// How everything is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    pub(super) now: TimestampMs,
    pub(super) stopping: bool,
    /// Whether it is not ready without members.
    pub(super) expects_members: bool,
    pub(super) members: Vec<MemberNow>,
    /// When the ends of the log were seen last.
    pub(super) looked: Option<TimestampMs>,
}

/// How a worker of a handler, a view or a transform is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MemberNow {
    pub(super) processor: Processor,
    /// The aggregate type, or the view's or the transform's name.
    pub(super) name: &'static str,
    /// When its loop turned last.
    pub(super) turned: TimestampMs,
    /// What it says that is no partition's.
    pub(super) state: State,
    pub(super) reason: Option<String>,
    pub(super) partitions: Vec<PartitionNow>,
    pub(super) measured: Measured,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Processor {
    Handler,
    View,
    Transform,
}

impl Processor {
    /// The same as in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Processor::Handler => "handler",
            Processor::View => "view",
            Processor::Transform => "transform",
        }
    }
}

/// What was counted and measured since the start.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measured {
    Handler { stats: HandlerStats, transaction_seconds: Histogram, batch_commands: Histogram },
    View { totals: Counts, commit_seconds: Histogram, batch_records: Histogram },
    Transform { totals: Totals, transaction_seconds: Histogram },
}

/// How a partition is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PartitionNow {
    pub(super) place: TopicPartition,
    pub(super) state: State,
    pub(super) reason: Option<String>,
    pub(super) since: Since,
    /// The next record to be handled.
    pub(super) position: Option<Offset>,
    pub(super) end: Option<Offset>,
    /// Aggregates in memory, and the bytes they take.
    pub(super) size: Option<(usize, usize)>,
    /// Aggregates that a view has parked.
    pub(super) parked: Option<u64>,
}

impl PartitionNow {
    /// How many records it is behind, as far as known.
    pub(super) fn lag(&self) -> Option<u64> {
        let lag = self.end?.0 - self.position?.0;
        Some(u64::try_from(lag).unwrap_or(0))
    }
}

/// Why something moves or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It works, and is not far behind.
    Ready,
    /// It works, and is further behind than a ready one may be.
    CatchingUp,
    /// It is not a member of its group yet, or has no partitions yet.
    Joining,
    /// Its state or its progress is being read.
    Recovering,
    /// The log is away, or does not go on.
    WaitingForLog,
    /// A schema is not to be had.
    WaitingForRegistry,
    /// The view's database is away.
    WaitingForDatabase,
    /// Another instance claimed the partition.
    WaitingForOwner,
    /// It stands still until somebody acts.
    Stopped,
}

impl State {
    pub(super) const ALL: [State; 9] = [
        State::Ready,
        State::CatchingUp,
        State::Joining,
        State::Recovering,
        State::WaitingForLog,
        State::WaitingForRegistry,
        State::WaitingForDatabase,
        State::WaitingForOwner,
        State::Stopped,
    ];

    /// The same as in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::CatchingUp => "catching-up",
            State::Joining => "joining",
            State::Recovering => "recovering",
            State::WaitingForLog => "waiting-for-log",
            State::WaitingForRegistry => "waiting-for-registry",
            State::WaitingForDatabase => "waiting-for-database",
            State::WaitingForOwner => "waiting-for-owner",
            State::Stopped => "stopped",
        }
    }
}

/// What partitions are judged by beside themselves.
struct Judge<'a> {
    ends: &'a Ends,
    ready_lag: u64,
    now: TimestampMs,
}

impl Snapshot {
    pub(super) fn take(members: &[Member], ends: Ends, ready_lag: u64, stopping: bool, now: TimestampMs) -> Self {
        let judge = Judge { ends: &ends, ready_lag, now };
        let members = members.iter().map(|member| match member {
            Member::Handler { aggregate_type, commands, status } => {
                let status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
                judge.handler(aggregate_type, &status, |health| commands.partition(health.partition))
            }
            Member::View(view) => judge.view(view),
            Member::Transform(transform) => judge.transform(transform),
        });
        let members = members.collect();
        Snapshot { now, stopping, expects_members: true, members, looked: ends.looked }
    }
}

impl Judge<'_> {
    fn handler(
        &self,
        name: &'static str,
        status: &WorkerStatus,
        place: impl Fn(&PartitionHealth) -> TopicPartition,
    ) -> MemberNow {
        let partitions = status.partitions.iter().map(|health| {
            let (state, reason) = match &health.activity {
                Activity::Ready => (State::Ready, health.careful.clone()),
                Activity::Recovering | Activity::Surveying(None) => (State::Recovering, None),
                Activity::Surveying(Some(why)) => (State::WaitingForLog, Some(why.clone())),
                Activity::AwaitingSchema(id) => {
                    (State::WaitingForRegistry, Some(format!("schema id {id} is not known yet")))
                }
                Activity::Stopped(why) => (State::Stopped, Some(why.clone())),
            };
            // Before the recovery's end it is not known.
            let position = matches!(health.activity, Activity::Ready)
                .then_some(health.next_command)
                .or_else(|| (health.next_command > Offset(0)).then_some(health.next_command));
            let place = place(health);
            self.judged(
                status.trouble.as_ref(),
                PartitionNow {
                    end: self.ends.known.get(&place).copied(),
                    place,
                    state,
                    reason,
                    since: status.since.get(&health.partition).copied().unwrap_or_default(),
                    position,
                    size: Some((health.aggregates, health.size_bytes)),
                    parked: None,
                },
            )
        });
        let partitions: Vec<_> = partitions.collect();
        let (state, reason) = self.member(partitions.is_empty(), status.joined, status.trouble.as_ref());
        MemberNow {
            processor: Processor::Handler,
            name,
            turned: status.turned,
            state,
            reason,
            partitions,
            measured: Measured::Handler {
                stats: status.stats,
                transaction_seconds: status.transaction_seconds,
                batch_commands: status.batch_commands,
            },
        }
    }

    fn view(&self, view: &ViewProgress) -> MemberNow {
        let mut status = view.status();
        if view.failure.is_some() {
            // Its partitions are others' by now, or nobody's.
            status.places.clear();
        }
        let partitions = status.places.iter().map(|(place, found)| {
            let since = status.since.get(place).copied().unwrap_or_default();
            self.place(place, found, since, Some(found.parked_keys), status.trouble.as_ref())
        });
        let partitions: Vec<_> = partitions.collect();
        let (state, reason) = match &view.failure {
            Some(why) => (State::Stopped, Some(why.clone())),
            None => self.member(partitions.is_empty(), status.joined, status.trouble.as_ref()),
        };
        MemberNow {
            processor: Processor::View,
            name: view.name,
            turned: status.turned,
            state,
            reason,
            partitions,
            measured: Measured::View {
                totals: status.totals,
                commit_seconds: status.commit_seconds,
                batch_records: status.batch_records,
            },
        }
    }

    fn transform(&self, transform: &TransformProgress) -> MemberNow {
        let status = transform.status();
        let partitions = status.places.iter().map(|(place, found)| {
            let since = status.since.get(place).copied().unwrap_or_default();
            self.place(place, found, since, None, status.trouble.as_ref())
        });
        let partitions: Vec<_> = partitions.collect();
        let (state, reason) = self.member(partitions.is_empty(), status.joined, status.trouble.as_ref());
        MemberNow {
            processor: Processor::Transform,
            name: transform.name,
            turned: status.turned,
            state,
            reason,
            partitions,
            measured: Measured::Transform { totals: status.totals, transaction_seconds: status.transaction_seconds },
        }
    }

    /// A partition of a view or a transform.
    fn place(
        &self,
        place: &TopicPartition,
        found: &PlaceStatus,
        since: Since,
        parked: Option<u64>,
        trouble: Option<&String>,
    ) -> PartitionNow {
        let (state, reason) = self.view_state(found, since);
        let end = self.ends.known.get(place).copied();
        let partition = PartitionNow {
            place: place.clone(),
            state,
            reason,
            since,
            position: found.position,
            end,
            size: None,
            parked,
        };
        self.judged(trouble, partition)
    }

    fn view_state(&self, found: &PlaceStatus, since: Since) -> (State, Option<String>) {
        match &found.state {
            PlaceState::Running => (State::Ready, found.careful.clone()),
            PlaceState::HoldingBatch { from } if self.now.0 - since.state.0 > HOLDING_MS => {
                let why = format!("the rest of the events of the command at offset {from} has not arrived");
                (State::WaitingForLog, Some(why))
            }
            PlaceState::HoldingBatch { .. } => (State::Ready, None),
            PlaceState::Claiming => (State::Recovering, None),
            PlaceState::Waiting { awaited, why } => {
                let state = match awaited {
                    Awaited::Log => State::WaitingForLog,
                    Awaited::Registry => State::WaitingForRegistry,
                    Awaited::Database => State::WaitingForDatabase,
                    Awaited::Owner => State::WaitingForOwner,
                };
                (state, Some(why.clone()))
            }
            PlaceState::Stopped(stop) => (State::Stopped, Some(stop.to_string())),
        }
    }

    /// A partition that seems ready is so only if the log can be asked, and it is not far behind.
    fn judged(&self, trouble: Option<&String>, mut partition: PartitionNow) -> PartitionNow {
        if partition.state != State::Ready {
            return partition;
        }
        if let Some(why) = trouble.or(self.ends.trouble.as_ref()) {
            (partition.state, partition.reason) = (State::WaitingForLog, Some(why.clone()));
        } else if partition.end.is_none() {
            let why = "the end of the log has not been looked at yet";
            (partition.state, partition.reason) = (State::WaitingForLog, Some(why.to_owned()));
        } else if let Some(looked) = self.ends.looked.filter(|looked| self.now.0 - looked.0 > STALE_MS) {
            let why = format!("the log has not told its end for {} ms", self.now.0 - looked.0);
            (partition.state, partition.reason) = (State::WaitingForLog, Some(why));
        } else if let Some(lag) = partition.lag().filter(|lag| *lag > self.ready_lag) {
            let why = format!("{lag} records behind; a ready one is at most {} behind", self.ready_lag);
            (partition.state, partition.reason) = (State::CatchingUp, Some(why));
        }
        partition
    }

    fn member(&self, is_empty: bool, joined: Option<TimestampMs>, trouble: Option<&String>) -> (State, Option<String>) {
        match (joined, trouble.or(self.ends.trouble.as_ref())) {
            (_, Some(why)) => (State::WaitingForLog, Some(why.clone())),
            (None, None) => (State::Joining, Some("it is not a member of its group yet".to_owned())),
            (Some(since), None) if is_empty && self.now.0 - since.0 < SPARE_MS => {
                (State::Joining, Some("it has no partitions yet".to_owned()))
            }
            (Some(_), None) => (State::Ready, None),
        }
    }
}
