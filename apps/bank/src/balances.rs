//! The view of balances: one row per account.

use crate::Event;
use factum::view::{Recorded, Scope, View};

/// Each account's balance, fed by its own partition only.
#[derive(Debug)]
pub struct Balances;

/// The row of an account.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Balance {
    /// The balance, in cents.
    pub balance: i64,
    /// How many entries changed it.
    pub entries: i64,
    /// When the last one occurred, milliseconds since 1970.
    pub last_entry_ms: i64,
}

impl View for Balances {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["bank.account"];
    const SCOPE: Scope = Scope::Aggregate;
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        match event.event.change_cents() {
            0 => Vec::new(),
            _ => vec![event.aggregate.to_string()],
        }
    }

    fn fold(_account: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        let row = row.unwrap_or(Balance { balance: 0, entries: 0, last_entry_ms: 0 });
        Some(Balance {
            balance: row.balance + event.event.change_cents(),
            entries: row.entries + 1,
            last_entry_ms: event.occurred.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deposited, OverdraftInterestAccrued, OverdraftLimitChanged, Withdrawn};
    use factum::testing::given_events;

    #[test]
    fn a_row_holds_the_sum_of_an_accounts_entries() {
        given_events::<Balances>("anna", [Deposited { cents: 100 }])
            .and("anna", [Withdrawn { cents: 30 }])
            .and("anna", [Deposited { cents: 50 }])
            .and("bert", [Deposited { cents: 7 }])
            .then_row("anna", Balance { balance: 120, entries: 3, last_entry_ms: 2 })
            .then_row("bert", Balance { balance: 7, entries: 1, last_entry_ms: 3 });
    }

    #[test]
    fn what_moves_no_money_makes_no_row() {
        given_events::<Balances>("anna", [OverdraftLimitChanged { limit_cents: 100 }])
            .and("anna", [OverdraftInterestAccrued { cents: 1 }])
            .then_no_row("anna");
    }
}
