//! Resets in SQLite: the view's lock is the database's one write lock.

use super::SqliteSink;
use crate::Resets;
use factum_core::{
    Error, Offset, Partition, Result, Topic, TopicPartition,
    view::{Extent, ProgressRow, ResetPlan, Skipped, Standing},
};
use rusqlite::{Connection, Row, params};

/// The tables of what all views leave out, and of the folds that made their rows.
pub(super) const TABLES: &str = "CREATE TABLE IF NOT EXISTS factum_skipped (
         view TEXT NOT NULL,
         topic TEXT NOT NULL,
         partition INTEGER NOT NULL,
         from_offset INTEGER NOT NULL,
         to_offset INTEGER NOT NULL,
         PRIMARY KEY (view, topic, partition, from_offset)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE IF NOT EXISTS factum_folds (
         view TEXT NOT NULL PRIMARY KEY,
         fold_version INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;";

const PROGRESS: &str =
    "SELECT topic, partition, topic_id, position FROM factum_progress WHERE view = ?1 ORDER BY topic, partition";

const SKIPPED: &str = "SELECT topic, partition, from_offset, to_offset FROM factum_skipped WHERE view = ?1 \
    ORDER BY topic, partition, from_offset";

const RESET: &str = "INSERT INTO factum_progress (view, topic, topic_id, partition, epoch, position) \
    VALUES (?1, ?2, ?3, ?4, 1, ?5) \
    ON CONFLICT (view, topic, partition) DO UPDATE \
    SET epoch = epoch + 1, topic_id = excluded.topic_id, position = excluded.position";

impl Resets for SqliteSink {
    fn review(&mut self) -> Result<Standing> {
        let standing = self.begin().and_then(|()| read(&self.connection, &self.table.name()));
        self.standing_of(standing)
    }

    fn record(&mut self, plan: &ResetPlan) -> Result<()> {
        self.reset(plan).map_err(|e| self.failed(&format!("record a reset of view {}", self.table.view()), e))
    }

    fn standing(&mut self) -> Result<Standing> {
        let standing = read(&self.connection, &self.table.name());
        self.standing_of(standing)
    }
}

impl SqliteSink {
    fn standing_of(&self, read: rusqlite::Result<Result<Standing>>) -> Result<Standing> {
        let doing = format!("read the progress of view {}", self.table.view());
        read.map_err(|e| self.failed(&doing, e))?.map_err(|e: Error| e.context(doing))
    }

    fn reset(&self, plan: &ResetPlan) -> rusqlite::Result<()> {
        let (connection, view) = (&self.connection, self.table.name());
        if connection.is_autocommit() {
            self.begin()?;
        }
        if plan.extent == Extent::Whole {
            connection.execute_batch(&format!("DELETE FROM \"{view}\"; DELETE FROM \"{view}_versions\";"))?;
            forget(connection, &view)?;
            remember_fold(connection, &view, self.table.fold_version())?;
            // Also of partitions that the plan does not know.
            connection
                .execute("UPDATE factum_progress SET epoch = epoch + 1, position = 0 WHERE view = ?1", [&view])?;
        }
        for reset in &plan.places {
            let (topic, partition) = (reset.row.place.topic.as_str(), reset.row.place.partition.0);
            let id = reset.row.topic_id.to_string();
            connection.execute(RESET, params![view, topic, id, partition, reset.row.position.0])?;
            connection.execute(
                "DELETE FROM factum_skipped WHERE view = ?1 AND topic = ?2 AND partition = ?3",
                params![view, topic, partition],
            )?;
            for range in &reset.skipped {
                connection.execute(
                    "INSERT INTO factum_skipped (view, topic, partition, from_offset, to_offset) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![view, topic, partition, range.start.0, range.end.0],
                )?;
            }
        }
        connection.execute_batch("COMMIT")
    }
}

/// Forgets what a view left out or aside or began, and which fold made its rows.
pub(super) fn forget(connection: &Connection, view: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM factum_skipped WHERE view = ?1", [view])?;
    connection.execute("DELETE FROM factum_parked WHERE view = ?1", [view])?;
    connection.execute("DELETE FROM factum_in_hand WHERE view = ?1", [view])?;
    connection.execute("DELETE FROM factum_folds WHERE view = ?1", [view])?;
    Ok(())
}

/// Writes down which fold makes a view's rows, where nothing is known of it.
pub(super) fn remember_fold(connection: &Connection, view: &str, fold_version: u32) -> rusqlite::Result<()> {
    let insert = "INSERT INTO factum_folds (view, fold_version) VALUES (?1, ?2) ON CONFLICT (view) DO NOTHING";
    connection.execute(insert, params![view, fold_version]).map(drop)
}

/// A view's standing; the inner error says that a topic's id cannot be read.
fn read(connection: &Connection, view: &str) -> rusqlite::Result<Result<Standing>> {
    let place = |row: &Row<'_>| -> rusqlite::Result<TopicPartition> {
        Ok(Topic::new(row.get::<_, String>(0)?).partition(Partition(row.get(1)?)))
    };
    let mut select = connection.prepare_cached(PROGRESS)?;
    let rows = select.query_map([view], |row| Ok((place(row)?, row.get::<_, String>(2)?, Offset(row.get(3)?))))?;
    let rows = rows.map(|row| {
        row.map(|(place, id, position)| id.parse().map(|topic_id| ProgressRow { place, topic_id, position }))
    });
    let rows: Result<Vec<ProgressRow>> = rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().collect();
    let mut select = connection.prepare_cached(SKIPPED)?;
    let skipped = select.query_map([view], |row| {
        Ok(Skipped { place: place(row)?, offsets: Offset(row.get(2)?)..Offset(row.get(3)?) })
    })?;
    let skipped = skipped.collect::<rusqlite::Result<_>>()?;
    let fold = "SELECT fold_version FROM factum_folds WHERE view = ?1";
    let fold_version = connection.query_row(fold, [view], |row| row.get(0))?;
    Ok(rows.map(|rows| Standing { rows, skipped, fold_version }))
}
