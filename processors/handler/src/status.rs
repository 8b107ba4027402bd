//! How a worker is doing, for other threads.

use factum_core::{
    Offset, Partition, TimestampMs,
    handler::{Activity, HandlerStats, PartitionHealth},
    measure::{Clocks, Histogram, Since},
};
use std::{
    collections::BTreeMap,
    mem::{Discriminant, discriminant},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How a worker is doing; renewed after every step.
#[derive(Debug, Clone)]
pub struct WorkerStatus {
    /// Its partitions.
    pub partitions: Vec<PartitionHealth>,
    /// Since when each of them is as it is.
    pub since: BTreeMap<Partition, Since>,
    /// Its counts.
    pub stats: HandlerStats,
    /// Why the log cannot be used at the moment.
    pub trouble: Option<String>,
    /// Since when it is a member of its group; none if it is not.
    pub joined: Option<TimestampMs>,
    /// When its loop turned last.
    pub turned: TimestampMs,
    /// How long transactions took.
    pub transaction_seconds: Histogram,
    /// How many commands they were about; those without commands are left out.
    pub batch_commands: Histogram,
}

impl Default for WorkerStatus {
    fn default() -> Self {
        WorkerStatus {
            partitions: Vec::new(),
            since: BTreeMap::new(),
            stats: HandlerStats::default(),
            trouble: None,
            joined: None,
            turned: TimestampMs::default(),
            transaction_seconds: Histogram::new(Histogram::SECONDS),
            batch_commands: Histogram::new(Histogram::RECORDS),
        }
    }
}

/// The worker's side of its status.
#[derive(Debug)]
pub(crate) struct Teller {
    shared: Arc<Mutex<WorkerStatus>>,
    clocks: Clocks<Partition, Discriminant<Activity>, Offset>,
    transaction_seconds: Histogram,
    batch_commands: Histogram,
}

impl Teller {
    pub(crate) fn new(now: TimestampMs) -> Self {
        let status = WorkerStatus { turned: now, ..WorkerStatus::default() };
        Teller {
            clocks: Clocks::default(),
            transaction_seconds: status.transaction_seconds,
            batch_commands: status.batch_commands,
            shared: Arc::new(Mutex::new(status)),
        }
    }

    pub(crate) fn shared(&self) -> Arc<Mutex<WorkerStatus>> {
        self.shared.clone()
    }

    /// Notes a transaction about so many commands.
    pub(crate) fn transaction(&mut self, commands: usize, took: Duration) {
        self.transaction_seconds.record(took.as_secs_f64());
        if commands > 0 {
            self.batch_commands.record(f64::from(u32::try_from(commands).unwrap_or(u32::MAX)));
        }
    }

    /// Tells how things are after a step.
    pub(crate) fn tell(
        &mut self,
        partitions: Vec<PartitionHealth>,
        stats: HandlerStats,
        trouble: Option<&String>,
        is_member: bool,
        now: TimestampMs,
    ) {
        let seen = |health: &PartitionHealth| (health.partition, discriminant(&health.activity), health.next_command);
        let since = self.clocks.see(partitions.iter().map(seen), now);
        let mut status = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        status.since = since;
        status.partitions = partitions;
        status.stats = stats;
        status.trouble = trouble.cloned();
        status.joined = is_member.then(|| status.joined.unwrap_or(now));
        status.turned = now;
        status.transaction_seconds = self.transaction_seconds;
        status.batch_commands = self.batch_commands;
    }
}
