//! What was begun, in memory.

use super::MemorySink;
use crate::InHandMarks;
use factum_core::{Result, TopicPartition, view::InHand};

impl InHandMarks for MemorySink {
    fn mark(&mut self, marks: &[InHand]) -> Result<Vec<TopicPartition>> {
        self.change(|table| {
            let mut lost = Vec::new();
            for InHand { place, epoch, position, tries } in marks {
                match table.progress.get(place).is_some_and(|row| row.epoch == *epoch) {
                    true => drop(table.in_hand.insert(place.clone(), (*position, *tries))),
                    false => lost.push(place.clone()),
                }
            }
            lost
        })
    }
}
