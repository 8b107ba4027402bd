//! A CSV file, record by record (RFC 4180).
//!
//! The `csv` crate is lenient where an import must not be: to it a quote that
//! is never closed is one field up to the end of the file, so the rows behind
//! it would vanish without a word, and it has no limit for a record. Here a
//! quote is either right or named by its line, and reading goes on behind it.
//! A test compares the two on files that are right.

use std::io::{self, BufRead};

/// The longest record, in bytes; a quoted field may take several lines of it.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// What some programs put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the records of a file.
pub(super) struct Sheet<R> {
    reader: R,
    line: u64,
    raw: Vec<u8>,
}

/// What came next in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A record.
    Record,
    /// A record that breaks the format's rules, and how.
    Broken(String),
    /// Nothing.
    End,
}

/// The fields of one record; reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Record {
    line: u64,
    text: String,
    ends: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Bare,
    Quoted,
    /// Behind a quote within quotes: the field's end, or half of a doubled one.
    Closed,
}

impl Record {
    /// The line the record starts on, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// How many fields it has.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The field at `index`, which is below [`len`](Record::len).
    pub(super) fn field(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.text[start..self.ends[index]]
    }

    /// All fields in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.field(index))
    }
}

impl<R: BufRead> Sheet<R> {
    pub(super) fn new(reader: R) -> Self {
        Sheet { reader, line: 0, raw: Vec::new() }
    }

    /// The last line that was read, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next record; empty lines are passed over.
    pub(super) fn read(&mut self, record: &mut Record) -> io::Result<Next> {
        let mut text = std::mem::take(&mut record.text).into_bytes();
        text.clear();
        record.ends.clear();
        let mut state = State::FieldStart;
        let mut bytes = 0;
        loop {
            let complete = self.read_line(MAX_RECORD_BYTES - bytes)?;
            if self.raw.is_empty() {
                return Ok(if bytes == 0 { Next::End } else { broken("a quoted field is never closed") });
            }
            let (mut body, ending) = split_ending(&self.raw);
            if self.line == 1 {
                body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
            }
            if bytes == 0 {
                if complete && body.is_empty() {
                    continue;
                }
                record.line = self.line;
            }
            bytes += self.raw.len();
            if !complete {
                self.skip_line()?;
                return Ok(broken(&format!(
                    "a record is longer than {MAX_RECORD_BYTES} bytes, or a quoted field is never closed"
                )));
            }
            for &byte in body {
                state = match (state, byte) {
                    (State::FieldStart | State::Bare | State::Closed, b',') => {
                        record.ends.push(text.len());
                        State::FieldStart
                    }
                    (State::FieldStart, b'"') => State::Quoted,
                    (State::Bare, b'"') => return Ok(broken("a quote within a field that does not start with one")),
                    (State::Quoted, b'"') => State::Closed,
                    (State::Closed, b'"') => {
                        text.push(byte);
                        State::Quoted
                    }
                    (State::Closed, _) => return Ok(broken("text behind a closing quote")),
                    (State::FieldStart | State::Bare, _) => {
                        text.push(byte);
                        State::Bare
                    }
                    (State::Quoted, _) => {
                        text.push(byte);
                        State::Quoted
                    }
                };
            }
            if state != State::Quoted {
                record.ends.push(text.len());
                break;
            }
            text.extend_from_slice(ending); // it belongs to the quoted field
        }
        match String::from_utf8(text) {
            Ok(text) => {
                record.text = text;
                Ok(Next::Record)
            }
            Err(_) => Ok(broken("the text is not UTF-8")),
        }
    }

    /// Reads a line of up to `limit` bytes; whether it was the whole line.
    fn read_line(&mut self, limit: usize) -> io::Result<bool> {
        self.raw.clear();
        let read = io::Read::take(&mut self.reader, limit as u64 + 1).read_until(b'\n', &mut self.raw)?;
        if read > 0 {
            self.line += 1;
        }
        Ok(read <= limit)
    }

    /// Passes over the rest of a line that was cut.
    fn skip_line(&mut self) -> io::Result<()> {
        if self.raw.ends_with(b"\n") {
            return Ok(());
        }
        self.reader.skip_until(b'\n').map(drop)
    }
}

fn broken(problem: &str) -> Next {
    Next::Broken(problem.to_owned())
}

fn split_ending(line: &[u8]) -> (&[u8], &[u8]) {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    line.split_at(body.len())
}
