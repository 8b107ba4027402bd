//! Resets in memory.

use super::MemorySink;
use crate::Resets;
use factum_core::{
    Error, Offset, Result,
    view::{Claim, Extent, ProgressRow, ResetPlan, Skipped, Standing},
};

impl Resets for MemorySink {
    fn review(&mut self) -> Result<Standing> {
        let me = self.number;
        self.with(|table| match table.reviewer {
            Some(other) if other != me => Err(()),
            _ => {
                table.reviewer = Some(me);
                Ok(())
            }
        })?
        .map_err(|()| Error::unavailable(format!("another instance reviews view {}", self.table.view())))?;
        self.standing()
    }

    fn record(&mut self, plan: &ResetPlan) -> Result<()> {
        let fold_version = self.table.fold_version();
        self.change(|table| {
            if plan.extent == Extent::Whole {
                table.rows.clear();
                table.last.clear();
                table.skipped.clear();
                table.in_hand.clear();
                table.parked.clear();
                table.fold_version = fold_version;
                for row in table.progress.values_mut() {
                    (row.epoch, row.position) = (row.epoch + 1, Offset(0));
                }
            }
            for reset in &plan.places {
                let ProgressRow { place, topic_id, position } = reset.row.clone();
                let epoch = table.progress.get(&place).map_or(0, |row| row.epoch) + 1;
                table.progress.insert(place.clone(), Claim { topic_id, epoch, position, tries: 0 });
                table.skipped.insert(place, reset.skipped.clone());
            }
            table.reviewer = None;
        })
    }

    fn standing(&mut self) -> Result<Standing> {
        self.with(|table| Standing {
            rows: table
                .progress
                .iter()
                .map(|(place, row)| ProgressRow {
                    place: place.clone(),
                    topic_id: row.topic_id,
                    position: row.position,
                })
                .collect(),
            skipped: table
                .skipped
                .iter()
                .flat_map(|(place, ranges)| {
                    ranges.iter().map(|offsets| Skipped { place: place.clone(), offsets: offsets.clone() })
                })
                .collect(),
            fold_version: table.fold_version,
        })
    }
}
