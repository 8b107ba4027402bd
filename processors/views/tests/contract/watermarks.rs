//! What every sink knows about what was applied to an aggregate.

use super::*;

/// A commit of one row, or none, and of its aggregate's watermark, or none.
fn of_ada(sink: &mut dyn Sink, row: Option<i64>, version: Option<u64>) {
    let rows: Vec<(&str, i64)> = row.map(|cents| ("ada", cents)).into_iter().collect();
    let mut write = Commit { compare: Compare::Nothing, ..commit(Vec::new(), &rows) };
    write.watermarks = version.map(|version| mark("ada", version)).into_iter().collect();
    assert_eq!(sink.commit(&write).unwrap(), CommitOutcome::Committed);
}

fn without_ada(sink: &mut dyn Sink, version: u64) {
    let mut write = Commit { compare: Compare::Nothing, ..commit(Vec::new(), &[]) };
    (write.deletes, write.watermarks) = (vec!["ada".into()], vec![mark("ada", version)]);
    assert_eq!(sink.commit(&write).unwrap(), CommitOutcome::Committed);
}

/// Its offset is ten times its version.
fn mark(id: &str, version: u64) -> Watermark {
    let last = LastEvent { version: Version(version), offset: Offset(i64::try_from(version).unwrap() * 10) };
    Watermark { topic: place(0).topic, aggregate: AggregateId::new(id).unwrap(), last }
}

/// Of ada, asked with her row and without.
fn version(sink: &mut dyn Sink) -> u64 {
    let ask = |keys: &[&str]| LoadRequest {
        aggregates: vec![(place(0).topic, AggregateId::new("ada").unwrap())],
        ..request(keys, RowLocking::Unlocked)
    };
    let [last] = sink.load(&ask(&["ada"])).unwrap().last[..] else { panic!("one was asked for") };
    assert_eq!(sink.load(&ask(&[])).unwrap().last, [last]);
    if last != LastEvent::NONE {
        assert_eq!(vec![last], [mark("ada", last.version.0).last]);
    }
    last.version.0
}

pub(super) fn a_watermark_is_what_was_written_last_whatever_becomes_of_the_row(database: &dyn Database) {
    let mut sink = database.open();
    assert_eq!(version(&mut *sink), 0);
    of_ada(&mut *sink, None, Some(1));
    assert_eq!(version(&mut *sink), 1, "no row yet");
    of_ada(&mut *sink, Some(5), None);
    assert_eq!(version(&mut *sink), 1, "a row that is a cache says nothing");
    of_ada(&mut *sink, Some(6), Some(2));
    assert_eq!(version(&mut *sink), 2);
    of_ada(&mut *sink, None, Some(3));
    assert_eq!(version(&mut *sink), 3, "an event that touched no row");
    of_ada(&mut *sink, Some(7), None);
    assert_eq!((version(&mut *sink), cents(&mut *sink, "ada")), (3, Some(7)));
    of_ada(&mut *sink, Some(8), Some(5));
    without_ada(&mut *sink, 6);
    assert_eq!((version(&mut *sink), cents(&mut *sink, "ada")), (6, None));
    of_ada(&mut *sink, Some(9), Some(7));
    assert_eq!(version(&mut *sink), 7);
    of_ada(&mut *sink, Some(2), Some(2));
    assert_eq!(version(&mut *sink), 2, "folded again up to an earlier event");
    of_ada(&mut *sink, None, Some(4));
    without_ada(&mut *sink, 0);
    assert_eq!(version(&mut *sink), 0, "folded again up to before the first event");
    of_ada(&mut *sink, Some(1), Some(1));
    assert_eq!((version(&mut *database.open()), cents(&mut *sink, "ada")), (1, Some(1)));
}

pub(super) fn watermarks_that_were_kept_apart_are_known_once_they_are_kept_in_rows(database: &dyn Database) {
    let mut sink = database.try_open(table()).unwrap();
    of_ada(&mut *sink, Some(5), Some(3));
    drop(sink);
    let in_rows = || database.try_open(table().with_watermarks(Watermarks::InRows)).unwrap();
    let mut sink = in_rows();
    assert_eq!((version(&mut *sink), cents(&mut *sink, "ada")), (3, Some(5)));
    of_ada(&mut *sink, Some(6), Some(4));
    assert_eq!((version(&mut *in_rows()), cents(&mut *sink, "ada")), (4, Some(6)));
}
