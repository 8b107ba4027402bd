//! Which rows of a view, and how fresh they have to be.

use crate::token::parse_token;
use factum_core::{Error, Result, wire::Token};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a view that is behind is waited for when the request says nothing.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a request may wait for it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(55);

/// A query of a view's rows.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The view's name.
    pub view: String,
    /// Which rows, in which order and so on: the names and values of a URL's
    /// parameters (`where`, `order`, `columns`, `limit`, `cursor`, `count`).
    pub parameters: Vec<(String, String)>,
    /// Positions that the view is to have passed: tokens of replies.
    pub after: Vec<Token>,
    /// What happens while it has not.
    pub patience: Patience,
}

/// What a query does while the view is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It waits so long, and then it fails.
    Wait(Duration),
    /// It is answered with the rows that there are, and with what they lack.
    Stale,
}

impl QueryRequest {
    /// The request of a URL's parameters: `after` (a token, may be given several times), `wait` (seconds)
    /// and `stale` (`true` or `false`) are read here, all others are the query's. A header may hold tokens
    /// as well, with commas between.
    ///
    /// # Errors
    /// `Invalid`: what is no token, no number of seconds, or neither true nor false.
    pub fn from_url(view: String, parameters: Vec<(String, String)>, header: Option<&str>) -> Result<Self> {
        let mut request = QueryRequest {
            view,
            parameters: Vec::new(),
            after: Vec::new(),
            patience: Patience::Wait(DEFAULT_PATIENCE),
        };
        let tokens = header.into_iter().flat_map(|header| header.split(',')).map(str::trim);
        request.after = tokens.filter(|token| !token.is_empty()).map(parse_token).collect::<Result<_>>()?;
        let mut stale = false;
        for (name, value) in parameters {
            match name.as_str() {
                "after" => request.after.push(parse_token(&value)?),
                "wait" => {
                    let seconds = value.parse().map(Duration::from_secs);
                    let wait =
                        seconds.map_err(|_| Error::invalid(format!("wait: {value:?} is no number of seconds")))?;
                    request.patience = Patience::Wait(wait.min(LONGEST_PATIENCE));
                }
                "stale" => {
                    let value = value.parse();
                    stale = value.map_err(|_| Error::invalid("stale: it is neither true nor false"))?;
                }
                _ => request.parameters.push((name, value)),
            }
        }
        if stale {
            request.patience = Patience::Stale;
        }
        Ok(request)
    }

    /// The parameters of a URL that say the same.
    pub fn to_parameters(&self) -> Vec<(String, String)> {
        let mut parameters = self.parameters.clone();
        parameters.extend(self.after.iter().map(|token| ("after".to_owned(), token.to_string())));
        parameters.push(match self.patience {
            Patience::Wait(wait) => ("wait".to_owned(), wait.as_secs().to_string()),
            Patience::Stale => ("stale".to_owned(), true.to_string()),
        });
        parameters
    }
}

/// Rows of a view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueryFound {
    /// The view's name.
    pub view: String,
    /// The columns' names, the key first if nothing else was asked for.
    pub columns: Vec<String>,
    /// The columns' values in their order; bytes as Base64.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// The cursor of the next page; none on the last one.
    pub next: Option<String>,
    /// How many rows the filter lets through on all pages, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What stale rows lack: the positions that were asked for and are not in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<BehindFound>,
    /// How many records of the log stale rows lack at most: 0 where they lack none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_records: Option<u64>,
}

/// A position that is not in the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehindFound {
    /// The partition, as `bank.account.events/3`.
    pub partition: String,
    /// The next record that the view will apply there.
    pub position: i64,
    /// The last record that was asked for.
    pub wanted: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], header: Option<&str>) -> Result<QueryRequest> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        QueryRequest::from_url("accounts".into(), pairs.collect(), header)
    }

    #[test]
    fn a_url_says_how_fresh_rows_have_to_be() {
        let request = read(
            &[("where", "balance > 50"), ("after", "a.b.events/1@2"), ("wait", "3"), ("after", "a.b.events/2@3")],
            Some("a.b.events/0@1, a.c.events/0@9"),
        );
        let request = request.unwrap();
        assert_eq!(request.parameters, [("where".to_owned(), "balance > 50".to_owned())]);
        let tokens: Vec<String> = request.after.iter().map(ToString::to_string).collect();
        assert_eq!(tokens, ["a.b.events/0@1", "a.c.events/0@9", "a.b.events/1@2", "a.b.events/2@3"]);
        assert_eq!(request.patience, Patience::Wait(Duration::from_secs(3)));

        let again = QueryRequest::from_url("accounts".into(), request.to_parameters(), None).unwrap();
        assert_eq!(
            (again.parameters, again.after, again.patience),
            (request.parameters, request.after, request.patience)
        );
        for (pairs, patience) in [
            (vec![("stale", "true"), ("wait", "3")], Patience::Stale),
            (vec![("stale", "false")], Patience::Wait(DEFAULT_PATIENCE)),
            (vec![("wait", "9999")], Patience::Wait(LONGEST_PATIENCE)),
        ] {
            assert_eq!(read(&pairs, None).unwrap().patience, patience);
        }
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for (pair, expected) in [
            (
                ("after", "x"),
                "\"x\" is not a position token: what an answer tells as `token` is expected, or topic/partition@offset, \
                 for example bank.account.events/3@1024",
            ),
            (("wait", "-1"), "wait: \"-1\" is no number of seconds"),
            (("stale", "perhaps"), "stale: it is neither true nor false"),
        ] {
            assert_eq!(read(&[pair], None).unwrap_err().to_string(), expected);
        }
        assert!(read(&[], Some("x")).is_err());
    }
}
