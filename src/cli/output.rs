//! What people see: the only place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use factum_core::Error;
use serde_json::json;
use std::{io::Write, sync::OnceLock};

/// What standard error holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notes {
    /// Text for people.
    Text,
    /// One JSON value a line, as the log's lines beside them.
    Json,
}

static NOTES: OnceLock<Notes> = OnceLock::new();

/// Says once how notes look; text without it.
pub(super) fn notes_as(notes: Notes) {
    // The first word counts: it was said before anything was printed.
    NOTES.set(notes).unwrap_or_default();
}

/// A line of a verb's result.
pub(super) fn line(text: &str) {
    // A reader that has gone away (`| head`) ends the output, not the program.
    writeln!(std::io::stdout(), "{text}").unwrap_or_default();
}

/// A line beside the result.
pub(super) fn note(text: &str) {
    beside("INFO", "", text);
}

/// Why a verb failed.
pub(super) fn error(error: &Error) {
    beside("ERROR", "error: ", &error.to_string());
}

fn beside(level: &str, prefix: &str, text: &str) {
    match NOTES.get() {
        Some(Notes::Json) => {
            let time = jiff::Timestamp::now();
            let fields = json!({ "message": text });
            let line = json!({ "timestamp": time.to_string(), "level": level, "fields": fields, "target": "factum" });
            eprintln!("{line}");
        }
        Some(Notes::Text) | None => eprintln!("{prefix}{text}"),
    }
}

/// Rows under their columns' names; numbers to the right.
pub(super) fn table(columns: &[String], rows: &[Vec<String>]) {
    Table::new(columns).rows(rows);
}

/// A table that is printed a page at a time, under one header.
#[derive(Debug)]
pub(super) struct Table<'a> {
    columns: &'a [String],
    /// In characters; a page whose cells are wider widens its own rows and the later ones.
    widths: Vec<usize>,
    is_begun: bool,
}

impl<'a> Table<'a> {
    /// One of these columns, of which nothing is printed yet.
    pub(super) fn new(columns: &'a [String]) -> Self {
        Table { columns, widths: columns.iter().map(|name| name.chars().count()).collect(), is_begun: false }
    }

    /// Prints the next rows, the header before the first ones.
    pub(super) fn rows(&mut self, rows: &[Vec<String>]) {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.is_begun {
            self.is_begun = true;
            self.print(self.columns);
            self.print(&self.widths.iter().map(|&width| "-".repeat(width)).collect::<Vec<_>>());
        }
        rows.iter().for_each(|row| self.print(row));
    }

    fn print(&self, row: &[String]) {
        let cells = row.iter().zip(&self.widths).map(|(cell, &width)| {
            if cell.parse::<f64>().is_ok() { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        line(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
