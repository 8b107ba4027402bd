//! A view that has very much parked.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves
#![cfg(target_os = "linux")] // which tells in /proc what a process takes

#[allow(dead_code)] // each test file uses a part of it
mod bank;

use bank::{ACCOUNTS, Bank, Instance, place, sqlite};
use factum_core::{AggregateId, log::Log};
use factum_views::ParkedRecords as _;

/// Resident memory of this process, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[test]
fn a_million_parked_records_do_not_grow_the_process() {
    let (mut bank, folder) = (Bank::new(1), tempfile::tempdir().unwrap());
    let id = bank.log.admin().unwrap().describe_topic(&ACCOUNTS.into()).unwrap().unwrap().id;
    drop(sqlite(folder.path()));
    let by_hand = rusqlite::Connection::open(folder.path().join("views.db")).unwrap();
    let parked = by_hand.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
         INSERT INTO factum_parked (view, topic, aggregate, record_offset, partition, topic_id, version, cause, attempts,
             parked_at)
         SELECT 'balances_v1', ?1, 'parked-' || (i % 1000), 1000000 + i, 0, ?2, 1 + i / 1000,
             CASE WHEN i < 1000 THEN 'why' ELSE '' END, 1, 0 FROM n ORDER BY i % 1000, i",
        [ACCOUNTS, &id.to_string()],
    );
    assert_eq!(parked.unwrap(), 1_000_000);
    drop(by_hand);
    let before = resident_bytes();
    let mut instance = Instance::new(&bank, sqlite(folder.path()));
    for round in 0..50 {
        bank.write_from(&place(ACCOUNTS, 0), "parked-7", 1_001 + round, &["deposited 1"]);
        bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1"]);
        instance.until_idle(&bank);
    }
    let grown = resident_bytes().saturating_sub(before);
    // A million records would take a hundred times as much.
    assert!(grown < 16 << 20, "{grown} bytes more");
    let status = instance.status();
    assert_eq!((status.totals.applied, status.totals.parked), (50, 50));
    assert_eq!(status.places[&place(ACCOUNTS, 0)].parked_keys, 1_000);
    let key = AggregateId::new("parked-7").unwrap();
    let records = sqlite(folder.path()).parked_records(&ACCOUNTS.into(), &key, None, 10_000).unwrap();
    assert_eq!(records.len(), 1_050);
}
