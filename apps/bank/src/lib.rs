//! The reference bank: accounts with deposits, withdrawals and an overdraft
//! limit, entries imported from another bank's books, and a view of balances.
//!
//! Money is integer cents. An account's balance changes only by events; the
//! ordinary way to one is a command that checks the limit, and the import's is
//! [`RecordEntry`], which records what has happened elsewhere. [`Year`] is a
//! generated one to try it with.
//!
//! It is in its third version, so that what a domain goes through is gone
//! through here: version 2 gave a fee its reason; version 3 renamed a field
//! ([`OverdraftLimitSet`] became [`OverdraftLimitChanged`]) and split an event
//! ([`OverdraftInterestCharged`] became [`OverdraftInterestAccrued`] and
//! [`OverdraftInterestCollected`]). Bytes of all of them are in `tests/fixtures/corpus`.

mod account;
mod balances;
mod messages;
mod retired;
pub mod v1;
mod year;

pub use account::{Account, CHARGE_PERMISSION, IMPORT_PERMISSION, Refusal};
pub use balances::{Balance, Balances};
pub use messages::{
    ChargeOverdraftInterest, Command, Deposit, Deposited, EntryKind, Event, FeeCharged, InterestCredited,
    OverdraftInterestAccrued, OverdraftInterestCollected, OverdraftLimitChanged, RecordEntry, SetOverdraftLimit,
    Withdraw, Withdrawn,
};
pub use retired::{OverdraftInterestCharged, OverdraftLimitSet};
pub use year::{MAX_ACCOUNTS, MAX_TRANSACTIONS, Transaction, Transactions, Year};
