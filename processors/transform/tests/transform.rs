//! Transformers over the log in memory, stepped by the test.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

mod world;

use factum_core::{
    Error, Offset, RecordBatch, Result, Topic,
    log::{Isolation, Log},
    transaction::TxnStep,
};
use factum_handler::PausePoint;
use factum_log_memory::faults::CommitFault;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use world::{Lenient, Out, PARTITIONS, Runner, SESSION, World, stopped, until};

#[test]
fn an_event_becomes_none_or_several_records_that_keep_what_it_was() {
    let world = World::new();
    world.write(1, 1, 1, &[(1, "ab"), (1, ""), (1, "c")]);
    world.write(1, 2, 4, &[(1, "")]);
    world.write(1, 3, 5, &[(1, "d")]);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(1) == Some(5));
    let out = |value: &str, version, command: u8, (index, size), from: &str| Out {
        partition: 1,
        key: "thing-1".into(),
        value: value.into(),
        version,
        command,
        index,
        size,
        occurred: 1_000 + i64::from(command),
        recorded: 2_000 + i64::from(command),
        source: "test/1".into(),
        from: format!("test.thing.events/1@{from}"),
    };
    let expected = [
        out("a", 1, 1, (0, 3), "0"),
        out("b", 1, 1, (1, 3), "0"),
        out("c", 3, 1, (2, 3), "2"),
        out("d", 5, 3, (0, 1), "4"),
    ];
    assert_eq!(world.republished(), expected);
    let totals = runner.status().lock().unwrap().totals;
    assert_eq!((totals.read, totals.written, totals.skipped), (5, 4, 0));
}

#[test]
fn a_record_that_is_upcast_is_republished_as_what_it_stands_for() {
    let world = World::new();
    world.write(1, 1, 1, &[(2, "ab c"), (2, ""), (1, "d")]);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(1) == Some(3));
    let out = world.republished();
    let told: Vec<_> = out.iter().map(|out| (out.value.as_str(), out.version, (out.index, out.size))).collect();
    assert_eq!(told, [("a", 1, (0, 4)), ("b", 1, (1, 4)), ("c", 1, (2, 4)), ("d", 3, (3, 4))]);
    let totals = runner.status().lock().unwrap().totals;
    assert_eq!((totals.read, totals.written, totals.skipped), (2, 4, 0));
}

#[test]
fn the_events_of_a_command_are_one_transaction_however_few_records_a_poll_gives() {
    let mut world = World::new();
    world.max_records = 1;
    world.write(0, 1, 1, &[(1, "a"), (1, "b"), (1, "c")]);
    world.write(0, 2, 4, &[(1, "d"), (1, "e")]);
    let mut runner = world.runner("a");
    let mut seen = Vec::new();
    while world.committed(0) != Some(5) {
        runner.step(Duration::from_millis(1)).unwrap();
        seen.push((world.committed(0), world.republished().len()));
    }
    seen.dedup();
    seen.retain(|(committed, _)| committed.is_some_and(|offset| offset > 0));
    assert_eq!(seen, [(Some(3), 3), (Some(5), 5)]);
}

#[test]
fn whatever_a_commit_does_every_event_is_republished_once() {
    use CommitFault::{Abort, Fenced, Retry, UnknownAborted, UnknownCommitted};
    for fault in [UnknownCommitted, UnknownAborted, Retry, Abort, Fenced] {
        let world = World::new();
        let mut runner = world.runner("a");
        world.write_words(0, 1..=10);
        until(&mut [&mut runner], || world.committed(0) == Some(10));
        world.log.fail_next_commit(fault);
        world.write_words(0, 11..=20);
        until(&mut [&mut runner], || world.committed(0) == Some(20));
        world.write_words(0, 21..=30);
        until(&mut [&mut runner], || world.committed(0) == Some(30));
        assert_eq!(world.spelled(0), (1..=30).collect::<Vec<_>>(), "{fault:?}");
    }
}

#[test]
fn one_that_dies_before_any_step_of_a_transaction_is_gone_on_with_by_another() {
    let steps = [TxnStep::Begin, TxnStep::SendOffsets, TxnStep::Produce, TxnStep::Deliver, TxnStep::Commit];
    for step in steps {
        let world = World::new();
        let armed = Arc::new(AtomicUsize::new(0));
        let pause: PausePoint = Box::new({
            let armed = armed.clone();
            move |now| {
                if now == step && armed.load(Ordering::SeqCst) == 1 {
                    std::panic::panic_any("dies");
                }
            }
        });
        let mut runner: Runner = world.runner_with("a", Some(pause));
        // The first transaction is about offsets alone.
        until(&mut [&mut runner], || world.committed(0) == Some(0) && world.committed(1) == Some(0));
        armed.store(1, Ordering::SeqCst);
        world.write_words(0, 1..=10);
        let dies = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            loop {
                runner.step(Duration::from_millis(1)).unwrap();
            }
        }));
        assert_eq!(dies.unwrap_err().downcast_ref::<&str>(), Some(&"dies"));
        // Nobody closes it: its session and its transaction time out, or its successor ends them.
        std::mem::forget(runner);
        world.advance(SESSION + Duration::from_secs(60));
        let mut next = world.runner("b");
        until(&mut [&mut next], || world.committed(0) == Some(10));
        assert_eq!(world.spelled(0), (1..=10).collect::<Vec<_>>(), "{step:?}");
    }
}

#[test]
fn one_that_was_silent_too_long_commits_nothing_that_another_took_over() {
    let world = Arc::new(World::new());
    let other: Arc<Mutex<Option<Runner>>> = Arc::default();
    let armed = Arc::new(AtomicUsize::new(0));
    let pause_point: PausePoint = Box::new({
        let (world, other, armed) = (world.clone(), other.clone(), armed.clone());
        move |step| {
            if step != TxnStep::SendOffsets || armed.swap(0, Ordering::SeqCst) == 0 {
                return;
            }
            // It hangs until its session is over and another has all partitions and has done the work.
            let mut runner = world.runner("b");
            runner.step(Duration::from_millis(1)).unwrap();
            world.advance(SESSION + Duration::from_millis(1));
            until(&mut [&mut runner], || world.committed(0) == Some(20));
            *other.lock().unwrap() = Some(runner);
        }
    });
    let mut zombie: Runner = world.runner_with("a", Some(pause_point));
    until(&mut [&mut zombie], || world.committed(0) == Some(0) && world.committed(1) == Some(0));
    armed.store(1, Ordering::SeqCst);
    world.write_words(0, 1..=20);
    until(&mut [&mut zombie], || other.lock().unwrap().is_some());
    let mut other = other.lock().unwrap().take().unwrap();
    assert_eq!(world.spelled(0), (1..=20).collect::<Vec<_>>());
    world.write_words(0, 21..=30);
    world.write_words(1, 1..=10);
    until(&mut [&mut zombie, &mut other], || world.committed(0) == Some(30) && world.committed(1) == Some(10));
    assert_eq!((world.spelled(0), world.spelled(1)), ((1..=30).collect(), (1..=10).collect()));
}

#[test]
fn offsets_that_are_lost_or_set_back_repeat_nothing_and_those_set_forward_are_honoured() {
    let world = World::new();
    world.write_words(0, 1..=10);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(0) == Some(10));
    runner.close().unwrap();
    for back in [0, 4] {
        world.reset(0, back);
        let mut runner = world.runner("a");
        until(&mut [&mut runner], || world.committed(0) == Some(10));
        runner.close().unwrap();
    }
    assert_eq!(world.spelled(0), (1..=10).collect::<Vec<_>>());
    world.write_words(0, 11..=20);
    world.reset(0, 15);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(0) == Some(20));
    assert_eq!(world.spelled(0), (1..=10).chain(16..=20).collect::<Vec<_>>());
}

#[test]
fn a_panic_stops_its_partition_until_another_program_or_another_offset() {
    let world = World::new();
    world.write_words(0, 1..=3);
    world.write(0, 4, 4, &[(1, "ab"), (1, "unspeakable")]);
    world.write_words(0, 5..=6);
    world.write_words(1, 1..=5);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(1) == Some(5) && world.committed(0) == Some(3));
    let why = stopped(&runner, 0).unwrap();
    for text in [
        "transform: test.thing.events/0@4: the transform panicked: nobody says that",
        "nothing was left out",
        "start a program whose transform spelled can do it",
    ] {
        assert!(why.contains(text), "{text:?} is not in {why}");
    }
    assert_eq!(stopped(&runner, 1), None);
    assert_eq!((world.spelled(0), world.spelled(1)), ((1..=3).collect(), (1..=5).collect()));
    runner.close().unwrap();
    // Started again it stops again, and an operator leaves the command out.
    let mut again = world.runner("a");
    let status = again.status();
    until(&mut [&mut again], || status.lock().unwrap().stopped().count() == 1);
    again.close().unwrap();
    world.reset(0, 5);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(0) == Some(7));
    assert_eq!(world.spelled(0), [1, 2, 3, 5, 6]);
}

#[test]
fn what_cannot_be_decoded_or_encoded_stops_its_partition() {
    for (word, said) in
        [((0, "bad"), "cannot be decoded: no schema id"), ((1, "a€"), "cannot be encoded: no such letter")]
    {
        let world = World::new();
        world.write_words(0, 1..=3);
        world.write(0, 4, 4, &[word]);
        world.write_words(1, 1..=2);
        let mut runner = world.runner("a");
        until(&mut [&mut runner], || world.committed(1) == Some(2) && world.committed(0) == Some(3));
        let why = stopped(&runner, 0).unwrap();
        assert!(why.contains("test.thing.events/0@3") && why.contains(said), "{why}");
        assert_eq!((world.spelled(0), world.spelled(1)), ((1..=3).collect(), (1..=2).collect()));
    }
}

#[test]
fn a_record_of_unknown_type_stops_its_partition_or_is_left_out_and_counted() {
    let world = World::new();
    world.write_words(0, 1..=2);
    world.write(0, 3, 3, &[(7, "42"), (1, "ab")]);
    let mut strict = world.runner("a");
    until(&mut [&mut strict], || world.committed(0) == Some(2));
    let why = stopped(&strict, 0).unwrap();
    assert!(
        why.contains("test.thing.events/0@2: record type test.thing.Number is none that the transform knows"),
        "{why}"
    );
    strict.close().unwrap();
    let mut lenient: Runner<Lenient> = world.runner_with("b", None);
    until(&mut [&mut lenient], || world.committed(0) == Some(4));
    assert_eq!(world.spelled(0), [1, 2, 3]);
    assert_eq!(lenient.status().lock().unwrap().totals.skipped, 1);
}

#[test]
fn a_schema_that_cannot_be_fetched_now_is_fetched_later() {
    let mut world = World::new();
    let tries = Arc::new(AtomicUsize::new(0));
    world.fetch = Arc::new({
        let (tries, known) = (tries.clone(), world.codec.known.clone());
        move |id| -> Result<()> {
            if tries.fetch_add(1, Ordering::SeqCst) < 3 {
                return Err(Error::unavailable("registry away"));
            }
            known.lock().unwrap().insert(u8::try_from(id).unwrap());
            Ok(())
        }
    });
    world.write(0, 1, 1, &[(1, "ab"), (9, "ab")]);
    world.write_words(0, 3..=4);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(0) == Some(4));
    assert_eq!((world.spelled(0), tries.load(Ordering::SeqCst)), (vec![1, 1, 3, 4], 4));
}

#[test]
fn a_topic_that_was_made_anew_stops_the_partitions_and_says_what_to_do() {
    let world = World::new();
    world.write_words(0, 1..=3);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(0) == Some(3));
    runner.close().unwrap();
    let remake = |topic: &Topic, partitions| {
        world.log.admin().unwrap().delete_topics(std::slice::from_ref(topic)).unwrap();
        world.create(topic, partitions);
    };
    let says = |text: &str| {
        let mut runner = world.runner("a");
        let status = runner.status();
        until(&mut [&mut runner], || status.lock().unwrap().stopped().count() > 0);
        let why = stopped(&runner, 0).unwrap();
        assert!(why.contains(text), "{text:?} is not in {why}");
        runner.close().unwrap();
    };
    remake(&world.output, PARTITIONS);
    says("test.thing.events.spelled was made anew after records up to test.thing.events/0@3 had been republished");
    // What it says to do fills it again.
    world.reset(0, 0);
    world.reset(1, 0);
    let mut runner = world.runner("a");
    until(&mut [&mut runner], || world.committed(0) == Some(3) && world.spelled(0) == [1, 2, 3]);
    runner.close().unwrap();
    remake(&world.input, PARTITIONS);
    says("the input was made anew");
    remake(&world.output, PARTITIONS + 1);
    says("a republished record stays in its partition");
}

#[test]
fn a_record_that_no_transformer_wrote_into_the_output_stops_the_partition() {
    let world = World::new();
    world.write_words(0, 1..=3);
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&world.output, world.place(0).partition);
    record.value(b"what is this");
    record.finish();
    world.log.producer().unwrap().produce(&batch).unwrap();
    let mut runner = world.runner("a");
    let status = runner.status();
    until(&mut [&mut runner], || status.lock().unwrap().stopped().count() > 0);
    let why = stopped(&runner, 0).unwrap();
    assert!(why.contains("test.thing.events.spelled/0@0 does not say which record it was made of"), "{why}");
    let end =
        world.log.admin().unwrap().bounds(&world.output.partition(world.place(0).partition), Isolation::ReadCommitted);
    assert_eq!(end.unwrap().end, Offset(1), "nothing is written behind it");
}

#[test]
fn two_share_the_partitions_and_one_goes_on_when_the_other_leaves() {
    let world = World::new();
    let (mut a, mut b) = (world.runner("a"), world.runner("b"));
    let (of_a, of_b) = (a.status(), b.status());
    until(&mut [&mut a, &mut b], || of_a.lock().unwrap().places.len() == 1 && of_b.lock().unwrap().places.len() == 1);
    world.write_words(0, 1..=20);
    world.write_words(1, 1..=20);
    until(&mut [&mut a, &mut b], || world.committed(0) == Some(20) && world.committed(1) == Some(20));
    a.close().unwrap();
    world.write_words(0, 21..=30);
    world.write_words(1, 21..=30);
    until(&mut [&mut b], || world.committed(0) == Some(30) && world.committed(1) == Some(30));
    assert_eq!((world.spelled(0), world.spelled(1)), ((1..=30).collect(), (1..=30).collect()));
}
