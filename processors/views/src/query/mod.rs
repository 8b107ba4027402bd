//! What is asked of a view's rows, the same on every sink.
//!
//! A [`Query`] is checked against the view's table when it is made, so a reader
//! has only to execute it: one statement whose text names nothing but columns
//! of the table, with every value bound.
//!
//! The meaning is defined here and by [`evaluate`], and a test compares every
//! database with it: text is ordered by its bytes, null comes last in either
//! direction, and what compares null with a value does not hold.

mod cursor;
mod evaluate;
mod field;
mod filter;
mod like;
mod order;
mod page;
mod pairs;
mod parse;
mod sql;
#[cfg(test)]
mod tests;

pub use evaluate::evaluate;
pub use field::Field;
pub use filter::{Compared, Filter, MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MAX_FILTER_TERMS, MAX_IN_VALUES};
pub use like::Pattern;
pub use order::{Direction, MAX_ORDER_COLUMNS, Order};
pub use page::{MAX_PAGE_BYTES, Page};
pub(crate) use page::{PageBuilder, Reading};
pub use pairs::PARAMETERS;
pub(crate) use sql::{Dialect, Statement};

use cursor::Cursor;
use factum_core::{Error, Result, view::ViewTable};

/// The most rows of a page.
pub const MAX_LIMIT: usize = 10_000;
/// The rows of a page where nothing is said.
pub const DEFAULT_LIMIT: usize = 100;

/// Which rows of a view, in which order, which of their columns, and from where on.
///
/// [`Query::new`] asks for the first [`DEFAULT_LIMIT`] rows by key; each method narrows it.
#[derive(Debug, Clone)]
pub struct Query {
    table: ViewTable,
    filter: Filter,
    order: Order,
    columns: Vec<Field>,
    limit: usize,
    after: Option<Cursor>,
    cursor: Option<String>,
    count: bool,
}

impl Query {
    /// The first rows by key, with all columns.
    pub fn new(table: &ViewTable) -> Self {
        Query {
            table: table.clone(),
            filter: Filter::default(),
            order: Order::by_key(),
            columns: Field::all(table),
            limit: DEFAULT_LIMIT,
            after: None,
            cursor: None,
            count: false,
        }
    }

    /// The row of one key.
    pub fn of_key(table: &ViewTable, key: &str) -> Self {
        Query { filter: Filter::key(key), limit: 1, ..Query::new(table) }
    }

    /// Only rows that a filter lets through, written as [`Filter::parse`] says.
    ///
    /// # Errors
    /// Those of [`Filter::parse`].
    pub fn filtered(self, text: &str) -> Result<Self> {
        let filter = Filter::parse(text, &self.table)?;
        Query { filter, ..self }.bound()
    }

    /// In the order of these columns, written as [`Order::parse`] says.
    ///
    /// # Errors
    /// Those of [`Order::parse`].
    pub fn ordered(self, text: &str) -> Result<Self> {
        let order = Order::parse(text, &self.table)?;
        Query { order, ..self }.bound()
    }

    /// Only these columns, in this order: `key,balance`.
    ///
    /// # Errors
    /// `Invalid`: there is no such column, it is named twice, or none is named.
    pub fn projected(self, text: &str) -> Result<Self> {
        let mut columns: Vec<Field> = Vec::new();
        for name in text.split(',') {
            let field = Field::find(name.trim(), &self.table).map_err(|error| error.context("columns"))?;
            if columns.contains(&field) {
                return Err(Error::invalid(format!("columns: {} is named twice", field.name())));
            }
            columns.push(field);
        }
        Ok(Query { columns, ..self })
    }

    /// At most so many rows.
    ///
    /// # Errors
    /// `Invalid`: it is not within 1 and [`MAX_LIMIT`].
    pub fn limited(self, limit: usize) -> Result<Self> {
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Error::invalid(format!(
                "limit: {limit} is not within 1 and {MAX_LIMIT}; take the next page with the cursor of the last one"
            )));
        }
        Ok(Query { limit, ..self })
    }

    /// The rows after those of an earlier page, by its [`Page::next`].
    ///
    /// # Errors
    /// `Invalid`: it is not a cursor, or one of a query with another view,
    /// filter or order.
    pub fn after(self, cursor: &str) -> Result<Self> {
        Query { cursor: Some(cursor.to_owned()), ..self }.bound()
    }

    /// Also how many rows the filter lets through on all pages.
    pub fn counted(self) -> Self {
        Query { count: true, ..self }
    }

    /// The table that is asked.
    pub fn table(&self) -> &ViewTable {
        &self.table
    }

    /// Which rows.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// In which order.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Which columns.
    pub fn columns(&self) -> &[Field] {
        &self.columns
    }

    /// The most rows of the page.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the rows are counted.
    pub fn counts(&self) -> bool {
        self.count
    }

    /// Reads the cursor again, which belongs to one filter and one order.
    fn bound(mut self) -> Result<Self> {
        if let Some(text) = &self.cursor {
            self.after = Some(Cursor::read(text, &self)?);
        }
        Ok(self)
    }
}
