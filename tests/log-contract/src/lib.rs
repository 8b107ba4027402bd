//! The contract of [`factum_core::log::Log`], as tests that every
//! implementation passes.
//!
//! What it is not: a test of performance, or of what only one implementation
//! can do. Invariant: a contract uses topics, groups and transactional ids of
//! its own, waits by polling to a deadline, and needs nothing but a [`Fixture`].
//!
//! # Usage
//! In `tests/contract.rs` of the crate with the implementation (this crate is
//! a dev-dependency there), one line makes one `#[test]` for each contract:
//!
//! ```text
//! fn fixture() -> KafkaFixture { … }                 // anything that implements `Fixture`
//! factum_log_contract::contract_tests!(fixture);     // called once for each test
//! ```
//!
//! Each test has the contract's name, so `cargo test -p … static_member` runs
//! one of them. Tests run in parallel: a fixture for a real broker hands out
//! clients of one shared broker.
//!
//! On Apache Kafka the cleaning contracts wait for the broker's own cleaner.
//! The broker under test therefore needs `log.cleaner.backoff.ms` and
//! `log.retention.check.interval.ms` of about a second (the defaults are 15 s
//! and 5 min), `auto.create.topics.enable=false`, and `group.min.session.timeout.ms` at or below
//! [`Fixture::session_timeout`]. A member that stops polling must lose its
//! partitions after its session timeout, so a Kafka client sets
//! `max.poll.interval.ms` to that, too.

mod admin;
mod cleaning;
mod context;
mod groups;
mod handover;
mod membership;
mod offsets;
mod produce;
mod reading;
mod transactions;

use factum_core::log::Log;
use std::{sync::Arc, time::Duration};

/// A log under test.
pub trait Fixture {
    /// The log. Contracts make all of their clients from it.
    fn log(&self) -> Arc<dyn Log>;

    /// The shortest session timeout that this log takes and keeps without
    /// failing a healthy member on a busy machine.
    fn session_timeout(&self) -> Duration {
        Duration::from_secs(6)
    }

    /// How long a contract waits for one thing to happen, for example a rebalance.
    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// How long a cleaning contract waits for compaction or retention.
    fn cleaning_deadline(&self) -> Duration {
        Duration::from_secs(180)
    }

    /// Runs the cleaner once, where it does not run by itself. Called again
    /// and again by the cleaning contracts, between records that they write
    /// (Kafka cleans only what a later record has closed off).
    fn run_cleaner(&self) {}
}

#[doc(hidden)]
pub mod contracts {
    pub use crate::{
        admin::*, cleaning::*, groups::*, handover::*, membership::*, offsets::*, produce::*, reading::*,
        transactions::*,
    };
}

/// Expands to one `#[test]` for each contract. The argument is a function
/// without parameters that returns a [`Fixture`]; see the crate's page.
#[macro_export]
macro_rules! contract_tests {
    ($fixture:path) => {
        $crate::contract_tests! { @each $fixture:
            a_record_arrives_as_it_was_produced
            records_keep_their_order_and_their_partition
            delivery_reports_tell_the_real_offsets
            a_record_that_is_too_large_is_refused
            a_record_of_an_unknown_topic_is_refused
            the_log_stamps_records_of_a_log_append_time_topic

            a_transaction_becomes_visible_as_a_whole
            an_aborted_transaction_is_never_visible
            an_open_transaction_holds_the_last_stable_offset
            transactional_delivery_tells_the_real_offsets
            a_second_init_fences_the_first_producer
            init_aborts_what_the_predecessor_left_open
            a_transaction_left_open_is_aborted_after_its_timeout
            an_empty_offsets_list_is_refused
            a_producer_goes_on_after_an_abort

            reading_starts_where_it_is_told
            a_read_out_of_range_is_an_error
            a_removed_partition_delivers_nothing
            the_position_passes_control_records
            read_uncommitted_sees_open_transactions

            offsets_keep_their_metadata
            offsets_of_an_open_transaction_are_waited_for
            offsets_of_an_aborted_transaction_are_dropped
            offsets_of_a_stale_generation_are_refused
            reset_is_refused_while_a_group_has_members

            nothing_is_delivered_before_start
            a_member_seeks_back_and_forward
            a_paused_partition_delivers_nothing
            a_single_member_gets_every_partition
            a_group_reads_only_committed_records

            a_second_member_takes_over_in_order
            a_third_member_gets_from_both_others
            leaving_hands_partitions_over
            a_partition_given_up_while_paused_delivers_again
            a_silent_member_loses_its_partitions

            a_zombies_transaction_is_refused
            a_transaction_with_an_old_generation_is_refused
            a_static_member_restarts_without_a_rebalance
            a_second_static_member_fences_the_first

            a_recreated_topic_has_another_id
            settings_are_described_and_altered
            creating_a_topic_twice_changes_nothing
            partitions_can_be_added
            offsets_are_found_by_time
            deleted_records_move_the_start

            compaction_keeps_the_latest_of_each_key
            retention_deletes_old_records
        }
    };
    (@each $fixture:path: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::contracts::$name(&$fixture());
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_contract_is_in_the_macro() {
        let listed = include_str!("lib.rs");
        let sources = [
            include_str!("admin.rs"),
            include_str!("cleaning.rs"),
            include_str!("groups.rs"),
            include_str!("handover.rs"),
            include_str!("membership.rs"),
            include_str!("offsets.rs"),
            include_str!("produce.rs"),
            include_str!("reading.rs"),
            include_str!("transactions.rs"),
        ];
        for line in sources.iter().flat_map(|source| source.lines()) {
            if let Some(name) = line.strip_prefix("pub fn ").and_then(|rest| rest.split('(').next()) {
                assert!(listed.lines().any(|l| l.trim() == name), "{name} is not in contract_tests!");
            }
        }
    }
}
