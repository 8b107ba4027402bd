//! Tables of a view in memory beside the live one.

use super::{MemorySink, State};
use crate::rebuild::{Build, Rebuild, Rename, named_beside};
use factum_core::{
    Error, ErrorKind, Result, TopicPartition,
    view::{Claim, Value, ViewTable},
};
use std::{collections::BTreeMap, ops::Bound};

impl Rebuild for MemorySink {
    fn lock(&mut self, live: &ViewTable, build: &Build) -> Result<Option<Build>> {
        let name = live.name();
        let mut state = self.state();
        if let Some(by) = state.locked.get(&name) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("view {} is being built: {by}; wait until that ends, or end that process", live.view()),
            ));
        }
        state.locked.insert(name.clone(), build.clone());
        let before = state.builds.iter().position(|(view, before)| *view == name && before.table == build.table);
        let before = before.map(|index| state.builds.remove(index).1);
        state.builds.push((name.clone(), build.clone()));
        drop(state);
        self.locked = Some(name);
        Ok(before)
    }

    fn unlock(&mut self, live: &ViewTable) -> Result<()> {
        let mut state = self.state();
        if let Some(build) = state.locked.remove(&live.name()) {
            state.builds.retain(|(_, other)| other.table != build.table);
        }
        drop(state);
        self.locked = None;
        Ok(())
    }

    fn unfinished(&mut self, live: &ViewTable) -> Result<Vec<Build>> {
        let state = self.state();
        Ok(state.builds.iter().filter(|(view, _)| *view == live.name()).map(|(_, build)| build.clone()).collect())
    }

    fn beside(&mut self, live: &ViewTable) -> Result<Vec<ViewTable>> {
        Ok(named_beside(live, self.state().tables.keys()))
    }

    fn exists(&mut self, table: &ViewTable) -> Result<bool> {
        Ok(self.state().tables.contains_key(&table.name()))
    }

    fn progress(&mut self, table: &ViewTable) -> Result<BTreeMap<TopicPartition, Claim>> {
        Ok(self.state().tables.get(&table.name()).map(|table| table.progress.clone()).unwrap_or_default())
    }

    fn scan(&mut self, table: &ViewTable, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<Value>)>> {
        let state = self.state();
        let found = state.tables.get(&table.name()).ok_or_else(|| missing(table))?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = found.rows.range::<str, _>((from, Bound::Unbounded));
        Ok(rows.take(limit).map(|(key, (_, values))| (key.clone(), values.clone())).collect())
    }

    fn freeze(&mut self, live: &ViewTable) -> Result<()> {
        let mut state = self.state();
        if state.frozen.is_some() {
            return Err(Error::unavailable(format!("table {} is held still by another sink", live.name())));
        }
        let before = state.tables.get(&self.table.name()).cloned().ok_or_else(|| missing(&self.table))?;
        state.frozen = Some(live.name());
        drop(state);
        self.before = Some(before);
        Ok(())
    }

    fn thaw(&mut self) -> Result<()> {
        if let Some(before) = self.before.take() {
            let mut state = self.state();
            state.tables.insert(self.table.name(), before);
            state.frozen = None;
        }
        Ok(())
    }

    fn rename(&mut self, renames: &[Rename<'_>]) -> Result<()> {
        let mut state = self.state();
        let mut tables = state.tables.clone();
        let epoch = renames.iter().flat_map(|Rename { from, to }| [from, to]).filter_map(|t| tables.get(&t.name()));
        let epoch = epoch.flat_map(|table| table.progress.values()).map(|row| row.epoch).max().unwrap_or(0) + 1;
        let renamed = renames.iter().try_for_each(|Rename { from, to }| {
            let mut table = tables.remove(&from.name()).ok_or_else(|| missing(from))?;
            table.progress.values_mut().for_each(|row| row.epoch = epoch);
            match tables.insert(to.name(), table) {
                None => Ok(()),
                Some(_) => Err(Error::invalid(format!("there is a table {} already", to.name()))),
            }
        });
        if renamed.is_ok() {
            *state = State { tables, frozen: None, ..std::mem::take(&mut *state) };
        }
        drop(state);
        match renamed {
            Ok(()) => self.before = None,
            Err(_) => self.thaw()?,
        }
        renamed
    }

    fn drop_table(&mut self, table: &ViewTable) -> Result<()> {
        self.state().tables.remove(&table.name());
        Ok(())
    }
}

fn missing(table: &ViewTable) -> Error {
    Error::invalid(format!("there is no table {}", table.name()))
}
