//! Whether a change can be rolled out while the version before still runs.

use crate::{shape, traps};
use apache_avro::Schema;
use std::fmt;

/// How a change gets to programs that run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// Instances of both versions may run at once, and a roll-back is one more roll-out.
    SideBySide,
    /// Instances of the version before end first: one of them that meets a
    /// value of the new version stops there. With the reason.
    Stop(String),
    /// Side by side, but without its own snapshots the new version folds every event again.
    PrepareSnapshots,
}

impl Rollout {
    /// Of a new version of a record: the version before reads what it writes, or not.
    pub fn between(old: &Schema, new: &Schema) -> Self {
        let unreadable = shape::readable(new, old).err();
        let why = unreadable.or_else(|| traps::between(new, old).into_iter().next().map(|trap| trap.what));
        why.map_or(Rollout::SideBySide, |why| {
            Rollout::Stop(format!("an instance of the version before cannot read what this one writes: {why}"))
        })
    }

    /// Of a new version of a state: each keeps snapshots of its own, which documentation does not divide.
    pub fn of_state(old: &Schema, new: &Schema) -> Self {
        let is_shared = shape::fingerprint(old, 0) == shape::fingerprint(new, 0);
        if is_shared { Rollout::SideBySide } else { Rollout::PrepareSnapshots }
    }

    /// Of a record of events that the version before has not.
    pub fn of_new_event() -> Self {
        Rollout::Stop(
            "an instance of the version before does not know this record; without a stop: first release a version \
             that reads it and writes the old one, then one that writes it"
                .to_owned(),
        )
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rollout::SideBySide => f.write_str("roll out side by side"),
            Rollout::Stop(why) => write!(f, "needs a stop: {why}"),
            Rollout::PrepareSnapshots => f.write_str(
                "roll out side by side after `factum snapshots prepare`: each version of a state has its own snapshots",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expected: &str) {
        let record = |fields: &str| {
            Schema::parse_str(&format!(r#"{{"type":"record","name":"a.B","fields":[{fields}]}}"#)).unwrap()
        };
        assert_eq!(Rollout::between(&record(old), &record(new)).to_string(), expected);
    }

    const CENTS: &str = r#"{"name":"cents","type":"long"}"#;

    #[test]
    fn what_the_version_before_reads_is_rolled_out_side_by_side() {
        let side_by_side = "roll out side by side";
        check(CENTS, CENTS, side_by_side);
        check(CENTS, &format!(r#"{CENTS},{{"name":"note","type":["null","string"],"default":null}}"#), side_by_side);
        check(&format!(r#"{CENTS},{{"name":"note","type":"string","default":""}}"#), CENTS, side_by_side);
    }

    #[test]
    fn another_state_has_other_snapshots_and_other_documentation_has_not() {
        let state = |doc: &str, kind: &str| {
            let json =
                format!(r#"{{"type":"record","name":"a.S","doc":"{doc}","fields":[{{"name":"x","type":"{kind}"}}]}}"#);
            Schema::parse_str(&json).unwrap()
        };
        let old = state("a", "int");
        assert_eq!(Rollout::of_state(&old, &state("b", "int")), Rollout::SideBySide);
        let told = Rollout::of_state(&old, &state("a", "long")).to_string();
        assert!(told.starts_with("roll out side by side after `factum snapshots prepare`: "), "{told}");
    }

    #[test]
    fn what_the_version_before_cannot_read_needs_a_stop_and_says_why() {
        let stop = |why: &str| {
            format!("needs a stop: an instance of the version before cannot read what this one writes: {why}")
        };
        let note = format!(r#"{CENTS},{{"name":"note","type":"string"}}"#);
        check(&note, CENTS, &stop("field note: it is missing there and has no default"));
        check(r#"{"name":"cents","type":"int"}"#, CENTS, &stop("field cents: long cannot be read as int"));
        let kind =
            |symbols: &str| format!(r#"{{"name":"e","type":{{"type":"enum","name":"E","symbols":[{symbols}]}}}}"#);
        check(&kind(r#""X""#), &kind(r#""X","Y""#), &stop("field e: the symbols Y have no place, nor a default"));
    }
}
