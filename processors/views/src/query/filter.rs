//! Which rows a query asks for: `balance > 50 and (owner = 'ada' or not open = true)`.

use super::{Field, Pattern, parse::Parser};
use factum_core::{
    Result,
    view::{Value, ViewTable},
};
use std::{cmp::Ordering, fmt};

/// The longest filter, in bytes.
pub const MAX_FILTER_BYTES: usize = 16_384;
/// How deep parentheses and `not` may be nested.
pub const MAX_FILTER_DEPTH: usize = 32;
/// The most conditions of a filter.
pub const MAX_FILTER_TERMS: usize = 256;
/// The most values of one `in (…)`.
pub const MAX_IN_VALUES: usize = 1_000;

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Compared {
    /// Longer ones first, so that `<=` is not read as `<`.
    pub(super) const ALL: [(&str, Compared); 6] = [
        ("!=", Compared::Ne),
        ("<=", Compared::Le),
        (">=", Compared::Ge),
        ("=", Compared::Eq),
        ("<", Compared::Lt),
        (">", Compared::Gt),
    ];

    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Compared::Eq => ordering.is_eq(),
            Compared::Ne => ordering.is_ne(),
            Compared::Lt => ordering.is_lt(),
            Compared::Le => ordering.is_le(),
            Compared::Gt => ordering.is_gt(),
            Compared::Ge => ordering.is_ge(),
        }
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.iter().find(|(_, compared)| compared == self);
        f.write_str(found.map_or("", |(text, _)| text))
    }
}

/// A tree of conditions. [`Filter::default`] lets every row through.
///
/// A condition holds or does not; there is nothing between. One that compares
/// null with a value does not hold, and so its opposite by `not` does.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them hold.
    All(Vec<Filter>),
    /// At least one of them holds.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The column compares so with a value of its type, which is not null.
    Compare(Field, Compared, Value),
    /// The column is one of these values of its type, none of which is null.
    In(Field, Vec<Value>),
    /// The text column is like a pattern.
    Like(Field, Pattern),
    /// The column is null.
    IsNull(Field),
}

impl Default for Filter {
    fn default() -> Self {
        Filter::All(Vec::new())
    }
}

impl Filter {
    /// Reads conditions put together with `and`, `or`, `not` and parentheses; `and` binds
    /// closer than `or`, and `not` closest.
    ///
    /// A condition is one of
    /// - `column op value`, with an operator of `=`, `!=`, `<`, `<=`, `>`, `>=`;
    /// - `column in (value, …)`, `column not in (value, …)`;
    /// - `column like 'a%_'`, `column not like …`: see [`Pattern`];
    /// - `column is null`, `column is not null`, also written `= null` and `!= null`.
    ///
    /// Values are numbers, `true`, `false`, a word, or text in single or double
    /// quotes (a quote in it is doubled); bytes are Base64 with padding.
    /// A null in the column satisfies none but `is null` (and `not` of one that does not hold).
    ///
    /// # Errors
    /// `Invalid`: what was expected where, which columns there are, or which limit it breaks.
    pub fn parse(text: &str, table: &ViewTable) -> Result<Self> {
        Parser::new(text, table)?.filter()
    }

    /// The row of one key.
    pub fn key(key: &str) -> Self {
        Filter::Compare(Field::key(), Compared::Eq, Value::Text(key.to_owned()))
    }
}

/// As it could be written, with every value in quotes. The same filter is always the same text.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, filters: &[Filter], word: &str| {
            for (number, filter) in filters.iter().enumerate() {
                write!(f, "{}{filter}", if number == 0 { "(" } else { word })?;
            }
            f.write_str(if filters.is_empty() { "()" } else { ")" })
        };
        match self {
            Filter::All(filters) => joined(f, filters, " and "),
            Filter::Any(filters) => joined(f, filters, " or "),
            Filter::Not(filter) => write!(f, "not {filter}"),
            Filter::Compare(field, compared, value) => write!(f, "{field} {compared} {}", quoted(value)),
            Filter::In(field, values) => {
                write!(f, "{field} in ({})", values.iter().map(quoted).collect::<Vec<_>>().join(", "))
            }
            Filter::Like(field, pattern) => write!(f, "{field} like '{}'", pattern.text().replace('\'', "''")),
            Filter::IsNull(field) => write!(f, "{field} is null"),
        }
    }
}

fn quoted(value: &Value) -> String {
    format!("'{}'", value.to_string().replace('\'', "''"))
}
