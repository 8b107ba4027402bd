//! A process is killed at random moments, again and again on the same folder:
//! what it said was acknowledged is there.
//!
//! The test starts itself as that process, told by an environment variable.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

mod support;

use factum_core::ErrorKind;
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog, owner};
use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::*;

const FOLDER: &str = "FACTUM_TEST_KILL_FOLDER";
const KILLS: u64 = 50;
/// A new folder after so many, or checking takes longer and longer.
const KILLS_OF_A_FOLDER: u64 = 10;
const WRITERS: u32 = 3;
/// Together with starting and checking, well below a minute.
const WRITING_MS_MAX: u64 = 300;

fn small() -> EmbeddedConfig {
    EmbeddedConfig {
        segment_bytes: 1 << 14,
        reclaim_bytes: 1 << 16,
        clean_every: Some(Duration::from_millis(20)),
        ..EmbeddedConfig::default()
    }
}

/// Writes until it is killed; says what was acknowledged, a line each.
fn write_for_ever(folder: &Path, first: i64) {
    let log = EmbeddedLog::open(folder, small()).unwrap();
    create_topic(&log, &[]).unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{line}").and_then(|()| out.flush()).unwrap();
    };
    say("open".to_owned());
    thread::scope(|scope| {
        let log = &log;
        scope.spawn(move || {
            loop {
                thread::sleep(Duration::from_millis(15));
                log.reclaim().unwrap();
            }
        });
        for writer in 0..WRITERS {
            let say = &say;
            scope.spawn(move || {
                let mut producer = transactional(log, &format!("p{writer}"));
                producer.init().unwrap();
                for number in first.. {
                    let value = format!("txn {writer} {number}");
                    producer.begin().unwrap();
                    producer.produce(&batch(&[(0, value.clone()), (1, value)])).unwrap();
                    let group = format!("g{writer}");
                    producer.send_offsets(&nobody(&group), &[offset(0, number)]).unwrap();
                    if number % 5 == 0 {
                        producer.abort().unwrap();
                    } else {
                        producer.commit().unwrap();
                        say(format!("acknowledged {writer} {number}"));
                    }
                }
            });
        }
    });
}

/// Runs the writing process until it is killed and returns what it acknowledged.
fn run_and_kill(folder: &Path, first: i64, writing: Duration) -> Vec<(u32, i64)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed_at_random_it_loses_nothing_acknowledged", "--nocapture"])
        .env(FOLDER, folder)
        .env("FACTUM_TEST_KILL_FIRST", first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap() == "open"), "the writer did not start");
    let pid = child.id();
    assert_eq!(owner(folder).unwrap().map(|owner| owner.pid), Some(pid));
    if first == 1 {
        // Once is enough: it takes a third of a second to be refused.
        let error = EmbeddedLog::open(folder, small()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced);
        assert!(error.to_string().contains(&format!(" belongs to process {pid}: stop that one")), "{error}");
    }
    let killer = thread::spawn(move || {
        thread::sleep(writing);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let mut acknowledged = Vec::new();
    for line in lines {
        let line = line.unwrap();
        // The last line may be a part of one: then nobody was told.
        if let Some(Some((writer, number))) = line.strip_prefix("acknowledged ").map(|rest| rest.split_once(' '))
            && let (Ok(writer), Ok(number)) = (writer.parse(), number.parse())
        {
            acknowledged.push((writer, number));
        }
    }
    killer.join().unwrap();
    acknowledged
}

#[test]
fn killed_at_random_it_loses_nothing_acknowledged() {
    if let Ok(folder) = env::var(FOLDER) {
        let first = env::var("FACTUM_TEST_KILL_FIRST").unwrap().parse().unwrap();
        return write_for_ever(Path::new(&folder), first);
    }
    let mut folder = tempfile::tempdir().unwrap();
    let mut chance = Chance(20_261_121);
    let (mut acknowledged, mut all) = (BTreeSet::new(), 0);
    let mut first = 1;
    let began = Instant::now();
    for kill in 0..KILLS {
        if kill % KILLS_OF_A_FOLDER == 0 {
            folder = tempfile::tempdir().unwrap();
            acknowledged.clear();
        }
        let writing = Duration::from_millis(chance.below(WRITING_MS_MAX));
        let now = run_and_kill(folder.path(), first, writing);
        all += now.len();
        acknowledged.extend(now);

        assert_eq!(owner(folder.path()).unwrap(), None);
        let log = EmbeddedLog::open(folder.path(), small()).unwrap();
        let there: Vec<(u32, i64)> = values(&log, 0).iter().map(|value| parse(value)).collect();
        let other: Vec<(u32, i64)> = values(&log, 1).iter().map(|value| parse(value)).collect();
        assert_eq!(there, other, "kill {kill}: a transaction is there in part");
        let set: BTreeSet<(u32, i64)> = there.iter().copied().collect();
        assert_eq!(set.len(), there.len(), "kill {kill}: a transaction is there twice");
        let lost: Vec<_> = acknowledged.difference(&set).collect();
        assert!(lost.is_empty(), "kill {kill}: {lost:?} are lost");
        assert!(set.iter().all(|(_, number)| number % 5 != 0), "kill {kill}: an aborted transaction is there");
        for writer in 0..WRITERS {
            let mut admin = factum_core::log::Log::admin(&log).unwrap();
            let offsets = admin.group_offsets(&format!("g{writer}"), &[place(0)]).unwrap();
            let last = there.iter().filter(|(of, _)| *of == writer).map(|(_, number)| *number).next_back();
            assert_eq!(offsets.first().map(|(_, committed)| committed.offset.0), last, "kill {kill}");
        }
        first = set.iter().map(|(_, number)| number + 1).max().unwrap_or(first).max(first);
    }
    assert!(all > 200, "{all} acknowledged transactions are few");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
}

fn parse(value: &str) -> (u32, i64) {
    let (writer, number) = value.strip_prefix("txn ").unwrap().split_once(' ').unwrap();
    (writer.parse().unwrap(), number.parse().unwrap())
}
