//! Seeds that must come out right, and two runs of one.

#![allow(clippy::unwrap_used)] // a test's failure is its panic

use factum_core::Protections;
use factum_simulation::{Fault, Report, Simulator, Struck};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// More are run by `factum simulate --seeds 2000`.
const SEEDS: u64 = 60;
const STEPS: u64 = 2_000;

/// Runs seeds on every core; each run has a thread to itself.
fn run(seeds: std::ops::Range<u64>) -> Vec<Report> {
    let (next, reports) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let simulator = Simulator::new(Protections::ALL).unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = simulator.run(seed, STEPS).unwrap();
                    reports.lock().unwrap().push(report);
                }
            });
        }
    });
    reports.into_inner().unwrap()
}

#[test]
fn whatever_goes_wrong_the_history_is_right() {
    let reports = run(1..SEEDS + 1);
    let mut struck = Struck::default();
    reports.iter().for_each(|report| struck.add(&report.struck));
    eprintln!("how often each fault struck in {} seeds:\n{struck}", reports.len());
    let wrong: Vec<String> =
        reports.iter().filter(|report| !report.violations.is_empty()).map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{} seeds are wrong:\n{}", wrong.len(), wrong.join("\n"));
    let never: Vec<&Fault> = Fault::ALL.iter().filter(|fault| struck.times(**fault) == 0).collect();
    assert!(never.is_empty(), "never struck: {never:?}");
}

#[test]
fn two_runs_of_a_seed_are_the_same_and_those_of_two_seeds_are_not() {
    let simulator = Simulator::new(Protections::ALL).unwrap();
    let first = simulator.run(7, STEPS).unwrap();
    // Another run between them, another simulator and another thread change nothing.
    let other = simulator.run(8, STEPS).unwrap();
    assert_same(&simulator.run(7, STEPS).unwrap(), &first);
    let elsewhere = thread::spawn(|| Simulator::new(Protections::ALL).unwrap().run(7, STEPS).unwrap());
    assert_same(&elsewhere.join().unwrap(), &first);
    // Nor does it matter how long the machine takes for a turn.
    let slow = simulator.slowed(Duration::from_millis(1));
    assert_same(&slow.run(7, STEPS).unwrap(), &first);
    assert_ne!(other.trace, first.trace);
}

/// Says where two runs differ; all of both would be too much to read.
fn assert_same(run: &Report, other: &Report) {
    let differs = run.trace.iter().zip(&other.trace).find(|(one, two)| one != two);
    assert_eq!(differs, None, "{:?} and {:?}", run.struck, other.struck);
    assert!(run == other, "{run} differs from {other}");
}
