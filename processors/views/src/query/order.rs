//! In which order a query asks for rows: `-balance,owner`.

use super::Field;
use factum_core::{
    Error, Result,
    view::{KEY_COLUMN, ViewTable},
};
use std::fmt;

/// The most columns of an order, beside the key.
pub const MAX_ORDER_COLUMNS: usize = 8;

/// Which of two values comes first. Null comes last in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The smaller one.
    Ascending,
    /// The greater one, written `-column`.
    Descending,
}

/// Columns, the first of which counts most. The last is always the key, so that
/// no two rows are equal and a page can go on after any row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Vec<(Field, Direction)>);

impl Order {
    /// By key alone.
    pub fn by_key() -> Self {
        Order(vec![(Field::key(), Direction::Ascending)])
    }

    /// Reads columns with commas between; a `-` before one turns its direction. What
    /// follows the key changes nothing and is left out.
    ///
    /// # Errors
    /// `Invalid`: there is no such column, it is named twice, or there are more than
    /// [`MAX_ORDER_COLUMNS`].
    pub fn parse(text: &str, table: &ViewTable) -> Result<Self> {
        let mut order: Vec<(Field, Direction)> = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let (name, direction) = match part.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (part, Direction::Ascending),
            };
            let field = Field::find(name, table).map_err(|error| error.context("order"))?;
            if order.iter().any(|(other, _)| *other == field) {
                return Err(Error::invalid(format!("order: {field} is named twice")));
            }
            if order.len() == MAX_ORDER_COLUMNS && field.name() != KEY_COLUMN {
                return Err(Error::invalid(format!("order: more than {MAX_ORDER_COLUMNS} columns")));
            }
            order.push((field, direction));
        }
        match order.iter().position(|(field, _)| field.name() == KEY_COLUMN) {
            Some(at) => order.truncate(at + 1),
            None => order.push((Field::key(), Direction::Ascending)),
        }
        Ok(Order(order))
    }

    /// The columns, the one that counts most first and the key last.
    pub fn columns(&self) -> &[(Field, Direction)] {
        &self.0
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (field, direction)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let sign = if *direction == Direction::Descending { "-" } else { "" };
            write!(f, "{comma}{sign}{field}")?;
        }
        Ok(())
    }
}
