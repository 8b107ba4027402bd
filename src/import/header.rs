//! The columns of a file, and a row's text by column.

use super::{BrokenRow, ImportError, Mapping, sheet::Record};
use std::collections::HashMap;

/// Where each column stands.
pub(super) struct Header {
    places: HashMap<String, usize>,
    columns: usize,
}

/// A row with as many fields as the header has.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    header: &'a Header,
    record: &'a Record,
}

impl Header {
    /// Takes the columns of a file's first record.
    ///
    /// # Errors
    /// `MissingColumns`, or `Header` when two columns have one name that the
    /// mapping needs.
    pub(super) fn new(record: &Record, mapping: &Mapping) -> Result<Self, ImportError> {
        let needed = mapping.columns();
        let mut places = HashMap::new();
        for (place, name) in record.fields().enumerate() {
            let earlier = places.insert(name.to_owned(), place);
            if earlier.is_some() && needed.iter().any(|(column, _)| *column == name) {
                return Err(ImportError::Header(format!("two columns are called {name:?}")));
            }
        }
        let mut missing: Vec<(String, String)> = Vec::new();
        for (column, key) in needed {
            if !places.contains_key(column) && missing.iter().all(|(known, _)| known != column) {
                missing.push((column.to_owned(), key));
            }
        }
        if !missing.is_empty() {
            return Err(ImportError::MissingColumns { missing, present: record.fields().map(str::to_owned).collect() });
        }
        Ok(Header { places, columns: record.len() })
    }

    /// The row's text by column.
    pub(super) fn cells<'a>(&'a self, record: &'a Record) -> Result<Cells<'a>, BrokenRow> {
        if record.len() == self.columns {
            return Ok(Cells { header: self, record });
        }
        let (has, needs) = (record.len(), self.columns);
        let fields = if has == 1 { "field" } else { "fields" };
        Err(BrokenRow {
            line: record.line(),
            column: None,
            problem: format!("{has} {fields} where the header has {needs}"),
        })
    }
}

impl<'a> Cells<'a> {
    /// The line the row starts on.
    pub(super) fn line(self) -> u64 {
        self.record.line()
    }

    /// The text in a column that the mapping names.
    pub(super) fn get(self, column: &str) -> &'a str {
        let place = self.header.places.get(column).expect("the header was checked for the mapping's columns");
        self.record.field(*place)
    }

    /// The same where an empty text is an error.
    pub(super) fn filled(self, column: &str) -> Result<&'a str, BrokenRow> {
        match self.get(column) {
            "" => Err(self.broken(Some(column), "is empty")),
            text => Ok(text),
        }
    }

    /// What is wrong with the row.
    pub(super) fn broken(self, column: Option<&str>, problem: impl Into<String>) -> BrokenRow {
        BrokenRow { line: self.line(), column: column.map(str::to_owned), problem: problem.into() }
    }
}
