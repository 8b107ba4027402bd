//! Reading a filter.

use super::{Compared, Field, Filter, MAX_FILTER_BYTES, MAX_FILTER_DEPTH, MAX_FILTER_TERMS, MAX_IN_VALUES, Pattern};
use base64::{Engine, prelude::BASE64_STANDARD};
use factum_core::{
    Error, Result,
    view::{ColumnType, Value, ViewTable},
};

/// Reads a filter from left to right, one function for each level of binding.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    rest: &'a str,
    table: &'a ViewTable,
    terms: usize,
}

/// A literal as it was written.
enum Literal<'a> {
    Bare(&'a str),
    Quoted(String),
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, table: &'a ViewTable) -> Result<Self> {
        if text.len() > MAX_FILTER_BYTES {
            return Err(Error::invalid(format!(
                "filter: {} bytes are more than {MAX_FILTER_BYTES} (nor may it have more than {MAX_FILTER_TERMS} conditions)",
                text.len()
            )));
        }
        Ok(Parser { rest: text.trim(), table, terms: 0 })
    }

    pub(super) fn filter(mut self) -> Result<Filter> {
        if self.rest.is_empty() {
            return Ok(Filter::default());
        }
        let filter = self.any(0)?;
        if self.rest.is_empty() { Ok(filter) } else { Err(unexpected("`and`, `or` or the end", self.rest)) }
    }

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
        if depth > MAX_FILTER_DEPTH {
            return Err(Error::invalid(format!("filter: nested deeper than {MAX_FILTER_DEPTH}")));
        }
        if self.takes("not") {
            return Ok(Filter::Not(Box::new(self.single(depth + 1)?)));
        }
        if self.takes_sign('(') {
            let filter = self.any(depth + 1)?;
            self.expect(')', "a closing parenthesis")?;
            return Ok(filter);
        }
        self.terms += 1;
        if self.terms > MAX_FILTER_TERMS {
            return Err(Error::invalid(format!(
                "filter: more than {MAX_FILTER_TERMS} conditions; use in (…) for many values"
            )));
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Filter> {
        let (column, after) = word(self.rest);
        if column.is_empty() {
            return Err(unexpected("a column", self.rest));
        }
        let field = Field::find(column, self.table).map_err(|error| error.context("filter"))?;
        self.rest = after.trim_start();
        if self.takes("is") {
            let not = self.takes("not");
            if !self.takes("null") {
                return Err(unexpected("`null` or `not null`", self.rest));
            }
            return Ok(if not { not_null(field) } else { Filter::IsNull(field) });
        }
        let begin = self.rest;
        let not = self.takes("not");
        let found = if self.takes("in") {
            Filter::In(field.clone(), self.values(&field)?)
        } else if self.takes("like") {
            Filter::Like(field.clone(), self.pattern(&field)?)
        } else if not {
            return Err(unexpected("`in` or `like`", self.rest));
        } else {
            let found = Compared::ALL.iter().find_map(|(text, op)| begin.strip_prefix(text).map(|rest| (*op, rest)));
            // What goes on with such a sign is another one, as `==` or `>>`.
            let found = found.filter(|(_, after)| !after.starts_with(['=', '!', '<', '>']));
            let (compared, after) =
                found.ok_or_else(|| unexpected("one of = != < <= > >= in like is (or not in, not like)", begin))?;
            self.rest = after.trim_start();
            return self.comparison(field, compared);
        };
        // As `!=`, so that a null is in neither of the two.
        Ok(if not { Filter::All(vec![not_null(field), Filter::Not(Box::new(found))]) } else { found })
    }

    fn comparison(&mut self, field: Field, compared: Compared) -> Result<Filter> {
        let literal = self.literal()?;
        if matches!(literal, Literal::Bare("null")) && field.is_nullable() {
            return match compared {
                Compared::Eq => Ok(Filter::IsNull(field)),
                Compared::Ne => Ok(not_null(field)),
                _ => Err(Error::invalid(format!(
                    "filter: {field} {compared} null never holds: use is null or is not null"
                ))),
            };
        }
        let value = typed(&field, literal)?;
        Ok(Filter::Compare(field, compared, value))
    }

    fn values(&mut self, field: &Field) -> Result<Vec<Value>> {
        self.expect('(', "a list as (1, 2)")?;
        let mut values = Vec::new();
        loop {
            let literal = self.literal()?;
            if matches!(literal, Literal::Bare("null")) && field.is_nullable() {
                return Err(Error::invalid(format!("filter: null is in no list: use `or {field} is null`")));
            }
            values.push(typed(field, literal)?);
            if values.len() > MAX_IN_VALUES {
                return Err(Error::invalid(format!("filter: more than {MAX_IN_VALUES} values in the list of {field}")));
            }
            if !self.takes_sign(',') {
                break;
            }
        }
        self.expect(')', "a comma or a closing parenthesis")?;
        Ok(values)
    }

    fn pattern(&mut self, field: &Field) -> Result<Pattern> {
        if field.kind() != ColumnType::Text {
            return Err(Error::invalid(format!("filter: column {field} holds {}, and like is for text", field.kind())));
        }
        let text = match self.literal()? {
            Literal::Bare(text) => text.to_owned(),
            Literal::Quoted(text) => text,
        };
        Pattern::parse(&text).map_err(|error| error.context("filter"))
    }

    fn literal(&mut self) -> Result<Literal<'a>> {
        let (literal, after) = literal(self.rest)?;
        self.rest = after.trim_start();
        Ok(literal)
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

    /// Takes a sign, if it comes next.
    fn takes_sign(&mut self, sign: char) -> bool {
        let after = self.rest.strip_prefix(sign);
        if let Some(after) = after {
            self.rest = after.trim_start();
        }
        after.is_some()
    }

    fn expect(&mut self, sign: char, expected: &str) -> Result<()> {
        if self.takes_sign(sign) { Ok(()) } else { Err(unexpected(expected, self.rest)) }
    }
}

fn not_null(field: Field) -> Filter {
    Filter::Not(Box::new(Filter::IsNull(field)))
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

/// The most characters of a filter that an error shows.
const SHOWN_CHARS: usize = 60;

fn unexpected(expected: &str, rest: &str) -> Error {
    let shown: String = rest.chars().take(SHOWN_CHARS).collect();
    let found = if rest.is_empty() { "the end".into() } else { format!("{shown:?}") };
    Error::invalid(format!("filter: expected {expected}, found {found}"))
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()))
}

fn literal(text: &str) -> Result<(Literal<'_>, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',');
        let (bare, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
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
fn typed(field: &Field, literal: Literal<'_>) -> Result<Value> {
    let kind = field.kind();
    let text = match literal {
        Literal::Bare(text) => text.to_owned(),
        Literal::Quoted(text) if kind == ColumnType::Text => return Ok(Value::Text(text)),
        Literal::Quoted(text) if kind == ColumnType::Bytes => text,
        Literal::Quoted(text) => format!("{text:?}"),
    };
    match kind {
        ColumnType::Integer => text.parse().ok().map(Value::Integer),
        ColumnType::Real => text.parse().ok().filter(|value: &f64| !value.is_nan()).map(Value::Real),
        ColumnType::Boolean => text.parse().ok().map(Value::Boolean),
        ColumnType::Text => Some(Value::Text(text.clone())),
        ColumnType::Bytes => bytes(&text).map(Value::Bytes),
    }
    .ok_or_else(|| {
        let shown: String = text.chars().take(SHOWN_CHARS).collect();
        Error::invalid(format!("filter: column {field} holds {kind}, and {shown} is none"))
    })
}

/// Bytes in Base64 with padding.
fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}
