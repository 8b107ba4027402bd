//! Offsets of the group that an operator set while the view was down.

use super::rig::*;
use crate::{
    Error, GroupEvent, Offset, Protections, TopicId, Version,
    log::{Bounds, Committed},
    view::*,
};
use expect_test::{Expect, expect};

fn both() -> [crate::TopicPartition; 2] {
    [accounts(0), accounts(1)]
}

/// Ada's and eve's deposits in partition 0, one for each offset: versions 1 and 2 of each.
fn deposits(from: i64, to: i64) -> Records {
    let all = [
        ("ada", 1, "1:deposited:10"),
        ("eve", 1, "1:deposited:1"),
        ("ada", 2, "1:deposited:20"),
        ("eve", 2, "1:deposited:2"),
    ];
    (from..to).fold(Records::new(), |records, offset| {
        let (aggregate, version, value) = all[usize::try_from(offset).unwrap()];
        records.event(&accounts(0), offset, aggregate, version, value)
    })
}

/// A view that has applied ada's and eve's deposits, and one of bob's in partition 1.
fn caught_up(protections: Protections) -> Rig {
    let mut rig = Rig::protected(protections, &both());
    rig.records(deposits(0, 4));
    rig.records(Records::new().event(&accounts(1), 0, "bob", 1, "1:deposited:7"));
    assert_eq!(rig.balances(), "[ada=30 bob=7 eve=3]");
    rig.trace();
    rig
}

#[test]
fn a_reset_to_the_start_of_one_partition_builds_the_whole_view_again_once() {
    let mut rig = caught_up(Protections::ALL);
    rig.reset(&accounts(0), 0);
    rig.restart(&[accounts(1)]);
    expect![[r#"
        honour bank.account.events/0: 4 to the log's start, so the whole view is built again
        group bank.account.events/0 0 "factum-view/1 07070707-0707-0707-0707-070707070707 0 db"
        group bank.account.events/1 0 "factum-view/1 07070707-0707-0707-0707-070707070707 0 db"
        claim bank.account.events/1: epoch 3, position 0
        start bank.account.events/1@0"#]]
    .assert_eq(&rig.trace());
    assert_eq!((rig.rows.len(), rig.last.len()), (0, 0));
    rig.records(Records::new().event(&accounts(1), 0, "bob", 1, "1:deposited:7"));
    // The claimer of the other partition finds the mark, not the reset.
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    assert!(!rig.trace().contains("honour"));
    rig.records(deposits(0, 4));
    expect!["[ada=30 bob=7 eve=3]"].assert_eq(&rig.balances());
}

#[test]
fn without_the_protection_a_reset_changes_nothing() {
    let mut rig = caught_up(Protections { offset_resets: false, ..Protections::ALL });
    rig.reset(&accounts(0), 0);
    rig.restart(&both());
    assert_eq!(rig.progress[&accounts(0)].position, Offset(4));
    expect!["[ada=30 bob=7 eve=3]"].assert_eq(&rig.balances());
}

#[test]
fn a_reset_backward_delivers_again_and_applies_nothing_twice() {
    let mut rig = caught_up(Protections::ALL);
    rig.reset(&accounts(0), 1);
    rig.restart(&both());
    expect![[r#"
        honour bank.account.events/0: 4 to 1, so the records between are delivered again
        group bank.account.events/0 1 "factum-view/1 07070707-0707-0707-0707-070707070707 1 db"
        claim bank.account.events/0: epoch 3, position 1
        start bank.account.events/0@1
        claim bank.account.events/1: epoch 2, position 1
        start bank.account.events/1@1"#]]
    .assert_eq(&rig.trace());
    rig.records(deposits(1, 4));
    expect!["[ada=30 bob=7 eve=3]"].assert_eq(&rig.balances());
    assert_eq!(rig.machine.status()[&accounts(0)].counts, Counts { applied: 0, unknown: 0, repeated: 3, parked: 0 });
}

#[test]
fn a_reset_forward_leaves_records_out_and_their_versions_are_no_gap() {
    let mut rig = caught_up(Protections::ALL);
    rig.reset(&accounts(0), 7);
    rig.restart(&both());
    assert!(rig.trace().contains("4 to 7, so the records between are left out"));
    assert_eq!(rig.skipped, [Skipped { place: accounts(0), offsets: Offset(4)..Offset(7) }]);
    // Versions 3 to 5 of ada may lie in what was left out, and so may 1 and 2 of a new one.
    rig.records(Records::new().event(&accounts(0), 7, "ada", 6, "1:deposited:100").event(
        &accounts(0),
        8,
        "kim",
        3,
        "1:deposited:5",
    ));
    expect!["[ada=130 bob=7 eve=3 kim=5]"].assert_eq(&rig.balances());
    // Behind it a missing version is missing, also after a restart.
    rig.restart(&both());
    rig.records(Records::new().event(&accounts(0), 9, "ada", 8, "1:deposited:1"));
    assert_eq!(rig.stop_class(&accounts(0)), Some(StopClass::VersionGap));
}

#[test]
fn what_was_left_out_by_mistake_is_applied_after_a_reset_back() {
    let mut rig = caught_up(Protections::ALL);
    rig.reset(&accounts(0), 7);
    rig.restart(&both());
    rig.reset(&accounts(0), 5);
    rig.restart(&both());
    assert_eq!(rig.skipped, [Skipped { place: accounts(0), offsets: Offset(4)..Offset(5) }]);
    rig.reset(&accounts(0), 4);
    rig.restart(&both());
    assert_eq!(rig.skipped, []);
    rig.records(Records::new().event(&accounts(0), 4, "ada", 3, "1:deposited:100"));
    expect!["[ada=130 bob=7 eve=3]"].assert_eq(&rig.balances());
}

#[test]
fn a_reset_back_before_what_was_left_out_is_refused_once_later_events_were_applied() {
    let mut rig = caught_up(Protections::ALL);
    rig.reset(&accounts(0), 7);
    rig.restart(&both());
    rig.records(Records::new().event(&accounts(0), 7, "ada", 4, "1:deposited:100"));
    rig.reset(&accounts(0), 4);
    rig.restart(&both());
    expect![[r#"
        stop bank.account.events/0: offset reset: the group's offset of bank.account.events/0 was set from 8 to 4, and to deliver again would not be enough: the records from 4 to 7 were left out and later ones were applied, and events are applied in order only; see `factum replay balances --help`, build the view anew with `factum views rebuild balances`, or set the offset to 8 to go on
        rollback
        claim bank.account.events/1: epoch 3, position 1
        start bank.account.events/1@1"#]].assert_eq(&rig.trace());
    expect!["[ada=130 bob=7 eve=3]"].assert_eq(&rig.balances());
    // And as it says: back to where it was, and it goes on.
    rig.reset(&accounts(0), 8);
    rig.restart(&both());
    assert_eq!(rig.state(&accounts(0)), PlaceState::Running);
}

#[test]
fn where_the_fold_changed_a_reset_backward_names_the_rebuild_and_one_to_the_start_is_it() {
    let mut rig = caught_up(Protections::ALL);
    rig.fold_version = 0;
    rig.reset(&accounts(0), 2);
    rig.restart(&both());
    let PlaceState::Stopped(stop) = rig.state(&accounts(0)) else { panic!("{:?}", rig.state(&accounts(0))) };
    assert_eq!(stop.class, StopClass::OffsetReset);
    assert!(stop.reason.contains("made by version 0 of the fold, which is at 1 now"), "{stop}");
    assert!(stop.reason.contains("`factum views rebuild balances`"), "{stop}");
    rig.reset(&accounts(0), 0);
    rig.restart(&both());
    assert_eq!(rig.fold_version, 1);
    assert_eq!(rig.state(&accounts(0)), PlaceState::Running);
}

#[test]
fn a_failed_mark_is_made_again_and_nothing_is_delivered_before() {
    let mut rig = caught_up(Protections::ALL);
    rig.reset(&accounts(0), 0);
    rig.fail_marks.push_back(Error::unavailable("the coordinator is away"));
    rig.restart(&both());
    assert!(matches!(rig.state(&accounts(0)), PlaceState::Waiting { awaited: Awaited::Log, .. }));
    assert_eq!(rig.rows.len(), 0);
    let epochs = [rig.progress[&accounts(0)].epoch, rig.progress[&accounts(1)].epoch];
    rig.trace();
    rig.now += 1_000;
    rig.idle();
    // The rows say that the reset is done; only the mark is missing, and the other partition, which had one, needs none.
    expect![[r#"
        group bank.account.events/0 0 "factum-view/1 07070707-0707-0707-0707-070707070707 0 db"
        claim bank.account.events/0: epoch 3, position 0
        start bank.account.events/0@0
        claim bank.account.events/1: epoch 3, position 0
        start bank.account.events/1@0"#]]
    .assert_eq(&rig.trace());
    assert_eq!(epochs, [2, 2]);
}

#[test]
fn an_offset_beyond_the_log_stops_its_partition_only() {
    let mut rig = caught_up(Protections::ALL);
    rig.reset(&accounts(0), 1_001);
    rig.restart(&both());
    assert_eq!(rig.stop_class(&accounts(0)), Some(StopClass::OffsetReset));
    assert_eq!(rig.state(&accounts(1)), PlaceState::Running);
}

fn check(name: &str, expected: Expect, change: impl FnOnce(&mut Standing, &mut Vec<GroupPlace>)) {
    let row = |place| ProgressRow { place, topic_id: TOPIC_ID, position: Offset(40) };
    let mut standing = Standing { rows: both().map(row).to_vec(), skipped: Vec::new(), fold_version: 1 };
    let group = |place| GroupPlace {
        place,
        topic_id: TOPIC_ID,
        committed: None,
        bounds: Bounds { start: Offset(0), end: Offset(100) },
    };
    let mut group = both().map(group).to_vec();
    change(&mut standing, &mut group);
    let review = Review { view: "v", database: "db", fold_version: 1, standing: &standing, group: &group };
    let Verdict { plan, stops } = review.verdict();
    let mut lines: Vec<String> = stops.into_iter().map(|(_, stop)| format!("stop {stop}")).collect();
    if let Some(plan) = plan {
        lines.extend(plan.told);
        lines.extend(plan.places.iter().map(|to| format!("{}@{} -{:?}", to.row.place, to.row.position, to.skipped)));
        lines.extend(plan.marks.iter().map(|mark| format!("mark {}@{}", mark.place, mark.offset)));
    }
    expected.assert_eq(&format!("{name}: {}", lines.join("; ")));
}

fn committed(offset: i64, metadata: &str) -> Option<crate::log::Committed> {
    Some(crate::log::Committed { offset: Offset(offset), metadata: metadata.into() })
}

fn mark(topic_id: TopicId, offset: i64, database: &str) -> String {
    Mark { topic_id, offset: Offset(offset), database }.to_string()
}

#[test]
fn a_mark_or_no_offset_leaves_it_to_the_progress_row() {
    check("no offset", expect!["no offset: "], |_, _| {});
    check("ours, though older", expect!["ours, though older: "], |_, group| {
        group[0].committed = committed(30, &mark(TOPIC_ID, 30, "db"));
    });
    check("another database's", expect!["another database's: "], |_, group| {
        group[0].committed = committed(30, &mark(TOPIC_ID, 30, "another one"));
    });
    check("another database's, none here", expect!["another database's, none here: "], |standing, group| {
        standing.rows.clear();
        group[0].committed = committed(30, &mark(TOPIC_ID, 30, "another one"));
    });
    check("an earlier topic's", expect!["an earlier topic's: "], |_, group| {
        group[0].committed = committed(30, &mark(TopicId([8; 16]), 30, "db"));
    });
}

#[test]
fn an_offset_that_no_mark_names_is_honoured() {
    check(
        "a mark of another offset",
        expect![
            "a mark of another offset: bank.account.events/0: 40 to 30, so the records between are delivered again; bank.account.events/0@30 -[]; mark bank.account.events/0@30"
        ],
        |_, group| group[0].committed = committed(30, &mark(TOPIC_ID, 40, "db")),
    );
    check(
        "other text",
        expect![
            "other text: bank.account.events/0: 40 to 30, so the records between are delivered again; bank.account.events/0@30 -[]; mark bank.account.events/0@30"
        ],
        |_, group| group[0].committed = committed(30, "by hand"),
    );
    check("where it is", expect!["where it is: mark bank.account.events/1@40"], |_, group| {
        group[1].committed = committed(40, "");
    });
    check(
        "the start of an empty partition",
        expect!["the start of an empty partition: mark bank.account.events/0@0"],
        |standing, group| {
            standing.rows[0].position = Offset(0);
            group[0].bounds.end = Offset(0);
            group[0].committed = committed(0, "");
        },
    );
}

#[test]
fn a_rebuild_takes_everything_with_it_and_needs_the_whole_log() {
    check(
        "start and elsewhere",
        expect![
            "start and elsewhere: bank.account.events/0: 40 to the log's start, so the whole view is built again; bank.account.events/1: 40 to 50, so the records between are left out; bank.account.events/0@0 -[]; bank.account.events/1@0 -[]; mark bank.account.events/0@0; mark bank.account.events/1@0"
        ],
        |_, group| {
            group[0].committed = committed(0, "");
            group[1].committed = committed(50, "");
        },
    );
    check(
        "deleted records",
        expect![
            "deleted records: stop offset reset: the group's offset of bank.account.events/0 was set from 40 to 0, which builds view v anew, and bank.account.events/1 begins at 5: records were deleted; restore the log, or set the offset to 40 to go on"
        ],
        |_, group| {
            group[0].committed = committed(0, "");
            group[1].bounds.start = Offset(5);
        },
    );
}

#[test]
fn resets_forward_one_after_the_other_are_one_range() {
    check(
        "twice",
        expect![
            "twice: bank.account.events/0: 40 to 50, so the records between are left out; bank.account.events/0@50 -[Offset(3)..Offset(5), Offset(30)..Offset(50)]; mark bank.account.events/0@50"
        ],
        |standing, group| {
            let skipped = |from, to| Skipped { place: accounts(0), offsets: Offset(from)..Offset(to) };
            standing.skipped = vec![skipped(3, 5), skipped(30, 40)];
            group[0].committed = committed(50, "");
        },
    );
}

#[test]
fn a_mark_is_read_as_it_is_written() {
    let mark = Mark { topic_id: TOPIC_ID, offset: Offset(7), database: "a name with spaces" };
    assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
    for text in [
        "",
        "by hand",
        "factum-view/1",
        "factum-view/1 x 7 db",
        "factum-view/2 07070707-0707-0707-0707-070707070707 7 db",
    ] {
        assert_eq!(Mark::parse(text), None, "{text:?}");
    }
}

#[test]
fn an_aggregate_that_came_after_the_skip_has_no_gap_to_explain() {
    let mut rig = Rig::with(&both());
    rig.skipped = vec![Skipped { place: accounts(0), offsets: Offset(2)..Offset(5) }];
    rig.progress.get_mut(&accounts(0)).unwrap().position = Offset(5);
    let last = LastEvent { version: Version(1), offset: Offset(5) };
    rig.last.insert((accounts(0).topic, crate::AggregateId::new("ada").unwrap()), last);
    rig.restart(&both());
    rig.records(Records::new().event(&accounts(0), 6, "ada", 3, "1:deposited:1"));
    assert_eq!(rig.stop_class(&accounts(0)), Some(StopClass::VersionGap));
}

#[test]
fn a_rebuild_whose_marks_were_lost_is_no_reset_of_the_other_partitions() {
    let database = "db";
    let place = |partition, committed| GroupPlace {
        place: accounts(partition),
        topic_id: TopicId([7; 16]),
        committed: Some(Committed { offset: Offset(committed), metadata: String::new() }),
        bounds: Bounds { start: Offset(0), end: Offset(9) },
    };
    let verdict = |positions: [i64; 2], group: &[GroupPlace]| {
        let rows = both().into_iter().zip(positions).map(|(place, position)| ProgressRow {
            place,
            topic_id: TopicId([7; 16]),
            position: Offset(position),
        });
        let standing = Standing { rows: rows.collect(), ..Standing::default() };
        Review { view: "balances", database, fold_version: 1, standing: &standing, group }.verdict().plan.unwrap()
    };
    let plan = verdict([8, 9], &[place(0, 0), place(1, 4)]);
    assert_eq!((plan.extent, plan.places.len()), (Extent::Whole, 2));
    let restated: Vec<GroupPlace> = plan.restated().into_iter().zip(0..).map(|(o, p)| place(p, o.offset.0)).collect();
    // The plan was recorded, its marks were not.
    let again = verdict([0, 0], &restated);
    assert_eq!((again.places, again.marks.len()), (Vec::new(), 2));
    // Before it was recorded it is the same rebuild.
    assert_eq!(verdict([8, 9], &restated).extent, Extent::Whole);
}
