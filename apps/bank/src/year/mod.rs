//! A generated year of a bank: for the first run, for tests and for benchmarks.
//!
//! Accounts open with a balance on the first of January. Some get a salary near
//! each month's end and pay rent on the first; some bear interest, which is
//! booked each quarter; some may overdraw. Everything else is everyday: card
//! payments by weekday and hour, and money put in when little is left. A payment
//! that an account does not cover is sent as well and will be refused.
//!
//! A year is made while it is read: memory holds its accounts and one day.

mod calendar;
mod draw;
mod holder;
mod transactions;

pub use transactions::{Transaction, Transactions};

use factum::{Error, Result, Sample, send::Outgoing};

/// A year of a bank. The same four numbers give the same transactions, always:
/// a test pins them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Year {
    seed: u64,
    accounts: u32,
    transactions: u64,
    year: i16,
}

/// The most accounts; each takes about 150 bytes of memory.
pub const MAX_ACCOUNTS: u32 = 10_000_000;
/// The most transactions: a day of them is in memory.
pub const MAX_TRANSACTIONS: u64 = 1_000_000_000;

impl Default for Year {
    /// 200 accounts and 5 000 transactions in 2025.
    fn default() -> Self {
        Year { seed: 1, accounts: 200, transactions: 5_000, year: 2025 }
    }
}

impl Year {
    /// A year of so many accounts and transactions.
    ///
    /// Each account has about 13 transactions that are due at some date: its
    /// opening, salaries, rents, interest. What is left of `transactions` is
    /// everyday payments; with fewer than that the year ends early.
    ///
    /// # Errors
    /// `Invalid` for no account, more than [`MAX_ACCOUNTS`], more transactions
    /// than [`MAX_TRANSACTIONS`], and a year outside of 1970 to 9998.
    pub fn new(seed: u64, accounts: u32, transactions: u64, year: i16) -> Result<Self> {
        if !(1..=MAX_ACCOUNTS).contains(&accounts) {
            return Err(Error::invalid(format!("a year has 1 to {MAX_ACCOUNTS} accounts, not {accounts}")));
        }
        if transactions > MAX_TRANSACTIONS {
            return Err(Error::invalid(format!(
                "a year has at most {MAX_TRANSACTIONS} transactions, not {transactions}"
            )));
        }
        if !(1970..=9998).contains(&year) {
            return Err(Error::invalid(format!("{year} is not a year from 1970 to 9998")));
        }
        Ok(Year { seed, accounts, transactions, year })
    }

    /// How many transactions it has.
    pub fn count(&self) -> u64 {
        self.transactions
    }

    /// The transactions, by the time at which they occurred.
    pub fn transactions(&self) -> Transactions {
        Transactions::new(*self)
    }

    /// The year as what `up` publishes at first.
    pub fn sample(self) -> Sample {
        let title = format!("the year {} of {} accounts", self.year, self.accounts);
        Sample::generated("bank.account", title, self.count(), move || self.transactions().map(Outgoing::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_out_of_range_is_refused() {
        for (year, text) in [
            (Year::new(1, 0, 5_000, 2025), "1 to 10000000 accounts, not 0"),
            (Year::new(1, MAX_ACCOUNTS + 1, 5_000, 2025), "not 10000001"),
            (Year::new(1, 200, MAX_TRANSACTIONS + 1, 2025), "at most 1000000000 transactions"),
            (Year::new(1, 200, 5_000, 1969), "1969 is not a year"),
        ] {
            let error = year.unwrap_err();
            assert_eq!(error.kind(), factum::ErrorKind::Invalid);
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(Year::new(1, 200, 5_000, 2025).unwrap(), Year::default());
    }
}
