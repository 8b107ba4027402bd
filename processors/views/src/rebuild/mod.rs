//! Building a view anew beside the live one.
//!
//! [`Rebuild`] is what a sink can do for it; [`Rebuilder`] folds the log into
//! tables beside the live ones, compares both at equal positions, and switches.

mod bounded;
mod parity;
mod rate;
mod rebuilder;
mod shared;
mod target;

pub use parity::{Difference, Parity, Summary};
pub use rebuilder::{RebuildOptions, RebuildProgress, Rebuilder};
pub use target::{AsOf, Target};

use crate::Sink;
use factum_core::{
    Result, TopicPartition,
    view::{Claim, Value, ViewTable},
};
use std::{collections::BTreeMap, fmt};

/// The suffix of the tables that a rebuild writes.
pub const REBUILD: &str = "rebuild";
/// The suffix of the tables that were live before the last switch.
pub const OLD: &str = "old";
/// The suffix of the tables that `verify` folds into.
pub const VERIFY: &str = "verify";
/// The suffix of a table for a moment, while two are exchanged.
const ASIDE: &str = "aside";

/// Who builds which tables of a view, kept in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The name of the table that is written.
    pub table: String,
    /// What it is: one text for one meaning, so that a later process knows whether it can go on with it.
    pub what: String,
    /// Who builds it, for people.
    pub owner: String,
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) by {}", self.table, self.what, self.owner)
    }
}

/// A table with its watermarks and progress gets another name.
#[derive(Debug, Clone, Copy)]
pub struct Rename<'a> {
    /// From this.
    pub from: &'a ViewTable,
    /// To this; no such table exists when its turn comes.
    pub to: &'a ViewTable,
}

/// A sink whose database can hold several tables of a view and exchange them.
///
/// Contract, checked by the same suite over all implementations: readers never
/// see a table missing or half there; a runner that worked on a table which
/// was exchanged finds its claim lost at its next commit.
pub trait Rebuild: Sink {
    /// Makes this sink the only one that changes the view's tables, until it is
    /// dropped or its process dies. Answers with what was being built when a
    /// process died, or the same process gave up, and not ended by [`Rebuild::unlock`].
    ///
    /// # Errors
    /// `Conflict`, naming who: somebody else has the lock.
    fn lock(&mut self, live: &ViewTable, build: &Build) -> Result<Option<Build>>;

    /// Notes that the build is over, and gives the lock up.
    fn unlock(&mut self, live: &ViewTable) -> Result<()>;

    /// Whether the table exists.
    fn exists(&mut self, table: &ViewTable) -> Result<bool>;

    /// The table's progress rows; empty where there is no table.
    fn progress(&mut self, table: &ViewTable) -> Result<BTreeMap<TopicPartition, Claim>>;

    /// Up to `limit` rows in the order of their keys' bytes, behind `after`.
    fn scan(&mut self, table: &ViewTable, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<Value>)>>;

    /// Begins a transaction in which nobody else moves the progress of this
    /// view's live table, nor writes its rows; it is still read by everybody.
    /// This sink's own loads and commits become a part of the transaction.
    fn freeze(&mut self, live: &ViewTable) -> Result<()>;

    /// Ends the transaction of [`Rebuild::freeze`], and what was done in it is
    /// undone. None open is no error.
    fn thaw(&mut self) -> Result<()>;

    /// Renames tables, one after another, in the transaction of
    /// [`Rebuild::freeze`] or one of its own, and ends it. Every progress row
    /// that comes along gets an epoch above all of theirs, so that whoever had
    /// claimed one of them finds its claim lost.
    fn rename(&mut self, renames: &[Rename<'_>]) -> Result<()>;

    /// Drops a table with its watermarks and its progress; none there is no error.
    fn drop_table(&mut self, table: &ViewTable) -> Result<()>;
}

/// Makes the old tables live again, with the progress they had, and the live ones old.
///
/// # Errors
/// `Invalid` when there are no old tables.
pub fn roll_back(sink: &mut dyn Rebuild, live: &ViewTable) -> Result<()> {
    let (old, aside) = (live.beside(OLD)?, live.beside(ASIDE)?);
    sink.rename(&[
        Rename { from: live, to: &aside },
        Rename { from: &old, to: live },
        Rename { from: &aside, to: &old },
    ])
}
