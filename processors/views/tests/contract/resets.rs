//! What every sink does about a view's standing and its resets.

use super::*;
use factum_core::view::{Extent, PlaceReset, ProgressRow, ResetPlan, Skipped, Standing};

const OTHER_ID: TopicId = TopicId([8; 16]);

fn row(partition: u32, topic_id: TopicId, position: i64) -> ProgressRow {
    ProgressRow { place: place(partition), topic_id, position: Offset(position) }
}

fn plan(extent: Extent, places: Vec<PlaceReset>) -> ResetPlan {
    ResetPlan { extent, places, marks: Vec::new(), told: Vec::new() }
}

fn to(row: ProgressRow, skipped: &[(i64, i64)]) -> PlaceReset {
    PlaceReset { row, skipped: skipped.iter().map(|(from, to)| Offset(*from)..Offset(*to)).collect() }
}

fn skipped(partition: u32, from: i64, to: i64) -> Skipped {
    Skipped { place: place(partition), offsets: Offset(from)..Offset(to) }
}

/// Two partitions at offset 5, and a row with its watermark.
fn applied(database: &dyn Database) -> (Box<dyn Sink>, [Claim; 2]) {
    let mut sink = database.open();
    let claims = [sink.claim(&place(0), TOPIC_ID).unwrap(), sink.claim(&place(1), TOPIC_ID).unwrap()];
    let mut first = commit(vec![moved(claims[0], 0, 5), moved(claims[1], 1, 5)], &[("ada", 5)]);
    let last = LastEvent { version: Version(3), offset: Offset(4) };
    first.watermarks.push(Watermark { topic: place(0).topic, aggregate: AggregateId::new("ada").unwrap(), last });
    assert_eq!(sink.commit(&first).unwrap(), CommitOutcome::Committed);
    (sink, claims)
}

fn version_of_ada(sink: &mut dyn Sink) -> LastEvent {
    let mut request = request(&[], RowLocking::Unlocked);
    request.aggregates = vec![(place(0).topic, AggregateId::new("ada").unwrap())];
    sink.load(&request).unwrap().last[0]
}

pub(super) fn a_view_stands_where_it_was_committed(database: &dyn Database) {
    let empty = Standing { rows: Vec::new(), skipped: Vec::new(), fold_version: 1 };
    assert_eq!(database.open().standing().unwrap(), empty);
    applied(database);
    let standing = database.open().standing().unwrap();
    assert_eq!(standing.rows, [row(0, TOPIC_ID, 5), row(1, TOPIC_ID, 5)]);
    assert_eq!((standing.skipped, standing.fold_version), (Vec::new(), 1));
    // Another view in the same database has its own.
    let other = ViewTable::new("owners", 1, table().columns().to_vec()).unwrap();
    assert_eq!(database.try_open(other).unwrap().standing().unwrap(), empty);
}

pub(super) fn a_reset_of_one_partition_leaves_rows_and_the_others_alone(database: &dyn Database) {
    let (mut sink, claims) = applied(database);
    let before = database.open().standing().unwrap();
    assert_eq!(sink.review().unwrap(), before);
    sink.record(&plan(Extent::Places, vec![to(row(0, TOPIC_ID, 9), &[(5, 7), (8, 9)])])).unwrap();
    let standing = database.open().standing().unwrap();
    assert_eq!(standing.rows, [row(0, TOPIC_ID, 9), row(1, TOPIC_ID, 5)]);
    assert_eq!(standing.skipped, [skipped(0, 5, 7), skipped(0, 8, 9)]);
    assert_eq!(cents(&mut *sink, "ada"), Some(5));
    assert_eq!(version_of_ada(&mut *sink).version, Version(3));
    // What was loaded before is lost, in this partition only.
    let stale = commit(vec![Move { from: Offset(9), ..moved(claims[0], 0, 10) }], &[("ada", 6)]);
    assert_eq!(sink.commit(&stale).unwrap(), CommitOutcome::ClaimLost(vec![place(0)]));
    let other = commit(vec![Move { from: Offset(5), ..moved(claims[1], 1, 6) }], &[]);
    assert_eq!(sink.commit(&other).unwrap(), CommitOutcome::Committed);
    // Another reset says anew what is left out.
    sink.review().unwrap();
    sink.record(&plan(Extent::Places, vec![to(row(0, TOPIC_ID, 6), &[(5, 6)])])).unwrap();
    assert_eq!(sink.standing().unwrap().skipped, [skipped(0, 5, 6)]);
}

pub(super) fn a_reset_of_the_whole_view_empties_it_and_fences_what_was_loaded(database: &dyn Database) {
    let (mut sink, claims) = applied(database);
    sink.review().unwrap();
    sink.record(&plan(Extent::Places, vec![to(row(0, TOPIC_ID, 9), &[(5, 9)])])).unwrap();
    sink.review().unwrap();
    // Only one of the partitions is known to the plan.
    sink.record(&plan(Extent::Whole, vec![to(row(0, OTHER_ID, 0), &[])])).unwrap();
    let standing = sink.standing().unwrap();
    assert_eq!(standing.rows, [row(0, OTHER_ID, 0), row(1, TOPIC_ID, 0)]);
    assert_eq!(standing.skipped, []);
    assert_eq!((cents(&mut *sink, "ada"), version_of_ada(&mut *sink)), (None, LastEvent::NONE));
    for (partition, claim) in (0..).zip(claims) {
        // As of one that loaded its first batch and comes to commit it only now.
        let stale = commit(vec![Move { from: Offset(0), ..moved(claim, partition, 1) }], &[("ada", 6)]);
        assert_eq!(sink.commit(&stale).unwrap(), CommitOutcome::ClaimLost(vec![place(partition)]));
    }
    let claim = sink.claim(&place(0), OTHER_ID).unwrap();
    assert_eq!((claim.topic_id, claim.position), (OTHER_ID, Offset(0)));
    assert!(claim.epoch > claims[0].epoch + 1, "{claim:?}");
}

pub(super) fn a_reset_makes_the_progress_of_a_partition_that_nobody_claimed(database: &dyn Database) {
    let mut sink = database.open();
    sink.review().unwrap();
    sink.record(&plan(Extent::Places, vec![to(row(3, TOPIC_ID, 7), &[(0, 7)])])).unwrap();
    assert_eq!(sink.claim(&place(3), TOPIC_ID).unwrap().position, Offset(7));
    assert_eq!(sink.standing().unwrap().skipped, [skipped(3, 0, 7)]);
}

pub(super) fn one_sink_at_a_time_reviews_a_view(database: &dyn Database) {
    let (mut first, mut second) = (database.open(), database.open());
    first.review().unwrap();
    let busy = second.review().unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Unavailable, "{busy}");
    second.rollback().unwrap();
    // Recording gives the lock back, and so do going back and going away.
    first.record(&plan(Extent::Places, Vec::new())).unwrap();
    second.review().unwrap();
    second.rollback().unwrap();
    first.review().unwrap();
    drop(first);
    second.review().unwrap();
}

pub(super) fn a_review_that_is_rolled_back_changes_nothing(database: &dyn Database) {
    let (mut sink, claims) = applied(database);
    let before = sink.standing().unwrap();
    sink.review().unwrap();
    sink.rollback().unwrap();
    assert_eq!(sink.standing().unwrap(), before);
    let next = commit(vec![Move { from: Offset(5), ..moved(claims[0], 0, 6) }], &[]);
    assert_eq!(sink.commit(&next).unwrap(), CommitOutcome::Committed);
}

pub(super) fn the_fold_that_made_the_rows_is_remembered(database: &dyn Database) {
    applied(database);
    let mut newer = database.try_open(table().folded_by(2)).unwrap();
    assert_eq!(newer.standing().unwrap().fold_version, 1);
    newer.review().unwrap();
    newer.record(&plan(Extent::Places, vec![to(row(0, TOPIC_ID, 4), &[])])).unwrap();
    assert_eq!(newer.standing().unwrap().fold_version, 1, "its rows are still those of before");
    newer.review().unwrap();
    newer.record(&plan(Extent::Whole, Vec::new())).unwrap();
    assert_eq!(database.open().standing().unwrap().fold_version, 2);
}
