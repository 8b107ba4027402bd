//! The proof that the checker sees: without a protection it finds something wrong.

use crate::Simulator;
use factum_core::{Protections, Result};

macro_rules! names {
    ($($name:ident),+ $(,)?) => {
        /// Every protection by its name, with all the others on.
        pub fn each_switched_off() -> Vec<(&'static str, Protections)> {
            // A protection that is missing here does not compile.
            let Protections { $($name: _),+ } = Protections::ALL;
            vec![$((stringify!($name), Protections { $name: false, ..Protections::ALL })),+]
        }
    };
}

names!(
    tenure_check,
    sentinel_refusal,
    offset_of_written_partition,
    unknown_outcome_recovery,
    epoch_after_abort,
    pre_image_undo,
    state_dropped_on_revocation,
    handled_position,
    position_record,
    recent_commands,
    wrong_partition_check,
    high_watermark_recovery,
    snapshots_to_their_end,
    topic_identity,
    progress_compare_and_set,
    offset_resets,
    shared_row_locking,
    version_check,
    ordered_redrive,
);

/// The first of the seeds from 1 on whose history is wrong, and what is wrong with it.
///
/// # Errors
/// As [`Simulator::run`].
pub fn first_caught(protections: Protections, seeds: u64, steps: u64) -> Result<Option<(u64, String)>> {
    let simulator = Simulator::new(protections)?;
    for seed in 1..=seeds {
        if let Some(violation) = simulator.run(seed, steps)?.violations.into_iter().next() {
            return Ok(Some((seed, violation)));
        }
    }
    Ok(None)
}
