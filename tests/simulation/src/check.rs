//! What the checker needs of a world, and what it says of it.

use crate::{
    bank::Bank,
    handler::PARTITIONS,
    views::{ALL, Totals},
    world::World,
};
use factum_bank::Balances;
use factum_core::{
    Result, partition_of,
    view::{Value, ViewTable},
};
use factum_history::{Row, Verdict, read_events, read_requests};
use factum_views::{MemoryDatabase, Query, Rows as _};
use std::{collections::BTreeMap, time::Duration};

/// What is wrong with a world that has come to rest, one line each, and how many events it has.
///
/// # Errors
/// What the log or the database cannot do.
pub(crate) fn check(world: &World, bank: &Bank, database: &MemoryDatabase) -> Result<(Vec<String>, usize)> {
    let mut history = world.notes().history.clone();
    let decode = |record: factum_core::RecordRef<'_>| Ok(bank.event(record.value().unwrap_or_default())?);
    history.events = read_events(&world.log, &world.topics.events, Duration::ZERO, decode)?;
    history.requests = read_requests(&world.log, &world.topics.commands, Duration::ZERO)?;
    history.balances = rows(database, &ViewTable::of::<Balances>()?)?;
    history.totals = Some(rows(database, &ViewTable::of::<Totals>()?)?.remove(ALL).unwrap_or_default());
    let verdict = factum_history::check(&history);
    let mut wrong: Vec<String> = verdict.violations.iter().map(ToString::to_string).collect();
    check_memory(world, &verdict, &mut wrong);
    Ok((wrong, history.events.len()))
}

fn rows(database: &MemoryDatabase, table: &ViewTable) -> Result<BTreeMap<String, Row>> {
    let mut rows = BTreeMap::new();
    for row in database.page(&Query::new(table))?.rows {
        if let [Value::Text(key), Value::Integer(balance), Value::Integer(entries), ..] = &row[..] {
            rows.insert(key.clone(), Row { balance_cents: *balance, entries: *entries });
        }
    }
    Ok(rows)
}

/// The memory of every owner is the fold of its log.
fn check_memory(world: &World, verdict: &Verdict, wrong: &mut Vec<String>) {
    world.each(|actor| {
        let owned = actor.partitions();
        for (account, folded) in &verdict.accounts {
            if !owned.contains(&partition_of(account.as_bytes(), PARTITIONS)) {
                continue;
            }
            let expected = Some((folded.state.clone(), folded.version));
            let found = actor.state(account);
            if found != expected {
                wrong.push(format!(
                    "memory = fold(log): the memory has {account} as {found:?}, the log says {expected:?}"
                ));
            }
        }
    });
}
