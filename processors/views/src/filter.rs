//! Which rows a query asks for: `balance > 50 and owner = 'ada'`.

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

/// Conditions that all have to hold. Without any, every row is let through.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    conditions: Vec<Condition>,
}

impl Filter {
    /// Reads `column op literal [and column op literal ...]`.
    ///
    /// Operators: `=`, `!=`, `<`, `<=`, `>`, `>=`. Literals: numbers, `true`, `false`, `null`,
    /// a word, or text in single or double quotes (a quote in it is doubled).
    ///
    /// # Errors
    /// `Invalid`: what was expected where, or which columns there are.
    pub fn parse(text: &str, table: &ViewTable) -> Result<Self> {
        let mut conditions = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            if !conditions.is_empty() {
                let (word, after) = word(rest);
                if !word.eq_ignore_ascii_case("and") {
                    return Err(unexpected("and", rest));
                }
                rest = after.trim_start();
            }
            let (column, after) = word(rest);
            if column.is_empty() {
                return Err(unexpected("a column", rest));
            }
            let after = after.trim_start();
            let found = OPERATORS.iter().find_map(|(text, op)| after.strip_prefix(text).map(|rest| (*op, rest)));
            let (compared, after) = found.ok_or_else(|| unexpected("one of = != < <= > >=", after))?;
            let (literal, after) = literal(after.trim_start())?;
            conditions.push(Condition {
                column: column.into(),
                compared,
                value: typed(column, compared, literal, table)?,
            });
            rest = after.trim_start();
        }
        Ok(Filter { conditions })
    }

    /// The conditions.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Whether a row satisfies all conditions.
    pub fn lets_through(&self, row: &QueriedRow) -> bool {
        self.conditions.iter().all(|condition| condition.holds(row))
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
        let (bare, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
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

    fn check(text: &str, expected: Expect) {
        let shown = match Filter::parse(text, &table()) {
            Ok(filter) => filter
                .conditions
                .iter()
                .map(|c| format!("{} {} {:?}", c.column, c.compared, c.value))
                .collect::<Vec<_>>()
                .join("\n"),
            Err(e) => format!("{}: {e}", e.kind()),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn conditions_are_read_by_the_type_of_their_column() {
        check("", expect![""]);
        check("balance>50", expect!["balance > Integer(50)"]);
        check(
            " balance >= -5 AND rate<1 and open = true and owner != 'o''hara and sons' ",
            expect![[r#"
                balance >= Integer(-5)
                rate < Real(1.0)
                open = Boolean(true)
                owner != Text("o'hara and sons")"#]],
        );
        check("key = 17", expect![[r#"key = Text("17")"#]]);
        check(
            r#"owner = "null" and owner != null"#,
            expect![[r#"
            owner = Text("null")
            owner != Null"#]],
        );
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
        check("balance > 1 or balance < 0", expect![[r#"invalid: filter: expected and, found "or balance < 0""#]]);
        check("balance > 1 and", expect!["invalid: filter: expected a column, found the end"]);
    }
}
