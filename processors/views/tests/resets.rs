//! Offsets of the view's group that an operator set, from end to end: a log in memory, the runner, SQLite.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves
#![allow(dead_code)] // the bank is shared with the other tests of the runner

mod bank;

use bank::*;
use expect_test::expect;
use factum_core::{
    Offset, Protections, TopicPartition,
    log::{CommitOffset, Log},
    view::{PlaceState, StopClass, view_group},
};
use factum_views::Resets;
use std::path::Path;

/// What an operator's tool does: it writes no metadata.
fn reset(bank: &Bank, places: &[(TopicPartition, i64)]) {
    let offset = |(place, offset): &(TopicPartition, i64)| CommitOffset {
        place: place.clone(),
        offset: Offset(*offset),
        metadata: String::new(),
    };
    let offsets: Vec<_> = places.iter().map(offset).collect();
    bank.log.admin().unwrap().reset_group_offsets(&view_group::<Balances>(), &offsets).unwrap();
}

/// A view over two partitions of accounts and one of cards that has applied everything and is down.
fn down(directory: &Path) -> Bank {
    let mut bank = Bank::new(2);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 5"]);
    bank.write(&place(ACCOUNTS, 1), "bob", &["deposited 7"]);
    bank.write(&place(CARDS, 0), "card-1", &["charged ada 20"]);
    let mut instance = Instance::new(&bank, sqlite(directory));
    instance.until_idle(&bank);
    instance.runner.close().unwrap();
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory)));
    bank
}

#[test]
fn a_group_reset_to_the_earliest_offset_builds_the_view_again_once() {
    let directory = tempfile::tempdir().unwrap();
    let bank = down(directory.path());
    // Something that only a rebuild undoes.
    let file = rusqlite::Connection::open(directory.path().join("views.db")).unwrap();
    file.execute("UPDATE balances_v1 SET cents = 1", []).unwrap();
    reset(&bank, &[(place(ACCOUNTS, 0), 0), (place(ACCOUNTS, 1), 0), (place(CARDS, 0), 0)]);
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    assert_eq!((instance.status().totals.applied, instance.status().totals.repeated), (4, 0));
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory.path())));
    instance.runner.close().unwrap();
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    assert_eq!((instance.status().totals.applied, instance.status().totals.repeated), (0, 0), "once");
}

#[test]
fn a_group_reset_backward_delivers_again_and_applies_nothing_twice() {
    let run = |protections| {
        let directory = tempfile::tempdir().unwrap();
        let bank = down(directory.path());
        reset(&bank, &[(place(ACCOUNTS, 0), 1)]);
        let mut instance = Instance::protected(&bank, sqlite(directory.path()), protections);
        instance.until_idle(&bank);
        expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory.path())));
        (instance.status().totals.applied, instance.status().totals.repeated)
    };
    assert_eq!(run(Protections::ALL), (0, 1));
    // Without the protection nothing is delivered: the reset is passed over in silence.
    assert_eq!(run(Protections { offset_resets: false, ..Protections::ALL }), (0, 0));
}

#[test]
fn a_group_reset_forward_leaves_events_out_and_stops_at_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let mut bank = down(directory.path());
    bank.write(&place(ACCOUNTS, 0), "ada", &["poison"]);
    let end = bank.ends()[0].1;
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1"]);
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until("stopped", |status| {
        let place = status.places.get(&place(ACCOUNTS, 0));
        matches!(place.map(|place| &place.state), Some(PlaceState::Stopped(stop)) if stop.class == StopClass::PoisonEvent)
    });
    instance.runner.close().unwrap();
    reset(&bank, &[(place(ACCOUNTS, 0), end.0)]);
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    expect!["ada=36 bob=7 total=43"].assert_eq(&balances(&sqlite_rows(directory.path())));
    let skipped = sqlite(directory.path()).standing().unwrap().skipped;
    assert_eq!((skipped.len(), skipped[0].offsets.end), (1, end));
}

#[test]
fn another_database_goes_by_its_own_progress_and_not_by_the_marks() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bank = down(directory.path());
    let mut instance = Instance::new(&bank, sqlite(elsewhere.path()));
    instance.until_idle(&bank);
    instance.runner.close().unwrap();
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(elsewhere.path())));
    // And back: nothing is applied twice in the first one.
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    assert_eq!(instance.status().totals.applied, 0);
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory.path())));
}
