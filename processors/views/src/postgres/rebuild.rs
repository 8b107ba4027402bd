//! Tables of a view in PostgreSQL beside the live one.

use super::{
    PostgresSink,
    compare::compare,
    connection::{Call, Connection, Parameter},
    resets::forget,
    tables::index_name,
    text::{original, stored},
    value::{number, values},
};
use crate::rebuild::{Build, Parity, Rebuild, Rename, named_beside};
use factum_core::{
    Error, ErrorKind, Offset, Partition, Result, Topic, TopicPartition,
    view::{Claim, KEY_COLUMN, Value, ViewTable},
};
use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// By schema and view; held until the connection ends, however it does.
const LOCK: &str =
    "SELECT pg_try_advisory_lock(hashtextextended('factum build ' || current_schema() || '.' || $1::text, 0))";
const UNLOCK: &str =
    "SELECT pg_advisory_unlock(hashtextextended('factum build ' || current_schema() || '.' || $1::text, 0))";
/// How often the lock is asked for, so far apart: a server notices a moment later that a process died.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_LOOK: Duration = Duration::from_millis(50);

const BUILDS: &str = "SELECT built, what, owner, is_last FROM factum_builds WHERE view = $1 ORDER BY built";

const TABLES: &str = "SELECT relname::text FROM pg_class \
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') ORDER BY 1";

/// Whoever holds a row of the live table waits for its progress at most so
/// long for us, and we for it; then we let go, so that it can end.
const FREEZE_WAIT: &str = "SET LOCAL lock_timeout = '100ms'";
const FREEZE_ATTEMPTS: u32 = 50;
const FREEZE_PAUSE: Duration = Duration::from_millis(20);

/// Renaming waits for readers, and new readers wait behind it: so not for long.
const RENAME_WAIT: &str = "SET LOCAL lock_timeout = '1s'";

impl Rebuild for PostgresSink {
    fn lock(&mut self, live: &ViewTable, build: &Build) -> Result<Option<Build>> {
        let (view, doing) = (live.name(), format!("lock view {}", live.view()));
        for attempt in 1.. {
            let answer = self.connection.query(&doing, LOCK, &[&view])?;
            if answer.first().is_some_and(|row| row.get(0)) {
                break;
            }
            if attempt == LOCK_ATTEMPTS {
                return Err(self.taken(live)?);
            }
            std::thread::sleep(LOCK_LOOK);
        }
        let before = builds(&mut self.connection, &doing, &view)?;
        let forget = "UPDATE factum_builds SET is_last = FALSE WHERE view = $1";
        let note = "INSERT INTO factum_builds (built, view, what, owner, is_last) VALUES ($1, $2, $3, $4, TRUE) \
            ON CONFLICT (built) DO UPDATE SET what = excluded.what, owner = excluded.owner, is_last = TRUE";
        self.connection.query(&doing, forget, &[&view])?;
        self.connection.query(&doing, note, &[&build.table, &view, &build.what, &build.owner])?;
        Ok(before.into_iter().map(|(_, build)| build).find(|before| before.table == build.table))
    }

    fn unlock(&mut self, live: &ViewTable) -> Result<()> {
        let (view, doing) = (live.name(), format!("unlock view {}", live.view()));
        self.connection.query(&doing, "DELETE FROM factum_builds WHERE view = $1 AND is_last", &[&view])?;
        self.connection.query(&doing, UNLOCK, &[&view]).map(drop)
    }

    fn unfinished(&mut self, live: &ViewTable) -> Result<Vec<Build>> {
        let doing = format!("ask who builds view {}", live.view());
        let builds = builds(&mut self.connection, &doing, &live.name())?;
        Ok(builds.into_iter().map(|(_, build)| build).collect())
    }

    fn beside(&mut self, live: &ViewTable) -> Result<Vec<ViewTable>> {
        let tables = self.connection.query(&format!("list tables of view {}", live.view()), TABLES, &[])?;
        Ok(named_beside(live, tables.iter().map(|row| row.get::<_, String>(0))))
    }

    fn exists(&mut self, table: &ViewTable) -> Result<bool> {
        let name = table.name();
        let tables = self.connection.query(&format!("look for {name}"), TABLES, &[])?;
        Ok(tables.iter().any(|row| row.get::<_, &str>(0) == name))
    }

    fn progress(&mut self, table: &ViewTable) -> Result<BTreeMap<TopicPartition, Claim>> {
        const PROGRESS: &str =
            "SELECT topic, partition, topic_id, epoch, position FROM factum_progress WHERE view = $1";
        let doing = format!("read the progress of {}", table.name());
        let rows = self.connection.query(&doing, PROGRESS, &[&table.name()])?;
        let rows = rows.iter().map(|row| {
            let partition = Partition(number(row.get::<_, i32>(1), "partition")?);
            let topic_id = row.get::<_, &str>(2).parse().map_err(|e: Error| e.context(&doing))?;
            let epoch = number(row.get::<_, i64>(3), "epoch")?;
            let claim = Claim { topic_id, epoch, position: Offset(row.get(4)), tries: 0 };
            Ok((Topic::new(row.get::<_, String>(0)).partition(partition), claim))
        });
        rows.collect()
    }

    fn scan(&mut self, table: &ViewTable, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<Value>)>> {
        let columns: Vec<String> = table.columns().iter().map(|column| format!("\"{}\"", column.name)).collect();
        let sql = format!(
            "SELECT \"{KEY_COLUMN}\", {} FROM \"{}\" WHERE \"{KEY_COLUMN}\" {} $1 ORDER BY \"{KEY_COLUMN}\" LIMIT $2",
            columns.join(", "),
            table.name(),
            if after.is_some() { ">" } else { ">=" }
        );
        let (after, limit) = (stored(after.unwrap_or_default()), i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.connection.query(&format!("read {}", table.name()), &sql, &[&after, &limit])?;
        rows.iter().map(|row| Ok((original(row.get(0)), values(row, 1, table.columns())?))).collect()
    }

    fn sort_key<'a>(&self, key: &'a str) -> Cow<'a, str> {
        stored(key)
    }

    fn compare(&mut self, live: &ViewTable, folded: &ViewTable, limit: usize) -> Result<Option<Parity>> {
        compare(&mut self.connection, live, folded, limit).map(Some)
    }

    fn freeze(&mut self, live: &ViewTable) -> Result<()> {
        let doing = format!("lock the progress of view {}", live.view());
        for attempt in 1.. {
            match self.try_freeze(&doing, live) {
                Ok(()) => break,
                Err(error) => {
                    self.connection.rollback();
                    if error.kind() != ErrorKind::Unavailable || attempt == FREEZE_ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            std::thread::sleep(FREEZE_PAUSE);
        }
        self.frozen = true;
        Ok(())
    }

    fn thaw(&mut self) -> Result<()> {
        self.frozen = false;
        self.connection.rollback();
        Ok(())
    }

    fn rename(&mut self, renames: &[Rename<'_>]) -> Result<()> {
        let doing = "rename tables";
        let was_frozen = std::mem::take(&mut self.frozen);
        if was_frozen && !self.connection.in_transaction() {
            return Err(Error::unavailable(format!("{doing}: the transaction that held the live table still is lost")));
        }
        let renamed = rename_all(&mut self.connection, doing, renames).and_then(|()| self.connection.commit(doing));
        if renamed.is_err() {
            self.connection.rollback();
        }
        renamed
    }

    fn drop_table(&mut self, table: &ViewTable) -> Result<()> {
        let name = table.name();
        let doing = format!("drop {name}");
        let dropped = drop_all(&mut self.connection, &doing, &name).and_then(|()| self.connection.commit(&doing));
        if dropped.is_err() {
            self.connection.rollback();
        }
        dropped
    }
}

impl PostgresSink {
    fn taken(&mut self, live: &ViewTable) -> Result<Error> {
        let builds = builds(&mut self.connection, "ask who builds", &live.name())?;
        let build = builds.into_iter().find_map(|(is_last, build)| is_last.then_some(build));
        let build = build.map_or_else(|| "another process changes its tables".to_owned(), |build| build.to_string());
        Ok(Error::new(
            ErrorKind::Conflict,
            format!("view {} is being built: {build}; wait until that ends, or end that process", live.view()),
        ))
    }

    /// Rows first: who has loaded some to change them goes on to the progress,
    /// and would wait for us there while we wait for its rows.
    fn try_freeze(&mut self, doing: &str, live: &ViewTable) -> Result<()> {
        let name = live.name();
        self.connection.begin(doing, &[])?;
        self.connection
            .batch(doing, &format!("{FREEZE_WAIT}; LOCK TABLE \"{name}\", \"{name}_versions\" IN EXCLUSIVE MODE"))?;
        let progress = "SELECT 1 FROM factum_progress WHERE view = $1 FOR UPDATE";
        self.connection.query(doing, progress, &[&name]).map(drop)
    }
}

fn builds(connection: &mut Connection, doing: &str, view: &str) -> Result<Vec<(bool, Build)>> {
    let rows = connection.query(doing, BUILDS, &[&view])?;
    let build = |row: &tokio_postgres::Row| Build { table: row.get(0), what: row.get(1), owner: row.get(2) };
    Ok(rows.iter().map(|row| (row.get(3), build(row))).collect())
}

fn rename_all(connection: &mut Connection, doing: &str, renames: &[Rename<'_>]) -> Result<()> {
    connection.begin(doing, &[])?;
    connection.batch(doing, RENAME_WAIT)?;
    let names: Vec<String> = renames.iter().flat_map(|Rename { from, to }| [from.name(), to.name()]).collect();
    let highest = "SELECT coalesce(max(epoch), 0) + 1 FROM factum_progress WHERE view = ANY($1)";
    let epoch: i64 = connection.query(doing, highest, &[&names])?.first().map_or(1, |row| row.get(0));
    for Rename { from, to } in renames {
        let (from_name, to_name) = (from.name(), to.name());
        connection.batch(
            doing,
            &format!(
                "ALTER TABLE \"{from_name}\" RENAME TO \"{to_name}\"; \
                 ALTER TABLE \"{from_name}_versions\" RENAME TO \"{to_name}_versions\""
            ),
        )?;
        for columns in from.indexes() {
            let (from, to) = (index_name(&from_name, columns), index_name(&to_name, columns));
            connection.batch(doing, &format!("ALTER INDEX IF EXISTS \"{from}\" RENAME TO \"{to}\""))?;
        }
        let moved: [Parameter<'_>; 3] = [&to_name, &epoch, &from_name];
        let noted: [Parameter<'_>; 2] = [&to_name, &from_name];
        forget(connection, doing, &to_name)?;
        let calls = [
            Call { sql: "UPDATE factum_progress SET view = $1, epoch = $2 WHERE view = $3", parameters: &moved },
            Call { sql: "UPDATE factum_skipped SET view = $1 WHERE view = $2", parameters: &noted },
            Call { sql: "UPDATE factum_parked SET view = $1 WHERE view = $2", parameters: &noted },
            Call { sql: "UPDATE factum_folds SET view = $1 WHERE view = $2", parameters: &noted },
        ];
        connection.pipeline(doing, None, &calls)?;
    }
    Ok(())
}

fn drop_all(connection: &mut Connection, doing: &str, name: &str) -> Result<()> {
    connection.begin(doing, &[])?;
    connection.batch(
        doing,
        &format!(
            "{RENAME_WAIT}; SET LOCAL client_min_messages = warning; \
             DROP TABLE IF EXISTS \"{name}\"; DROP TABLE IF EXISTS \"{name}_versions\""
        ),
    )?;
    connection.query(doing, "DELETE FROM factum_progress WHERE view = $1", &[&name])?;
    forget(connection, doing, name)
}
