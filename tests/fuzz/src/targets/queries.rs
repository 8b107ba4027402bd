//! The query language of views, with its cursors.

use crate::{Draw, Target, target::same};
use factum_core::view::{Column, ColumnType, Value, ViewTable};
use factum_views::{Filter, Query, evaluate};

/// An input has a parameter in each line: `where=balance > 5`.
pub(super) struct Queries {
    table: ViewTable,
    rows: Vec<Vec<Value>>,
}

impl Queries {
    pub(super) fn new() -> Self {
        let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
        let columns = vec![
            column("balance", ColumnType::Integer, false),
            column("owner", ColumnType::Text, true),
            column("rate", ColumnType::Real, true),
            column("open", ColumnType::Boolean, false),
            column("raw", ColumnType::Bytes, true),
        ];
        let text = |text: &str| Value::Text(text.to_owned());
        let rows = vec![
            vec![text("anna"), Value::Integer(100), text("ada"), Value::Real(0.5), Value::Boolean(true), Value::Null],
            vec![
                text("bert"),
                Value::Integer(i64::MIN),
                Value::Null,
                Value::Null,
                Value::Boolean(false),
                Value::Bytes(vec![0, 255]),
            ],
            vec![
                text("carl"),
                Value::Integer(100),
                text("%_\\'"),
                Value::Real(-0.0),
                Value::Boolean(true),
                Value::Bytes(Vec::new()),
            ],
        ];
        Queries { table: ViewTable::new("accounts", 1, columns).expect("a sound table"), rows }
    }

    fn query(&self, input: &str) -> Option<Query> {
        let pairs = input.lines().map(|line| line.split_once('=').unwrap_or((line, "")));
        Query::from_pairs(&self.table, pairs).ok()
    }
}

const FIELDS: [&str; 7] = ["key", "balance", "owner", "rate", "open", "raw", "none"];

fn condition(draw: &mut Draw, depth: usize) -> String {
    if depth > 0 && draw.once_in(2) {
        let (left, right) = (condition(draw, depth - 1), condition(draw, depth - 1));
        return match draw.below(3) {
            0 => format!("not ({left})"),
            1 => format!("({left} or {right})"),
            _ => format!("{left} and {right}"),
        };
    }
    let field = draw.one(&FIELDS);
    match draw.below(5) {
        0 => format!("{field} is not null"),
        1 => format!("{field} in (1, 'a', {})", draw.odd_signed()),
        2 => format!("{field} like '{}'", draw.one(&["%a%", "_", r"\%", "", "%%%"])),
        3 => format!("{field} {} {}", draw.one(&["=", "!=", "<", ">="]), draw.odd_signed()),
        _ => format!("{field} = '{}'", draw.text().replace('\'', "''")),
    }
}

impl Target for Queries {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let mut lines = Vec::new();
        if draw.once_in(2) {
            lines.push(format!("where={}", condition(draw, 3).replace('\n', " ")));
        }
        if draw.once_in(2) {
            let signs = |draw: &mut Draw| draw.one(&["", "-", " "]).to_owned() + draw.one(&FIELDS[..6]);
            lines.push(format!("order={},{}", signs(draw), signs(draw)));
        }
        if draw.once_in(3) {
            lines.push(format!("columns={},key", draw.one(&FIELDS[1..])));
        }
        if draw.once_in(3) {
            lines.push(format!("count={}", draw.one(&["true", "false"])));
        }
        lines.push(format!("limit={}", draw.below(3)));
        // The cursor of the page that the lines so far ask for.
        let page = self.query(&lines.join("\n")).and_then(|query| evaluate(&query, self.rows.clone()).ok());
        if let Some(next) = page.and_then(|page| page.next) {
            lines.push(format!("cursor={next}"));
        }
        lines.join("\n").into_bytes()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "(", ")", "not ", " and ", " or ", " in (", " like '%", "'", "\"", " is ", " null", "\n", "where=",
            "cursor=", "order=", "key", "balance", "owner", "rate", "raw", "'%a", ",", "-", "inf", "AQ==",
        ]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
        drop(Filter::parse(text, &self.table));
        let Some(query) = self.query(text) else { return Ok(()) };
        // The same filter is the same text, which is what cursors rely on.
        same("the filter's text", &query.filter().to_string(), &query.clone().filter().to_string())?;
        let page = evaluate(&query, self.rows.clone()).map_err(|error| format!("a page of three rows: {error}"))?;
        if page.rows.len() > query.limit() {
            return Err(format!("{} rows are more than {}", page.rows.len(), query.limit()));
        }
        if let Some(next) = page.next {
            let after = query.after(&next).map_err(|error| format!("the cursor of a page is refused: {error}"))?;
            let rest = evaluate(&after, self.rows.clone()).map_err(|error| error.to_string())?;
            if rest.rows.len() + page.rows.len() > self.rows.len() {
                return Err("a row is on two pages".to_owned());
            }
        }
        Ok(())
    }
}
