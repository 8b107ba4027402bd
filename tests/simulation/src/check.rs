//! What the checker needs of a world, and what it says of it.

use crate::{
    bank::Bank,
    folds::{ALL, Accounts, Totals},
    handler::PARTITIONS,
    parked::Found,
    world::World,
};
use factum_core::{Result, partition_of, wire::header};
use factum_history::{Verdict, read_committed, read_events, read_requests};
use factum_views::MemoryDatabase;
use std::{collections::BTreeSet, time::Duration};

/// What is wrong with a world that has come to rest, one line each, and how many events it has.
///
/// # Errors
/// What the log or the database cannot do.
pub(crate) fn check(world: &World, bank: &Bank, database: &MemoryDatabase) -> Result<(Vec<String>, usize)> {
    let mut history = world.notes().history.clone();
    let decode = |record: factum_core::RecordRef<'_>| Ok(bank.event(record.value().unwrap_or_default())?);
    history.events = read_events(&world.log, &world.topics.events, Duration::ZERO, decode)?;
    history.requests = read_requests(&world.log, &world.topics.commands, Duration::ZERO)?;
    let accounts = Found::read::<Accounts>(world, database)?;
    let totals = Found::read::<Totals>(world, database)?;
    history.balances = accounts.with_given_up(&history.events);
    history.totals = Some(totals.with_given_up(&history.events).remove(ALL).unwrap_or_default());
    let verdict = factum_history::check(&history);
    let mut wrong: Vec<String> = verdict.violations.iter().map(ToString::to_string).collect();
    check_memory(world, &verdict, &mut wrong);
    let notes = world.notes();
    wrong.extend(notes.wrong.iter().cloned());
    wrong.extend(notes.deliveries.missing(&history.events));
    wrong.extend(accounts.late());
    for found in [&accounts, &totals] {
        if !found.parked.is_empty() {
            wrong.push(format!("view {} still has parked {:?}", found.view, found.parked));
        }
    }
    check_dead_letters(world, &mut wrong)?;
    Ok((wrong, history.events.len()))
}

/// What is wrong with views of which some keys are parked, once everything else has been applied:
/// a parked account's row is that of its version before, and the others are complete.
pub(crate) fn check_parked(world: &World, bank: &Bank, database: &MemoryDatabase) -> Result<Vec<String>> {
    let decode = |record: factum_core::RecordRef<'_>| Ok(bank.event(record.value().unwrap_or_default())?);
    let events = read_events(&world.log, &world.topics.events, Duration::ZERO, decode)?;
    let accounts = Found::read::<Accounts>(world, database)?;
    let totals = Found::read::<Totals>(world, database)?;
    let mut wrong = accounts.differs(&events, |event| event.account.clone());
    wrong.extend(totals.differs(&events, |_| ALL.to_owned()));
    Ok(wrong)
}

/// A command's record is dead-lettered once, however often it is delivered.
fn check_dead_letters(world: &World, wrong: &mut Vec<String>) -> Result<()> {
    let letters = read_committed(&world.log, &world.topics.dead_letters, Duration::ZERO)?;
    let mut known = BTreeSet::new();
    for letter in letters.iter() {
        let text = |name: &str| {
            let value = letter.headers().find(|(other, _)| *other == name).and_then(|(_, value)| value);
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        };
        let origin = (text("dead-letter-partition"), text("dead-letter-offset"), text(header::ID));
        if !known.insert(origin.clone()) {
            wrong.push(format!("none applied twice: the command at {origin:?} was dead-lettered twice"));
        }
    }
    Ok(())
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
