//! Queries as parameters of a URL.

use super::Query;
use factum_core::{Error, Result, view::ViewTable};

/// The names that [`Query::from_pairs`] takes.
pub const PARAMETERS: [&str; 6] = ["where", "order", "columns", "limit", "cursor", "count"];

impl Query {
    /// The query of a URL's parameters, already decoded: `where` (as [`super::Filter::parse`]),
    /// `order` (`-balance,key`), `columns` (`key,balance`), `limit`, `cursor` and
    /// `count` (`true` or `false`). An empty value is as none.
    ///
    /// # Errors
    /// `Invalid`: another name, one that is given twice, or what the parts say.
    pub fn from_pairs<'a>(table: &ViewTable, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut query = Query::new(table);
        let mut seen: Vec<&str> = Vec::new();
        // It belongs to the filter and the order, wherever they stand.
        let mut cursor = None;
        for (name, value) in pairs {
            if seen.contains(&name) {
                return Err(Error::invalid(format!("{name} is given twice")));
            }
            seen.push(name);
            query = match name {
                _ if !PARAMETERS.contains(&name) => {
                    let valid = PARAMETERS.join(", ");
                    return Err(Error::invalid(format!(
                        "a query has no parameter {name:?}: it has {valid}, and over HTTP after, wait, stale"
                    )));
                }
                _ if value.is_empty() => query,
                "where" => query.filtered(value)?,
                "order" => query.ordered(value)?,
                "columns" => query.projected(value)?,
                "limit" => {
                    let limit = value.parse();
                    query.limited(limit.map_err(|_| Error::invalid(format!("limit: {value:?} is no number")))?)?
                }
                "cursor" => {
                    cursor = Some(value);
                    query
                }
                _ => match value {
                    "true" => query.counted(),
                    "false" => query,
                    _ => return Err(Error::invalid(format!("count: {value:?} is neither true nor false"))),
                },
            };
        }
        match cursor {
            Some(cursor) => query.after(cursor),
            None => Ok(query),
        }
    }
}
