//! Rows that are folded again from their history.

use super::rig::*;
use crate::{AggregateId, GroupEvent, Offset, Protections, TimestampMs, Version, view::*};
use expect_test::expect;

/// [`Balances`] of one aggregate each; a transfer breaks that.
#[derive(Debug)]
struct Own;

impl View for Own {
    const NAME: &'static str = "own";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["bank.account"];
    const SCOPE: Scope = Scope::Aggregate;
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        Balances::keys(event)
    }

    fn fold(key: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        Balances::fold(key, row, event)
    }
}

fn refold(ids: &[&str], records: Records) -> Result<Vec<Refolded>, crate::Error> {
    let ids = ids.iter().map(|id| AggregateId::new(*id).unwrap()).collect();
    let mut refold = Refold::<Own, _>::new(TextCodec::default(), ids)?;
    for record in records.batch.iter() {
        assert_eq!(refold.take(record)?, Refolding::Taken);
    }
    refold.finish(&accounts(0).topic, 2)
}

#[test]
fn only_the_asked_aggregates_are_folded_and_in_chunks() {
    let records = Records::new()
        .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
        .event(&accounts(0), 1, "bob", 1, "1:deposited:7")
        .part(&accounts(0), 2, "ada", 2, (0, 2), "1:deposited:1")
        .part(&accounts(0), 3, "ada", 3, (1, 2), "1:renamed")
        .event(&accounts(0), 5, "eve", 1, "1:deposited:7")
        .event(&accounts(0), 6, "eve", 2, "1:closed");
    let chunks = refold(&["ada", "eve", "nobody"], records).unwrap();
    let [first, second] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(first.upserts, [("ada".to_owned(), vec![Value::Integer(6)])]);
    assert_eq!(first.deletes, ["eve"]);
    let last = |version, offset| LastEvent { version: Version(version), offset: Offset(offset) };
    assert_eq!(first.watermarks.iter().map(|mark| mark.last).collect::<Vec<_>>(), [last(3, 3), last(2, 6)]);
    assert_eq!(second.deletes, ["nobody"]);
    assert_eq!(second.watermarks.iter().map(|mark| mark.last).collect::<Vec<_>>(), [LastEvent::NONE]);
}

#[test]
fn what_would_stop_the_view_fails_the_fold() {
    let fails = |records, expected: expect_test::Expect| {
        expected.assert_eq(&refold(&["ada"], records).unwrap_err().to_string());
    };
    fails(
        Records::new().event(&accounts(0), 0, "ada", 1, "1:deposited:5").event(&accounts(0), 4, "ada", 3, "1:closed"),
        expect![
            "view own: at offset 4 aggregate ada has version 3, and the last one before it is 1: events are missing"
        ],
    );
    fails(
        Records::new().event(&accounts(0), 0, "ada", 1, "1:poison"),
        expect!["own of aggregate ada, offset 0: panicked: cannot digest this"],
    );
    fails(
        Records::new().event(&accounts(0), 0, "ada", 1, "1:moved:bob:0"),
        expect![[
            r#"own of aggregate ada, offset 0: touches the rows ["ada", "bob"], and its scope says one aggregate's row only"#
        ]],
    );
}

#[test]
fn a_schema_that_is_not_known_is_asked_for_and_the_record_taken_again() {
    let codec = TextCodec::default();
    let ids = [AggregateId::new("ada").unwrap()].into();
    let mut refold = Refold::<Own, _>::new(codec.clone(), ids).unwrap();
    let records = Records::new().event(&accounts(0), 0, "ada", 1, "7:deposited:5");
    let record = records.batch.iter().next().unwrap();
    assert_eq!(refold.take(record).unwrap(), Refolding::NeedsSchema(7));
    codec.learn(7);
    assert_eq!(refold.take(record).unwrap(), Refolding::Taken);
    assert_eq!(refold.events(), 1);
}

#[test]
fn rows_of_another_scope_are_not_folded_alone() {
    let refused = Refold::<Balances, _>::new(TextCodec::default(), Default::default()).unwrap_err();
    assert!(refused.to_string().contains("`factum views rebuild balances`"), "{refused}");
}

#[test]
fn an_event_outside_the_scope_parks_its_aggregate() {
    let mut machine = ViewMachine::<Own, _>::new(TextCodec::default(), "db", Protections::ALL).unwrap();
    let records = Records::new().event(&accounts(0), 0, "ada", 1, "1:moved:bob:0");
    let mut poll = |records: &crate::RecordBatch, event: Option<&GroupEvent>| {
        let effects = machine.polled(&Polled { now: TimestampMs(1), records, event, positions: &[] });
        let effects = match &effects[..] {
            [Effect::Mark(_)] => machine.marked(Ok(Vec::new())),
            _ => effects,
        };
        for effect in effects {
            match effect {
                Effect::Review => {
                    drop(machine.reviewed(Ok(Reviewed { standing: Standing::default(), group: Vec::new() })))
                }
                Effect::Load(_) => {
                    let loaded = Loaded { last: vec![LastEvent::NONE], ..Loaded::default() };
                    let effects = machine.loaded(Ok(loaded));
                    let [Effect::Commit(commit)] = &effects[..] else { panic!("{effects:?}") };
                    return Some(commit.parking.aside[0].cause.clone());
                }
                other => panic!("{other:?}"),
            }
        }
        let claim = Claim { topic_id: TOPIC_ID, epoch: 1, position: Offset(0), tries: 0 };
        let bounds = crate::log::Bounds { start: Offset(0), end: Offset(9) };
        machine.claimed(&accounts(0), Ok(Claimed { topic_id: TOPIC_ID, bounds, claim, parked: 0 }));
        None
    };
    let nothing = crate::RecordBatch::new();
    assert_eq!(poll(&nothing, Some(&GroupEvent::Assigned(vec![accounts(0)]))), None);
    assert_eq!(poll(&nothing, None), None);
    expect![[
        r#"own::keys at bank.account.events/0@0: gave ["ada", "bob"], and Scope::Aggregate says the aggregate's id"#
    ]]
    .assert_eq(&poll(&records.batch, None).unwrap());
}

#[test]
fn every_event_that_a_record_stands_for_is_folded_again() {
    let records = Records::new()
        .event(&accounts(0), 0, "ada", 1, "1:earlier:5:6")
        .event(&accounts(0), 1, "ada", 2, "1:earlier")
        .event(&accounts(0), 2, "ada", 3, "1:deposited:100");
    let chunks = refold(&["ada"], records).unwrap();
    assert_eq!(chunks[0].upserts, [("ada".to_owned(), vec![Value::Integer(111)])]);
    assert_eq!(chunks[0].watermarks[0].last, LastEvent { version: Version(3), offset: Offset(2) });
    let fails = refold(&["ada"], Records::new().event(&accounts(0), 0, "ada", 1, "1:earlier:5:x")).unwrap_err();
    assert_eq!(fails.to_string(), "own of aggregate ada, offset 0: panicked: cannot digest this");
}
