//! What a query answers.

use super::{Query, cursor::Cursor};
use factum_core::{Result, view::Value};

/// The most bytes of values on a page: one with long values ends before its limit.
/// A page has at least one row, whatever its length.
pub const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Some rows of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// What to ask for the rows after these with; none if there are none.
    pub next: Option<String>,
    /// How many rows the filter lets through on all pages, if that was asked.
    pub count: Option<u64>,
}

/// Whether a reader goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// With the next row.
    On,
    /// The page is full.
    Full,
}

/// Makes a page of the rows that come, in order, each with the query's columns
/// and then those of its order.
#[derive(Debug)]
pub(crate) struct PageBuilder<'a> {
    query: &'a Query,
    rows: Vec<Vec<Value>>,
    bytes: usize,
    last: Vec<Value>,
    more: bool,
}

impl<'a> PageBuilder<'a> {
    /// An empty page.
    pub(crate) fn new(query: &'a Query) -> Self {
        PageBuilder { query, rows: Vec::new(), bytes: 0, last: Vec::new(), more: false }
    }

    /// One row more.
    pub(crate) fn push(&mut self, mut values: Vec<Value>) -> Reading {
        let order = values.split_off(self.query.columns.len().min(values.len()));
        let bytes = self.bytes + values.iter().map(size).sum::<usize>();
        if self.rows.len() == self.query.limit || (bytes > MAX_PAGE_BYTES && !self.rows.is_empty()) {
            self.more = true;
            return Reading::Full;
        }
        self.bytes = bytes;
        self.last = order;
        self.rows.push(values);
        Reading::On
    }

    /// The page.
    ///
    /// # Errors
    /// `Invalid`: there are more rows, and the last row's values are too long for a cursor.
    pub(crate) fn page(self, count: Option<u64>) -> Result<Page> {
        let next = if self.more { Some(Cursor::write(self.query, &self.last)?) } else { None };
        let columns = self.query.columns.iter().map(|field| field.name().to_owned()).collect();
        Ok(Page { columns, rows: self.rows, next, count })
    }
}

/// About what a value takes.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Integer(_) | Value::Real(_) | Value::Boolean(_) => 8,
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
    }
}
