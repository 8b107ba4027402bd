//! Why a file or its mapping cannot be imported.

use super::convert::quoted;
use std::{fmt, io};

/// How many of a header's columns a message lists: the file may be no CSV at all.
const LISTED_COLUMNS: usize = 50;

/// Why a file cannot be imported. Nothing of it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportError {
    /// The mapping is not valid; the text shows its line and key.
    Mapping(String),
    /// The file's first line is no header.
    Header(String),
    /// The header lacks columns that the mapping names.
    MissingColumns {
        /// The column and the mapping's key that names it.
        missing: Vec<(String, String)>,
        /// The columns that there are, in the file's order.
        present: Vec<String>,
    },
    /// The file is empty or ends after its header.
    NoRows,
    /// The file has more rows than [`MAX_ROWS`](super::MAX_ROWS).
    TooManyRows,
    /// Some rows are broken.
    BrokenRows {
        /// The first ones, in the file's order.
        first: Vec<BrokenRow>,
        /// How many rows are broken.
        broken: u64,
        /// How many rows there are.
        rows: u64,
    },
    /// The file cannot be read.
    Read {
        /// The last line that was read, from 1; 0 when none was.
        line: u64,
        /// The cause.
        source: io::Error,
    },
}

/// A row that is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRow {
    /// The line it starts on; the header's is 1.
    pub line: u64,
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::Mapping(problem) => write!(f, "the mapping is not valid: {problem}"),
            ImportError::Header(problem) => write!(f, "line 1 is no header: {problem}"),
            ImportError::MissingColumns { missing, present } => {
                for (i, (column, key)) in missing.iter().enumerate() {
                    let lead = if i == 0 { "the file has " } else { ", " };
                    write!(f, "{lead}no column {column:?} (for {key})")?;
                }
                f.write_str("; its columns are ")?;
                for (i, column) in present.iter().take(LISTED_COLUMNS).enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, quoted(column))?;
                }
                match present.len().saturating_sub(LISTED_COLUMNS) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            ImportError::NoRows => f.write_str("the file has no rows"),
            ImportError::TooManyRows => {
                write!(f, "the file has more than {} rows; split it between aggregates", super::MAX_ROWS)
            }
            ImportError::BrokenRows { first, broken, rows } => {
                let are = if *broken == 1 { "is" } else { "are" };
                write!(f, "{broken} of {rows} rows {are} broken, nothing was imported")?;
                for row in first {
                    write!(f, "\n  {row}")?;
                }
                match broken.saturating_sub(first.len() as u64) {
                    0 => Ok(()),
                    more => write!(f, "\n  and {more} more"),
                }
            }
            ImportError::Read { line, source } => write!(f, "the file cannot be read beyond line {line}: {source}"),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ImportError::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for BrokenRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column:?}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl From<ImportError> for crate::Error {
    /// The caller has to fix the file or the mapping: `Invalid`.
    fn from(error: ImportError) -> Self {
        crate::Error::invalid(error.to_string())
    }
}
