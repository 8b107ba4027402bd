//! The views: one of single accounts, and one whose row all partitions share.

use crate::poison;
use factum_bank::{Balance, Balances, Event};
use factum_core::{
    Aggregate,
    view::{Recorded, Scope, View},
};

/// The bank's view of balances, which also notes in which order events came to it.
#[derive(Debug)]
pub(crate) struct Accounts;

/// The row of an account.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct AccountRow {
    /// As the bank's view has it.
    pub(crate) balance: i64,
    /// As the bank's view has it.
    pub(crate) entries: i64,
    /// As the bank's view has it.
    pub(crate) last_entry_ms: i64,
    /// The version with the last event that was applied.
    pub(crate) version: i64,
    /// Events that came when the same or a later version had been applied.
    pub(crate) late: i64,
}

impl View for Accounts {
    const NAME: &'static str = Balances::NAME;
    const VERSION: u32 = Balances::VERSION;
    const INPUTS: &'static [&'static str] = Balances::INPUTS;
    const SCOPE: Scope = Balances::SCOPE;
    type Event = Event;
    type Row = AccountRow;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        Balances::keys(event)
    }

    fn fold(key: &str, row: Option<AccountRow>, event: &Recorded<Event>) -> Option<AccountRow> {
        poison::folds(&event.event);
        let (last, late) = row.as_ref().map_or((0, 0), |row| (row.version, row.late));
        let row =
            row.map(|row| Balance { balance: row.balance, entries: row.entries, last_entry_ms: row.last_entry_ms });
        let Balance { balance, entries, last_entry_ms } = Balances::fold(key, row, event)?;
        let version = i64::try_from(event.version.0).unwrap_or(i64::MAX);
        Some(AccountRow { balance, entries, last_entry_ms, version, late: late + i64::from(version <= last) })
    }
}

/// All money of the bank, in one row.
#[derive(Debug)]
pub(crate) struct Totals;

/// The key of its row.
pub(crate) const ALL: &str = "all";

/// The row of the totals.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Total {
    /// The sum of all balances, in cents.
    pub(crate) balance: i64,
    /// How many entries changed it.
    pub(crate) entries: i64,
}

impl View for Totals {
    const NAME: &'static str = "totals";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &[factum_bank::Account::TYPE];
    const SCOPE: Scope = Scope::Shared;
    type Event = Event;
    type Row = Total;

    fn keys(_: &Recorded<Event>) -> Vec<String> {
        vec![ALL.to_owned()]
    }

    fn fold(_: &str, row: Option<Total>, event: &Recorded<Event>) -> Option<Total> {
        poison::folds(&event.event);
        let row = row.unwrap_or(Total { balance: 0, entries: 0 });
        Some(Total { balance: row.balance + event.event.change_cents(), entries: row.entries + 1 })
    }
}
