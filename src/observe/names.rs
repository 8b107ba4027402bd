//! The names of all metrics: `factum_<noun>_<unit>[_total]`.
//!
//! Labels name types, topics, partitions and states, never an aggregate, a
//! command or a message. `docs/metrics.md` is this table.

/// A metric as it is told.
#[derive(Debug)]
pub(super) struct Metric {
    /// As in a query. A counter ends in `_total`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*
        /// All of them, in the order of the page.
        #[cfg(test)]
        pub(super) const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    BUILD_INFO: Gauge "factum_build_info" ["version"] "Always 1; the label is the version of the program";
    READY: Gauge "factum_ready" [] "1 if /readyz says 200, else 0";
    PARTITIONS: Gauge "factum_partitions" ["processor", "name", "state"] "Partitions of this process by their state";
    POSITION: Gauge "factum_position_offset" ["processor", "name", "topic", "partition"] "Offset of the next record to be handled";
    LAG: Gauge "factum_lag_records" ["processor", "name", "topic", "partition"] "Records of the log that are not handled yet";
    PROGRESS: Gauge "factum_last_progress_timestamp_seconds" ["processor", "name", "topic", "partition"] "When the position moved last, in Unix time";
    TURN: Gauge "factum_last_turn_timestamp_seconds" ["processor", "name"] "When the slowest loop turned last, in Unix time";
    ENDS: Gauge "factum_log_ends_timestamp_seconds" [] "When the ends of the log were seen last, in Unix time; the lag is of then";
    COMMANDS: Counter "factum_commands_total" ["aggregate_type", "outcome"] "Commands by the code of their answer; repeated: answered again and not decided again";
    EVENTS: Counter "factum_events_total" ["aggregate_type"] "Events committed";
    TRANSACTIONS: Counter "factum_transactions_total" ["aggregate_type", "outcome"] "Transactions by what became of them";
    TRANSACTION_SECONDS: Histogram "factum_transaction_seconds" ["aggregate_type"] "How long transactions took";
    BATCH_COMMANDS: Histogram "factum_batch_commands" ["aggregate_type"] "Commands in a transaction; those without commands are left out";
    SNAPSHOTS: Counter "factum_snapshots_total" ["aggregate_type"] "Snapshots of aggregates written";
    CHECKPOINTS: Counter "factum_checkpoints_total" ["aggregate_type"] "Checkpoints of partitions completed";
    RECOVERED: Counter "factum_recovered_records_total" ["aggregate_type", "kind"] "Records read to recover partitions";
    AGGREGATES: Gauge "factum_state_aggregates" ["aggregate_type", "partition"] "Aggregates in memory";
    STATE_BYTES: Gauge "factum_state_bytes" ["aggregate_type", "partition"] "Memory of the aggregates, about, without what states hold on the heap";
    VIEW_EVENTS: Counter "factum_view_events_total" ["view", "outcome"] "Events of a view by what became of them";
    PARKED: Gauge "factum_parked_aggregates" ["view", "topic", "partition"] "Aggregates of a view that wait for a redrive, as counted every 2 seconds where there are some";
    VIEW_COMMIT_SECONDS: Histogram "factum_view_commit_seconds" ["view"] "How long the commits of the view's database took";
    VIEW_BATCH_RECORDS: Histogram "factum_view_batch_records" ["view"] "Records that a poll brought; those that brought none are left out";
    TRANSFORM_EVENTS: Counter "factum_transform_events_total" ["transform", "outcome"] "Events of a transform by what became of them: read (and transformed), skipped; written: the records that they became";
    TRANSFORM_SECONDS: Histogram "factum_transform_transaction_seconds" ["transform"] "How long a transform's transactions took";
}
