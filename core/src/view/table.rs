//! The table of a view.

use super::{Column, RowShape, Scope, View, row::is_identifier};
use crate::{Error, Result, Topic, Topics};

/// The longest name of a table in PostgreSQL, in bytes.
const MAX_NAME: usize = 63;
/// What a sink puts behind the name of a table for that of its aggregates' watermarks.
const WATERMARKS: &str = "_versions";

/// Where a sink keeps the watermarks of a view's aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermarks {
    /// In the row of the aggregate, whose key is the aggregate's id, and apart where it has no row.
    InRows,
    /// In a table of their own.
    Apart,
}

/// A view's table: what a sink creates, and what a query may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewTable {
    name: String,
    version: u32,
    fold_version: u32,
    columns: Vec<Column>,
    indexes: Vec<Vec<String>>,
    watermarks: Watermarks,
    /// What tells it from the live table; none is that one.
    suffix: Option<String>,
}

impl ViewTable {
    /// The table of a view.
    ///
    /// # Errors
    /// `Invalid`: the view's name is not lower case letters, digits and `_`
    /// (at most 48), its row is not flat ([`RowShape::learn`]), or an index names no column.
    pub fn of<V: View>() -> Result<Self> {
        let shape = RowShape::<V::Row>::learn().map_err(|e| e.context(format!("view {}", V::NAME)))?;
        let watermarks = if V::SCOPE == Scope::Aggregate { Watermarks::InRows } else { Watermarks::Apart };
        Self::new(V::NAME, V::VERSION, shape.columns().to_vec())?
            .folded_by(V::FOLD_VERSION)
            .with_watermarks(watermarks)
            .indexed(V::INDEXES)
    }

    /// A table by name, version and columns, of the first version of its fold, with its watermarks apart.
    ///
    /// # Errors
    /// `Invalid`: the name is not lower case letters, digits and `_` (at most 48).
    pub fn new(name: &str, version: u32, columns: Vec<Column>) -> Result<Self> {
        if !is_identifier(name) {
            return Err(Error::invalid(format!(
                "{name:?} is not a view's name: use up to 48 lower case letters, digits and _, not first a digit"
            )));
        }
        Ok(ViewTable {
            name: name.into(),
            version,
            fold_version: 1,
            columns,
            indexes: Vec::new(),
            watermarks: Watermarks::Apart,
            suffix: None,
        })
    }

    /// The table with an index over each of these lists of columns.
    ///
    /// # Errors
    /// `Invalid`: an index names no column of the table.
    pub fn indexed(mut self, indexes: &[&[&str]]) -> Result<Self> {
        for index in indexes {
            if let Some(unknown) = index.iter().find(|name| self.columns.iter().all(|column| column.name != **name)) {
                return Err(Error::invalid(format!(
                    "view {}: an index names {unknown}, which is no column",
                    self.name
                )));
            }
            self.indexes.push(index.iter().map(|name| (*name).to_owned()).collect());
        }
        Ok(self)
    }

    /// The same table with rows that this version of the view's fold makes.
    #[must_use]
    pub fn folded_by(self, fold_version: u32) -> Self {
        ViewTable { fold_version, ..self }
    }

    /// The same table with its watermarks there. Those in rows are for keys
    /// that are ids of aggregates of one topic.
    #[must_use]
    pub fn with_watermarks(self, watermarks: Watermarks) -> Self {
        ViewTable { watermarks, ..self }
    }

    /// Where its watermarks are kept.
    pub fn watermarks(&self) -> Watermarks {
        self.watermarks
    }

    /// The version of the fold that makes new rows ([`View::FOLD_VERSION`]).
    pub fn fold_version(&self) -> u32 {
        self.fold_version
    }

    /// The view's name without its version.
    pub fn view(&self) -> &str {
        &self.name
    }

    /// A table of the same view beside the live one: `<view>_v<version>_<suffix>`.
    ///
    /// # Errors
    /// `Invalid`: the suffix is not lower case letters, digits and `_`, could
    /// be taken for another view's table, or makes the name too long.
    pub fn beside(&self, suffix: &str) -> Result<Self> {
        let last = suffix.rsplit('_').next().unwrap_or_default();
        let is_version = last.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        if !is_identifier(suffix) || suffix.starts_with('_') || last == "versions" || is_version {
            return Err(Error::invalid(format!(
                "{suffix:?} cannot name tables beside {}: use lower case letters, digits and _, first a letter, \
                 and at the end neither versions nor v with a number",
                self.live().name()
            )));
        }
        let beside = ViewTable { suffix: Some(suffix.into()), ..self.clone() };
        let longest = MAX_NAME - WATERMARKS.len();
        if beside.name().len() > longest {
            return Err(Error::invalid(format!("{} is too long for a table: at most {longest} bytes", beside.name())));
        }
        Ok(beside)
    }

    /// The view's table that is read and kept up to date.
    #[must_use]
    pub fn live(&self) -> Self {
        ViewTable { suffix: None, ..self.clone() }
    }

    /// The table's name: `<view>_v<version>`, and `_<suffix>` for one beside
    /// the live one. It is safe within quoted SQL.
    pub fn name(&self) -> String {
        let name = format!("{}_v{}", self.name, self.version);
        self.suffix.as_ref().map_or_else(|| name.clone(), |suffix| format!("{name}_{suffix}"))
    }

    /// The columns beside the row's key.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns of each index beside the key's.
    pub fn indexes(&self) -> &[Vec<String>] {
        &self.indexes
    }
}

/// The consumer group of a view: `<name>_v<version>.view`.
pub fn view_group<V: View>() -> String {
    format!("{}_v{}.view", V::NAME, V::VERSION)
}

/// The topics that a view reads.
pub fn view_topics<V: View>() -> Vec<Topic> {
    V::INPUTS.iter().map(|input| Topics::of(input).events).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn table(name: &str) -> ViewTable {
        ViewTable::new(name, 3, Vec::new()).unwrap()
    }

    #[test]
    fn tables_beside_the_live_one_have_a_suffix() {
        let beside = table("accounts").beside("may_2026").unwrap();
        assert_eq!(beside.name(), "accounts_v3_may_2026");
        assert_eq!(beside.live(), table("accounts"));
        assert_eq!(beside.beside("old").unwrap().name(), "accounts_v3_old");
    }

    #[test]
    fn a_suffix_that_could_mean_another_table_is_refused() {
        for suffix in ["", "_old", "Old", "o'ld", "1st", "versions", "old_versions", "v2", "old_v2", "v", "a b"] {
            let error = table("accounts").beside(suffix).unwrap_err();
            assert!(error.to_string().contains("cannot name tables beside accounts_v3"), "{suffix}: {error}");
        }
        let error = table(&"a".repeat(48)).beside("rebuild").unwrap_err();
        expect![
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_v3_rebuild is too long for a table: at most 54 bytes"
        ]
        .assert_eq(&error.to_string());
    }
}
