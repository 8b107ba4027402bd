//! The bank's books by other means: from the commands' JSON, without the
//! bank's types, its `decide` or its `evolve`.

use factum::send::Outgoing;
use std::collections::HashMap;

/// What commands come to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Balance and overdraft limit by account, in cents.
    pub(crate) accounts: HashMap<String, (i64, i64)>,
    /// How many entries each account's balance has had.
    pub(crate) entries: HashMap<String, i64>,
    /// Everything that came into the bank from outside.
    pub(crate) inflow_cents: i64,
    /// Everything that left it.
    pub(crate) outflow_cents: i64,
    pub(crate) refused: u64,
}

impl Ledger {
    pub(crate) fn of(commands: impl IntoIterator<Item = Outgoing>) -> Self {
        let mut ledger = Ledger::default();
        commands.into_iter().for_each(|command| ledger.enter(&command));
        ledger
    }

    pub(crate) fn enter(&mut self, command: &Outgoing) {
        let cents = command.fields["cents"].as_i64().unwrap();
        assert!(cents > 0, "{command:?}");
        let id = command.aggregate.as_str();
        let (balance, limit) = self.accounts.entry(id.to_owned()).or_default();
        let (incoming, checked) = match (command.record.as_str(), command.fields["kind"].as_str()) {
            ("bank.account.SetOverdraftLimit", None) => {
                *limit = cents;
                return;
            }
            ("bank.account.Deposit", None) | ("bank.account.RecordEntry", Some("Interest")) => (true, false),
            ("bank.account.Withdraw", None) => (false, true),
            ("bank.account.RecordEntry", Some("OverdraftInterest")) => (false, false),
            other => panic!("{other:?} is not in a year"),
        };
        if checked && cents > *balance + *limit {
            self.refused += 1;
            return;
        }
        *self.entries.entry(id.to_owned()).or_default() += 1;
        if incoming {
            *balance += cents;
            self.inflow_cents += cents;
        } else {
            *balance -= cents;
            self.outflow_cents += cents;
        }
    }

    /// The sum of all balances.
    pub(crate) fn total_cents(&self) -> i64 {
        self.accounts.values().map(|(balance, _)| balance).sum()
    }
}
