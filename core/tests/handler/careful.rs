//! Commands that end the process: found by the marks of what was begun, and dead-lettered.

use crate::rig::{Cmd, Kept, Rig, cmd};
use factum_core::{Error, Protections};

/// Polls and commits until nothing is left to do, as one process after another; how many died.
fn deaths_of(rig: &mut Rig) -> usize {
    let mut deaths = 0;
    for _ in 0..1_000 {
        rig.poll();
        let planned = rig.plan();
        if rig.codec.has_died() {
            deaths += 1;
            assert!(deaths < 20, "it dies for ever");
            rig.restart();
        } else if planned {
            rig.commit();
        } else if !rig.handler.has_commands() && rig.is_at_the_end() {
            return deaths;
        }
    }
    panic!("it does not come to an end");
}

fn adds(numbers: std::ops::Range<u8>) -> Vec<Cmd> {
    numbers.map(|number| cmd(number, &format!("k{number}"), "add 1")).collect()
}

fn is_careful(rig: &Rig) -> bool {
    rig.handler.health().iter().any(|health| health.careful.is_some())
}

const KILLED: &str = "the process ended 3 times while this command was in hand";

#[test]
fn a_first_command_that_kills_is_dead_lettered_after_three_deaths_and_answered() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "die")]);
    rig.send(adds(2..5));
    assert_eq!(deaths_of(&mut rig), 3);
    assert_eq!(rig.dead_letters(), [format!("failed test.counter.commands/0@0: {KILLED}")]);
    assert_eq!(rig.event_lines(), ["k21 added 1", "k31 added 1", "k41 added 1"]);
    let answers = rig.answers();
    assert_eq!(answers[0], format!("1 failed v0 +0 - {KILLED}"));
    assert_eq!(answers.len(), 4);
    assert!(!is_careful(&rig));
}

#[test]
fn repeats_of_a_command_that_killed_kill_nobody() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "die"), cmd(1, "a", "die"), cmd(2, "a", "add 1"), cmd(1, "a", "die")]);
    assert_eq!(deaths_of(&mut rig), 3);
    let repeat = "a repeat of a command that ended the process";
    let letters = [(0, KILLED), (1, repeat), (3, repeat)];
    assert_eq!(rig.dead_letters(), letters.map(|(at, why)| format!("failed test.counter.commands/0@{at}: {why}")));
    assert_eq!(rig.event_lines(), ["a1 added 1"]);
    assert_eq!(rig.answers().len(), 4);
}

#[test]
fn repeats_of_a_command_that_killed_kill_no_later_process_either() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "die")]);
    assert_eq!(deaths_of(&mut rig), 3);
    rig.restart();
    rig.send([cmd(1, "a", "die"), cmd(2, "a", "add 1")]);
    assert_eq!(deaths_of(&mut rig), 0);
    let repeat = "failed test.counter.commands/0@1: a repeat of a command that ended the process";
    assert_eq!(rig.dead_letters()[1..], [repeat]);
    assert_eq!(rig.state("a"), Some((1, 1)));
}

#[test]
fn a_command_in_the_midst_that_kills_costs_one_death_more() {
    let mut rig = Rig::new();
    rig.send(adds(1..4));
    rig.send([cmd(4, "k1", "die")]);
    rig.send([cmd(5, "k1", "add 1")]);
    assert_eq!(deaths_of(&mut rig), 4);
    assert_eq!(rig.event_lines(), ["k11 added 1", "k21 added 1", "k31 added 1", "k12 added 1"]);
    assert_eq!(rig.dead_letters().len(), 1);
}

#[test]
fn a_command_behind_the_first_batch_that_kills_costs_five_deaths_at_most() {
    let mut rig = Rig::new();
    rig.handle(adds(1..2));
    rig.send(adds(2..4));
    rig.send([cmd(4, "a", "die"), cmd(5, "k1", "add 1")]);
    assert_eq!(deaths_of(&mut rig), 5);
    assert_eq!(rig.dead_letters().len(), 1);
    assert_eq!(rig.state("k1"), Some((2, 2)));
}

#[test]
fn other_partitions_go_on_while_one_is_careful() {
    let mut rig = Rig::with(2, |_| {}, Protections::ALL);
    let in_partition = |partition: u32| {
        let keys = (0..).map(|number| format!("key{number}"));
        keys.filter(move |key| factum_core::partition_of(key.as_bytes(), 2).0 == partition)
    };
    let one = in_partition(0).next().unwrap();
    let other: Vec<String> = in_partition(1).take(5).collect();
    rig.send([cmd(1, &one, "die"), cmd(2, &one, "add 1")]);
    rig.send(other.iter().zip(3..).map(|(key, id)| cmd(id, key, "add 1")));
    assert!((3..=5).contains(&deaths_of(&mut rig)));
    assert_eq!(rig.dead_letters().len(), 1);
    for key in other.iter().chain([&one]) {
        assert_eq!(rig.state(key), Some((1, 1)), "{key}");
    }
}

#[test]
fn a_healthy_process_that_is_killed_over_and_over_convicts_nothing() {
    let mut rig = Rig::new();
    for number in 1..40 {
        rig.handle(adds(number..number + 1));
        rig.restart();
        rig.restart();
        assert!(!is_careful(&rig));
    }
    // Also in the midst of a batch, twice.
    rig.send(adds(40..50));
    for _ in 0..2 {
        rig.poll();
        assert!(rig.plan());
        rig.restart();
        assert!(is_careful(&rig));
    }
    assert_eq!(deaths_of(&mut rig), 0);
    assert_eq!(rig.event_lines().len(), 49);
    assert!(rig.dead_letters().is_empty());
    assert!(!is_careful(&rig));
}

#[test]
fn only_the_first_batch_and_what_was_there_at_the_claim_is_marked() {
    let mut rig = Rig::new();
    for number in 1..10 {
        rig.handle(adds(number..number + 1));
    }
    assert_eq!(rig.begun_lines(), ["begun 0 1"]);
    rig.restart();
    assert_eq!(rig.begun_lines().len(), 1, "nothing is begun without a command");
    rig.handle(adds(10..11));
    assert_eq!(rig.begun_lines(), ["begun 0 1", "begun 9 1"]);
    rig.send(adds(11..13));
    rig.restart();
    rig.poll();
    assert!(rig.plan());
    rig.commit();
    rig.handle(adds(13..14));
    assert_eq!(rig.begun_lines(), ["begun 0 1", "begun 9 1", "begun 10 1"]);
}

#[test]
fn a_careful_partition_decides_one_command_in_a_transaction_and_goes_back_to_batches() {
    let mut rig = Rig::new();
    rig.send(adds(1..5));
    rig.poll();
    assert!(rig.plan());
    rig.restart();
    rig.poll();
    for number in 1..5 {
        assert!(is_careful(&rig), "before command {number}");
        assert!(rig.plan());
        rig.commit();
        assert_eq!(rig.event_lines().len(), number);
    }
    assert!(!is_careful(&rig));
    rig.send(adds(5..9));
    rig.poll();
    assert!(rig.plan());
    rig.commit();
    assert_eq!(rig.event_lines().len(), 8);
}

#[test]
fn a_commit_with_an_unknown_outcome_is_no_death() {
    let mut rig = Rig::new();
    for number in 1..9 {
        rig.send(adds(number..number + 1));
        rig.poll();
        assert!(rig.plan());
        rig.unknown(Kept::Hidden);
        rig.now += 1_000;
        rig.poll();
        assert!(!is_careful(&rig), "{number}");
    }
    assert_eq!(deaths_of(&mut rig), 0);
    assert_eq!(rig.event_lines().len(), 8);
}

#[test]
fn a_schema_that_is_fetched_for_a_careful_command_is_no_death() {
    let mut rig = Rig::new();
    rig.send([cmd(1, "a", "add 1").schema(9)]);
    rig.poll();
    rig.plan();
    rig.restart();
    for _ in 0..5 {
        rig.poll();
        rig.plan();
        rig.schema(9, Err(Error::unavailable("the registry is away")));
        rig.now += 1_000;
    }
    rig.schema(9, Ok(()));
    assert_eq!(deaths_of(&mut rig), 0);
    assert_eq!(rig.event_lines(), ["a1 added 1"]);
}

#[test]
fn commands_of_a_careful_partition_wait_in_a_bounded_number() {
    let mut rig = Rig::configured(|config| config.max_batch_commands = 1_000);
    rig.send((0..250).map(|number| cmd(1, &format!("k{number}"), "add 1")));
    rig.poll();
    assert!(rig.plan());
    rig.restart();
    rig.poll();
    assert!(rig.plan());
    rig.run_effects();
    assert!(rig.started.is_empty(), "no more are delivered: {:?}", rig.done);
    rig.commit();
    assert_eq!(deaths_of(&mut rig), 0);
    assert_eq!(rig.event_lines().len(), 250);
}
