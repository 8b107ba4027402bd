//! Which record is written where, and the rule that follows from it.

use crate::App;
use factum_core::Topics;
use factum_schemas::{AnswerCodec, rules::Level, subject};
use std::collections::BTreeMap;

/// A record that is none of the program's, for example an event of earlier times or a state.
pub(super) const OTHERWISE: Level = Level::BackwardTransitive;

/// Where a record is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) subject: String,
    /// Events are read for ever: the newest schema reads all. Commands and
    /// answers go between programs of different age, so both directions count.
    pub(super) level: Level,
}

/// The places of a program's records, by the record's full name.
pub(super) fn places(app: &App, prefix: &str) -> BTreeMap<String, Vec<Place>> {
    let mut all: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    for host in &app.aggregates {
        let topics = Topics::with_prefix(prefix, host.aggregate_type());
        for (topic, records, level) in [
            (&topics.events, host.events(), Level::BackwardTransitive),
            // What was written once is read for ever.
            (&topics.events, &host.retired_events(), Level::BackwardTransitive),
            (&topics.commands, host.commands(), Level::FullTransitive),
            (&topics.replies, &[AnswerCodec::RECORD][..], Level::FullTransitive),
        ] {
            for record in records {
                let place = Place { subject: subject(topic.as_str(), record), level };
                all.entry((*record).to_owned()).or_default().push(place);
            }
        }
    }
    all
}

/// The strictest rule of a record's places.
pub(super) fn rule(places: &[Place]) -> Level {
    let both = places.iter().any(|place| place.level == Level::FullTransitive);
    if both { Level::FullTransitive } else { OTHERWISE }
}
