//! What is written down before records are taken in.

use factum_core::{Result, TopicPartition, view::InHand};

/// The marks of what a view's partitions have begun: what a process had in hand that ended.
pub trait InHandMarks {
    /// Writes this down, durably, where the progress rows have these epochs;
    /// answers with the partitions where they have others.
    ///
    /// # Errors
    /// What the database says; whether the marks are written is not known then.
    fn mark(&mut self, marks: &[InHand]) -> Result<Vec<TopicPartition>>;
}
