//! What a view shows and what it has parked, compared with the log.

use crate::world::World;
use factum_core::{
    Offset, Result, TopicPartition, Version,
    view::{Value, View, ViewTable},
};
use factum_history::{Event, Row};
use factum_views::{MemoryDatabase, MemorySink, ParkedFilter, ParkedRecords as _, Query, Rows as _};
use std::collections::{BTreeMap, BTreeSet};

/// A view, as its database has it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) view: &'static str,
    rows: BTreeMap<String, Row>,
    /// The columns behind those of every row: the account's version, and how many events came late.
    order: BTreeMap<String, (i64, i64)>,
    /// The first parked version of each parked account.
    pub(crate) parked: BTreeMap<String, Version>,
    /// Parked events that were given up.
    given_up: BTreeSet<(TopicPartition, Offset)>,
    topic: factum_core::Topic,
}

impl Found {
    pub(crate) fn read<V: View>(world: &World, database: &MemoryDatabase) -> Result<Self> {
        let table = ViewTable::of::<V>()?;
        let mut sink = MemorySink::open(database, table.clone())?;
        let parked = sink.parked_keys(&ParkedFilter::default(), None, usize::MAX)?;
        let (mut rows, mut order) = (BTreeMap::new(), BTreeMap::new());
        for row in database.page(&Query::new(&table))?.rows {
            let [Value::Text(key), Value::Integer(balance), Value::Integer(entries), more @ ..] = &row[..] else {
                continue;
            };
            rows.insert(key.clone(), Row { balance_cents: *balance, entries: *entries });
            if let [_, Value::Integer(version), Value::Integer(late), ..] = more {
                order.insert(key.clone(), (*version, *late));
            }
        }
        Ok(Found {
            view: V::NAME,
            rows,
            order,
            parked: parked.into_iter().map(|key| (key.first.aggregate.to_string(), key.first.version)).collect(),
            given_up: world.notes().given_up.get(V::NAME).cloned().unwrap_or_default(),
            topic: world.topics.events.clone(),
        })
    }

    fn is_given_up(&self, event: &Event) -> bool {
        self.given_up.contains(&(self.topic.partition(event.partition), event.offset))
    }

    /// The rows as they would be had no event been given up; a view of all accounts has one row.
    pub(crate) fn with_given_up(&self, events: &[Event]) -> BTreeMap<String, Row> {
        let mut rows = self.rows.clone();
        for event in events.iter().filter(|event| self.is_given_up(event)) {
            let key = if self.order.is_empty() { crate::folds::ALL } else { event.account.as_str() };
            add(&mut rows, key, event);
        }
        rows
    }

    /// Accounts to which an event came after the same or a later one.
    pub(crate) fn late(&self) -> Vec<String> {
        let late = self.order.iter().filter(|(_, (_, late))| *late > 0);
        late.map(|(account, (_, late))| format!("view {}: {late} events of {account} came late", self.view)).collect()
    }

    /// Where the rows are not the fold of what is neither parked nor given up.
    pub(crate) fn differs(&self, events: &[Event], key: impl Fn(&Event) -> String) -> Vec<String> {
        let mut rows = BTreeMap::new();
        for event in events {
            let is_parked = self.parked.get(&event.account).is_some_and(|first| event.version >= *first);
            if !is_parked && !self.is_given_up(event) {
                add(&mut rows, &key(event), event);
            }
        }
        let keys: BTreeSet<&String> = rows.keys().chain(self.rows.keys()).collect();
        let differing = keys.into_iter().filter(|key| rows.get(*key) != self.rows.get(*key));
        differing
            .map(|key| {
                let (found, expected) = (self.rows.get(key), rows.get(key));
                format!(
                    "view {} with {:?} parked has {found:?} for {key}, the log says {expected:?}",
                    self.view, self.parked
                )
            })
            .collect()
    }
}

fn add(rows: &mut BTreeMap<String, Row>, key: &str, event: &Event) {
    if event.event.change_cents() != 0 {
        let row = rows.entry(key.to_owned()).or_default();
        row.balance_cents += event.event.change_cents();
        row.entries += 1;
    }
}
