//! The bank's commands and events: one Avro record each.

use crate::retired::{OverdraftInterestCharged, OverdraftLimitSet};
use factum::{command, event};

/// Puts money in.
#[command("bank.account")]
#[derive(Eq)]
pub struct Deposit {
    /// How much, in cents; more than 0.
    pub cents: i64,
}

/// Takes money out, down to the overdraft limit.
#[command("bank.account")]
#[derive(Eq)]
pub struct Withdraw {
    /// How much, in cents; more than 0.
    pub cents: i64,
}

/// Allows the balance to go below zero.
#[command("bank.account")]
#[derive(Eq)]
pub struct SetOverdraftLimit {
    /// How far below zero, in cents; 0 or more.
    pub cents: i64,
}

/// Takes the interest on an overdraft, also beyond the limit. It needs the
/// permission [`CHARGE_PERMISSION`](crate::CHARGE_PERMISSION). Since version 3.
#[command("bank.account")]
#[derive(Eq)]
pub struct ChargeOverdraftInterest {
    /// How much, in cents; more than 0.
    pub cents: i64,
}

/// Records an entry of another bank's books as it happened there: no limit is
/// checked. It needs the permission [`IMPORT_PERMISSION`](crate::IMPORT_PERMISSION).
#[command("bank.account")]
#[derive(Eq)]
pub struct RecordEntry {
    /// What kind of entry.
    pub kind: EntryKind,
    /// How much, in cents; more than 0. The kind tells the direction.
    pub cents: i64,
    /// What a fee was for, where the books say it. Since version 2.
    pub reason: Option<String>,
}

/// The kinds of entries in a bank's books. Their names say it all: the Avro
/// derive takes no documentation on the symbols of an enum.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
pub enum EntryKind {
    Deposit,
    Withdrawal,
    Interest,
    OverdraftInterest,
    Fee,
}

/// What an account may be asked for.
#[command]
#[derive(Eq)]
pub enum Command {
    /// Puts money in.
    Deposit(Deposit),
    /// Takes money out.
    Withdraw(Withdraw),
    /// Allows an overdraft.
    SetOverdraftLimit(SetOverdraftLimit),
    /// Records an entry that happened elsewhere.
    RecordEntry(RecordEntry),
    /// Takes the interest on an overdraft.
    ChargeOverdraftInterest(ChargeOverdraftInterest),
}

/// Money came in.
#[event("bank.account")]
#[derive(Eq)]
pub struct Deposited {
    /// How much, in cents.
    pub cents: i64,
}

/// Money went out.
#[event("bank.account")]
#[derive(Eq)]
pub struct Withdrawn {
    /// How much, in cents.
    pub cents: i64,
}

/// Interest was credited.
#[event("bank.account")]
#[derive(Eq)]
pub struct InterestCredited {
    /// How much, in cents.
    pub cents: i64,
}

/// Interest on an overdraft is owed. Since version 3.
#[event("bank.account")]
#[derive(Eq)]
pub struct OverdraftInterestAccrued {
    /// How much, in cents.
    pub cents: i64,
}

/// Interest on an overdraft was taken from the balance. Since version 3.
#[event("bank.account")]
#[derive(Eq)]
pub struct OverdraftInterestCollected {
    /// How much, in cents.
    pub cents: i64,
}

/// A fee was charged.
#[event("bank.account")]
#[derive(Eq)]
pub struct FeeCharged {
    /// How much, in cents.
    pub cents: i64,
    /// What it was for, if that is known. Since version 2.
    pub reason: Option<String>,
}

/// The overdraft limit changed. Since version 3.
#[event("bank.account")]
#[derive(Eq)]
pub struct OverdraftLimitChanged {
    /// How far below zero the balance may go, in cents.
    pub limit_cents: i64,
}

/// What happened to an account.
#[event(retired(OverdraftInterestCharged, OverdraftLimitSet))]
#[derive(Eq)]
pub enum Event {
    /// Money came in.
    Deposited(Deposited),
    /// Money went out.
    Withdrawn(Withdrawn),
    /// Interest was credited.
    InterestCredited(InterestCredited),
    /// Interest on an overdraft is owed.
    OverdraftInterestAccrued(OverdraftInterestAccrued),
    /// Interest on an overdraft was taken.
    OverdraftInterestCollected(OverdraftInterestCollected),
    /// A fee was charged.
    FeeCharged(FeeCharged),
    /// The overdraft limit changed.
    OverdraftLimitChanged(OverdraftLimitChanged),
}

impl Event {
    /// What the event adds to the balance, in cents.
    pub fn change_cents(&self) -> i64 {
        match self {
            Event::Deposited(Deposited { cents }) | Event::InterestCredited(InterestCredited { cents }) => *cents,
            Event::Withdrawn(Withdrawn { cents })
            | Event::OverdraftInterestCollected(OverdraftInterestCollected { cents })
            | Event::FeeCharged(FeeCharged { cents, .. }) => -cents,
            Event::OverdraftInterestAccrued(_) | Event::OverdraftLimitChanged(_) => 0,
        }
    }
}
