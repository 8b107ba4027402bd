//! The first run on a fresh folder, and what later runs find.

use crate::{
    books::{finished, sample},
    process::Ran,
    site::{BANK, Site},
};
use std::fs;

/// What it says that earlier runs left.
fn found(ran: &Ran) -> u64 {
    let line = ran.stderr.lines().find_map(|line| line.strip_prefix("found ")).unwrap_or_else(|| panic!("{ran:?}"));
    let (records, rest) = line.split_once(' ').unwrap();
    assert!(rest.starts_with("records of earlier runs ("), "{line}");
    records.parse().unwrap()
}

#[test]
fn the_first_run_publishes_the_year_and_later_ones_find_it() {
    let (site, expected) = (Site::new(), sample());
    let (first, balances) = finished(&site, &[]);
    assert_eq!(balances, expected.balances);
    assert!(first.stderr.contains("the log is the embedded one in factum-data: not Kafka"), "{first:?}");
    let tally = format!(
        "bank.account: the year 2025 of 200 accounts, 5000 commands: {} accepted, {} refused",
        expected.accepted, expected.refused
    );
    assert!(first.stderr.contains(&tally), "{tally:?} is not in {first:?}");
    assert!(!first.stderr.contains("found "), "{first:?}");
    assert_eq!(fs::read_to_string(site.path("factum-data/.gitignore")).unwrap(), "*\n");

    let (second, again) = finished(&site, &[]);
    let (third, _) = finished(&site, &["--no-sample"]);
    assert_eq!(again, expected.balances);
    // Each command is a record, and each event.
    assert!(found(&second) > 5_000 + expected.accepted as u64, "{second:?}");
    assert_eq!(found(&third), found(&second), "the second run published something");
    assert!(!second.stderr.contains("commands"), "{second:?}");

    // People see a table.
    let table = site.run(&["up", "--until-idle", "--where", "balance < 0", "--limit", "3"]);
    assert!(table.stdout.starts_with("balances (3 rows shown)\nkey "), "{table:?}");
    let (_, negative) = finished(&site, &["--where", "balance < 0"]);
    let below: Vec<_> = expected.balances.iter().filter(|(_, (balance, _))| *balance < 0).collect();
    assert_eq!(negative.iter().collect::<Vec<_>>(), below);
}

#[test]
fn without_the_sample_the_log_stays_empty_until_somebody_publishes() {
    let site = Site::new();
    let (first, balances) = finished(&site, &["--no-sample"]);
    assert!(balances.is_empty() && !first.stderr.contains("commands"), "{first:?}");
    // Nothing was published, so a run without the flag still begins with the sample.
    let (_, balances) = finished(&site, &[]);
    assert_eq!(balances, sample().balances);
}

#[test]
fn a_log_in_memory_leaves_nothing_behind() {
    let site = Site::new();
    let (ran, balances) = finished(&site, &["--memory"]);
    assert_eq!(balances, sample().balances);
    assert!(ran.stderr.contains("the log is in memory: everything is gone when this ends"), "{ran:?}");
    assert!(!site.path("factum-data").exists());
}

#[test]
fn verbs_that_only_look_begin_no_log() {
    let site = Site::new();
    let expected = "there is no log in factum-data: `up` or `publish` begins one, --data names another";
    for verb in [&["state", BANK, "anna"][..], &["history", BANK, "anna"], &["query", "balances"]] {
        site.run(verb).refused_with(&[expected]);
        assert!(!site.path("factum-data").exists());
    }
    assert_eq!(site.deposit("anna", 5), 1);
    assert_eq!(site.run(&["state", BANK, "anna", "--json"]).json()["state"]["balance_cents"], 5);
}

/// The demo fits a small machine.
#[cfg(target_os = "linux")]
#[test]
fn the_first_run_needs_less_than_150_mib() {
    let site = Site::new();
    let mut up = site.serve_with(&[]);
    up.process.says("ready; Ctrl-C ends", 1);
    let status = fs::read_to_string(format!("/proc/{}/status", site.owner()["pid"])).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("peak: {} MiB", peak_kib / 1024);
    assert!(peak_kib < 150 * 1024, "{peak_kib} KiB");
    up.process.stop();
}
