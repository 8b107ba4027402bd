//! Given/when/then for aggregates and views.
//!
//! The checks panic with both sides, for use in `#[test]` functions.

use crate::{
    Aggregate, AggregateId, CommandId, Offset, Partition, TimestampMs, Topics, Version,
    view::{Recorded, View},
};
use std::{collections::BTreeMap, fmt::Debug};

/// Starts with an aggregate that has had these events.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = impl Into<A::Event>>) -> Given<A> {
    Given { state: A::default() }.and(events)
}

/// An aggregate with a past.
#[derive(Debug)]
pub struct Given<A> {
    state: A,
}

impl<A: Aggregate> Given<A> {
    /// More events, of another type.
    #[must_use]
    pub fn and(mut self, events: impl IntoIterator<Item = impl Into<A::Event>>) -> Self {
        for event in events {
            self.state.evolve(&event.into());
        }
        self
    }

    /// Decides about a command.
    #[must_use]
    pub fn when(self, command: impl Into<A::Command>) -> Decided<A> {
        let outcome = self.state.decide(command.into());
        Decided { state: self.state, outcome }
    }
}

/// What became of the command under test.
#[derive(Debug)]
pub struct Decided<A: Aggregate> {
    state: A,
    outcome: Result<Vec<A::Event>, A::Refusal>,
}

impl<A: Aggregate> Decided<A> {
    /// The command caused exactly these events.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = impl Into<A::Event>>) -> Self
    where
        A::Event: PartialEq,
    {
        let expected: Vec<A::Event> = expected.into_iter().map(Into::into).collect();
        match &self.outcome {
            Ok(events) => assert_eq!(events, &expected, "the events differ"),
            Err(refusal) => panic!("refused with {refusal:?}, expected {expected:?}"),
        }
        self
    }

    /// The command was refused like this.
    #[track_caller]
    pub fn then_refused(self, expected: A::Refusal)
    where
        A::Refusal: PartialEq,
    {
        match self.outcome {
            Ok(events) => panic!("accepted with {events:?}, expected the refusal {expected:?}"),
            Err(refusal) => assert_eq!(refusal, expected, "the refusals differ"),
        }
    }

    /// The state after the command's events satisfies `check`.
    #[track_caller]
    pub fn then_state(mut self, check: impl FnOnce(&A)) {
        match &self.outcome {
            Ok(events) => events.iter().for_each(|event| self.state.evolve(event)),
            Err(refusal) => panic!("refused with {refusal:?}"),
        }
        check(&self.state);
    }
}

/// Folds events of one aggregate into a view's rows.
pub fn given_events<V: View>(aggregate: &str, events: impl IntoIterator<Item = impl Into<V::Event>>) -> Rows<V> {
    Rows { rows: BTreeMap::new(), offset: 0, versions: BTreeMap::new() }.and(aggregate, events)
}

/// The rows of a view under test.
pub struct Rows<V: View> {
    rows: BTreeMap<String, V::Row>,
    versions: BTreeMap<String, u64>,
    offset: i64,
}

impl<V: View> Debug for Rows<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(&self.rows).finish()
    }
}

impl<V: View> Rows<V> {
    /// More events, of another aggregate or another type.
    ///
    /// # Panics
    /// When `aggregate` is not a valid id.
    #[must_use]
    pub fn and(mut self, aggregate: &str, events: impl IntoIterator<Item = impl Into<V::Event>>) -> Self {
        for event in events {
            let version = self.versions.entry(aggregate.to_owned()).or_default();
            *version += 1;
            let recorded = Recorded {
                aggregate: AggregateId::new(aggregate).expect("a valid aggregate id"),
                version: Version(*version),
                occurred: TimestampMs(self.offset),
                recorded: TimestampMs(self.offset),
                command: CommandId([0; 16]),
                index: 0,
                part: 0,
                correlation: CommandId([0; 16]),
                cause: None,
                trace: None,
                source: "test".into(),
                topic: Topics::of(V::INPUTS.first().unwrap_or(&"test")).events,
                partition: Partition(0),
                offset: Offset(self.offset),
                event: event.into(),
            };
            self.offset += 1;
            for key in V::keys(&recorded) {
                let old = self.rows.remove(&key);
                if let Some(new) = V::fold(&key, old, &recorded) {
                    self.rows.insert(key, new);
                }
            }
        }
        self
    }

    /// The row of `key` is this.
    #[track_caller]
    pub fn then_row(self, key: &str, expected: V::Row) -> Self {
        assert_eq!(self.rows.get(key), Some(&expected), "the row of {key:?} differs");
        self
    }

    /// There is no row of `key`.
    #[track_caller]
    pub fn then_no_row(self, key: &str) -> Self {
        assert_eq!(self.rows.get(key), None, "there is a row of {key:?}");
        self
    }
}
