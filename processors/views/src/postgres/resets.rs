//! Resets in PostgreSQL: the view's lock is an advisory one.

use super::{
    PostgresSink,
    connection::{Call, Connection, Parameter},
    value::number,
};
use crate::Resets;
use factum_core::{
    Offset, Partition, Result, Topic, TopicPartition,
    view::{Extent, ProgressRow, ResetPlan, Skipped, Standing},
};
use tokio_postgres::Row;

/// Held until the end of the transaction: by view.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('factum view ' || current_schema() || '.' || $1, 0))";

const PROGRESS: &str =
    "SELECT topic, partition, topic_id, position FROM factum_progress WHERE view = $1 ORDER BY topic, partition";

const SKIPPED: &str = "SELECT topic, partition, from_offset, to_offset FROM factum_skipped WHERE view = $1 \
    ORDER BY topic, partition, from_offset";

const FOLD: &str = "SELECT fold_version FROM factum_folds WHERE view = $1";

const BEGIN_ANEW: &str = "UPDATE factum_progress SET epoch = epoch + 1, position = 0 WHERE view = $1";

const RESET: &str = "INSERT INTO factum_progress AS p (view, topic, topic_id, partition, epoch, position) \
    VALUES ($1, $2, $3, $4, 1, $5) \
    ON CONFLICT (view, topic, partition) DO UPDATE \
    SET epoch = p.epoch + 1, topic_id = excluded.topic_id, position = excluded.position";

const SKIP: &str =
    "INSERT INTO factum_skipped (view, topic, partition, from_offset, to_offset) VALUES ($1, $2, $3, $4, $5)";

impl Resets for PostgresSink {
    fn review(&mut self) -> Result<Standing> {
        let (view, doing) = (self.table.name(), self.reading());
        self.connection.begin(&doing, &[Call { sql: LOCK, parameters: &[&view] }])?;
        read(&mut self.connection, &doing, &view)
    }

    fn record(&mut self, plan: &ResetPlan) -> Result<()> {
        let doing = format!("record a reset of view {}", self.table.view());
        self.connection.begin(&doing, &[])?;
        if plan.extent == Extent::Whole {
            self.empty(&doing)?;
        }
        let view = self.table.name();
        for reset in &plan.places {
            let (topic, id) = (reset.row.place.topic.as_str(), reset.row.topic_id.to_string());
            let partition: i32 = number(reset.row.place.partition.0, "partition")?;
            let row: [Parameter<'_>; 5] = [&view, &topic, &id, &partition, &reset.row.position.0];
            self.connection.query(&doing, RESET, &row)?;
            let forget = "DELETE FROM factum_skipped WHERE view = $1 AND topic = $2 AND partition = $3";
            self.connection.query(&doing, forget, &[&view, &topic, &partition])?;
            for range in &reset.skipped {
                let range: [Parameter<'_>; 5] = [&view, &topic, &partition, &range.start.0, &range.end.0];
                self.connection.query(&doing, SKIP, &range)?;
            }
        }
        self.connection.commit(&doing)
    }

    fn standing(&mut self) -> Result<Standing> {
        let (view, doing) = (self.table.name(), self.reading());
        read(&mut self.connection, &doing, &view)
    }
}

impl PostgresSink {
    fn reading(&self) -> String {
        format!("read the progress of view {}", self.table.view())
    }

    /// Takes everything out of the view, also what partitions hold that no plan knows.
    fn empty(&mut self, doing: &str) -> Result<()> {
        let view = self.table.name();
        // Progress first: whoever is within a commit has moved it, so this
        // waits for its rows, and the deletion sees them. Then nobody may
        // write, and a partition that was claimed meanwhile begins anew too.
        self.connection.query(doing, BEGIN_ANEW, &[&view])?;
        self.connection.batch(doing, &format!("LOCK TABLE \"{view}\" IN EXCLUSIVE MODE"))?;
        self.connection.query(doing, BEGIN_ANEW, &[&view])?;
        self.connection.batch(doing, &format!("DELETE FROM \"{view}\"; DELETE FROM \"{view}_versions\""))?;
        forget(&mut self.connection, doing, &view)?;
        remember_fold(&mut self.connection, doing, &view, self.table.fold_version())
    }
}

/// Forgets what a view left out or aside or began, and which fold made its rows.
pub(super) fn forget(connection: &mut Connection, doing: &str, view: &str) -> Result<()> {
    let calls = [
        Call { sql: "DELETE FROM factum_skipped WHERE view = $1", parameters: &[&view] },
        Call { sql: "DELETE FROM factum_parked WHERE view = $1", parameters: &[&view] },
        Call { sql: "DELETE FROM factum_in_hand WHERE view = $1", parameters: &[&view] },
        Call { sql: "DELETE FROM factum_folds WHERE view = $1", parameters: &[&view] },
    ];
    connection.pipeline(doing, None, &calls).map(drop)
}

/// Writes down which fold makes a view's rows, where nothing is known of it.
pub(super) fn remember_fold(connection: &mut Connection, doing: &str, view: &str, fold_version: u32) -> Result<()> {
    let insert = "INSERT INTO factum_folds (view, fold_version) VALUES ($1, $2) ON CONFLICT (view) DO NOTHING";
    connection.query(doing, insert, &[&view, &i64::from(fold_version)]).map(drop)
}

fn place(row: &Row) -> Result<TopicPartition> {
    Ok(Topic::new(row.get::<_, String>(0)).partition(Partition(number(row.get::<_, i32>(1), "partition")?)))
}

/// A view's standing.
fn read(connection: &mut Connection, doing: &str, view: &str) -> Result<Standing> {
    let parameters: [Parameter<'_>; 1] = [&view];
    let calls = [PROGRESS, SKIPPED, FOLD].map(|sql| Call { sql, parameters: &parameters });
    let answers = connection.pipeline(doing, None, &calls)?;
    let rows = answers[0].iter().map(|row| {
        let topic_id = row.get::<_, &str>(2).parse()?;
        Ok(ProgressRow { place: place(row)?, topic_id, position: Offset(row.get(3)) })
    });
    let skipped = answers[1]
        .iter()
        .map(|row| Ok(Skipped { place: place(row)?, offsets: Offset(row.get(2))..Offset(row.get(3)) }));
    let fold_version = answers[2].first().map_or(Ok(0), |row| number(row.get::<_, i64>(0), "version of a fold"));
    Ok(Standing {
        rows: rows.collect::<Result<_>>().map_err(|e| e.context(doing))?,
        skipped: skipped.collect::<Result<_>>()?,
        fold_version: fold_version?,
    })
}
