//! Tables of a view in SQLite beside the live one.

use super::{SqliteSink, resets};
use crate::{
    Sink,
    rebuild::{Build, Rebuild, Rename, named_beside},
};
use factum_core::{
    Error, ErrorKind, Offset, Partition, Result, Topic, TopicPartition,
    view::{Claim, KEY_COLUMN, Value, ViewTable},
};
use rusqlite::{Connection, params};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    path::PathBuf,
};

const BUILDS: &str = "CREATE TABLE IF NOT EXISTS factum_builds (
    built TEXT NOT NULL PRIMARY KEY,
    view TEXT NOT NULL,
    what TEXT NOT NULL,
    owner TEXT NOT NULL,
    is_last INTEGER NOT NULL
) STRICT, WITHOUT ROWID";

impl Rebuild for SqliteSink {
    fn lock(&mut self, live: &ViewTable, build: &Build) -> Result<Option<Build>> {
        if let Some(path) = self.lock_path(live) {
            let held = take(&path).map_err(|error| match error {
                TryLockError::WouldBlock => self.taken(live),
                TryLockError::Error(e) => Error::with_source(
                    ErrorKind::Unavailable,
                    format!("the lock file {} cannot be used", path.display()),
                    e,
                ),
            })?;
            self.build_lock = Some(held);
        }
        let name = live.name();
        let run = |connection: &Connection| {
            connection.execute_batch(BUILDS)?;
            let before = builds(connection, &name)?.into_iter().find(|(_, before)| before.table == build.table);
            connection.execute("UPDATE factum_builds SET is_last = 0 WHERE view = ?1", [&name])?;
            connection.execute(
                "INSERT INTO factum_builds (built, view, what, owner, is_last) VALUES (?1, ?2, ?3, ?4, 1) \
                 ON CONFLICT (built) DO UPDATE SET what = excluded.what, owner = excluded.owner, is_last = 1",
                params![build.table, name, build.what, build.owner],
            )?;
            Ok(before.map(|(_, build)| build))
        };
        run(&self.connection).map_err(|e| self.failed(&format!("lock view {}", live.view()), e))
    }

    fn unlock(&mut self, live: &ViewTable) -> Result<()> {
        let run = |connection: &Connection| {
            connection.execute_batch(BUILDS)?;
            connection.execute("DELETE FROM factum_builds WHERE view = ?1 AND is_last", [live.name()])
        };
        run(&self.connection).map_err(|e| self.failed(&format!("unlock view {}", live.view()), e))?;
        self.build_lock = None;
        Ok(())
    }

    fn unfinished(&mut self, live: &ViewTable) -> Result<Vec<Build>> {
        let builds = self.connection.execute_batch(BUILDS).and_then(|()| builds(&self.connection, &live.name()));
        let builds = builds.map_err(|e| self.failed(&format!("ask who builds view {}", live.view()), e))?;
        Ok(builds.into_iter().map(|(_, build)| build).collect())
    }

    fn beside(&mut self, live: &ViewTable) -> Result<Vec<ViewTable>> {
        let read = || {
            let mut names =
                self.connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
            names.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        Ok(named_beside(live, read().map_err(|e| self.failed(&format!("list tables of view {}", live.view()), e))?))
    }

    fn exists(&mut self, table: &ViewTable) -> Result<bool> {
        exists(&self.connection, &table.name()).map_err(|e| self.failed(&format!("look for {}", table.name()), e))
    }

    fn progress(&mut self, table: &ViewTable) -> Result<BTreeMap<TopicPartition, Claim>> {
        let doing = || format!("read the progress of {}", table.name());
        let read = || {
            let sql = "SELECT topic, partition, topic_id, epoch, position FROM factum_progress WHERE view = ?1";
            let mut rows = self.connection.prepare_cached(sql)?;
            let rows = rows.query_map([table.name()], |row| {
                let place = Topic::new(row.get::<_, String>(0)?).partition(Partition(row.get(1)?));
                Ok((place, row.get::<_, String>(2)?, row.get(3)?, row.get(4)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let rows = read().map_err(|e| self.failed(&doing(), e))?;
        let rows = rows.into_iter().map(|(place, topic_id, epoch, position)| {
            let topic_id = topic_id.parse().map_err(|e: Error| e.context(doing()))?;
            Ok((place, Claim { topic_id, epoch, position: Offset(position), tries: 0 }))
        });
        rows.collect()
    }

    fn scan(&mut self, table: &ViewTable, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<Value>)>> {
        let columns: Vec<String> = table.columns().iter().map(|column| format!("\"{}\"", column.name)).collect();
        let compared = if after.is_some() { ">" } else { ">=" };
        let sql = format!(
            "SELECT {}, \"{KEY_COLUMN}\" FROM \"{}\" WHERE \"{KEY_COLUMN}\" {compared} ?1 ORDER BY \"{KEY_COLUMN}\" LIMIT ?2",
            columns.join(", "),
            table.name()
        );
        let read = || {
            let mut rows = self.connection.prepare_cached(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = rows.query_map(params![after.unwrap_or_default(), limit], |row| {
                Ok((row.get(columns.len())?, self.values(row)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|e| self.failed(&format!("read {}", table.name()), e))
    }

    fn freeze(&mut self, live: &ViewTable) -> Result<()> {
        // The database has one write lock, and readers go on without it.
        self.begin().map_err(|e| self.failed(&format!("lock the progress of view {}", live.view()), e))?;
        self.frozen = true;
        Ok(())
    }

    fn thaw(&mut self) -> Result<()> {
        self.frozen = false;
        self.rollback()
    }

    fn rename(&mut self, renames: &[Rename<'_>]) -> Result<()> {
        if !std::mem::take(&mut self.frozen) {
            self.begin().map_err(|e| self.failed("begin to rename tables", e))?;
        }
        let renamed = rename_all(&self.connection, renames);
        let renamed = renamed.and_then(|()| self.connection.execute_batch("COMMIT"));
        renamed.map_err(|e| {
            let error = self.failed("rename tables", e);
            // What failed is told; a connection that cannot roll back has nothing open.
            self.rollback().unwrap_or_default();
            error
        })
    }

    fn drop_table(&mut self, table: &ViewTable) -> Result<()> {
        let name = table.name();
        let drop = || {
            self.begin()?;
            self.connection.execute_batch(&format!(
                "DROP TABLE IF EXISTS \"{name}\"; DROP TABLE IF EXISTS \"{name}_versions\";"
            ))?;
            self.connection.execute("DELETE FROM factum_progress WHERE view = ?1", [&name])?;
            resets::forget(&self.connection, &name)?;
            self.connection.execute_batch("COMMIT")
        };
        drop().map_err(|e| {
            let error = self.failed(&format!("drop {name}"), e);
            self.rollback().unwrap_or_default();
            error
        })
    }
}

impl SqliteSink {
    /// The file that the operating system locks for whoever builds; it unlocks it when the process ends.
    fn lock_path(&self, live: &ViewTable) -> Option<PathBuf> {
        self.connection.path().filter(|path| !path.is_empty()).map(|path| format!("{path}-{}.lock", live.name()).into())
    }

    fn taken(&self, live: &ViewTable) -> Error {
        let builds = builds(&self.connection, &live.name()).unwrap_or_default();
        let build = builds.into_iter().find_map(|(is_last, build)| is_last.then_some(build));
        let build = build.map_or_else(|| "another process changes its tables".to_owned(), |build| build.to_string());
        Error::new(
            ErrorKind::Conflict,
            format!("view {} is being built: {build}; wait until that ends, or end that process", live.view()),
        )
    }
}

fn take(path: &PathBuf) -> std::result::Result<File, TryLockError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// What was noted of a view, and whether it is what was noted last: with the lock taken, that is what its holder builds.
fn builds(connection: &Connection, view: &str) -> rusqlite::Result<Vec<(bool, Build)>> {
    let sql = "SELECT built, what, owner, is_last FROM factum_builds WHERE view = ?1 ORDER BY built";
    let mut builds = connection.prepare(sql)?;
    let builds = builds.query_map([view], |row| {
        Ok((row.get(3)?, Build { table: row.get(0)?, what: row.get(1)?, owner: row.get(2)? }))
    })?;
    builds.collect()
}

fn exists(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    connection.query_row(sql, [name], |row| Ok(row.get::<_, i64>(0)? > 0))
}

fn rename_all(connection: &Connection, renames: &[Rename<'_>]) -> rusqlite::Result<()> {
    let mut epoch = 0;
    for Rename { from, to } in renames {
        for table in [from, to] {
            let sql = "SELECT ifnull(max(epoch), 0) FROM factum_progress WHERE view = ?1";
            epoch = epoch.max(connection.query_row(sql, [table.name()], |row| row.get::<_, u64>(0))?);
        }
    }
    for Rename { from, to } in renames {
        let (from, to) = (from.name(), to.name());
        connection.execute_batch(&format!(
            "ALTER TABLE \"{from}\" RENAME TO \"{to}\"; ALTER TABLE \"{from}_versions\" RENAME TO \"{to}_versions\";"
        ))?;
        let sql = "UPDATE factum_progress SET view = ?1, epoch = ?2 WHERE view = ?3";
        connection.execute(sql, params![to, epoch + 1, from])?;
        resets::forget(connection, &to)?;
        for table in ["factum_skipped", "factum_parked", "factum_folds"] {
            connection.execute(&format!("UPDATE {table} SET view = ?1 WHERE view = ?2"), [&to, &from])?;
        }
    }
    Ok(())
}
