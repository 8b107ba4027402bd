//! The table of a view.

use super::{Column, RowShape, View, row::is_identifier};
use crate::{Error, Result, Topic, Topics};

/// A view's table: what a sink creates, and what a query may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewTable {
    name: String,
    version: u32,
    fold_version: u32,
    columns: Vec<Column>,
    indexes: Vec<Vec<String>>,
}

impl ViewTable {
    /// The table of a view.
    ///
    /// # Errors
    /// `Invalid`: the view's name is not lower case letters, digits and `_`
    /// (at most 48), its row is not flat ([`RowShape::learn`]), or an index names no column.
    pub fn of<V: View>() -> Result<Self> {
        let shape = RowShape::<V::Row>::learn().map_err(|e| e.context(format!("view {}", V::NAME)))?;
        Self::new(V::NAME, V::VERSION, shape.columns().to_vec())?.folded_by(V::FOLD_VERSION).indexed(V::INDEXES)
    }

    /// A table by name, version and columns, of the first version of its fold.
    ///
    /// # Errors
    /// `Invalid`: the name is not lower case letters, digits and `_` (at most 48).
    pub fn new(name: &str, version: u32, columns: Vec<Column>) -> Result<Self> {
        if !is_identifier(name) {
            return Err(Error::invalid(format!(
                "{name:?} is not a view's name: use up to 48 lower case letters, digits and _, not first a digit"
            )));
        }
        Ok(ViewTable { name: name.into(), version, fold_version: 1, columns, indexes: Vec::new() })
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

    /// The version of the fold that makes new rows ([`View::FOLD_VERSION`]).
    pub fn fold_version(&self) -> u32 {
        self.fold_version
    }

    /// The view's name without its version.
    pub fn view(&self) -> &str {
        &self.name
    }

    /// The table's name: `<view>_v<version>`. It is safe within quoted SQL.
    pub fn name(&self) -> String {
        format!("{}_v{}", self.name, self.version)
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
