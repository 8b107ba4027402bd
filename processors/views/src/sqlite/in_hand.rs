//! What was begun, in SQLite.

use super::SqliteSink;
use crate::InHandMarks;
use factum_core::{Offset, Result, TopicPartition, view::InHand};
use rusqlite::{OptionalExtension as _, params};

/// The table of what all views have begun.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS factum_in_hand (
         view TEXT NOT NULL,
         topic TEXT NOT NULL,
         partition INTEGER NOT NULL,
         position INTEGER NOT NULL,
         tries INTEGER NOT NULL,
         PRIMARY KEY (view, topic, partition)
     ) STRICT, WITHOUT ROWID;";

const MARK: &str = "INSERT INTO factum_in_hand (view, topic, partition, position, tries) \
    SELECT view, topic, partition, ?5, ?6 FROM factum_progress \
    WHERE view = ?1 AND topic = ?2 AND partition = ?3 AND epoch = ?4 \
    ON CONFLICT (view, topic, partition) DO UPDATE SET position = excluded.position, tries = excluded.tries";

const TRIES: &str =
    "SELECT tries FROM factum_in_hand WHERE view = ?1 AND topic = ?2 AND partition = ?3 AND position = ?4";

impl InHandMarks for SqliteSink {
    fn mark(&mut self, marks: &[InHand]) -> Result<Vec<TopicPartition>> {
        self.mark_in_hand(marks).map_err(|e| self.failed(&format!("mark what view {} begins", self.table.view()), e))
    }
}

impl SqliteSink {
    fn mark_in_hand(&self, marks: &[InHand]) -> rusqlite::Result<Vec<TopicPartition>> {
        let (view, mut lost) = (self.table.name(), Vec::new());
        let mut mark = self.connection.prepare_cached(MARK)?;
        for InHand { place, epoch, position, tries } in marks {
            let (topic, partition) = (place.topic.as_str(), place.partition.0);
            if mark.execute(params![view, topic, partition, epoch, position.0, tries])? == 0 {
                lost.push(place.clone());
            }
        }
        Ok(lost)
    }

    /// How often records from this position on were begun.
    pub(super) fn tries(&self, place: &TopicPartition, position: Offset) -> rusqlite::Result<u32> {
        let parameters = params![self.table.name(), place.topic.as_str(), place.partition.0, position.0];
        let mut select = self.connection.prepare_cached(TRIES)?;
        Ok(select.query_row(parameters, |row| row.get(0)).optional()?.unwrap_or(0))
    }
}
