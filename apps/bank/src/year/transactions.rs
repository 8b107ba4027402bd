//! The transactions of a year, one after the other.

use super::{
    Year,
    calendar::{Day, HOUR_MS},
    draw::Draw,
    holder::Holder,
};
use crate::Command;
use factum::{AggregateId, CommandId, Message, TimestampMs, Version, send::Outgoing};
use serde_json::Value;
use std::{collections::VecDeque, vec};
use uuid::Uuid;

/// A command to an account, with the time at which it occurred.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// The same for the same year, seed and place in it (UUID version 5).
    pub id: CommandId,
    /// Whom it is for.
    pub account: AggregateId,
    /// When it occurred.
    pub occurred: TimestampMs,
    /// The account's version before it: a year that is published again changes nothing.
    pub expected_version: Version,
    /// What is asked for.
    pub command: Command,
}

impl From<Transaction> for Outgoing {
    fn from(transaction: Transaction) -> Self {
        let (record, command) = (transaction.command.record_name(), transaction.command);
        let fields = match &command {
            Command::Deposit(command) => serde_json::to_value(command),
            Command::Withdraw(command) => serde_json::to_value(command),
            Command::SetOverdraftLimit(command) => serde_json::to_value(command),
            Command::RecordEntry(command) => serde_json::to_value(command),
            Command::ChargeOverdraftInterest(command) => serde_json::to_value(command),
        };
        // Plain integers and names always have a JSON form; null would be refused when it is encoded.
        let mut fields = fields.unwrap_or(Value::Null);
        // A field that says nothing is left out: a year says the same in every version.
        if let Value::Object(fields) = &mut fields {
            fields.retain(|_, value| !value.is_null());
        }
        Outgoing {
            id: Some(transaction.id),
            occurred: Some(transaction.occurred),
            expected_version: Some(transaction.expected_version),
            ..Outgoing::new(transaction.account, record, fields)
        }
    }
}

/// The transactions of a year, by the time at which they occurred.
///
/// It holds the state of each account and the plan of one day.
#[derive(Debug)]
pub struct Transactions {
    year: Year,
    draw: Draw,
    days: vec::IntoIter<Day>,
    holders: Vec<Holder>,
    day: u32,
    planned: VecDeque<Planned>,
    /// How many everyday payments are still to be planned, and the weight of the days left for them.
    everyday_left: u64,
    weight_left: u64,
    produced: u64,
}

/// What happens on a day; amounts that depend on the balance are drawn when it happens.
#[derive(Debug, Clone, Copy)]
struct Planned {
    ms: i64,
    holder: u32,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Opening,
    Limit,
    Salary,
    Rent,
    Interest,
    Everyday,
}

impl Transactions {
    pub(super) fn new(year: Year) -> Self {
        // Stream 0 is the year's own, each account has one of the others.
        let holders: Vec<Holder> =
            (1..=year.accounts).map(|account| Holder::new(&mut Draw::new(year.seed, account.into()))).collect();
        let days = Day::all(year.year);
        Transactions {
            year,
            draw: Draw::new(year.seed, 0),
            day: 0,
            planned: VecDeque::new(),
            everyday_left: year.transactions.saturating_sub(holders.iter().map(Holder::due).sum()),
            weight_left: days.iter().map(Day::weight).sum(),
            produced: 0,
            days: days.into_iter(),
            holders,
        }
    }

    /// Plans what happens on a day, in its order.
    fn plan(&mut self, day: Day) {
        let begin = day.begin_ms();
        let mut planned = Vec::new();
        for (index, holder) in (0..).zip(&self.holders) {
            // Machines book one account after the other, from a full hour on.
            let mut add = |hour: i64, what| {
                planned.push(Planned {
                    ms: begin + hour * HOUR_MS + i64::from(index % 3_600_000),
                    holder: index,
                    what,
                });
            };
            if day.number == 0 {
                add(0, What::Opening);
                if holder.limit_cents > 0 {
                    add(1, What::Limit);
                }
            }
            if holder.rent_cents > 0 && day.is_first_of_month() {
                add(4, What::Rent);
            }
            if holder.salary_cents > 0 && day.is_payday(holder.payday_before_end) {
                add(5, What::Salary);
            }
            if holder.bears_interest && day.is_end_of_quarter() {
                // Near the day's end, for which the balance of this moment counts.
                add(23, What::Interest);
            }
        }
        let share = u128::from(self.everyday_left) * u128::from(day.weight()) / u128::from(self.weight_left);
        let everyday = u64::try_from(share).unwrap_or(u64::MAX);
        self.everyday_left -= everyday;
        self.weight_left -= day.weight();
        for _ in 0..everyday {
            let holder = self.someone();
            planned.push(Planned { ms: begin + day.card_ms(&mut self.draw), holder, what: What::Everyday });
        }
        // A stable sort: what was planned first comes first within a millisecond.
        planned.sort_by_key(|planned| planned.ms);
        (self.day, self.planned) = (day.number, planned.into());
    }

    /// Who pays: people with a salary two times as often as the others.
    fn someone(&mut self) -> u32 {
        let first = self.draw.below(self.year.accounts);
        let salaried = self.holder(first).is_some_and(|holder| holder.salary_cents > 0);
        if salaried || self.draw.chance(50) { first } else { self.draw.below(self.year.accounts) }
    }

    fn holder(&mut self, index: u32) -> Option<&mut Holder> {
        self.holders.get_mut(usize::try_from(index).ok()?)
    }

    fn id(&self) -> CommandId {
        let Year { seed, accounts, transactions, year } = self.year;
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"factum:bank:year");
        let text = format!("{seed}/{accounts}/{transactions}/{year}/{}", self.produced);
        CommandId(*Uuid::new_v5(&namespace, text.as_bytes()).as_bytes())
    }
}

impl Iterator for Transactions {
    type Item = Transaction;

    fn next(&mut self) -> Option<Transaction> {
        if self.produced == self.year.transactions {
            return None;
        }
        let planned = loop {
            if let Some(planned) = self.planned.pop_front() {
                break planned;
            }
            let day = self.days.next()?;
            self.plan(day);
        };
        let id = self.id();
        let account = AggregateId::new(format!("account-{:04}", planned.holder + 1)).ok()?;
        let (draw, day) = (&mut self.draw, self.day);
        let holder = self.holders.get_mut(usize::try_from(planned.holder).ok()?)?;
        let expected_version = holder.version;
        let command = match planned.what {
            What::Opening => holder.opening(),
            What::Limit => holder.limit(),
            What::Salary => holder.salary(),
            What::Rent => holder.rent(),
            What::Interest => holder.interest(day),
            What::Everyday => holder.everyday(draw),
        };
        holder.apply(command.clone(), day);
        self.produced += 1;
        Some(Transaction { id, account, occurred: TimestampMs(planned.ms), expected_version, command })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.year.transactions - self.produced).ok())
    }
}
