//! The judgement: a history goes in, violations come out.

use crate::{Asked, Event, History, Row, Rule, Violation};
use factum_bank::{Account, Command};
use factum_core::{
    Aggregate, CommandId, Offset, Partition, TimestampMs, Version, partition_of,
    wire::{Answer, AnswerCode},
};
use std::collections::{BTreeMap, BTreeSet};

/// What came of a check.
#[derive(Debug)]
pub struct Verdict {
    /// The accounts as their events make them.
    pub accounts: BTreeMap<String, Folded>,
    /// What is wrong; nothing in a good run.
    pub violations: Vec<Violation>,
}

/// An account as its events make it.
#[derive(Debug, Default)]
pub struct Folded {
    /// Its state.
    pub state: Account,
    /// Its version.
    pub version: Version,
    /// The state before each version; the first is that of version 1.
    before: Vec<Account>,
}

/// The events of one command, as the log has them.
#[derive(Debug)]
struct Batch<'a> {
    partition: Partition,
    account: &'a str,
    command: CommandId,
    command_offset: Offset,
    first: Version,
    last: Version,
    last_offset: Offset,
    events: Vec<&'a factum_bank::Event>,
}

/// Judges a history.
pub fn check(history: &History) -> Verdict {
    let mut check = Check { history, accounts: BTreeMap::new(), batches: Vec::new(), found: history.seen.clone() };
    check.log();
    check.repeats();
    check.commands();
    check.money();
    check.views();
    if history.dead_letters > 0 {
        check.violated(Rule::NoDeadLetters, format!("{} commands lie in the dead letters", history.dead_letters));
    }
    Verdict { accounts: check.accounts, violations: check.found }
}

impl Folded {
    /// The state at a version.
    fn at(&self, version: Version) -> Option<Account> {
        if version == self.version {
            return Some(self.state.clone());
        }
        self.before.get(usize::try_from(version.0).ok()?).cloned()
    }

    fn row(&self) -> Row {
        Row { balance_cents: self.state.balance_cents, entries: i64::try_from(self.version.0).unwrap_or(i64::MAX) }
    }
}

struct Check<'a> {
    history: &'a History,
    accounts: BTreeMap<String, Folded>,
    /// In the order of the log, partition by partition.
    batches: Vec<Batch<'a>>,
    found: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn violated(&mut self, rule: Rule, what: String) {
        self.found.push(Violation { rule, what });
    }

    /// The log in itself.
    fn log(&mut self) {
        let history = self.history;
        let mut clocks: BTreeMap<Partition, TimestampMs> = BTreeMap::new();
        let mut last_batch: BTreeMap<Partition, usize> = BTreeMap::new();
        for event in &history.events {
            if partition_of(event.account.as_bytes(), history.partitions) != event.partition {
                self.violated(Rule::BatchesWhole, format!("its partition is not its key's: {event:?}"));
            }
            let clock = clocks.entry(event.partition).or_insert(event.at);
            if event.at < *clock {
                let what = format!("{} ms came before it: {event:?}", clock.0);
                self.found.push(Violation { rule: Rule::TimeGoesOn, what });
            }
            *clock = event.at.max(*clock);
            self.fold(event);
            if event.index == 0 {
                last_batch.insert(event.partition, self.batches.len());
                self.batches.push(Batch::begun_by(event));
                continue;
            }
            let batch = last_batch.get(&event.partition).and_then(|&index| self.batches.get_mut(index));
            let next = batch.filter(|batch| batch.command == event.command && batch.events.len() == event.position());
            match next {
                Some(batch) => {
                    (batch.last, batch.last_offset) = (event.version, event.offset);
                    batch.events.push(&event.event);
                }
                None => self.violated(Rule::BatchesWhole, format!("its batch is torn: {event:?}")),
            }
        }
    }

    fn fold(&mut self, event: &Event) {
        let folded = self.accounts.entry(event.account.clone()).or_default();
        let known = folded.version;
        folded.before.push(folded.state.clone());
        folded.state.evolve(&event.event);
        folded.version = event.version;
        if event.version != known.plus(1) {
            self.violated(Rule::VersionsInOrder, format!("version {known} is followed by {event:?}"));
        }
    }

    /// No command is applied twice, as long as the handler remembers it.
    fn repeats(&mut self) {
        let history = self.history;
        let mut first: BTreeMap<CommandId, &Batch<'_>> = BTreeMap::new();
        let mut found = Vec::new();
        for batch in &self.batches {
            if !history.commands.contains_key(&batch.command) {
                found.push((Rule::NothingInvented, format!("nobody asked for {batch:?}")));
            }
            let Some(earlier) = first.insert(batch.command, batch) else { continue };
            let between = history.requests.iter().filter(|request| {
                request.partition == batch.partition
                    && request.account == batch.account.as_bytes()
                    && (earlier.command_offset..batch.command_offset).contains(&request.offset)
            });
            let others = between.map(|request| request.id).collect::<BTreeSet<_>>().len();
            if others < history.window {
                found.push((Rule::NothingTwice, format!("{earlier:?} and, {others} commands later, {batch:?}")));
            }
        }
        found.into_iter().for_each(|(rule, what)| self.violated(rule, what));
    }

    /// The first batch of each command.
    fn by_command(&self) -> BTreeMap<CommandId, &Batch<'a>> {
        let mut batches = BTreeMap::new();
        for batch in &self.batches {
            batches.entry(batch.command).or_insert(batch);
        }
        batches
    }

    /// Each command, its answers and its events.
    fn commands(&mut self) {
        let batches = self.by_command();
        let mut found = Vec::new();
        for (id, asked) in &self.history.commands {
            let mut wrong = |rule, what: &str, told: Option<&Answer>| {
                found.push((rule, format!("{what}: command {id}, {asked:?}, answered {told:?}")));
            };
            let batch = batches.get(id).copied();
            if let Some(what) = batch.and_then(|batch| self.undeserved(asked, batch)) {
                wrong(Rule::NothingInvented, &what, None);
            }
            for answer in &asked.answers {
                if let Err((rule, what)) = self.answer(asked, answer, batch) {
                    wrong(rule, &what, Some(answer));
                }
            }
            if asked.answers.is_empty() {
                wrong(Rule::AllAnswered, "it was never answered", None);
            }
            let outcomes: BTreeSet<_> = asked.answers.iter().filter_map(outcome).collect();
            if outcomes.len() > 1 {
                wrong(Rule::AnswersMatch, &format!("it has several outcomes, {outcomes:?}"), None);
            }
        }
        found.into_iter().for_each(|(rule, what)| self.violated(rule, what));
    }

    /// What a command's events are that they should not be.
    fn undeserved(&self, asked: &Asked, batch: &Batch<'_>) -> Option<String> {
        if batch.account != asked.account {
            return Some(format!("its events are of {}", batch.account));
        }
        let state = self.accounts.get(batch.account)?.at(Version(batch.first.0.saturating_sub(1)))?;
        let decided = state.decide(asked.command.clone());
        let same = decided.as_ref().is_ok_and(|events| events.iter().collect::<Vec<_>>() == batch.events);
        (!same).then(|| format!("the account decides {decided:?}, and the log has {:?}", batch.events))
    }

    fn answer(&self, asked: &Asked, answer: &Answer, batch: Option<&Batch<'_>>) -> Result<(), (Rule, String)> {
        let mismatch = |what: String| Err((Rule::AnswersMatch, what));
        match (answer.code, batch) {
            (AnswerCode::Accepted, None) => {
                return Err((Rule::NothingLost, "it was acknowledged, and its event is not in the log".to_owned()));
            }
            (AnswerCode::Accepted, Some(batch)) => {
                if batch.last != answer.version || batch.events.len() as u64 != u64::from(answer.events) {
                    return mismatch(format!("its events are {} to {}", batch.first, batch.last));
                }
                // A repeated answer may name a later position: the offset itself is not always kept.
                let passes = |token: &factum_core::wire::Token| {
                    token.offset >= batch.last_offset && token.place.partition == batch.partition
                };
                if !answer.token.as_ref().is_some_and(passes) {
                    return mismatch(format!("its last event lies at {}@{}", batch.partition, batch.last_offset));
                }
                if asked.expected.is_some_and(|expected| expected.plus(1) != batch.first) {
                    return mismatch("it expected another version".to_owned());
                }
            }
            (AnswerCode::Refused | AnswerCode::Conflict | AnswerCode::DeadlineExceeded, Some(batch)) => {
                let what = format!("it was not accepted, and the log has its event as version {}", batch.first);
                return Err((Rule::NothingInvented, what));
            }
            (AnswerCode::Refused, None) => {
                let state = match self.accounts.get(&asked.account) {
                    Some(folded) => folded.at(answer.version),
                    None => (answer.version == Version::NONE).then(Account::default),
                };
                let refusal = state.and_then(|state| state.decide(asked.command.clone()).err());
                let refusal = refusal.and_then(|refusal| serde_json::to_string(&refusal).ok());
                if refusal.is_none() || refusal != answer.detail {
                    return mismatch(format!("at version {} the account says {refusal:?}", answer.version));
                }
            }
            (AnswerCode::Conflict, None) => {
                let known = self.accounts.get(&asked.account).map_or(Version::NONE, |folded| folded.version);
                if answer.version > known || asked.expected.is_none_or(|expected| expected == answer.version) {
                    return mismatch(format!("its account has version {known}"));
                }
            }
            (AnswerCode::DeadlineExceeded, None) if asked.deadline.is_none() => {
                return mismatch("it has no deadline".to_owned());
            }
            (AnswerCode::DeadlineExceeded, None) => {}
            // They tell nothing of the outcome.
            (AnswerCode::AlreadyHandled | AnswerCode::WrongPartition, _) => {}
            (code, _) => return mismatch(format!("nothing here deserves {code}")),
        }
        Ok(())
    }

    /// What all accounts have is what was paid in, and no transfer is half done.
    fn money(&mut self) {
        let history = self.history;
        let batches = self.by_command();
        let in_log = |id: CommandId| batches.contains_key(&id);
        let of_transfers: BTreeSet<CommandId> = history.transfers.iter().filter_map(|one| one.deposit).collect();
        let deposits = history.commands.iter().filter(|(id, _)| in_log(**id) && !of_transfers.contains(id));
        let paid_in: i64 = deposits
            .map(|(_, asked)| match &asked.command {
                Command::Deposit(deposit) => deposit.cents,
                _ => 0,
            })
            .sum();
        let half_done: Vec<_> = history
            .transfers
            .iter()
            .filter(|one| in_log(one.withdrawal) && !one.deposit.is_some_and(in_log))
            .copied()
            .collect();
        let under_way: i64 = half_done.iter().map(|one| one.cents).sum();
        let there_is: i64 = self.accounts.values().map(|folded| folded.state.balance_cents).sum();
        for one in &half_done {
            self.violated(Rule::MoneyConserved, format!("it was never deposited: {one:?}"));
        }
        if there_is != paid_in - under_way {
            self.violated(
                Rule::MoneyConserved,
                format!("{paid_in} cents were paid in, {under_way} are under way, and the accounts have {there_is}"),
            );
        }
    }

    /// Rows and log, at the end and in between.
    fn views(&mut self) {
        let history = self.history;
        let names: BTreeSet<&String> = self.accounts.keys().chain(history.balances.keys()).collect();
        let rows =
            names.into_iter().map(|name| (name, self.accounts.get(name).map(Folded::row), history.balances.get(name)));
        let mut found: Vec<String> = rows
            .filter(|(_, log, row)| log.as_ref() != *row)
            .map(|(name, log, row)| format!("{name}: the log says {log:?}, the view {row:?}"))
            .collect();
        let all = self.accounts.values().map(Folded::row).fold(Row::default(), |sum, row| Row {
            balance_cents: sum.balance_cents + row.balance_cents,
            entries: sum.entries + row.entries,
        });
        if history.totals.is_some_and(|totals| totals != all) {
            found.push(format!("all accounts: the log says {all:?}, the view {:?}", history.totals));
        }
        found.into_iter().for_each(|what| self.violated(Rule::ViewIsTheFold, what));
        for look in &history.looks {
            if u64::try_from(look.entries).unwrap_or_default() < look.version.0 {
                self.violated(Rule::OwnWritesRead, format!("{look:?}"));
            }
        }
    }
}

impl<'a> Batch<'a> {
    fn begun_by(event: &'a Event) -> Self {
        Batch {
            partition: event.partition,
            account: &event.account,
            command: event.command,
            command_offset: event.command_offset,
            first: event.version,
            last: event.version,
            last_offset: event.offset,
            events: vec![&event.event],
        }
    }
}

impl Event {
    /// Its index in its batch.
    fn position(&self) -> usize {
        usize::try_from(self.index).unwrap_or(usize::MAX)
    }
}

/// An outcome that stays: whoever asks again gets the same one.
fn outcome(answer: &Answer) -> Option<(&'static str, Version, u32, Option<&str>)> {
    match answer.code {
        AnswerCode::Accepted | AnswerCode::Refused => {
            Some((answer.code.as_str(), answer.version, answer.events, answer.detail.as_deref()))
        }
        _ => None,
    }
}
