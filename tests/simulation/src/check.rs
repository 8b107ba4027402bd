//! The checker: reads the log and what clients were told, and compares both
//! with a fold of its own.

use crate::{
    bank::Bank,
    handler::{PARTITIONS, WINDOW},
    history::{Asked, History},
    views::{ALL, Totals},
    world::World,
};
use factum_bank::{Account, Balances};
use factum_core::{
    Aggregate, CommandId, Offset, Partition, RecordBatch, Result, TimestampMs, Topic, Version,
    log::{Isolation, Log},
    partition_of,
    view::{Value, ViewTable},
    wire::{Answer, AnswerCode, CommandHeaders, EventHeader},
};
use factum_views::{MemoryDatabase, Query, Rows as _};
use std::collections::{BTreeMap, BTreeSet};

/// The events of one command, as the log has them.
#[derive(Debug, Clone)]
struct Batch {
    partition: Partition,
    account: String,
    command: CommandId,
    command_offset: Offset,
    first: Version,
    last: Version,
    last_offset: Offset,
}

/// An account as its events make it.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    pub(crate) state: Account,
    pub(crate) version: Version,
    /// The state before each version; the first is that of version 1.
    before: Vec<Account>,
}

/// What the events topic says.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) accounts: BTreeMap<String, Folded>,
    batches: Vec<Batch>,
    violations: Vec<String>,
}

/// Everything committed in a topic, partition by partition.
fn read_all(world: &World, topic: &Topic) -> Result<RecordBatch> {
    let (mut admin, mut reader) = (world.log.admin()?, world.log.reader(Isolation::ReadCommitted)?);
    let mut all = RecordBatch::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let place = topic.partition(partition);
        let bounds = admin.bounds(&place, Isolation::ReadCommitted)?;
        reader.add(&place, bounds.start)?;
        while reader.position(&place)?.is_none_or(|position| position < bounds.end) {
            reader.poll(usize::MAX, std::time::Duration::ZERO, &mut all)?;
        }
        reader.remove(&place)?;
    }
    Ok(all)
}

/// Reads the events, and whether they are whole and without gap or repeat.
pub(crate) fn read_truth(world: &World, bank: &Bank) -> Result<Truth> {
    let mut truth = Truth::default();
    let events = read_all(world, &world.topics.events)?;
    let mut clocks: BTreeMap<Partition, TimestampMs> = BTreeMap::new();
    for record in events.iter() {
        let key = String::from_utf8_lossy(record.key().unwrap_or_default()).into_owned();
        let header = EventHeader::read(record)?;
        let mut wrong = |what: String| truth.violations.push(format!("{record:?} of {key}: {what}"));
        if partition_of(key.as_bytes(), PARTITIONS) != record.partition() {
            wrong("it lies in a partition that is not its key's".into());
        }
        let at = record.timestamp().unwrap_or_default();
        let clock = clocks.entry(record.partition()).or_default();
        if at < *clock {
            wrong(format!("its time {} is before the last one, {}", at.0, clock.0));
        }
        *clock = at.max(*clock);
        let folded = truth.accounts.entry(key.clone()).or_default();
        if header.version != folded.version.plus(1) {
            wrong(format!("version {} follows version {}", header.version, folded.version));
        }
        folded.before.push(folded.state.clone());
        folded.state.evolve(&bank.event(record.value().unwrap_or_default())?);
        folded.version = header.version;
        if header.index > 0 {
            let whole = truth.batches.last_mut().filter(|batch| batch.command == header.command);
            match whole {
                Some(batch) => (batch.last, batch.last_offset) = (header.version, record.offset()),
                None => wrong("its batch is torn".into()),
            }
            continue;
        }
        truth.batches.push(Batch {
            partition: record.partition(),
            account: key,
            command: header.command,
            command_offset: header.command_offset,
            first: header.version,
            last: header.version,
            last_offset: record.offset(),
        });
    }
    Ok(truth)
}

/// Compares the log with what clients asked for and were told; what is wrong, one line each.
pub(crate) fn check(world: &World, truth: &mut Truth) -> Result<Vec<String>> {
    let mut wrong = std::mem::take(&mut truth.violations);
    let history = world.history();
    wrong.extend(history.violations.iter().cloned());
    check_repeats(world, truth, &history, &mut wrong)?;
    let mut batches: BTreeMap<CommandId, &Batch> = BTreeMap::new();
    for batch in &truth.batches {
        batches.entry(batch.command).or_insert(batch);
    }
    for (id, asked) in &history.commands {
        for answer in &asked.answers {
            if let Err(what) = check_answer(truth, asked, answer, batches.get(id).copied()) {
                wrong.push(format!("command {id} of {}: {what}; the answer was {answer:?}", asked.account));
            }
        }
        let finals: BTreeSet<_> = asked.answers.iter().filter_map(outcome).collect();
        if finals.len() > 1 {
            wrong.push(format!("command {id} of {}: it has several outcomes: {finals:?}", asked.account));
        }
    }
    check_money(truth, &history, &batches, &mut wrong);
    check_memory(world, truth, &mut wrong);
    Ok(wrong)
}

/// An outcome that stays: whoever asks again gets the same one.
fn outcome(answer: &Answer) -> Option<(&'static str, Version, u32, Option<String>)> {
    match answer.code {
        AnswerCode::Accepted | AnswerCode::Refused => {
            Some((answer.code.as_str(), answer.version, answer.events, answer.detail.clone()))
        }
        _ => None,
    }
}

fn check_answer(truth: &Truth, asked: &Asked, answer: &Answer, batch: Option<&Batch>) -> Result<(), String> {
    let none = Version::NONE;
    match (answer.code, batch) {
        (AnswerCode::Accepted, None) => return Err("it was acknowledged, and its event is not in the log".into()),
        (AnswerCode::Accepted, Some(batch)) => {
            if batch.last != answer.version || batch.last.0 - batch.first.0 + 1 != u64::from(answer.events) {
                return Err(format!("its events are {} to {}", batch.first, batch.last));
            }
            // A repeated answer may name a later position: the offset itself is not always kept.
            let token = answer.token.as_ref().ok_or("it has no token")?;
            if token.offset < batch.last_offset || token.place.partition != batch.partition {
                return Err(format!("its last event lies at {}@{}", batch.partition, batch.last_offset));
            }
            if asked.expected.is_some_and(|expected| expected.plus(1) != batch.first) {
                return Err(format!("it expected version {:?}", asked.expected));
            }
        }
        (AnswerCode::Refused | AnswerCode::Conflict | AnswerCode::DeadlineExceeded, Some(batch)) => {
            return Err(format!("it was not accepted, and the log has its event as version {}", batch.first));
        }
        (AnswerCode::Refused, None) => {
            let state = truth.accounts.get(asked.account.as_str()).map_or(Ok(Account::default()), |folded| {
                folded.at(answer.version).ok_or_else(|| format!("there is no version {}", answer.version))
            })?;
            let refusal = state.decide(asked.command.clone()).err();
            let refusal = refusal.as_ref().and_then(|refusal| serde_json::to_string(refusal).ok());
            if refusal != answer.detail {
                return Err(format!("at version {} the account says {refusal:?}", answer.version));
            }
        }
        (AnswerCode::Conflict, None) if asked.expected.is_none_or(|expected| expected == answer.version) => {
            return Err(format!("it expected {:?}", asked.expected));
        }
        (AnswerCode::DeadlineExceeded, None) if asked.deadline.is_none() => return Err("it has no deadline".into()),
        (AnswerCode::Conflict | AnswerCode::DeadlineExceeded, None) => {}
        // They tell nothing of the outcome.
        (AnswerCode::AlreadyHandled | AnswerCode::WrongPartition, _) => {}
        (code, _) => return Err(format!("nothing here is answered with {code} {none}")),
    }
    Ok(())
}

impl Folded {
    /// The state at a version.
    fn at(&self, version: Version) -> Option<Account> {
        if version == self.version {
            return Some(self.state.clone());
        }
        self.before.get(usize::try_from(version.0).ok()?).cloned()
    }
}

/// No command is applied twice, as long as the handler remembers it.
fn check_repeats(world: &World, truth: &Truth, history: &History, wrong: &mut Vec<String>) -> Result<()> {
    let mut first: BTreeMap<CommandId, &Batch> = BTreeMap::new();
    let mut commands = None;
    for batch in &truth.batches {
        if !history.commands.contains_key(&batch.command) {
            wrong.push(format!("version {} of {}: nobody asked for it", batch.first, batch.account));
        }
        let Some(earlier) = first.insert(batch.command, batch) else { continue };
        if commands.is_none() {
            commands = Some(read_all(world, &world.topics.commands)?);
        }
        let between = commands.iter().flat_map(RecordBatch::iter).filter(|record| {
            record.partition() == batch.partition
                && record.key() == Some(batch.account.as_bytes())
                && (earlier.command_offset..batch.command_offset).contains(&record.offset())
        });
        let ids: BTreeSet<_> = between.filter_map(|record| CommandHeaders::read(record).ok()?.id).collect();
        if ids.len() < WINDOW {
            wrong.push(format!(
                "command {} of {} was applied twice, as version {} and as version {}, with {} others between",
                batch.command,
                batch.account,
                earlier.first,
                batch.first,
                ids.len()
            ));
        }
    }
    Ok(())
}

/// What all accounts have is what was paid in, without what is on its way.
fn check_money(truth: &Truth, history: &History, batches: &BTreeMap<CommandId, &Batch>, wrong: &mut Vec<String>) {
    let of_transfers: BTreeSet<CommandId> = history.transfers.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
    let paid_in: i64 = history
        .commands
        .iter()
        .filter(|(id, _)| !of_transfers.contains(id) && batches.contains_key(id))
        .map(|(_, asked)| match &asked.command {
            factum_bank::Command::Deposit(deposit) => deposit.cents,
            _ => 0,
        })
        .sum();
    let under_way: i64 = history
        .transfers
        .iter()
        .filter(|(from, to, _)| batches.contains_key(from) && !batches.contains_key(to))
        .map(|(_, _, cents)| cents)
        .sum();
    let there_is: i64 = truth.accounts.values().map(|folded| folded.state.balance_cents).sum();
    if there_is != paid_in - under_way {
        wrong.push(format!(
            "money is not conserved: the accounts have {there_is}; {paid_in} were paid in and {under_way} are under way"
        ));
    }
    if under_way > 0 && wrong.is_empty() {
        wrong.push(format!("{under_way} were withdrawn and never deposited"));
    }
}

/// Every row is the fold of the log.
pub(crate) fn check_views(database: &MemoryDatabase, truth: &Truth) -> Result<Vec<String>> {
    let rows = |table: ViewTable| -> Result<BTreeMap<String, (i64, i64)>> {
        let mut rows = BTreeMap::new();
        for row in database.page(&Query::new(&table))?.rows {
            if let [Value::Text(key), Value::Integer(balance), Value::Integer(entries), ..] = &row[..] {
                rows.insert(key.clone(), (*balance, *entries));
            }
        }
        Ok(rows)
    };
    let as_row = |folded: &Folded| (folded.state.balance_cents, i64::try_from(folded.version.0).unwrap_or(i64::MAX));
    let balances: BTreeMap<String, (i64, i64)> =
        truth.accounts.iter().map(|(account, folded)| (account.clone(), as_row(folded))).collect();
    let all = balances.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
    let totals = BTreeMap::from([(ALL.to_owned(), all)]);
    let mut wrong = Vec::new();
    for (table, expected) in [(ViewTable::of::<Balances>()?, balances), (ViewTable::of::<Totals>()?, totals)] {
        let name = table.name();
        let found = rows(table)?;
        if found != expected {
            wrong.push(format!("view {name} has (balance, entries) {found:?}, the log says {expected:?}"));
        }
    }
    Ok(wrong)
}

/// The memory of every owner is the fold of its log.
fn check_memory(world: &World, truth: &Truth, wrong: &mut Vec<String>) {
    world.each(|actor| {
        let owned = actor.partitions();
        for (account, folded) in &truth.accounts {
            if !owned.contains(&partition_of(account.as_bytes(), PARTITIONS)) {
                continue;
            }
            let expected = Some((folded.state.clone(), folded.version));
            let found = actor.state(account);
            if found != expected {
                wrong.push(format!("the memory has {account} as {found:?}, the log says {expected:?}"));
            }
        }
    });
}
