//! The keys of the journal's rows.

use factum_core::{AggregateId, Topic, Version};

/// As many digits as the largest version that a row can hold.
const DIGITS: usize = 19;
/// What an events topic's name has behind the aggregate type.
const EVENTS: &str = ".events";

/// What the keys of an aggregate's rows begin with, `<aggregate type>/<id>/`; its
/// versions follow. A `/` in the id is doubled: no other aggregate's rows are
/// between its versions. In a deployment with a prefix the aggregate type has it in front.
pub(crate) fn start_of(events: &Topic, id: &AggregateId) -> String {
    format!("{}/{}/", type_of(events), id.as_str().replace('/', "//"))
}

/// The key of an aggregate's row of a version.
pub(crate) fn key_of(start: &str, version: Version) -> String {
    format!("{start}{:0DIGITS$}", version.0)
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
        assert_eq!(key("a/b", 100_000), "bank.account/a//b/0000000000000100000");
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
