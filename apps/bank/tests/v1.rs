//! The shape of the first version: its schemas are those that were committed first, and what it wrote comes back
//! from today's events as it was.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum::{
    AggregateId, CommandId, Message, Offset, Partition, RecordBatch, Topic, Version,
    schemas::{AvroMessage, Upcasted, compact, pretty},
    transform::Transform,
    view::Recorded,
    wire::EventHeader,
};
use factum_bank::{
    Deposited, Event as Today, OverdraftInterestCharged, OverdraftLimitSet, Withdrawn,
    v1::{Event, V1},
};
use std::{fs, path::Path};

#[test]
fn the_records_of_the_first_shape_have_the_first_committed_schemas() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avsc");
    let schemas = Event::schemas();
    assert_eq!(schemas.len(), Event::RECORDS.len());
    for (name, schema) in Event::RECORDS.iter().zip(&schemas) {
        let committed = fs::read_to_string(folder.join(name).join("1.avsc")).unwrap();
        let committed = factum::schemas::Schema::parse_str(&committed).unwrap();
        assert_eq!(compact(schema), compact(&committed), "{name}: {}", pretty(schema));
    }
}

/// What becomes of an event of today.
fn down(event: Today) -> Vec<Event> {
    let mut batch = RecordBatch::new();
    batch.start(&Topic::from("bank.account.events"), Partition(0)).finish();
    let header = EventHeader {
        version: Version(1),
        command: CommandId([1; 16]),
        command_offset: Offset(0),
        index: 0,
        size: 1,
        occurred: factum::TimestampMs(0),
        correlation: CommandId([1; 16]),
        cause: None,
        trace: None,
        source: "test",
    };
    let aggregate = AggregateId::new("anna").unwrap();
    V1::transform(&Recorded::new(batch.get(0), &header, aggregate, "test".into(), (0, event)))
}

#[test]
fn what_the_first_version_wrote_comes_back_from_what_it_stands_for_today() {
    let charged = OverdraftInterestCharged { cents: 30 };
    let set = OverdraftLimitSet { cents: 500 };
    let both = |today: Vec<Today>| today.into_iter().flat_map(down).collect::<Vec<_>>();
    assert_eq!(both(Upcasted::of(charged.clone()).unwrap()), [Event::OverdraftInterestCharged(charged)]);
    assert_eq!(both(Upcasted::of(set.clone()).unwrap()), [Event::OverdraftLimitSet(set)]);
    let (came, went) = (Deposited { cents: 1 }, Withdrawn { cents: 2 });
    let today = vec![Today::Deposited(came.clone()), Today::Withdrawn(went.clone())];
    assert_eq!(both(today), [Event::Deposited(came), Event::Withdrawn(went)]);
}
