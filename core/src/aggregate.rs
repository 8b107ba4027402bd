//! What a domain author writes.

use crate::Message;
use serde::Serialize;
use std::fmt::{Debug, Display};

/// A consistency boundary: a state that events build and that decides about commands.
///
/// Both functions are pure and synchronous. Time, ids and prices come in with
/// the command; the state holds only what the next decision needs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "needs `Aggregate`",
    note = "write `impl Aggregate for {Self}` with `decide` and `evolve`; the state also derives `Default, Clone`"
)]
pub trait Aggregate: Default + Clone + Send + 'static {
    /// The aggregate's type, `<context>.<name>`: the prefix of its topics and
    /// the namespace of its records, for example `bank.account`.
    const TYPE: &'static str;

    /// Raise it when `evolve` changes its meaning: snapshots of another fold
    /// version are not used.
    const FOLD_VERSION: u32;

    /// What may be asked for.
    type Command: Message;

    /// What happened.
    type Event: Message;

    /// Why a command was refused: a value for the requester, not an error.
    type Refusal: Debug + Display + Serialize;

    /// Decides about a command: the events that it causes (perhaps none), or a refusal.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Takes an event into the state. Total: an event has happened and cannot fail.
    fn evolve(&mut self, event: &Self::Event);

    /// The permission that a command needs beyond that of writing to the
    /// commands topic; a handler refuses it unless it was started with that
    /// permission granted. None: it needs no other.
    fn permission(command: &Self::Command) -> Option<&'static str> {
        let _ = command;
        None
    }

    /// Whether `event`, which led to this state, calls for a snapshot now
    /// ("after a significant change"), besides the policy's number of events.
    fn snapshot_after(&self, event: &Self::Event) -> bool {
        let _ = event;
        false
    }
}

/// The names of an aggregate type's topics (DESIGN §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Requests; any client may write.
    pub commands: crate::Topic,
    /// The truth; only the handler writes.
    pub events: crate::Topic,
    /// Snapshots, checkpoint markers, position and window records.
    pub snapshots: crate::Topic,
    /// Answers.
    pub replies: crate::Topic,
    /// Commands that cannot be handled.
    pub dead_letters: crate::Topic,
    /// How the command line names them: the aggregate type, and the prefix if there is one.
    pub arguments: String,
}

impl Topics {
    /// The topics of an aggregate type.
    pub fn of(aggregate_type: &str) -> Self {
        Self::with_prefix("", aggregate_type)
    }

    /// The topics of an aggregate type in a deployment whose names begin with `prefix`.
    pub fn with_prefix(prefix: &str, aggregate_type: &str) -> Self {
        let topic = |kind: &str| crate::Topic::new(format!("{prefix}{aggregate_type}.{kind}"));
        Topics {
            commands: topic("commands"),
            events: topic("events"),
            snapshots: topic("snapshots"),
            replies: topic("replies"),
            dead_letters: topic("dead-letters"),
            arguments: if prefix.is_empty() {
                aggregate_type.to_owned()
            } else {
                format!("{aggregate_type} --prefix {prefix}")
            },
        }
    }

    /// The consumer group of an aggregate type's handler. It cannot be
    /// configured: two groups would be two writers.
    pub fn handler_group(aggregate_type: &str) -> String {
        format!("{aggregate_type}.handler")
    }

    /// All of them.
    pub fn all(&self) -> [&crate::Topic; 5] {
        [&self.commands, &self.events, &self.snapshots, &self.replies, &self.dead_letters]
    }
}
