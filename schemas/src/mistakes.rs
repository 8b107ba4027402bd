//! Classic mistakes in events: they break nothing, and cannot be mended once
//! there is history.

use apache_avro::{Schema, schema::RecordSchema};
use std::fmt;

/// More fields than this, those of records inside included, are many.
const MANY_FIELDS: usize = 30;

/// A mistake that a schema shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// The event is named like what somebody wants, not like what happened.
    CommandAsEvent,
    /// Nobody can tell from the event what happened.
    SaysNothing,
    /// The event carries much more than what happened.
    Fat,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Mistake; 3] = [Mistake::CommandAsEvent, Mistake::SaysNothing, Mistake::Fat];

    /// Its name, for example to accept it.
    pub fn name(self) -> &'static str {
        match self {
            Mistake::CommandAsEvent => "command-as-event",
            Mistake::SaysNothing => "says-nothing",
            Mistake::Fat => "fat",
        }
    }

    /// Why it is one.
    pub fn why(self) -> &'static str {
        match self {
            Mistake::CommandAsEvent => {
                "its name asks for something: an event is a fact, and what may still be refused is a command"
            }
            Mistake::SaysNothing => "each reader has to guess what happened, and no upcaster can find it out later",
            Mistake::Fat => {
                "it ties all readers to all fields, goes stale in the log, and makes each change of the state a change \
                 of history"
            }
        }
    }

    /// What to do.
    pub fn instead(self) -> &'static str {
        match self {
            Mistake::CommandAsEvent => "name it in the past tense after what happened, for example `LimitSet`",
            Mistake::SaysNothing => {
                "one event for each thing that happens, named after it, with fields that have types and names"
            }
            Mistake::Fat => "say what changed, not what is: several events, each with the fields of its own fact",
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The mistakes of one event. `commands` are full names of the commands beside it.
pub fn mistakes(event: &Schema, commands: &[&str]) -> Vec<Mistake> {
    let Schema::Record(record) = event else { return Vec::new() };
    let name = record.name.name();
    let is_command = commands.iter().any(|command| command.rsplit('.').next() == Some(name));
    let mut found = Vec::new();
    if is_command || is_imperative(name) {
        found.push(Mistake::CommandAsEvent);
    }
    if says_nothing(record) {
        found.push(Mistake::SaysNothing);
    }
    if count_fields(event) > MANY_FIELDS || nests_lists(event, 0) {
        found.push(Mistake::Fat);
    }
    found
}

/// Verbs that commands begin with and events do not.
const IMPERATIVES: &[&str] = &[
    "accept",
    "activate",
    "add",
    "allocate",
    "apply",
    "approve",
    "assign",
    "block",
    "book",
    "buy",
    "calculate",
    "cancel",
    "change",
    "charge",
    "check",
    "close",
    "complete",
    "confirm",
    "create",
    "credit",
    "debit",
    "delete",
    "deliver",
    "deposit",
    "disable",
    "do",
    "edit",
    "enable",
    "execute",
    "finish",
    "give",
    "grant",
    "hire",
    "import",
    "insert",
    "issue",
    "lend",
    "lock",
    "make",
    "merge",
    "modify",
    "move",
    "notify",
    "open",
    "order",
    "pay",
    "perform",
    "place",
    "process",
    "publish",
    "put",
    "record",
    "register",
    "reject",
    "release",
    "remove",
    "rename",
    "replace",
    "request",
    "reserve",
    "reset",
    "return",
    "revoke",
    "save",
    "sell",
    "send",
    "set",
    "ship",
    "split",
    "start",
    "stop",
    "store",
    "submit",
    "take",
    "transfer",
    "unblock",
    "unlock",
    "update",
    "validate",
    "verify",
    "withdraw",
    "write",
];

/// Participles that do not end in -ed.
const PARTICIPLES: &[&str] = &[
    "become",
    "begun",
    "bought",
    "broken",
    "brought",
    "built",
    "cast",
    "chosen",
    "come",
    "cut",
    "done",
    "drawn",
    "driven",
    "fallen",
    "felt",
    "forgotten",
    "found",
    "frozen",
    "given",
    "gone",
    "grown",
    "held",
    "hidden",
    "hit",
    "hurt",
    "kept",
    "known",
    "laid",
    "left",
    "lent",
    "let",
    "lost",
    "made",
    "met",
    "overdrawn",
    "paid",
    "put",
    "read",
    "reset",
    "run",
    "said",
    "seen",
    "sent",
    "set",
    "shown",
    "shut",
    "sold",
    "spent",
    "split",
    "stolen",
    "sunk",
    "swept",
    "taken",
    "thrown",
    "told",
    "undone",
    "upheld",
    "withdrawn",
    "withheld",
    "won",
    "written",
];

/// It begins with a verb, and nothing after it says that something happened.
fn is_imperative(name: &str) -> bool {
    let words = words(name);
    let Some((first, rest)) = words.split_first() else { return false };
    let happened = |word: &String| word.len() > 3 && word.ends_with("ed") || PARTICIPLES.contains(&word.as_str());
    // A word alone may be both, as `Reset` and `Split` are.
    let is_both = rest.is_empty() && happened(first);
    IMPERATIVES.contains(&first.as_str()) && !is_both && !rest.iter().any(happened)
}

fn says_nothing(record: &RecordSchema) -> bool {
    const GENERIC: &[&str] =
        &["altered", "changed", "edited", "event", "happened", "modified", "occurred", "saved", "updated"];
    const OPAQUE: &[&str] = &[
        "blob", "body", "bytes", "changes", "content", "data", "details", "event", "json", "message", "payload",
        "state", "value",
    ];
    match &record.fields[..] {
        [] => words(record.name.name()).last().is_some_and(|last| GENERIC.contains(&last.as_str())),
        [only] => match optional(&only.schema) {
            Schema::Bytes => true,
            Schema::String | Schema::Map(_) => words(&only.name).iter().any(|word| OPAQUE.contains(&word.as_str())),
            _ => false,
        },
        _ => false,
    }
}

/// The words of `OverdraftLimitSet` or `overdraft_limit`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_begun = false;
    for char in name.chars() {
        let begins = char.is_uppercase() || !is_begun;
        is_begun = char != '_';
        if !is_begun {
            continue;
        }
        match words.last_mut() {
            Some(word) if !begins => word.extend(char.to_lowercase()),
            _ => words.push(char.to_lowercase().collect()),
        }
    }
    words
}

/// The type itself where it is optional.
fn optional(schema: &Schema) -> &Schema {
    match schema {
        Schema::Union(union) => match union.variants() {
            [Schema::Null, only] | [only, Schema::Null] => only,
            _ => schema,
        },
        other => other,
    }
}

fn count_fields(schema: &Schema) -> usize {
    match schema {
        Schema::Record(record) => record.fields.iter().map(|field| 1 + count_fields(&field.schema)).sum(),
        Schema::Array(array) => count_fields(&array.items),
        Schema::Map(map) => count_fields(&map.types),
        Schema::Union(union) => union.variants().iter().map(count_fields).sum(),
        _ => 0,
    }
}

/// A list of records with a list of records in them.
fn nests_lists(schema: &Schema, lists: usize) -> bool {
    match schema {
        Schema::Record(record) => lists > 1 || record.fields.iter().any(|field| nests_lists(&field.schema, lists)),
        Schema::Array(array) => nests_lists(&array.items, lists + 1),
        Schema::Map(map) => nests_lists(&map.types, lists + 1),
        Schema::Union(union) => union.variants().iter().any(|variant| nests_lists(variant, lists)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[track_caller]
    fn check(name: &str, fields: &str, expected: &[Mistake]) {
        let event = parse(&format!(r#"{{"type":"record","name":"a.{name}","fields":[{fields}]}}"#)).unwrap();
        assert_eq!(mistakes(&event, &["a.Deposit", "a.Payment"]), expected, "{name}");
    }

    const CENTS: &str = r#"{"name":"cents","type":"long"}"#;

    #[test]
    fn an_event_that_is_named_like_a_command_is_found() {
        for name in ["SetOverdraftLimit", "WithdrawMoney", "UpdateAccount", "DoTransfer", "Deposit", "Payment", "Close"]
        {
            check(name, CENTS, &[Mistake::CommandAsEvent]);
        }
        for name in [
            "Deposited",
            "OverdraftLimitSet",
            "Withdrawn",
            "RecordEntryImported",
            "Reset",
            "Paid",
            "OrderShipped",
            "MoneySent",
            "ChangeRequested",
            "Refund",
            "PutOnHold",
            "InterestCredited",
        ] {
            let expected: &[Mistake] = if name == "PutOnHold" { &[Mistake::CommandAsEvent] } else { &[] };
            check(name, CENTS, expected);
        }
    }

    #[test]
    fn an_event_that_says_nothing_is_found() {
        for name in ["Updated", "AccountUpdated", "StatusChanged"] {
            check(name, "", &[Mistake::SaysNothing]);
            check(name, CENTS, &[]);
        }
        for field in [
            r#"{"name":"payload","type":"string"}"#,
            r#"{"name":"event_json","type":["null","string"],"default":null}"#,
            r#"{"name":"data","type":{"type":"map","values":"string"}}"#,
            r#"{"name":"signature","type":"bytes"}"#,
        ] {
            check("Deposited", field, &[Mistake::SaysNothing]);
        }
        check("Closed", "", &[]);
        check("Renamed", r#"{"name":"name","type":"string"}"#, &[]);
        check("Deposited", &format!(r#"{CENTS},{{"name":"payload","type":"string"}}"#), &[]);
    }

    #[test]
    fn a_fat_event_is_found() {
        let many = |count: usize| (0..count).map(|n| format!(r#"{{"name":"f{n}","type":"long"}}"#)).collect::<Vec<_>>();
        check("Opened", &many(30).join(","), &[]);
        check("Opened", &many(31).join(","), &[Mistake::Fat]);
        let list = |name: &str, fields: &str| {
            format!(
                r#"{{"name":"{name}","type":{{"type":"array","items":{{"type":"record","name":"{name}_t","fields":[{fields}]}}}}}}"#
            )
        };
        check("Ordered", &list("lines", CENTS), &[]);
        check("Ordered", &list("lines", &list("parts", CENTS)), &[Mistake::Fat]);
        check("Ordered", &list("lines", &many(30).join(",")), &[Mistake::Fat]);
    }
}
