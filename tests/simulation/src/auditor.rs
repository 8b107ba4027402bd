//! Somebody who reads what was written: a view that has passed an answer's
//! token has to show what that answer told.

use crate::{
    folds::Accounts,
    world::{Actor, World},
};
use factum_core::{
    AggregateId, Topic, Version,
    view::{Value, ViewTable},
    wire::{AnswerCode, Token},
};
use factum_history::Look;
use factum_views::{MemoryDatabase, MemorySink, ParkedRecords as _, Query, Rows as _, Tokens};
use std::sync::Arc;

/// Reads the balances after every answer.
pub(crate) struct Auditor {
    database: MemoryDatabase,
    waiting: Vec<(String, Version, Token)>,
    /// Of topics that were deleted.
    old: Vec<Token>,
    /// Of the last answer.
    last: Option<Token>,
}

impl Auditor {
    pub(crate) fn new(database: &MemoryDatabase) -> Self {
        Auditor { database: database.clone(), waiting: Vec::new(), old: Vec::new(), last: None }
    }

    /// Whether the view has passed a token, as a query asks; one of another topic is refused.
    fn has_passed(&self, table: &ViewTable, token: &Token) -> bool {
        let topics = [token.place.topic.clone()];
        let tokens = Tokens { table, topics: &topics, tokens: std::slice::from_ref(token) };
        tokens.behind(&self.database).is_ok_and(|behind| behind.is_empty())
    }

    /// A token of a topic that was deleted is not to be taken for one of the topic that has its name.
    fn ask_with_old_tokens(&self, world: &World, table: &ViewTable) {
        let progress = self.database.progress(table).unwrap_or_default();
        for token in &self.old {
            let own = progress.iter().find(|found| found.place == token.place).map(|found| found.topic_id);
            if own.is_some() && own != token.topic_id && self.has_passed(table, token) {
                let what = format!("a token of a deleted topic, {token}, is taken for one of the topic {own:?}");
                world.notes().wrong.push(what);
            }
        }
    }

    /// Whether a row may lack events that the view has passed.
    fn is_left_behind(&self, world: &World, table: &ViewTable, topic: &Topic, account: &str) -> bool {
        let sink = MemorySink::open(&self.database, table.clone());
        let parked = AggregateId::new(account)
            .and_then(|account| sink.and_then(|mut sink| sink.parked_records(topic, &account, None, 1)));
        let given_up = world.notes().given_up.contains_key(table.view());
        given_up || parked.is_ok_and(|records| !records.is_empty())
    }
}

impl Actor for Auditor {
    fn step(&mut self, world: &Arc<World>) {
        let told = std::mem::take(&mut world.notes().fresh);
        self.waiting.extend(told.into_iter().filter_map(|(account, answer)| {
            (answer.code == AnswerCode::Accepted).then_some((account, answer.version, answer.token?))
        }));
        self.last = self.waiting.last().map(|(_, _, token)| token.clone()).or(self.last.take());
        let Ok(table) = ViewTable::of::<Accounts>() else { return };
        self.ask_with_old_tokens(world, &table);
        let waiting = std::mem::take(&mut self.waiting);
        let still = |(account, version, token): &(String, Version, Token)| {
            if !self.has_passed(&table, token) {
                return true;
            }
            // Every event of an account is an entry of its row.
            let page = self.database.page(&Query::of_key(&table, account));
            let row = page.ok().and_then(|page| page.rows.into_iter().next());
            let entries = match row.as_ref().and_then(|row| row.get(2)) {
                Some(Value::Integer(entries)) => *entries,
                _ => 0,
            };
            // An account that is parked waits, and events that were given up are in no row.
            if self.is_left_behind(world, &table, &token.place.topic, account) {
                return false;
            }
            let look = Look { account: account.clone(), version: *version, entries };
            world.notes().history.looks.push(look);
            false
        };
        self.waiting = waiting.into_iter().filter(still).collect();
    }

    fn begins_anew(&mut self, _world: &World) {
        self.waiting.clear();
        self.old.extend(self.last.take());
    }

    fn is_done(&self, _world: &World) -> bool {
        self.waiting.is_empty()
    }

    fn describe(&self) -> String {
        format!("the auditor waits for {:?}", self.waiting.first())
    }
}
