//! Somebody who reads what was written: a view that has passed an answer's
//! token has to show what that answer told.

use crate::world::{Actor, World};
use factum_bank::Balances;
use factum_core::{
    Offset, TopicPartition, Version,
    view::{Value, ViewTable},
    wire::{AnswerCode, Token},
};
use factum_history::Look;
use factum_views::{MemoryDatabase, Query, Rows as _};
use std::{collections::BTreeMap, sync::Arc};

/// Reads the balances after every answer.
pub(crate) struct Auditor {
    database: MemoryDatabase,
    waiting: Vec<(String, Version, Token)>,
}

impl Auditor {
    pub(crate) fn new(database: &MemoryDatabase) -> Self {
        Auditor { database: database.clone(), waiting: Vec::new() }
    }
}

impl Actor for Auditor {
    fn step(&mut self, world: &Arc<World>) {
        let told = std::mem::take(&mut world.notes().fresh);
        self.waiting.extend(told.into_iter().filter_map(|(account, answer)| {
            (answer.code == AnswerCode::Accepted).then_some((account, answer.version, answer.token?))
        }));
        let Ok(table) = ViewTable::of::<Balances>() else { return };
        let progress = self.database.progress(&table).unwrap_or_default();
        let positions: BTreeMap<TopicPartition, Offset> =
            progress.into_iter().map(|found| (found.place, found.position)).collect();
        self.waiting.retain(|(account, version, token)| {
            if positions.get(&token.place).is_none_or(|position| *position <= token.offset) {
                return true;
            }
            // Every event of an account is an entry of its row.
            let page = self.database.page(&Query::of_key(&table, account));
            let row = page.ok().and_then(|page| page.rows.into_iter().next());
            let entries = match row.as_ref().and_then(|row| row.get(2)) {
                Some(Value::Integer(entries)) => *entries,
                _ => 0,
            };
            let look = Look { account: account.clone(), version: *version, entries };
            world.notes().history.looks.push(look);
            false
        });
    }

    fn is_done(&self, _world: &World) -> bool {
        self.waiting.is_empty()
    }

    fn describe(&self) -> String {
        format!("the auditor waits for {:?}", self.waiting.first())
    }
}
