//! The reference bank: accounts with deposits, withdrawals and an overdraft
//! limit, entries imported from another bank's books, and a view of balances.
//!
//! Money is integer cents. An account's balance changes only by events; the
//! ordinary way to one is a command that checks the limit, and the import's is
//! [`RecordEntry`], which records what has happened elsewhere. [`Year`] is a
//! generated one to try it with.

mod account;
mod balances;
mod messages;
mod year;

pub use account::{Account, IMPORT_PERMISSION, Refusal};
pub use balances::{Balance, Balances};
pub use messages::{
    Command, Deposit, Deposited, EntryKind, Event, FeeCharged, InterestCredited, OverdraftInterestCharged,
    OverdraftLimitSet, RecordEntry, SetOverdraftLimit, Withdraw, Withdrawn,
};
pub use year::{MAX_ACCOUNTS, MAX_TRANSACTIONS, Transaction, Transactions, Year};
