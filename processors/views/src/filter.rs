//! Which rows a query asks for: `balance > 50 and (owner = 'ada' or not open = true)`.

use crate::QueriedRow;
use factum_core::{
    Error, Result,
    view::{ColumnType, KEY_COLUMN, Value, ViewTable},
};
use std::{cmp::Ordering, fmt};

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

/// Longer ones first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Compared); 6] = [
    ("!=", Compared::Ne),
    ("<=", Compared::Le),
    (">=", Compared::Ge),
    ("=", Compared::Eq),
    ("<", Compared::Lt),
    (">", Compared::Gt),
];

impl Compared {
    fn holds(self, ordering: Ordering) -> bool {
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
        let found = OPERATORS.iter().find(|(_, compared)| compared == self);
        f.write_str(found.map_or("", |(text, _)| text))
    }
}

/// One condition: a column of the view's table (or `key`), and a value of its type.
/// Null is equal to null only, and neither less nor greater than anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    column: String,
    compared: Compared,
    value: Value,
}

impl Condition {
    /// The column's name.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// How it is compared.
    pub fn compared(&self) -> Compared {
        self.compared
    }

    /// What it is compared with.
    pub fn value(&self) -> &Value {
        &self.value
    }

    fn holds(&self, row: &QueriedRow) -> bool {
        let ordering = if self.column == KEY_COLUMN {
            let Value::Text(text) = &self.value else { return false };
            Some(row.key.as_str().cmp(text))
        } else {
            match row.columns.iter().find(|(name, _)| *name == self.column) {
                Some((_, value)) => compare(value, &self.value),
                None => None,
            }
        };
        ordering.is_some_and(|ordering| self.compared.holds(ordering))
    }
}

/// A tree of conditions. [`Filter::default`] lets every row through.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them hold.
    All(Vec<Filter>),
    /// At least one of them holds.
    Any(Vec<Filter>),
    /// It does not hold. What compares null with a value does not hold, and so its opposite does.
    Not(Box<Filter>),
    /// This one holds.
    Condition(Condition),
}

/// The longest filter, in bytes.
const MAX_BYTES: usize = 4_096;
/// How deep parentheses and `not` may be nested.
const MAX_DEPTH: usize = 32;

impl Default for Filter {
    fn default() -> Self {
        Filter::All(Vec::new())
    }
}

impl Filter {
    /// Reads `column op literal`, put together with `and`, `or`, `not` and parentheses; `and` binds
    /// closer than `or`, and `not` closest.
    ///
    /// Operators: `=`, `!=`, `<`, `<=`, `>`, `>=`. Literals: numbers, `true`, `false`, `null`,
    /// a word, or text in single or double quotes (a quote in it is doubled).
    ///
    /// # Errors
    /// `Invalid`: what was expected where, or which columns there are; or it is too long or too deep.
    pub fn parse(text: &str, table: &ViewTable) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::invalid(format!("filter: {} bytes are more than {MAX_BYTES}", text.len())));
        }
        if text.trim().is_empty() {
            return Ok(Filter::default());
        }
        let mut parser = Parser { rest: text.trim(), table };
        let filter = parser.any(0)?;
        if parser.rest.is_empty() { Ok(filter) } else { Err(unexpected("`and`, `or` or the end", parser.rest)) }
    }

    /// Whether a row satisfies it.
    pub fn lets_through(&self, row: &QueriedRow) -> bool {
        match self {
            Filter::All(filters) => filters.iter().all(|filter| filter.lets_through(row)),
            Filter::Any(filters) => filters.iter().any(|filter| filter.lets_through(row)),
            Filter::Not(filter) => !filter.lets_through(row),
            Filter::Condition(condition) => condition.holds(row),
        }
    }
}

/// Reads a filter from left to right, one function for each level of binding.
struct Parser<'a> {
    rest: &'a str,
    table: &'a ViewTable,
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Filter> {
        let mut filters = vec![self.all(depth)?];
        while self.takes("or") {
            filters.push(self.all(depth)?);
        }
        Ok(one_or(filters, Filter::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Filter> {
        let mut filters = vec![self.single(depth)?];
        while self.takes("and") {
            filters.push(self.single(depth)?);
        }
        Ok(one_or(filters, Filter::All))
    }

    fn single(&mut self, depth: usize) -> Result<Filter> {
        if depth > MAX_DEPTH {
            return Err(Error::invalid(format!("filter: nested deeper than {MAX_DEPTH}")));
        }
        if self.takes("not") {
            return Ok(Filter::Not(Box::new(self.single(depth + 1)?)));
        }
        if let Some(inside) = self.rest.strip_prefix('(') {
            self.rest = inside.trim_start();
            let filter = self.any(depth + 1)?;
            let after = self.rest.strip_prefix(')').ok_or_else(|| unexpected("a closing parenthesis", self.rest))?;
            self.rest = after.trim_start();
            return Ok(filter);
        }
        self.condition().map(Filter::Condition)
    }

    fn condition(&mut self) -> Result<Condition> {
        let (column, after) = word(self.rest);
        if column.is_empty() {
            return Err(unexpected("a column", self.rest));
        }
        let after = after.trim_start();
        let found = OPERATORS.iter().find_map(|(text, op)| after.strip_prefix(text).map(|rest| (*op, rest)));
        let (compared, after) = found.ok_or_else(|| unexpected("one of = != < <= > >=", after))?;
        let (literal, after) = literal(after.trim_start())?;
        let value = typed(column, compared, literal, self.table)?;
        self.rest = after.trim_start();
        Ok(Condition { column: column.into(), compared, value })
    }

    /// Takes a keyword, if it comes next.
    fn takes(&mut self, keyword: &str) -> bool {
        let (next, after) = word(self.rest);
        let found = next.eq_ignore_ascii_case(keyword);
        if found {
            self.rest = after.trim_start();
        }
        found
    }
}

/// The only one, or all of them together.
fn one_or(mut filters: Vec<Filter>, together: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(only) if filters.is_empty() => only,
        Some(last) => {
            filters.push(last);
            together(filters)
        }
        None => together(filters),
    }
}

/// A literal as it was written.
enum Literal<'a> {
    Bare(&'a str),
    Quoted(String),
}

fn unexpected(expected: &str, rest: &str) -> Error {
    let found = if rest.is_empty() { "the end".into() } else { format!("{rest:?}") };
    Error::invalid(format!("filter: expected {expected}, found {found}"))
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()))
}

fn literal(text: &str) -> Result<(Literal<'_>, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let (bare, rest) =
            text.split_at(text.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).unwrap_or(text.len()));
        return if bare.is_empty() { Err(unexpected("a value", text)) } else { Ok((Literal::Bare(bare), rest)) };
    };
    let mut value = String::new();
    let mut rest = &text[1..];
    loop {
        let Some(end) = rest.find(quote) else { return Err(unexpected("a closing quote", rest)) };
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix(quote) {
            Some(after) => {
                value.push(quote);
                rest = after;
            }
            None => return Ok((Literal::Quoted(value), rest)),
        }
    }
}

/// The literal as a value of the column's type.
fn typed(name: &str, compared: Compared, literal: Literal<'_>, table: &ViewTable) -> Result<Value> {
    let (kind, nullable) = if name == KEY_COLUMN {
        (ColumnType::Text, false)
    } else {
        let column = table.columns().iter().find(|column| column.name == name).ok_or_else(|| {
            let names: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
            let view = table.view();
            Error::invalid(format!(
                "filter: view {view} has no column {name}: it has {KEY_COLUMN}, {}",
                names.join(", ")
            ))
        })?;
        (column.kind, column.nullable)
    };
    let text = match literal {
        Literal::Bare("null") if nullable => {
            return match compared {
                Compared::Eq | Compared::Ne => Ok(Value::Null),
                _ => Err(Error::invalid(format!("filter: {name} {compared} null never holds: use = or !="))),
            };
        }
        Literal::Bare(text) => text.to_owned(),
        Literal::Quoted(text) if kind == ColumnType::Text => return Ok(Value::Text(text)),
        Literal::Quoted(text) => format!("{text:?}"),
    };
    match kind {
        ColumnType::Integer => text.parse().ok().map(Value::Integer),
        ColumnType::Real => text.parse().ok().filter(|value: &f64| !value.is_nan()).map(Value::Real),
        ColumnType::Boolean => text.parse().ok().map(Value::Boolean),
        ColumnType::Text => Some(Value::Text(text.clone())),
        ColumnType::Bytes => None,
    }
    .ok_or_else(|| Error::invalid(format!("filter: column {name} holds {kind}, and {text} is none")))
}

/// The order of two values of one column; none when exactly one is null.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Real(left), Value::Real(right)) => left.partial_cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        // `!= null` is the only condition with null that another value can satisfy.
        (_, Value::Null) => Some(Ordering::Greater),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use factum_core::view::Column;

    fn table() -> ViewTable {
        let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
        let columns = vec![
            column("balance", ColumnType::Integer, false),
            column("rate", ColumnType::Real, true),
            column("open", ColumnType::Boolean, false),
            column("owner", ColumnType::Text, true),
            column("digest", ColumnType::Bytes, true),
        ];
        ViewTable::new("accounts", 2, columns).unwrap()
    }

    fn shown(filter: &Filter) -> String {
        let joined = |filters: &[Filter], word: &str| filters.iter().map(shown).collect::<Vec<_>>().join(word);
        match filter {
            Filter::All(filters) => format!("[{}]", joined(filters, " and ")),
            Filter::Any(filters) => format!("[{}]", joined(filters, " or ")),
            Filter::Not(filter) => format!("not {}", shown(filter)),
            Filter::Condition(c) => format!("{} {} {:?}", c.column, c.compared, c.value),
        }
    }

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match Filter::parse(text, &table()) {
            Ok(filter) => shown(&filter),
            Err(e) => format!("{}: {e}", e.kind()),
        });
    }

    #[test]
    fn conditions_are_read_by_the_type_of_their_column() {
        check("", expect!["[]"]);
        check("balance>50", expect!["balance > Integer(50)"]);
        check(
            " balance >= -5 AND rate<1 and open = true and owner != 'o''hara and sons' ",
            expect![[
                r#"[balance >= Integer(-5) and rate < Real(1.0) and open = Boolean(true) and owner != Text("o'hara and sons")]"#
            ]],
        );
        check("key = 17", expect![[r#"key = Text("17")"#]]);
        check(r#"owner = "null" and owner != null"#, expect![[r#"[owner = Text("null") and owner != Null]"#]]);
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        check(
            "balance > 1 or balance < 0 and open = true",
            expect!["[balance > Integer(1) or [balance < Integer(0) and open = Boolean(true)]]"],
        );
        check(
            "(balance > 1 or balance<0) AND not open=true",
            expect!["[[balance > Integer(1) or balance < Integer(0)] and not open = Boolean(true)]"],
        );
        check("not (key = a or not key = b)", expect![[r#"not [key = Text("a") or not key = Text("b")]"#]]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        check(
            "balanse > 1",
            expect![
                "invalid: filter: view accounts has no column balanse: it has key, balance, rate, open, owner, digest"
            ],
        );
        check("balance", expect!["invalid: filter: expected one of = != < <= > >=, found the end"]);
        check("balance >", expect!["invalid: filter: expected a value, found the end"]);
        check("> 3", expect![[r#"invalid: filter: expected a column, found "> 3""#]]);
        check("balance > x", expect!["invalid: filter: column balance holds integer, and x is none"]);
        check("balance > '5'", expect![[r#"invalid: filter: column balance holds integer, and "5" is none"#]]);
        check("balance = null", expect!["invalid: filter: column balance holds integer, and null is none"]);
        check("rate > null", expect!["invalid: filter: rate > null never holds: use = or !="]);
        check("digest = 00", expect!["invalid: filter: column digest holds bytes, and 00 is none"]);
        check("owner = 'ada", expect![[r#"invalid: filter: expected a closing quote, found "ada""#]]);
        check(
            "balance > 1 xor balance < 0",
            expect![[r#"invalid: filter: expected `and`, `or` or the end, found "xor balance < 0""#]],
        );
        check("(balance > 1", expect!["invalid: filter: expected a closing parenthesis, found the end"]);
        check("balance > 1)", expect![[r#"invalid: filter: expected `and`, `or` or the end, found ")""#]]);
        check("not", expect!["invalid: filter: expected a column, found the end"]);
        check(&"(".repeat(40), expect!["invalid: filter: nested deeper than 32"]);
        check(&" ".repeat(5_000), expect!["invalid: filter: 5000 bytes are more than 4096"]);
        check("balance > 1 and", expect!["invalid: filter: expected a column, found the end"]);
    }
}
