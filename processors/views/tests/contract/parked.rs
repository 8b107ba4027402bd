//! What every sink does about records that are left aside.

use super::*;
use factum_core::{
    TimestampMs,
    view::{Head, Owner, Parked, Parking, Redriven},
};
use factum_views::{ParkedFilter, ParkedKey};

fn id(aggregate: &str) -> AggregateId {
    AggregateId::new(aggregate).unwrap()
}

/// A record of an aggregate whose versions and offsets are the same.
fn record(partition: u32, aggregate: &str, offset: i64, cause: &str) -> Parked {
    Parked {
        place: place(partition),
        topic_id: TOPIC_ID,
        aggregate: id(aggregate),
        offset: Offset(offset),
        version: Version(offset.unsigned_abs()),
        cause: cause.into(),
        attempts: u32::from(!cause.is_empty()),
        at: TimestampMs(1_700_000_000_000),
    }
}

/// Leaves records aside, and moves partition 0 by one.
fn aside(from: i64, claim: Claim, records: Vec<Parked>) -> Commit {
    let moves = vec![Move { from: Offset(from), ..moved(claim, 0, from + 1) }];
    Commit { parking: Parking { aside: records, ..Parking::default() }, ..commit(moves, &[]) }
}

fn redriven(aggregate: &str, expected: &[i64], done: usize, cause: &str, owner: Owner) -> Commit {
    let redriven = Redriven {
        place: place(0),
        aggregate: id(aggregate),
        expected: expected.iter().copied().map(Offset).collect(),
        done,
        next: Head { cause: cause.into(), attempts: 2 },
        owner,
    };
    Commit { parking: Parking { redriven: Some(redriven), ..Parking::default() }, ..commit(Vec::new(), &[]) }
}

fn keys(sink: &mut dyn Sink, filter: &ParkedFilter) -> Vec<(String, u64)> {
    let keys = sink.parked_keys(filter, None, 100).unwrap();
    keys.into_iter().map(|ParkedKey { first, records }| (first.aggregate.to_string(), records)).collect()
}

fn offsets(sink: &mut dyn Sink, aggregate: &str) -> Vec<i64> {
    let records = sink.parked_records(&place(0).topic, &id(aggregate), None, 100).unwrap();
    records.iter().map(|record| record.offset.0).collect()
}

/// Ada with records at 1, 4 and 9, and Bob with one at 3.
fn parked(database: &dyn Database) -> (Box<dyn Sink>, Claim) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    let records = vec![
        record(0, "ada", 1, "why"),
        record(0, "ada", 9, ""),
        record(0, "bob", 3, "another"),
        record(0, "ada", 4, ""),
    ];
    assert_eq!(sink.commit(&aside(0, claim, records)).unwrap(), CommitOutcome::Committed);
    (sink, claim)
}

pub(super) fn records_are_left_aside_with_the_progress_or_not_at_all(database: &dyn Database) {
    let (mut sink, claim) = parked(database);
    let stale = aside(7, claim, vec![record(0, "eve", 7, "late")]);
    assert_eq!(sink.commit(&stale).unwrap(), CommitOutcome::ClaimLost(vec![place(0)]));
    let mut sink = database.open();
    assert_eq!(keys(&mut *sink, &ParkedFilter::default()), [("ada".to_owned(), 3), ("bob".to_owned(), 1)]);
    let found = sink.parked_records(&place(0).topic, &id("ada"), None, 100).unwrap();
    assert_eq!(found, [record(0, "ada", 1, "why"), record(0, "ada", 4, ""), record(0, "ada", 9, "")]);
    assert_eq!(sink.standing().unwrap().rows[0].position, Offset(1));
    // One that comes again stays as it was.
    let again = aside(1, claim, vec![record(0, "ada", 4, "not the first")]);
    assert_eq!(sink.commit(&again).unwrap(), CommitOutcome::Committed);
    assert_eq!(sink.parked_records(&place(0).topic, &id("ada"), None, 100).unwrap(), found);
}

pub(super) fn parked_keys_are_filtered_and_come_in_pages(database: &dyn Database) {
    let (mut sink, claim) = parked(database);
    let more = vec![record(1, "cat\0and dog", 2, "o'hara's \u{1f600}"), record(1, "eve", 5, "why not")];
    assert_eq!(sink.commit(&aside(1, claim, more)).unwrap(), CommitOutcome::Committed);
    let mut find = |filter: &ParkedFilter| keys(&mut *sink, filter).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let all = ParkedFilter::default();
    assert_eq!(find(&all), ["ada", "bob", "cat\0and dog", "eve"]);
    assert_eq!(find(&ParkedFilter { place: Some(place(1)), ..all.clone() }), ["cat\0and dog", "eve"]);
    assert_eq!(find(&ParkedFilter { aggregate: Some(id("cat\0and dog")), ..all.clone() }), ["cat\0and dog"]);
    assert_eq!(find(&ParkedFilter { cause: Some("why".into()), ..all.clone() }), ["ada", "eve"]);
    assert_eq!(find(&ParkedFilter { cause: Some("o'h".into()), place: Some(place(0)), ..all.clone() }), [""; 0]);
    let page = sink.parked_keys(&all, Some((&place(0).topic, &id("ada"))), 2).unwrap();
    assert_eq!(page.iter().map(|key| key.first.aggregate.as_str()).collect::<Vec<_>>(), ["bob", "cat\0and dog"]);
    let page = sink.parked_records(&place(0).topic, &id("ada"), Some(Offset(1)), 1).unwrap();
    assert_eq!(page, [record(0, "ada", 4, "")]);
    assert_eq!(sink.count_parked().unwrap(), [(place(0), 2), (place(1), 2)].into());
}

pub(super) fn a_load_says_which_aggregates_are_parked(database: &dyn Database) {
    let (mut sink, _) = parked(database);
    let topic = place(0).topic;
    let other = Topic::from("bank.card.events");
    let mut asks = request(&[], RowLocking::Locked);
    asks.aggregates = vec![
        (topic.clone(), id("eve")),
        (other, id("ada")),
        (topic.clone(), id("bob")),
        (topic.clone(), id("nobody")),
        (topic, id("ada")),
    ];
    assert_eq!(sink.load(&asks).unwrap().parked, [0; 0]);
    asks.may_be_parked = vec![0, 1, 2, 3, 4];
    let mut found = sink.load(&asks).unwrap().parked;
    found.sort_unstable();
    assert_eq!(found, [2, 4]);
    asks.may_be_parked = vec![0, 4];
    assert_eq!(sink.load(&asks).unwrap().parked, [4]);
    sink.rollback().unwrap();
    // Another view in the same database has nothing parked.
    let owners = ViewTable::new("owners", 1, table().columns().to_vec()).unwrap();
    assert_eq!(database.try_open(owners).unwrap().load(&asks).unwrap().parked, [0; 0]);
}

pub(super) fn records_are_put_behind_a_key_only_while_it_is_parked(database: &dyn Database) {
    let (mut sink, claim) = parked(database);
    let behind = |from, aggregate: &str, offset| {
        let mut commit = aside(from, claim, vec![record(0, aggregate, offset, "")]);
        commit.parking.still = vec![(place(0).topic, id(aggregate))];
        commit
    };
    assert_eq!(sink.commit(&behind(1, "bob", 6)).unwrap(), CommitOutcome::Committed);
    assert_eq!(offsets(&mut *sink, "bob"), [3, 6]);
    assert_eq!(sink.commit(&redriven("bob", &[3, 6], 2, "", Owner::GoesOn)).unwrap(), CommitOutcome::Committed);
    assert_eq!(sink.commit(&behind(2, "bob", 7)).unwrap(), CommitOutcome::RowsChanged);
    assert_eq!(offsets(&mut *sink, "bob"), [0; 0]);
    assert_eq!(sink.standing().unwrap().rows[0].position, Offset(2));
}

pub(super) fn a_redrive_takes_the_first_records_and_says_why_the_next_waits(database: &dyn Database) {
    let (mut sink, _) = parked(database);
    sink.hold(&place(0)).unwrap();
    let mut step = redriven("ada", &[1, 4], 1, "failed again", Owner::GoesOn);
    step.upserts.push(("ada".into(), vec![Value::Integer(5)]));
    assert_eq!(sink.commit(&step).unwrap(), CommitOutcome::Committed);
    assert_eq!(cents(&mut *sink, "ada"), Some(5));
    let left = sink.parked_records(&place(0).topic, &id("ada"), None, 9).unwrap();
    let first = Parked { cause: "failed again".into(), attempts: 2, ..record(0, "ada", 4, "") };
    assert_eq!(left, [first, record(0, "ada", 9, "")]);
    // Nothing was done, but tried.
    let tried = redriven("ada", &[4], 0, "and again", Owner::GoesOn);
    assert_eq!(sink.commit(&tried).unwrap(), CommitOutcome::Committed);
    assert_eq!(sink.parked_records(&place(0).topic, &id("ada"), None, 1).unwrap()[0].cause, "and again");
    sink.hold(&place(0)).unwrap();
    let last = redriven("ada", &[4, 9], 2, "", Owner::GoesOn);
    assert_eq!(sink.commit(&last).unwrap(), CommitOutcome::Committed);
    assert_eq!(keys(&mut *sink, &ParkedFilter::default()), [("bob".to_owned(), 1)]);
}

pub(super) fn of_two_redrives_of_a_key_the_second_changes_nothing(database: &dyn Database) {
    let (mut sink, _) = parked(database);
    assert_eq!(sink.commit(&redriven("ada", &[1], 1, "next", Owner::GoesOn)).unwrap(), CommitOutcome::Committed);
    let mut late = redriven("ada", &[1, 4], 2, "", Owner::GoesOn);
    late.upserts.push(("ada".into(), vec![Value::Integer(5)]));
    assert_eq!(sink.commit(&late).unwrap(), CommitOutcome::RowsChanged);
    assert_eq!((cents(&mut *sink, "ada"), offsets(&mut *sink, "ada")), (None, vec![4, 9]));
    // The next step goes on.
    assert_eq!(sink.commit(&redriven("ada", &[4], 1, "", Owner::GoesOn)).unwrap(), CommitOutcome::Committed);
}

pub(super) fn an_owner_that_loaded_without_a_lock_claims_again(database: &dyn Database) {
    let (mut sink, claim) = parked(database);
    let mut owner = database.open();
    let goes_on = redriven("ada", &[1], 1, "next", Owner::GoesOn);
    assert_eq!(sink.commit(&goes_on).unwrap(), CommitOutcome::Committed);
    assert_eq!(owner.commit(&aside(1, claim, Vec::new())).unwrap(), CommitOutcome::Committed);
    let fences = redriven("ada", &[4], 1, "next", Owner::ClaimsAgain);
    assert_eq!(sink.commit(&fences).unwrap(), CommitOutcome::Committed);
    assert_eq!(owner.commit(&aside(2, claim, Vec::new())).unwrap(), CommitOutcome::ClaimLost(vec![place(0)]));
}

pub(super) fn a_hold_that_is_rolled_back_leaves_no_trace(database: &dyn Database) {
    let (mut sink, claim) = parked(database);
    sink.hold(&place(0)).unwrap();
    sink.rollback().unwrap();
    assert_eq!(database.open().commit(&aside(1, claim, Vec::new())).unwrap(), CommitOutcome::Committed);
    assert_eq!(offsets(&mut *sink, "ada"), [1, 4, 9]);
}

pub(super) fn a_reset_of_the_whole_view_forgets_what_is_parked(database: &dyn Database) {
    use factum_core::view::{Extent, ResetPlan};
    let (mut sink, _) = parked(database);
    let plan = |extent| ResetPlan { extent, places: Vec::new(), marks: Vec::new(), told: Vec::new() };
    sink.review().unwrap();
    sink.record(&plan(Extent::Places)).unwrap();
    assert_eq!(offsets(&mut *sink, "ada"), [1, 4, 9]);
    sink.review().unwrap();
    sink.record(&plan(Extent::Whole)).unwrap();
    assert_eq!(keys(&mut *sink, &ParkedFilter::default()), []);
    assert_eq!(sink.count_parked().unwrap(), [].into());
}
