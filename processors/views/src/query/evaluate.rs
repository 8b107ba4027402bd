//! A query on rows in memory: what it means, for databases to be compared with.

use super::{Cursor, Direction, Filter, Order, Page, PageBuilder, Query, Reading};
use factum_core::{Result, view::Value};
use std::cmp::Ordering;

/// Answers a query with rows of the key and all columns, which come in any order.
///
/// # Errors
/// `Invalid`: the values of the page's last row are too long for a cursor.
pub fn evaluate(query: &Query, rows: impl IntoIterator<Item = Vec<Value>>) -> Result<Page> {
    let rows = rows.into_iter().filter(|row| query.filter.lets_through(row));
    let mut rows: Vec<Vec<Value>> = rows.collect();
    let count = if query.count { u64::try_from(rows.len()).ok() } else { None };
    rows.retain(|row| query.after.as_ref().is_none_or(|after| query.order.is_after(row, after)));
    rows.sort_by(|left, right| query.order.compare(&query.order.values(left), &query.order.values(right)));
    let mut page = PageBuilder::new(query);
    for row in rows {
        let columns = query.columns.iter().map(|field| row[field.index()].clone());
        if page.push(columns.chain(query.order.values(&row)).collect()) == Reading::Full {
            break;
        }
    }
    page.page(count)
}

impl Filter {
    /// Whether a row of the key and all columns satisfies it.
    pub fn lets_through(&self, row: &[Value]) -> bool {
        match self {
            Filter::All(filters) => filters.iter().all(|filter| filter.lets_through(row)),
            Filter::Any(filters) => filters.iter().any(|filter| filter.lets_through(row)),
            Filter::Not(filter) => !filter.lets_through(row),
            Filter::Compare(field, compared, value) => {
                compare(&row[field.index()], value).is_some_and(|ordering| compared.holds(ordering))
            }
            Filter::In(field, values) => {
                values.iter().any(|value| compare(&row[field.index()], value) == Some(Ordering::Equal))
            }
            Filter::Like(field, pattern) => match &row[field.index()] {
                Value::Text(text) => pattern.matches(text),
                _ => false,
            },
            Filter::IsNull(field) => row[field.index()] == Value::Null,
        }
    }
}

impl Order {
    /// A row's values in this order.
    fn values(&self, row: &[Value]) -> Vec<Value> {
        self.columns().iter().map(|(field, _)| row[field.index()].clone()).collect()
    }

    fn compare(&self, left: &[Value], right: &[Value]) -> Ordering {
        let pairs = left.iter().zip(right).zip(self.columns());
        let orderings = pairs.map(|((left, right), (_, direction))| match (left, right) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (left, right) => {
                let ordering = compare(left, right).unwrap_or(Ordering::Equal);
                if *direction == Direction::Descending { ordering.reverse() } else { ordering }
            }
        });
        orderings.fold(Ordering::Equal, Ordering::then)
    }

    fn is_after(&self, row: &[Value], cursor: &Cursor) -> bool {
        self.compare(&self.values(row), cursor.values()).is_gt()
    }
}

/// The order of two values of one column; none when one is null.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Real(left), Value::Real(right)) => left.partial_cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
