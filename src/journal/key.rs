//! The keys of the journal's rows.

use factum_core::{AggregateId, Topic, Version};

/// As many digits as the largest version that a row can hold.
const DIGITS: usize = 19;
/// What an events topic's name has behind the aggregate type.
const EVENTS: &str = ".events";

/// The key of an event's row: `<aggregate type>/<id>/<version>`, the version with
/// 19 digits, so that the rows of an aggregate are a range in the order of
/// versions. A `/` in the id is doubled: no other aggregate is in that range. In
/// a deployment with a prefix the aggregate type has it in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowKey<'a> {
    /// The aggregate type, with the deployment's prefix.
    pub(crate) aggregate_type: &'a str,
    /// The aggregate's id, a `/` in it doubled.
    escaped: &'a str,
    /// The version.
    pub(crate) version: Version,
}

impl<'a> RowKey<'a> {
    /// Reads a key; none when it is not one.
    pub(crate) fn parse(key: &'a str) -> Option<Self> {
        let (start, version) = key.split_at_checked(key.len().checked_sub(DIGITS)?)?;
        let (aggregate_type, escaped) = start.strip_suffix('/')?.split_once('/')?;
        Some(RowKey { aggregate_type, escaped, version: Version(version.parse().ok()?) })
    }

    /// The aggregate's id.
    pub(crate) fn aggregate(&self) -> String {
        self.escaped.replace("//", "/")
    }

    /// What the keys of the aggregate's rows begin with.
    pub(crate) fn start(&self) -> String {
        format!("{}/{}/", self.aggregate_type, self.escaped)
    }
}

/// What the keys of an aggregate's rows begin with; its versions follow.
pub(crate) fn start_of(events: &Topic, id: &AggregateId) -> String {
    format!("{}/{}/", type_of(events), id.as_str().replace('/', "//"))
}

/// The key of an aggregate's row of a version.
pub(crate) fn key_of(start: &str, version: Version) -> String {
    format!("{start}{:0DIGITS$}", version.0)
}

/// The version that a key ends with.
pub(crate) fn version_of(key: &str) -> Option<Version> {
    key.get(key.len().checked_sub(DIGITS)?..)?.parse().ok().map(Version)
}

/// A text as a filter's literal.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The aggregate type whose events a topic holds, with the deployment's prefix.
pub(crate) fn type_of(events: &Topic) -> &str {
    events.as_str().strip_suffix(EVENTS).unwrap_or(events.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::Topics;

    fn key(id: &str, version: u64) -> String {
        key_of(&start_of(&Topics::of("bank.account").events, &AggregateId::new(id).unwrap()), Version(version))
    }

    #[test]
    fn a_key_names_type_aggregate_and_version() {
        for (id, version) in [("anna", 1), ("a/b", 100_000), ("/", 7), ("ünï", 9_223_372_036_854_775_807)] {
            let key = key(id, version);
            let read = RowKey::parse(&key).unwrap();
            assert_eq!((read.aggregate_type, read.aggregate(), read.version.0), ("bank.account", id.into(), version));
            assert!(key.starts_with(&read.start()));
        }
        assert_eq!(RowKey::parse("anna"), None);
    }

    #[test]
    fn the_rows_of_an_aggregate_are_a_range_with_no_other_in_it() {
        let range = key("anna", 0)..=key("anna", 9_223_372_036_854_775_807);
        assert!(range.contains(&key("anna", 9)) && key("anna", 9) < key("anna", 10));
        for other in ["anna/", "anna/0000000000000000005", "ann", "annaa", "anna/0000000000000000005/0"] {
            assert!(!range.contains(&key(other, 3)), "{other}");
        }
    }
}
