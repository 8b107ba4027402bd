//! What accounts must hold, reckoned without the program: the truth that the
//! tests compare with.

use crate::{process::Ran, site::Site};
use factum_bank::{Command, EntryKind, Year};
use std::collections::BTreeMap;

/// Balance in cents and number of entries, by account.
pub(crate) type Balances = BTreeMap<String, (i64, i64)>;

/// The sample, reckoned.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
    pub(crate) balances: Balances,
}

/// Reckons the year that `up` publishes at first, by the bank's rules in words:
/// no payment beyond balance and limit.
pub(crate) fn sample() -> Sample {
    let mut sample = Sample { accepted: 0, refused: 0, balances: Balances::new() };
    let mut limits: BTreeMap<String, i64> = BTreeMap::new();
    for transaction in Year::default().transactions() {
        let account = transaction.account.as_str().to_owned();
        let change = match &transaction.command {
            Command::SetOverdraftLimit(limit) => {
                limits.insert(account, limit.cents);
                sample.accepted += 1;
                continue;
            }
            Command::Deposit(deposit) => deposit.cents,
            Command::Withdraw(withdrawal) => -withdrawal.cents,
            Command::ChargeOverdraftInterest(charge) => -charge.cents,
            Command::RecordEntry(entry) => match entry.kind {
                EntryKind::Deposit | EntryKind::Interest => entry.cents,
                EntryKind::Withdrawal | EntryKind::OverdraftInterest | EntryKind::Fee => -entry.cents,
            },
        };
        let checked = matches!(transaction.command, Command::Withdraw(_));
        let (balance, entries) = sample.balances.get(&account).copied().unwrap_or_default();
        if checked && balance + change < -limits.get(&account).copied().unwrap_or(0) {
            sample.refused += 1;
            continue;
        }
        sample.accepted += 1;
        sample.balances.insert(account, (balance + change, entries + 1));
    }
    sample
}

/// The rows of the view as a verb printed them with `--json`.
pub(crate) fn shown(ran: &Ran) -> Balances {
    assert!(ran.ok, "{ran:?}");
    let rows = ran.stdout.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| row[name].as_i64().unwrap();
        (row["key"].as_str().unwrap().to_owned(), (number("balance"), number("entries")))
    });
    rows.collect()
}

/// Runs `up` to its end, and reads the view.
pub(crate) fn finished(site: &Site, arguments: &[&str]) -> (Ran, Balances) {
    let up = ["up", "--until-idle", "--json", "--limit", "10000"];
    let ran = site.run(&[&up, arguments].concat());
    let balances = shown(&ran);
    (ran, balances)
}
