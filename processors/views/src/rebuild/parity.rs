//! Whether two tables of a view say the same.

use super::Rebuild;
use factum_core::{
    Result,
    view::{Focus, Value, ViewTable},
};
use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Rows that are read at a time.
const PAGE: usize = 5_000;

/// A table in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many rows it has.
    pub rows: u64,
    /// A hash of all rows that does not depend on their order; each kind of database has its own.
    pub hash: u64,
}

/// A row that is not the same in both tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The row's key.
    pub key: String,
    /// What the live table has; none where it misses the row.
    pub live: Option<Vec<Value>>,
    /// What the fold of the log gives; none where there should be no row.
    pub folded: Option<Vec<Value>>,
}

/// A live table against what was folded from the log, at equal positions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parity {
    /// The live table; of a sample only its rows.
    pub live: Summary,
    /// What was folded.
    pub folded: Summary,
    /// Rows in both with other values.
    pub altered: u64,
    /// Rows that the live table misses.
    pub missing: u64,
    /// Rows that only the live table has.
    pub extra: u64,
    /// The first rows that differ, by key.
    pub first: Vec<Difference>,
}

impl Parity {
    /// Compares both tables, and keeps the first `limit` differences.
    ///
    /// # Errors
    /// What the sink says.
    pub(super) fn compare(
        sink: &mut dyn Rebuild,
        live: &ViewTable,
        folded: &ViewTable,
        focus: &Focus,
        limit: usize,
    ) -> Result<Self> {
        // A sample is chosen by a hash that the database does not know.
        if focus.sample.is_none()
            && let Some(parity) = sink.compare(live, folded, limit)?
        {
            return Ok(parity);
        }
        let mut parity = Parity::default();
        let (mut left, mut right) = (Rows::of(live), Rows::of(folded));
        let (mut ours, mut theirs) = (left.next(sink, focus)?, right.next(sink, focus)?);
        while ours.is_some() || theirs.is_some() {
            let order = match (&ours, &theirs) {
                (Some((a, _)), Some((b, _))) => sink.sort_key(a).as_bytes().cmp(sink.sort_key(b).as_bytes()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, _) => std::cmp::Ordering::Greater,
            };
            let live_row = if order.is_le() { ours.take() } else { None };
            let folded_row = if order.is_ge() { theirs.take() } else { None };
            if live_row.is_some() {
                ours = left.next(sink, focus)?;
            }
            if folded_row.is_some() {
                theirs = right.next(sink, focus)?;
            }
            parity.add(live_row, folded_row, limit);
        }
        Ok(parity)
    }

    fn add(&mut self, live: Option<Row>, folded: Option<Row>, limit: usize) {
        for (row, summary) in [(&live, &mut self.live), (&folded, &mut self.folded)] {
            if let Some(row) = row {
                summary.rows += 1;
                summary.hash = summary.hash.wrapping_add(hash(row));
            }
        }
        match (&live, &folded) {
            (Some((_, a)), Some((_, b))) if a.iter().zip(b).all(|(a, b)| is_same(a, b)) => return,
            (Some(_), Some(_)) => self.altered += 1,
            (None, _) => self.missing += 1,
            (_, None) => self.extra += 1,
        }
        if self.first.len() < limit {
            let key = live.as_ref().or(folded.as_ref()).map(|(key, _)| key.clone()).unwrap_or_default();
            let (live, folded) = (live.map(|(_, values)| values), folded.map(|(_, values)| values));
            self.first.push(Difference { key, live, folded });
        }
    }

    /// Whether every row is the same.
    pub fn is_equal(&self) -> bool {
        self.altered == 0 && self.missing == 0 && self.extra == 0 && self.live == self.folded
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { rows, hash } = self.live;
        if self.is_equal() {
            return write!(f, "{rows} rows, hash {hash:016x}, the same in both");
        }
        write!(
            f,
            "live {rows} rows, hash {hash:016x}; folded {} rows, hash {:016x}: {} altered, {} missing, {} extra",
            self.folded.rows, self.folded.hash, self.altered, self.missing, self.extra
        )
    }
}

type Row = (String, Vec<Value>);

/// A table's rows by key, page by page.
struct Rows<'a> {
    table: &'a ViewTable,
    page: std::vec::IntoIter<Row>,
    last: Option<String>,
    is_read: bool,
}

impl<'a> Rows<'a> {
    fn of(table: &'a ViewTable) -> Self {
        Rows { table, page: Vec::new().into_iter(), last: None, is_read: false }
    }

    /// The next row in focus.
    fn next(&mut self, sink: &mut dyn Rebuild, focus: &Focus) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.page.by_ref().find(|(key, _)| focus.takes(key)) {
                return Ok(Some(row));
            }
            if self.is_read {
                return Ok(None);
            }
            let page = sink.scan(self.table, self.last.as_deref(), PAGE)?;
            self.is_read = page.len() < PAGE;
            if let Some((key, _)) = page.last() {
                self.last = Some(key.clone());
            }
            self.page = page.into_iter();
        }
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // As they are stored: a zero is not a negative zero.
        (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

/// SipHash without a key, so that it is the same in every process.
fn hash((key, values): &Row) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    for value in values {
        std::mem::discriminant(value).hash(&mut hasher);
        match value {
            Value::Null => {}
            Value::Integer(value) => value.hash(&mut hasher),
            Value::Real(value) => value.to_bits().hash(&mut hasher),
            Value::Boolean(value) => value.hash(&mut hasher),
            Value::Text(value) => value.hash(&mut hasher),
            Value::Bytes(value) => value.hash(&mut hasher),
        }
    }
    hasher.finish()
}
