//! What becomes of commands, one by one and in batches.

use crate::rig::{Rig, anonymous, cmd, key_in};
use factum_core::{
    CommandId, TimestampMs,
    handler::{Granted, Notice},
    wire::{EventHeader, TraceContext},
};

#[test]
fn what_queued_meanwhile_is_one_transaction_and_a_command_alone_another() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 5")]);
    assert_eq!(rig.handler.stats().transactions, 1);
    rig.handle([cmd(2, "a", "add 1"), cmd(3, "b", "add 2"), cmd(4, "a", "split 2")]);
    assert_eq!(rig.handler.stats().transactions, 2);
    assert_eq!(rig.event_lines(), ["a1 added 5", "a2 added 1", "b1 added 2", "a3 added 1", "a4 added 1"]);
    assert_eq!(rig.state("a"), Some((8, 4)));
    // Offset 1 is the first transaction's control record.
    let answers = ["1 accepted v1 +1 @0", "2 accepted v2 +1 @2", "3 accepted v1 +1 @3", "4 accepted v4 +2 @5"];
    assert_eq!(rig.answers(), answers);
}

#[test]
fn a_batch_has_a_limit_of_commands_and_one_of_bytes() {
    let mut rig = Rig::configured(|config| config.max_batch_commands = 2);
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "a", "add 1"), cmd(3, "a", "add 1")]);
    assert_eq!(rig.state("a"), Some((2, 2)));
    rig.handle([]);
    assert_eq!(rig.state("a"), Some((3, 3)));

    let mut rig = Rig::configured(|config| config.max_batch_bytes = 1);
    rig.handle([cmd(1, "a", "add 1"), cmd(2, "a", "add 1")]);
    assert_eq!(rig.state("a"), Some((1, 1)), "one command is taken even if it is larger than the limit");
}

#[test]
fn an_expected_version_that_is_not_the_actual_one_is_a_conflict_which_names_it() {
    let mut rig = Rig::new();
    rig.handle([
        cmd(1, "a", "add 5").header("expected-version", "0"),
        cmd(2, "a", "add 5").header("expected-version", "0"),
        cmd(3, "a", "add 5").header("expected-version", "1"),
        cmd(4, "x", "add 5").header("expected-version", "7"),
    ]);
    let expected = [
        "1 accepted v1 +1 @0",
        "2 conflict v1 +0 @0 expected version 0, the actual one is 1",
        "3 accepted v2 +1 @1",
        "4 conflict v0 +0 - expected version 7, the actual one is 0",
    ];
    assert_eq!(rig.answers(), expected);
    // A conflict is not kept: the same command may succeed later.
    rig.handle([cmd(2, "a", "add 5").header("expected-version", "2")]);
    assert_eq!(rig.answers(), ["2 accepted v3 +1 @3"]);
}

#[test]
fn a_repeated_command_id_gets_the_same_answer_and_no_second_event() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "a", "take 9"), cmd(3, "a", "nothing"), cmd(4, "a", "add 1")]);
    let first = rig.answers();
    let expected =
        ["1 accepted v1 +1 @0", "2 refused v1 +0 @0 {\"has\":5}", "3 accepted v1 +0 @0", "4 accepted v2 +1 @1"];
    assert_eq!(first, expected);
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "a", "take 9"), cmd(4, "a", "add 1")]);
    assert_eq!(rig.answers(), [&*first[0], "2 refused v1 +0 @1 {\"has\":5}", &*first[3]]);
    assert_eq!(rig.event_lines().len(), 2);
    assert_eq!(rig.handler.stats().repeats, 3);
}

#[test]
fn a_repeat_in_the_same_batch_gets_the_position_of_its_own_event() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "a", "add 1"), cmd(1, "a", "add 5")]);
    assert_eq!(rig.answers(), ["1 accepted v1 +1 @0", "2 accepted v2 +1 @1", "1 accepted v1 +1 @0"]);
}

#[test]
fn the_window_remembers_64_commands_of_an_aggregate_and_not_the_65th() {
    let mut rig = Rig::new();
    rig.handle((1..=65).map(|id| cmd(id, "a", "add 1")));
    rig.handle([cmd(2, "a", "add 1")]);
    assert_eq!(rig.state("a"), Some((65, 65)));
    rig.handle([cmd(1, "a", "add 1")]);
    assert_eq!(rig.state("a"), Some((66, 66)), "the oldest has left the window");
}

#[test]
fn a_window_of_none_remembers_nothing() {
    let mut rig = Rig::configured(|config| config.window_commands = 0);
    rig.handle([cmd(1, "a", "add 1"), cmd(1, "a", "add 1"), cmd(1, "a", "take 9")]);
    assert_eq!(rig.state("a"), Some((2, 2)));
    rig.poll();
    rig.send([cmd(1, "a", "add 1")]);
    rig.poll();
    assert!(rig.plan());
    rig.abort();
    assert_eq!(rig.state("a"), Some((2, 2)));
}

#[test]
fn a_command_without_id_is_decided_each_time_it_is_sent() {
    let mut rig = Rig::new();
    rig.handle([anonymous("a", "add 5"), anonymous("a", "add 5")]);
    assert_eq!(rig.state("a"), Some((10, 2)));
    assert!(rig.answers().is_empty());
}

#[test]
fn an_answer_without_events_has_no_position() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "take 5"), cmd(2, "a", "nothing")]);
    assert_eq!(rig.answers(), ["1 refused v0 +0 - {\"has\":0}", "2 accepted v0 +0 -"]);
    assert_eq!(rig.state("a"), None);
}

#[test]
fn a_deadline_that_passed_is_told_and_the_command_is_not_decided() {
    let mut rig = Rig::new();
    rig.now = 1_000_000;
    rig.handle([
        cmd(1, "a", "add 5").header("deadline", "1970-01-01T00:16:39.999Z"),
        cmd(2, "a", "add 5").header("deadline", "1970-01-01T00:16:40Z"),
    ]);
    let expected =
        ["1 deadline-exceeded v0 +0 - the deadline passed before the command was decided", "2 accepted v1 +1 @0"];
    assert_eq!(rig.answers(), expected);
    assert_eq!(rig.handler.stats().expired, 1);
}

#[test]
fn a_command_that_needs_a_permission_is_forbidden_unless_it_was_granted() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "reset")]);
    let why = "the command needs the permission \"reset\", which this handler was not granted";
    assert_eq!(rig.answers(), [format!("1 forbidden v0 +0 - {why}")]);
    for granted in [Granted::Only(["reset".to_owned()].into()), Granted::All] {
        let mut rig = Rig::configured(|config| config.granted = granted);
        rig.handle([cmd(1, "a", "reset")]);
        assert_eq!(rig.answers(), ["1 accepted v1 +1 @0"]);
    }
}

#[test]
fn a_panic_in_decide_dead_letters_that_command_alone() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 5"), cmd(2, "a", "panic"), cmd(3, "a", "add 1"), cmd(4, "new", "panic")]);
    assert_eq!(rig.event_lines(), ["a1 added 5", "a2 added 1"]);
    let why = "decide panicked: decide is broken";
    let answers = ["1 accepted v1 +1 @0".into(), format!("2 failed v1 +0 @0 {why}"), "3 accepted v2 +1 @1".into()];
    assert_eq!(rig.answers()[..3], answers);
    let at = |offset| format!("failed test.counter.commands/0@{offset}: {why}");
    assert_eq!(rig.dead_letters(), [at(1), at(3)]);
    assert_eq!(rig.handler.health()[0].aggregates, 1, "nothing is kept of an id that nobody knows");
}

#[test]
fn a_panic_in_evolve_dead_letters_that_command_alone_and_leaves_no_trace_in_the_state() {
    let mut rig = Rig::new();
    rig.handle([
        cmd(1, "a", "add 5"),
        cmd(2, "a", "break"),
        cmd(3, "a", "add 1"),
        cmd(4, "b", "break"),
        cmd(5, "b", "take 1"),
    ]);
    assert_eq!(rig.event_lines(), ["a1 added 5", "a2 added 1"]);
    assert_eq!(rig.state("a"), Some((6, 2)));
    let why = "evolve panicked: evolve is broken";
    let expected = [
        "1 accepted v1 +1 @0".into(),
        format!("2 failed v1 +0 @0 {why}"),
        "3 accepted v2 +1 @1".into(),
        format!("4 failed v0 +0 - {why}"),
        "5 refused v0 +0 - {\"has\":0}".into(),
    ];
    assert_eq!(rig.answers(), expected);
    let told: Vec<_> = rig.notices().into_iter().filter(|n| matches!(n, Notice::DeadLettered { .. })).collect();
    assert_eq!(told.len(), 2, "each is told once, although the batch was decided twice: {told:?}");
    let stats = rig.handler.stats();
    assert_eq!((stats.commands, stats.dead_letters, stats.events, stats.refusals), (5, 2, 2, 1));
    // The next batch is as if nothing had been.
    rig.handle([cmd(6, "a", "add 1")]);
    assert_eq!(rig.answers(), ["6 accepted v3 +1 @3"]);
}

#[test]
fn an_event_that_cannot_be_encoded_dead_letters_its_command() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "unencodable"), cmd(2, "a", "add 5")]);
    assert_eq!(rig.event_lines(), ["a1 added 5"]);
    assert_eq!(rig.answers()[0], "1 failed v0 +0 - an event cannot be encoded: no bytes for this");
}

#[test]
fn a_dead_letter_has_the_original_bytes_and_headers_with_cause_and_origin() {
    let mut rig = Rig::new();
    let mut bad = cmd(1, "a", "whatisthis").header("ce_time", "2026-01-01T00:00:00Z").header("mine", "\u{1}\u{2}");
    bad.headers.push(("empty".into(), Vec::new()));
    rig.handle([cmd(9, "a", "add 1"), bad.clone()]);
    let cause = "\"whatisthis\" is no command";
    assert_eq!(rig.answers()[1], format!("1 undecodable v1 +0 @0 {cause}"));
    let topic = rig.topics.dead_letters.clone();
    let part = rig.part(&topic, 0);
    let letter = part.records[0].1.get(0);
    assert_eq!((letter.key(), letter.value()), (Some(&b"a"[..]), Some(&bad.value[..])));
    let origin = [
        ("dead-letter-code", "undecodable"),
        ("dead-letter-cause", cause),
        ("dead-letter-topic", "test.counter.commands"),
        ("dead-letter-partition", "0"),
        ("dead-letter-offset", "1"),
    ];
    let expected: Vec<(String, Vec<u8>)> =
        bad.headers.into_iter().chain(origin.map(|(name, value)| (name.into(), value.into()))).collect();
    let found: Vec<(String, Vec<u8>)> =
        letter.headers().map(|(name, value)| (name.into(), value.unwrap_or_default().into())).collect();
    assert_eq!(found, expected);
    assert_eq!(letter.timestamp(), Some(TimestampMs(1_000_000)));
}

#[test]
fn a_key_that_is_no_aggregate_id_is_dead_lettered() {
    let mut rig = Rig::new();
    let long = "x".repeat(257);
    let mut not_text = cmd(3, "a", "add 1");
    not_text.key = vec![0xff, 0xfe];
    rig.handle([cmd(1, "", "add 1"), cmd(2, &long, "add 1"), not_text, cmd(4, &long[1..], "add 1")]);
    let codes: Vec<String> = rig.answers().iter().map(|a| a.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(codes, ["1 invalid-key", "2 invalid-key", "3 invalid-key", "4 accepted"]);
    assert_eq!(rig.dead_letters().len(), 3);
}

#[test]
fn a_header_that_is_not_valid_is_named_and_dead_letters_the_command() {
    let mut rig = Rig::new();
    rig.handle([
        cmd(1, "a", "add 1").header("expected-version", "-1"),
        cmd(2, "a", "add 1").header("deadline", "tomorrow"),
        anonymous("a", "add 1").header("ce_id", "17").header("reply-to", "0"),
        cmd(4, "a", "add 1").header("traceparent", "nonsense").header("unknown", "is passed over"),
    ]);
    let answers = rig.answers();
    assert_eq!(
        answers[0],
        "1 invalid-header v0 +0 - header expected-version is not valid: \"-1\" is not a decimal number"
    );
    assert_eq!(
        answers[1],
        "2 invalid-header v0 +0 - header deadline is not valid: \"tomorrow\" is not an RFC 3339 time"
    );
    assert!(answers[2].ends_with("header ce_id is not valid: \"17\" is not a UUID"), "{}", answers[2]);
    assert_eq!(answers[3], "4 accepted v1 +1 @0");
    assert_eq!(rig.dead_letters().len(), 3);
}

#[test]
fn a_command_in_a_partition_that_is_not_its_keys_is_dead_lettered_with_the_cure() {
    let mut rig = Rig::with(2, |_| {}, factum_core::Protections::ALL);
    let key = key_in(1, 2);
    rig.handle([cmd(1, &key, "add 1").partition(0), cmd(2, &key, "add 2")]);
    assert_eq!(rig.state(&key), Some((2, 1)));
    let answers = rig.answers();
    assert!(answers[0].starts_with("1 wrong-partition v0 +0 - key"), "{}", answers[0]);
    assert!(answers[0].ends_with("set the producer's partitioner to murmur2_random"), "{}", answers[0]);
}

#[test]
fn an_event_carries_its_command_its_batch_and_both_times() {
    let mut rig = Rig::new();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let correlation = CommandId([7; 16]).to_string();
    rig.handle([
        cmd(1, "a", "split 2")
            .header("ce_time", "1970-01-01T00:00:07Z")
            .header("correlation-id", &correlation)
            .header("traceparent", trace),
        anonymous("b", "add 1"),
    ]);
    let expected_id = CommandId::of_place(rig.commands_id, factum_core::Partition(0), factum_core::Offset(1));
    let events = rig.events();
    let second = events.records[1].1.get(0);
    let header = EventHeader::read(second).unwrap();
    assert_eq!(header.command, CommandId([1; 16]));
    assert_eq!((header.version.0, header.index, header.size, header.command_offset.0), (2, 1, 2, 0));
    assert_eq!((header.occurred, second.timestamp()), (TimestampMs(7_000), Some(TimestampMs(1_000_000))));
    assert_eq!((header.correlation, header.source), (CommandId([7; 16]), "test/0/1.0"));
    assert_eq!(header.trace, TraceContext::parse(trace.as_bytes()));
    let third = EventHeader::read(events.records[2].1.get(0)).unwrap();
    assert_eq!((third.command, third.correlation), (expected_id, expected_id));
    assert_eq!(third.occurred, TimestampMs(1_000_000));
}

#[test]
fn recorded_times_never_go_back_not_even_after_a_restart() {
    let mut rig = Rig::new();
    rig.handle([cmd(1, "a", "add 1")]);
    rig.now -= 5_000;
    rig.handle([cmd(2, "a", "add 1")]);
    rig.restart();
    rig.handle([cmd(3, "a", "add 1")]);
    let times: Vec<_> = (0..6).step_by(2).map(|i| rig.events().records[i].1.get(0).timestamp().unwrap().0).collect();
    assert_eq!(times, [1_000_000; 3]);
}

#[test]
fn refusals_to_ids_that_do_not_exist_do_not_fill_the_memory() {
    let mut rig = Rig::configured(|config| config.max_eventless_aggregates = 2);
    rig.handle([cmd(1, "real", "add 5"), cmd(2, "x1", "take 1"), cmd(3, "x2", "take 1")]);
    rig.handle([cmd(4, "x3", "take 1")]);
    assert_eq!(rig.handler.health()[0].aggregates, 3);
    // The forgotten one's record goes with the next transaction.
    rig.handle([cmd(5, "x2", "add 1")]);
    let deleted: Vec<_> = rig.snapshot_lines().into_iter().filter(|line| line.ends_with("deleted")).collect();
    assert_eq!(deleted, ["window x1 deleted"]);
    assert_eq!(rig.state("x2"), Some((1, 1)), "one that came to life is no longer among them");
    rig.restart();
    rig.handle([cmd(4, "x3", "take 1")]);
    assert_eq!(rig.handler.stats().repeats, 1, "the younger ones are still known");
}
