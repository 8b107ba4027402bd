//! The protections of the protocols, each of which can be switched off by a test.

/// Which protections are on. Production has all of them; the test kit builds
/// handlers and views with one switched off to prove that a test notices.
/// There is no flag, setting or Cargo feature that reaches this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // one switch per protection is the point
pub struct Protections {
    /// Commands of an ended tenure are dropped before a transaction begins.
    pub tenure_check: bool,
    /// A generation or member id that the broker would not fence is never sent.
    pub sentinel_refusal: bool,
    /// A transaction carries an offset of each partition that it writes.
    pub offset_of_written_partition: bool,
    /// After an unknown outcome the state is dropped and read again.
    pub unknown_outcome_recovery: bool,
    /// A transaction that failed is ended by its producer's successor, whose epoch fences what is still on its way.
    pub epoch_after_abort: bool,
    /// After an abort the touched aggregates are as before.
    pub pre_image_undo: bool,
    /// A revoked or lost partition's state is destroyed.
    pub state_dropped_on_revocation: bool,
    /// A command at or below the handled position is never decided again.
    pub handled_position: bool,
    /// A transaction whose last command had no event writes the handled position.
    pub position_record: bool,
    /// A repeated command id gets the stored answer.
    pub recent_commands: bool,
    /// A command in a partition that is not its key's is dead-lettered.
    pub wrong_partition_check: bool,
    /// Recovery reads to the high watermark, not to the last stable offset.
    pub high_watermark_recovery: bool,
    /// Recovery reads snapshots to their own end, not to the marker.
    pub snapshots_to_their_end: bool,
    /// Positions of another topic identity are refused.
    pub topic_identity: bool,
    /// Progress rows move by compare-and-set.
    pub progress_compare_and_set: bool,
    /// Offsets of a view's group that carry no mark of a view are an operator's and are honoured.
    pub offset_resets: bool,
    /// Shared rows are locked in key order.
    pub shared_row_locking: bool,
    /// Readers check that versions have no gap and no repeat.
    pub version_check: bool,
    /// Events behind a parked one of their aggregate wait for it, and are applied after it.
    pub ordered_redrive: bool,
}

impl Protections {
    /// Everything on.
    pub const ALL: Protections = Protections {
        tenure_check: true,
        sentinel_refusal: true,
        offset_of_written_partition: true,
        unknown_outcome_recovery: true,
        epoch_after_abort: true,
        pre_image_undo: true,
        state_dropped_on_revocation: true,
        handled_position: true,
        position_record: true,
        recent_commands: true,
        wrong_partition_check: true,
        high_watermark_recovery: true,
        snapshots_to_their_end: true,
        topic_identity: true,
        progress_compare_and_set: true,
        offset_resets: true,
        shared_row_locking: true,
        version_check: true,
        ordered_redrive: true,
    };
}

impl Default for Protections {
    fn default() -> Self {
        Protections::ALL
    }
}
