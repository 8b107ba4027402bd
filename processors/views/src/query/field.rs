//! A column that a query names.

use factum_core::{
    Error, Result,
    view::{ColumnType, KEY_COLUMN, ViewTable},
};
use std::fmt;

/// A column of a view's table, or its key. Only a table's own names make one,
/// so its name is safe within quoted SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    index: usize,
    kind: ColumnType,
    nullable: bool,
}

impl Field {
    /// The row's key.
    pub fn key() -> Self {
        Field { name: KEY_COLUMN.into(), index: 0, kind: ColumnType::Text, nullable: false }
    }

    /// All of a table, the key first.
    pub fn all(table: &ViewTable) -> Vec<Self> {
        let columns = table.columns().iter().zip(1..);
        let columns = columns.map(|(column, index)| Field {
            name: column.name.clone(),
            index,
            kind: column.kind,
            nullable: column.nullable,
        });
        std::iter::once(Field::key()).chain(columns).collect()
    }

    /// The one of that name.
    ///
    /// # Errors
    /// `Invalid`, with the names that there are.
    pub fn find(name: &str, table: &ViewTable) -> Result<Self> {
        let mut fields = Field::all(table);
        match fields.iter().position(|field| field.name == name) {
            Some(index) => Ok(fields.swap_remove(index)),
            None => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                let view = table.view();
                Err(Error::invalid(format!("view {view} has no column {name:?}: it has {}", names.join(", "))))
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its place in a row of the key and all columns.
    pub fn index(&self) -> usize {
        self.index
    }

    /// What it holds.
    pub fn kind(&self) -> ColumnType {
        self.kind
    }

    /// Whether it may be null.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
