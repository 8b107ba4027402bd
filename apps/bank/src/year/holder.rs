//! An account and the habits of whom it belongs to.

use super::draw::Draw;
use crate::{Account, Command, Deposit, EntryKind, RecordEntry, SetOverdraftLimit, Withdraw};
use factum::{Aggregate, Version};

/// What is paid on a positive balance in a year, in percent.
const INTEREST_PERCENT: i64 = 2;
/// What is charged on a negative one.
const OVERDRAFT_PERCENT: i64 = 12;
/// Below this many cents people put money in.
const LOW_CENTS: i64 = 20_000;

/// An account, its habits, and what the bank has to remember of it for interest.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) account: Account,
    pub(super) version: Version,
    opening_cents: i64,
    /// 0 for none.
    pub(super) limit_cents: i64,
    /// Each month; 0 for none.
    pub(super) salary_cents: i64,
    /// How many days before the month's end the salary is due.
    pub(super) payday_before_end: u8,
    /// Each month; 0 for none.
    pub(super) rent_cents: i64,
    pub(super) bears_interest: bool,
    /// The day up to which the balances below are counted.
    counted_day: u32,
    /// The sum of the positive balances at the ends of the quarter's days so far.
    credit_cent_days: i64,
    /// The same of the negative ones, as a positive number.
    debit_cent_days: i64,
}

impl Holder {
    /// Someone new, drawn from the account's own stream.
    pub(super) fn new(draw: &mut Draw) -> Self {
        let mut holder = Holder {
            account: Account::default(),
            version: Version::NONE,
            opening_cents: draw.cents(5_000, 400_000),
            limit_cents: 0,
            salary_cents: 0,
            payday_before_end: 0,
            rent_cents: 0,
            bears_interest: false,
            counted_day: 0,
            credit_cent_days: 0,
            debit_cent_days: 0,
        };
        if draw.chance(45) {
            holder.salary_cents = draw.cents(160_000, 520_000);
            holder.payday_before_end = u8::try_from(draw.below(6)).unwrap_or(0);
            if draw.chance(78) {
                // One in five lives beyond what comes in, and opens with little.
                let stretched = draw.chance(20);
                let percent = if stretched { draw.cents(96, 106) } else { draw.cents(30, 60) };
                holder.rent_cents = holder.salary_cents * percent / 100;
                if stretched {
                    holder.opening_cents = holder.rent_cents / 2;
                }
            }
            if draw.chance(55) {
                holder.limit_cents = draw.cents(5, 30) * 10_000;
            }
        } else if draw.chance(45) {
            // Savings.
            holder.opening_cents *= 5;
            holder.bears_interest = true;
        } else if draw.chance(35) {
            // Lives on the limit rather than on the balance.
            holder.opening_cents = draw.cents(5_000, 40_000);
            holder.limit_cents = draw.cents(5, 15) * 10_000;
        }
        // Whoever may overdraw is charged for it.
        holder.bears_interest |= holder.limit_cents > 0;
        holder
    }

    /// How many transactions are due at a date.
    pub(super) fn due(&self) -> u64 {
        let monthly = [self.salary_cents, self.rent_cents].into_iter().filter(|cents| *cents > 0).count();
        1 + u64::from(self.limit_cents > 0)
            + if monthly == 2 { 24 } else { 12 * u64::from(monthly == 1) }
            + if self.bears_interest { 4 } else { 0 }
    }

    pub(super) fn opening(&self) -> Command {
        Deposit { cents: self.opening_cents }.into()
    }

    pub(super) fn limit(&self) -> Command {
        SetOverdraftLimit { cents: self.limit_cents }.into()
    }

    pub(super) fn salary(&self) -> Command {
        Deposit { cents: self.salary_cents }.into()
    }

    pub(super) fn rent(&self) -> Command {
        Withdraw { cents: self.rent_cents }.into()
    }

    /// The quarter's interest from the balances of its days, at least a cent; begins a new quarter.
    pub(super) fn interest(&mut self, day: u32) -> Command {
        // The last day counts as well.
        self.count_to(day + 1);
        let credit = self.credit_cent_days * INTEREST_PERCENT / 36_500;
        let debit = self.debit_cent_days * OVERDRAFT_PERCENT / 36_500;
        (self.credit_cent_days, self.debit_cent_days) = (0, 0);
        let (kind, cents) = if debit > credit {
            (EntryKind::OverdraftInterest, debit - credit)
        } else {
            (EntryKind::Interest, (credit - debit).max(1))
        };
        RecordEntry { kind, cents, reason: None }.into()
    }

    /// What someone does on an ordinary day: pay, or put money in when little is left.
    pub(super) fn everyday(&self, draw: &mut Draw) -> Command {
        let cents = match draw.weighted(&[60, 30, 10]) {
            0 => draw.cents(250, 9_000),
            1 => draw.cents(1_200, 12_000),
            _ => draw.cents(10_000, 60_000),
        };
        let left = self.account.balance_cents + self.limit_cents;
        if left < LOW_CENTS && draw.chance(80) {
            return Deposit { cents: draw.cents(20, 90) * 1_000 }.into();
        }
        Withdraw { cents }.into()
    }

    /// Does what the bank will do with the command on this day.
    pub(super) fn apply(&mut self, command: Command, day: u32) {
        self.count_to(day);
        // What is refused changes nothing.
        for event in self.account.decide(command).unwrap_or_default() {
            self.account.evolve(&event);
            self.version = self.version.plus(1);
        }
    }

    /// Counts the balance for the days up to `day`, without it.
    fn count_to(&mut self, day: u32) {
        let cent_days = self.account.balance_cents * i64::from(day.saturating_sub(self.counted_day));
        self.counted_day = self.counted_day.max(day);
        if cent_days > 0 {
            self.credit_cent_days += cent_days;
        } else {
            self.debit_cent_days -= cent_days;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder { opening_cents: 0, limit_cents: 100_000, ..Holder::new(&mut Draw::new(1, 1)) }
    }

    #[test]
    fn interest_is_that_of_the_days_on_which_the_money_was_there() {
        let mut holder = holder();
        holder.apply(Deposit { cents: 365_000 }.into(), 10);
        holder.apply(Withdraw { cents: 365_000 }.into(), 20);
        // 3 650 over ten days at 2 % is 2.00.
        assert_eq!(holder.interest(89), RecordEntry { kind: EntryKind::Interest, cents: 200, reason: None }.into());
        // Nothing is booked twice.
        assert_eq!(holder.interest(179), RecordEntry { kind: EntryKind::Interest, cents: 1, reason: None }.into());
    }

    #[test]
    fn an_overdraft_costs() {
        let mut holder = holder();
        holder.apply(holder.limit(), 0);
        holder.apply(Withdraw { cents: 73_000 }.into(), 0);
        // 730 over fifty days at 12 % is 12.00; the last day counts.
        assert_eq!(
            holder.interest(49),
            RecordEntry { kind: EntryKind::OverdraftInterest, cents: 1_200, reason: None }.into()
        );
    }
}
