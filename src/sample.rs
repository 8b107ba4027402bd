//! What `up` publishes when it starts with an empty log.

use crate::send::Outgoing;
use std::fmt;

/// Makes the commands of a sample, one after the other.
type Source = Box<dyn Fn() -> Box<dyn Iterator<Item = Outgoing> + Send> + Send + Sync>;

/// Commands of one aggregate type that `up` publishes when it starts with an
/// empty log, and the first of which `bench` sends over and over.
///
/// They are made when they are sent, so a sample may be larger than memory.
pub struct Sample {
    aggregate_type: &'static str,
    title: String,
    count: u64,
    source: Source,
}

impl Sample {
    /// A sample that is made while it is sent. `source` makes the same `count`
    /// commands each time, in the order in which they are sent; `title` says
    /// what they are, for example `a year of 200 accounts`.
    pub fn generated<I>(
        aggregate_type: &'static str,
        title: impl Into<String>,
        count: u64,
        source: impl Fn() -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: Iterator<Item = Outgoing> + Send + 'static,
    {
        Sample { aggregate_type, title: title.into(), count, source: Box::new(move || Box::new(source())) }
    }

    /// A few commands that are given.
    pub fn of(aggregate_type: &'static str, title: impl Into<String>, commands: Vec<Outgoing>) -> Self {
        let count = u64::try_from(commands.len()).unwrap_or(u64::MAX);
        Self::generated(aggregate_type, title, count, move || commands.clone().into_iter())
    }

    /// The aggregate type of all its commands.
    pub fn aggregate_type(&self) -> &'static str {
        self.aggregate_type
    }

    /// What it is, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How many commands it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The commands from the first one on.
    pub fn commands(&self) -> Box<dyn Iterator<Item = Outgoing> + Send> {
        (self.source)()
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("aggregate_type", &self.aggregate_type)
            .field("title", &self.title)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AggregateId;
    use serde_json::json;

    #[test]
    fn a_sample_of_given_commands_is_the_same_each_time() {
        let anna = AggregateId::new("anna").unwrap();
        let deposit = Outgoing::new(anna, "Deposit", json!({ "cents": 5 }));
        let sample = Sample::of("bank.account", "two deposits", vec![deposit.clone(), deposit]);
        let fields = || sample.commands().map(|command| command.fields).collect::<Vec<_>>();
        assert_eq!((sample.count(), fields()), (2, vec![json!({ "cents": 5 }), json!({ "cents": 5 })]));
        assert_eq!(fields(), fields());
    }
}
