//! Building a view anew beside the live one.
//!
//! [`Rebuild`] is what a sink can do for it; [`Rebuilder`] folds the log into
//! tables beside the live ones, compares both at equal positions, and switches.

mod bounded;
mod parity;
mod rebuilder;
mod shared;
mod target;

pub use parity::{Difference, Parity, Summary};
pub use rebuilder::{RebuildOptions, RebuildPlace, RebuildProgress, Rebuilder};
pub use target::{AsOf, Target};

use crate::Sink;
use factum_core::{
    Result, TopicPartition,
    view::{Claim, Value, ViewTable},
};
use std::{borrow::Cow, collections::BTreeMap, fmt};

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
    /// dropped or its process dies, and notes what it builds. Answers with the
    /// note of who built this table before and did not end with [`Rebuild::unlock`].
    ///
    /// # Errors
    /// `Conflict`, naming who: somebody else has the lock.
    fn lock(&mut self, live: &ViewTable, build: &Build) -> Result<Option<Build>>;

    /// Notes that the build is over, and gives the lock up.
    fn unlock(&mut self, live: &ViewTable) -> Result<()>;

    /// What was noted of this view's tables and is not over.
    fn unfinished(&mut self, live: &ViewTable) -> Result<Vec<Build>>;

    /// The tables beside the live one, by name.
    fn beside(&mut self, live: &ViewTable) -> Result<Vec<ViewTable>>;

    /// Whether the table exists.
    fn exists(&mut self, table: &ViewTable) -> Result<bool>;

    /// The table's progress rows; empty where there is no table.
    fn progress(&mut self, table: &ViewTable) -> Result<BTreeMap<TopicPartition, Claim>>;

    /// Up to `limit` rows in the order of the bytes of [`Rebuild::sort_key`], behind `after`.
    fn scan(&mut self, table: &ViewTable, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<Value>)>>;

    /// What rows are sorted by, for a key.
    fn sort_key<'a>(&self, key: &'a str) -> Cow<'a, str> {
        key.into()
    }

    /// Compares two tables within the database, if it can do that faster than their rows can be read.
    fn compare(&mut self, _live: &ViewTable, _folded: &ViewTable, _limit: usize) -> Result<Option<Parity>> {
        Ok(None)
    }

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

/// Those of these tables that are beside the live one.
pub(crate) fn named_beside(live: &ViewTable, names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<ViewTable> {
    let prefix = format!("{}_", live.name());
    let suffixes = names.into_iter().filter_map(|name| name.as_ref().strip_prefix(&prefix).map(ToOwned::to_owned));
    // The tables of watermarks are no tables of the view.
    suffixes.filter_map(|suffix| live.beside(&suffix).ok()).collect()
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
