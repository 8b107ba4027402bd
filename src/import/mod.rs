//! Importing rows of a file as commands: `factum publish TYPE --file F.csv --mapping M.toml`.
//!
//! What it is: a [`Mapping`] says, in TOML, how a row of a CSV file becomes a
//! command of any domain, and [`read_rows`] turns the file into [`ImportRow`]s.
//!
//! What it is not: it publishes nothing, and it knows no schema: whether the
//! fields fit the command's record is the publisher's to check.
//!
//! Invariant: a file is taken whole or not at all. Every row is checked before
//! the caller gets the first one, and a broken row is named by its line.
//!
//! ```
//! use factum::import::{Mapping, read_rows};
//!
//! let mapping = Mapping::parse(
//!     r#"
//!     command = "Deposit"
//!     aggregate = "{account}"
//!     id = "{entry}"
//!     fields.cents = { column = "amount", as = "cents" }
//!     "#,
//! )?;
//! let rows = read_rows("entry,account,amount\n1,anna,9.50\n".as_bytes(), "bank.account", &mapping)?;
//! assert_eq!(rows[0].aggregate().as_str(), "anna");
//! assert_eq!(rows[0].fields()["cents"], 950);
//! # Ok::<(), factum::import::ImportError>(())
//! ```

mod convert;
mod error;
mod header;
mod mapping;
mod row;
mod rows;
mod sheet;
mod template;
#[cfg(test)]
mod tests;

pub use error::{BrokenRow, ImportError};
pub use mapping::Mapping;
pub use row::ImportRow;
pub use rows::{MAX_ROWS, read_rows};
pub use sheet::MAX_RECORD_BYTES;

/// The mapping's syntax, for the command line's help.
pub const HELP: &str = r#"A mapping says how a row of a CSV file becomes a command:

  command = "RecordEntry"          # the command's record
  aggregate = "{account_id}"       # its aggregate; {...} is a column
  id = "{trans_id}"                # what makes the row unique, for ever
  occurred = { column = "date" }   # optional: when it happened
  expected_version = "ordinal"     # optional: a repeated import is a conflict

  [fields]                         # the command's fields, each one of:
  cents = { column = "amount", as = "cents" }
  source = { value = "import" }
  [fields.kind]
  cases = [
      { when = { direction = "credit", purpose = "interest" }, value = "Interest" },
      { when = { direction = "credit" }, value = "Deposit" },
      { when = { direction = "debit" }, value = "Withdrawal" },
  ]

  column            the row's text, converted by `as`:
                      text (default), integer, boolean (true, false, 1, 0),
                      cents ("12.5" is 1250; at most 2 decimal places),
                      timestamp-ms (milliseconds since 1970)
                    `optional = true` makes an empty text null
  value             the same in each row
  cases             the value of the first case whose columns all have exactly
                    these texts; a case without `when` always matches, and a
                    row that matches none is broken
  occurred and timestamp-ms take RFC 3339 times and dates, or what `format`
  says (strftime's letters); without an offset they are UTC
  id                the command's id is a UUID (version 5) of this text, so
                    that the same row has the same id in every import
  ordinal           the row's place among its aggregate's rows, from 0: for new
                    aggregates, and commands of which each makes one event
"#;
