//! What a handler writes into the snapshots topic, and when.

use crate::rig::{Kept, Rig, cmd};
use factum_core::{
    AggregateCodec, Partition, TimestampMs, Version,
    handler::Snapshots,
    wire::{SnapshotHead, SnapshotKey},
};

fn lines(rig: &Rig) -> Vec<String> {
    rig.snapshot_lines().into_iter().filter(|line| !line.starts_with("position")).collect()
}

#[test]
fn a_snapshot_is_written_after_so_many_events_of_an_aggregate() {
    let mut rig = Rig::configured(|config| config.snapshot_every_events = 3);
    rig.handle([cmd(1, "a", "split 2"), cmd(2, "b", "split 2")]);
    assert!(lines(&rig).is_empty());
    rig.handle([cmd(3, "a", "add 1"), cmd(4, "a", "add 1")]);
    assert_eq!(lines(&rig), ["snapshot a v4 window 3"]);
    rig.handle([cmd(5, "a", "split 2")]);
    assert_eq!(lines(&rig).len(), 1);
    rig.handle([cmd(6, "a", "add 1")]);
    assert_eq!(lines(&rig)[1..], ["snapshot a v7 window 5"]);
    assert_eq!(rig.handler.stats().snapshots, 2);
}

#[test]
fn a_snapshot_is_written_after_a_significant_event() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1")]);
    rig.handle([cmd(2, "a", "milestone"), cmd(3, "a", "add 1")]);
    assert_eq!(lines(&rig), ["snapshot a v3 window 3"]);
}

#[test]
fn a_refusal_writes_the_window_and_the_last_one_a_position() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1")]);
    let before = rig.snapshot_lines().len();
    rig.handle([cmd(2, "a", "take 9"), cmd(3, "a", "nothing"), cmd(4, "b", "add 1")]);
    assert_eq!(rig.snapshot_lines()[before..], ["window a v1 window 3"]);
    rig.handle([cmd(5, "b", "take 9")]);
    assert_eq!(rig.snapshot_lines()[before + 1..], ["window b v1 window 2", "position events 3 next 5"]);
}

#[test]
fn answers_that_are_not_kept_write_a_position_and_no_window() {
    for (text, header) in
        [("add 1", ("expected-version", "9")), ("add 1", ("deadline", "1970-01-01T00:00:00Z")), ("reset", ("x", ""))]
    {
        let mut rig = Rig::new();
        rig.handle([cmd(1, "a", "add 1")]);
        rig.handle([cmd(2, "a", text).header(header.0, header.1)]);
        assert_eq!(rig.snapshot_lines(), ["position events 0 next 1", "position events 1 next 2"]);
    }
}

#[test]
fn a_checkpoint_of_aggregates_that_have_their_snapshots_ends_without_another_command() {
    let mut rig = Rig::configured(|config| {
        config.snapshot_every_events = 2;
        config.checkpoint_every_events = 3;
        config.checkpoint_chunk = 1;
    });
    rig.handle([cmd(1, "a", "split 2"), cmd(2, "b", "add 1")]);
    assert_eq!(lines(&rig), ["snapshot a v2 window 1"]);
    while rig.handler.has_duties(TimestampMs(rig.now)) {
        assert!(rig.plan(), "there is something to write as long as there is something to do");
        rig.commit();
    }
    assert_eq!(lines(&rig)[1..], ["snapshot b v1 window 1", "marker events 3 next 2"]);
}

#[test]
fn a_checkpoint_writes_what_changed_in_chunks_and_then_its_marker() {
    let mut rig = Rig::configured(|config| {
        config.checkpoint_every_events = 5;
        config.checkpoint_chunk = 2;
    });
    rig.handle((1..=5).map(|n| cmd(n, &format!("k{n}"), "add 1")));
    assert!(lines(&rig).is_empty());
    let mut transactions = 0;
    let mut next = 6;
    while rig.handler.has_duties(TimestampMs(rig.now)) {
        // Commands go on between the chunks.
        rig.handle([cmd(next, "k1", "add 1")]);
        next += 1;
        transactions += 1;
    }
    assert_eq!(transactions, 3);
    let expected = [
        "snapshot k1 v2 window 2",
        "snapshot k2 v1 window 1",
        "snapshot k3 v1 window 1",
        "snapshot k4 v1 window 1",
        "snapshot k5 v1 window 1",
        "marker events 5 next 8",
    ];
    assert_eq!(lines(&rig), expected);
    assert_eq!((rig.handler.stats().checkpoints, rig.handler.stats().snapshots), (1, 5));
    rig.restart();
    // Events 1 to 5 are passed over; those of k1 since are read.
    assert_eq!((rig.handler.stats().recovered_snapshots, rig.handler.stats().recovered_events), (8, 3));
    assert_eq!(rig.state("k1"), Some((4, 4)));
}

#[test]
fn a_checkpoint_comes_after_a_while_where_something_changed_and_only_there() {
    let mut rig = Rig::configured(|config| config.checkpoint_every_ms = 1_000);
    rig.wait(5_000);
    assert!(rig.plan(), "the first position");
    rig.commit();
    assert!(!rig.handler.has_duties(TimestampMs(rig.now)));
    rig.handle([cmd(1, "a", "add 1")]);
    assert!(rig.handler.has_duties(TimestampMs(rig.now)));
    assert!(rig.plan());
    rig.commit();
    assert_eq!(lines(&rig), ["snapshot a v1 window 1", "marker events 1 next 1"]);
    rig.wait(999_999);
    assert!(!rig.handler.has_duties(TimestampMs(rig.now)));
}

#[test]
fn a_checkpoint_passes_over_what_the_policy_has_written_already() {
    let mut rig = Rig::configured(|config| {
        config.checkpoint_every_events = 2;
        config.snapshot_every_events = 1;
    });
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "b", "add 1")]);
    assert!(rig.plan());
    rig.commit();
    assert_eq!(lines(&rig), ["snapshot a v1 window 1", "snapshot b v1 window 1", "marker events 2 next 2"]);
}

#[test]
fn snapshots_are_folded_again_from_all_events_and_keep_the_recent_commands() {
    let mut rig = Rig::configured(|config| config.snapshot_every_events = 1);
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "b", "add 5"), cmd(3, "a", "add 1"), cmd(4, "a", "take 9")]);
    // As an `evolve` with a fault made it: a thousand too much.
    let (topic, codec) = (rig.topics.snapshots.clone(), rig.codec.clone());
    let last = rig.snapshots().committed_from(0).find_map(|(_, record)| match SnapshotKey::read(record.key()?)? {
        SnapshotKey::Snapshot(_, b"a") => SnapshotHead::read(record.value()?, 64).map(|(head, _)| head),
        _ => None,
    });
    let window = last.unwrap().window;
    rig.snapshots().push(Kept::Committed, |batch, offset| {
        let mut record = batch.start(&topic, Partition(0));
        record.offset(offset);
        record.key_with(|key| SnapshotKey::Snapshot(codec.fingerprint(), b"a").write(key));
        let value = |into: &mut Vec<u8>| {
            SnapshotHead::write(Version(2), None, &window, into);
            codec.encode_state(&codec.decode_state(b"1002")?, into)
        };
        record.value_with(value).unwrap();
        record.finish();
    });
    rig.restart();
    assert_eq!(rig.state("a"), Some((1_002, 2)), "a snapshot is believed");

    (rig.config.snapshots, rig.config.checkpoint_every_events) = (Snapshots::FoldedAgain, 1);
    rig.restart();
    assert_eq!(rig.state("a"), Some((2, 2)));
    assert!(rig.started.is_empty(), "no command is delivered");
    let before = rig.snapshot_lines().len();
    assert!(rig.handler.has_duties(TimestampMs(rig.now)) && rig.plan());
    rig.commit();
    assert_eq!(
        rig.snapshot_lines()[before..],
        ["snapshot a v2 window 3", "snapshot b v1 window 1", "marker events 4 next 4"]
    );
    assert!(!rig.handler.has_duties(TimestampMs(rig.now)));

    (rig.config.snapshots, rig.config.checkpoint_every_events) = (Snapshots::Used, 50_000);
    rig.restart();
    assert_eq!(rig.state("a"), Some((2, 2)));
    assert_eq!(rig.handler.stats().recovered_events, 0, "the new marker stands behind all events");
    // The refusal is still known: it is answered and not decided again.
    rig.handle([cmd(4, "a", "take 9"), cmd(5, "a", "add 1")]);
    assert_eq!(rig.state("a"), Some((3, 3)));
    assert_eq!((rig.handler.stats().repeats, rig.handler.stats().refusals), (1, 0));
}

/// What `snapshots prepare` does: everything is folded by code of another fingerprint, beside the handler.
fn prepare(rig: &mut Rig, fingerprint: u8) -> Vec<String> {
    let config = rig.config.clone();
    (rig.config.snapshots, rig.config.checkpoint_every_events) = (Snapshots::Prepared, 1);
    let own = std::mem::replace(&mut rig.codec.fingerprint, fingerprint);
    rig.restart();
    assert!(rig.started.is_empty(), "no command is delivered");
    let before = rig.snapshot_lines().len();
    assert!(rig.handler.has_duties(TimestampMs(rig.now)) && rig.plan());
    rig.commit();
    let written = rig.snapshot_lines()[before..].to_vec();
    rig.wait(999_999);
    assert!(!rig.handler.has_duties(TimestampMs(rig.now)), "nothing else is written, not even a position");
    (rig.config, rig.codec.fingerprint) = (config, own);
    written
}

#[test]
fn a_handler_of_another_fingerprint_begins_with_what_was_prepared_while_the_old_one_went_on() {
    let mut rig = Rig::configured(|config| config.checkpoint_every_events = 1_000_000);
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "b", "add 7"), cmd(3, "c", "add 1"), cmd(4, "a", "take 99")]);
    let expected = ["prepared a v1 window 2", "prepared b v1 window 1", "prepared c v1 window 1"];
    let marker = "prepared marker events 4 next 4";
    assert_eq!(prepare(&mut rig, 2), [&expected[..], &[marker]].concat());
    // The old one has not noticed.
    rig.restart();
    rig.handle([cmd(5, "a", "add 1")]);
    assert_eq!(rig.handler.stats().recovered_events, 3);

    rig.codec.fingerprint = 2;
    rig.restart();
    assert_eq!(rig.handler.stats().recovered_events, 1, "what came after");
    assert_eq!((rig.state("a"), rig.state("b"), rig.state("c")), (Some((6, 2)), Some((7, 1)), Some((1, 1))));
    // Recent commands are known: none is decided again.
    rig.answers();
    rig.handle([cmd(1, "a", "add 5"), cmd(4, "a", "take 99"), cmd(2, "b", "add 7")]);
    assert_eq!(rig.handler.stats().repeats, 3, "{:?}", rig.answers());

    // It makes a checkpoint of its own, and rests on both: what was prepared of c did not change.
    rig.handle([cmd(6, "b", "add 1")]);
    rig.now += rig.config.checkpoint_every_ms;
    assert!(rig.plan());
    rig.commit();
    let own: Vec<_> = rig.snapshot_lines().into_iter().filter(|line| line.starts_with("snapshot")).collect();
    assert!(!own.iter().any(|line| line.starts_with("snapshot c")), "{own:?}");
    rig.restart();
    assert_eq!(rig.handler.stats().recovered_events, 0);
    assert_eq!((rig.state("a"), rig.state("b"), rig.state("c")), (Some((6, 2)), Some((8, 2)), Some((1, 1))));
    // What is prepared once more, and by then old, takes nothing away.
    prepare(&mut rig, 2);
    rig.restart();
    rig.handle([cmd(7, "b", "add 1"), cmd(8, "c", "add 1")]);
    rig.restart();
    assert_eq!((rig.state("a"), rig.state("b"), rig.state("c")), (Some((6, 2)), Some((9, 3)), Some((2, 2))));
}

#[test]
fn where_a_prepared_snapshot_cannot_be_read_everything_is_folded() {
    let mut rig = Rig::configured(|config| config.checkpoint_every_events = 1_000_000);
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "b", "add 7")]);
    prepare(&mut rig, 1);
    let (topic, codec) = (rig.topics.snapshots.clone(), rig.codec.clone());
    rig.snapshots().push(Kept::Committed, |batch, offset| {
        let mut record = batch.start(&topic, Partition(0));
        record.offset(offset);
        record.key_with(|key| SnapshotKey::Prepared(codec.fingerprint(), b"a").write(key));
        record.value(b"rubbish");
        record.finish();
    });
    rig.restart();
    assert_eq!((rig.state("a"), rig.state("b")), (Some((5, 1)), Some((7, 1))));
    assert_eq!(rig.handler.stats().recovered_events, 2);
}
