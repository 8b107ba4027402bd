//! Views from end to end: a log in memory, the runner, SQLite.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves

mod bank;

use bank::*;
use expect_test::expect;
use factum_core::{
    Offset, Protections, RecordBatch, Throttle, Topic,
    log::Log,
    view::{PlaceState, StopClass, view_group},
};
use factum_views::{MemoryDatabase, MemorySink, ParkedFilter, ParkedRecords as _, SqliteSink, ViewStatus};
use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

fn stop_class(status: &ViewStatus, topic: &str, partition: u32) -> Option<StopClass> {
    match &status.places.get(&place(topic, partition))?.state {
        PlaceState::Stopped(stop) => Some(stop.class),
        _ => None,
    }
}

#[test]
fn events_of_several_inputs_become_rows_and_a_restart_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut bank = Bank::new(2);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50", "deposited 5"]);
    bank.write(&place(ACCOUNTS, 1), "bob", &["deposited 7"]);
    bank.write(&place(CARDS, 0), "card-1", &["charged ada 20", "renamed"]);
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    expect!["ada=35 bob=7 total=42"].assert_eq(&balances(&sqlite_rows(directory.path())));
    let status = &instance.status().places[&place(CARDS, 0)];
    assert_eq!((status.counts.applied, status.counts.unknown), (1, 1));
    instance.runner.close().unwrap();

    bank.write(&place(ACCOUNTS, 1), "bob", &["deposited 1", "closed"]);
    let mut instance = Instance::new(&bank, sqlite(directory.path()));
    instance.until_idle(&bank);
    expect!["ada=35 total=43"].assert_eq(&balances(&sqlite_rows(directory.path())));
    let status = instance.status();
    assert_eq!(status.places[&place(ACCOUNTS, 0)].counts.applied, 0, "nothing is applied again");
    assert_eq!(status.places[&place(ACCOUNTS, 1)].counts.applied, 2);
}

#[test]
fn the_groups_offsets_follow_with_a_mark() {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    let database = MemoryDatabase::new("the-database");
    let mut instance = Instance::new(&bank, MemorySink::open(&database, table()).unwrap());
    instance.until_idle(&bank);
    let mut admin = bank.log.admin().unwrap();
    let id = admin.describe_topic(&ACCOUNTS.into()).unwrap().unwrap().id;
    let offsets = admin.group_offsets(&view_group::<Balances>(), &[place(ACCOUNTS, 0)]).unwrap();
    // One event, and the marker of its transaction.
    assert_eq!(offsets[0].1.offset, Offset(2));
    assert_eq!(offsets[0].1.metadata, format!("factum-view/1 {id} 2 the-database"));
}

#[test]
fn the_status_knows_the_ends_once_idle() {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    let mut instance = Instance::new(&bank, SqliteSink::in_memory(table()).unwrap());
    instance.until("at its ends", |status| {
        status.places.get(&place(ACCOUNTS, 0)).is_some_and(|s| s.end == Some(Offset(2)) && s.position == s.end)
    });
}

#[test]
fn a_throttled_view_takes_no_more_than_it_may_and_leaves_nothing_out() {
    let mut bank = Bank::new(2);
    for index in 0..60 {
        bank.write(&place(ACCOUNTS, index % 2), &format!("account-{index}"), &["deposited 1"]);
    }
    let mut instance =
        Instance::throttled(&bank, SqliteSink::in_memory(table()).unwrap(), Throttle::new(NonZeroU32::new(50)));
    let begun = Instant::now();
    instance.until_idle(&bank);
    // A tenth of a second's worth may have been saved up.
    assert!(begun.elapsed() >= Duration::from_secs_f64(54.0 / 50.0), "{:?}", begun.elapsed());
    assert_eq!(instance.status().places.values().map(|place| place.counts.applied).sum::<u64>(), 60);
}

#[test]
fn two_instances_share_the_partitions() {
    let directory = tempfile::tempdir().unwrap();
    let mut bank = Bank::new(2);
    let mut first = Instance::new(&bank, sqlite(directory.path()));
    let mut second = Instance::new(&bank, sqlite(directory.path()));
    let mut until_shared = 0..5_000;
    while first.status().places.len() + second.status().places.len() != 3 || second.status().places.is_empty() {
        first.step();
        second.step();
        until_shared.next().expect("the partitions are shared at last");
    }
    for round in 0..5 {
        bank.write(&place(ACCOUNTS, round % 2), &format!("owner-{}", round % 2), &["deposited 10"]);
        bank.write(&place(CARDS, 0), "card-1", &["charged owner-0 1"]);
    }
    // Each waits for the other's commit where they meet at the total.
    let mut both = 0..5_000;
    loop {
        first.step();
        second.step();
        let mut status = first.status();
        status.places.extend(second.status().places);
        if bank.has_passed(&status) {
            break;
        }
        both.next().expect("all is applied at last");
    }
    expect!["owner-0=25 owner-1=20 total=45"].assert_eq(&balances(&sqlite_rows(directory.path())));
}

/// Kafka fences a static member for good, also where the second of its name was its own lost request.
#[test]
fn a_member_whose_name_another_took_joins_anew() {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    let database = MemoryDatabase::new("test");
    let mut first = Instance::named(&bank, MemorySink::open(&database, table()).unwrap(), "one");
    first.until_idle(&bank);
    let mut second = Instance::named(&bank, MemorySink::open(&database, table()).unwrap(), "one");
    second.until("a member", |status| !status.places.is_empty());
    first.until("fenced", |status| status.places.is_empty());
    second.runner.close().unwrap();
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 5"]);
    first.until_idle(&bank);
    expect!["ada=55 total=55"].assert_eq(&balances(&database));
}

/// An instance loads a batch; its session ends, and another takes over and
/// applies the same events and more; then the first one commits.
fn zombie(protections: Protections) -> (String, Vec<StopClass>) {
    let directory = tempfile::tempdir().unwrap();
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    let path = directory.path().to_owned();
    // Without row locks, so that only the compare-and-set is in the zombie's way.
    let protections = Protections { shared_row_locking: false, ..protections };

    let bank = Arc::new(std::sync::Mutex::new(bank));
    let successor = Arc::new(std::sync::Mutex::new(None));
    let between = {
        let (bank, successor, path) = (bank.clone(), successor.clone(), path.clone());
        move || {
            let mut bank = bank.lock().unwrap();
            bank.advance(Duration::from_secs(60));
            bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 7"]);
            let mut instance = Instance::protected(&bank, sqlite(&path), protections);
            instance.until_idle(&bank);
            *successor.lock().unwrap() = Some(instance);
        }
    };
    let sink = Interrupted { sink: sqlite(&path), between: Some(Box::new(between)) };
    let mut zombie = Instance::protected(&bank.lock().unwrap(), sink, protections);
    let mut steps = 0..5_000;
    while successor.lock().unwrap().is_none() {
        zombie.step();
        steps.next().expect("the zombie loads at last");
    }
    // It is a zombie no longer once it polls: it has lost the partition. It leaves.
    zombie.runner.close().unwrap();

    let mut bank = bank.lock().unwrap();
    let mut instance = successor.lock().unwrap().take().unwrap();
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 100"]);
    instance.until("through or stopped", |status| bank.has_passed(status) || status.stopped().next().is_some());
    let stopped = instance.status().stopped().map(|(_, stop)| stop.class).collect();
    (balances(&sqlite_rows(&path)), stopped)
}

#[test]
fn a_zombies_commit_is_rolled_back() {
    let (rows, stopped) = zombie(Protections::ALL);
    expect!["ada=157 total=157"].assert_eq(&rows);
    assert_eq!(stopped, []);
}

#[test]
fn without_compare_and_set_a_zombies_commit_undoes_what_its_successor_applied() {
    let (rows, stopped) = zombie(Protections { progress_compare_and_set: false, ..Protections::ALL });
    expect!["ada=50 total=50"].assert_eq(&rows);
    assert_eq!(stopped, [StopClass::VersionGap], "the watermarks went back too, and only they tell");
}

/// Two instances with a partition each add to the total at the same time.
fn shared_total(protections: Protections) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let mut bank = Bank::new(1);
    let other = Arc::new(std::sync::Mutex::new(None::<Instance>));
    let between = {
        let other = other.clone();
        Box::new(move || {
            let mut other = other.lock().unwrap();
            let other = other.as_mut().expect("the other instance is there before the first event");
            // Enough to apply its event, if the lock lets it.
            for _ in 0..50 {
                other.step();
            }
        })
    };
    let sink = Interrupted { sink: sqlite(&path), between: Some(between) };
    let mut first = Instance::protected(&bank, sink, protections);
    *other.lock().unwrap() = Some(Instance::protected(&bank, sqlite(&path), protections));
    let both = |first: &mut Instance| {
        first.step();
        let mut other = other.lock().unwrap();
        let other = other.as_mut().unwrap();
        other.step();
        (first.status(), other.status())
    };
    let mut steps = 0..5_000;
    let running = |status: &ViewStatus| status.places.values().filter(|s| s.state == PlaceState::Running).count();
    loop {
        let (first, other) = both(&mut first);
        if running(&first) == 1 && running(&other) == 1 {
            break;
        }
        steps.next().expect("the partitions are shared at last");
    }
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    bank.write(&place(CARDS, 0), "card-1", &["charged bob 20"]);
    loop {
        // Not both in one step: the first holds its lock while the other runs within it.
        first.step();
        let other_status = {
            let mut other = other.lock().unwrap();
            let other = other.as_mut().unwrap();
            other.step();
            other.status()
        };
        let mut status = first.status();
        status.places.extend(other_status.places);
        if bank.has_passed(&status) {
            break;
        }
        steps.next().expect("all is applied at last");
    }
    balances(&sqlite_rows(&path))
}

#[test]
fn partitions_do_not_lose_each_others_updates_of_a_shared_row() {
    expect!["ada=50 bob=-20 total=30"].assert_eq(&shared_total(Protections::ALL));
}

#[test]
fn without_row_locking_an_update_of_a_shared_row_is_lost() {
    let rows = shared_total(Protections { shared_row_locking: false, ..Protections::ALL });
    assert!(rows.starts_with("ada=50 bob=-20 total="), "{rows}");
    assert_ne!(rows, "ada=50 bob=-20 total=30");
}

#[test]
fn a_poison_event_parks_its_aggregate_and_the_others_of_its_partition_go_on() {
    let mut bank = Bank::new(2);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1", "poison"]);
    bank.write(&place(ACCOUNTS, 0), "eve", &["deposited 3"]);
    bank.write(&place(ACCOUNTS, 1), "bob", &["deposited 7"]);
    let database = MemoryDatabase::new("test");
    let mut instance = Instance::new(&bank, MemorySink::open(&database, table()).unwrap());
    instance.until_idle(&bank);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1000"]);
    bank.write(&place(ACCOUNTS, 0), "eve", &["deposited 2"]);
    instance.until_idle(&bank);
    let mut sink = MemorySink::open(&database, table()).unwrap();
    expect!["ada=50 bob=7 eve=5 total=62"].assert_eq(&balances(&database));
    let status = instance.status();
    assert_eq!(status.stopped().count(), 0);
    assert_eq!((status.totals.applied, status.totals.parked), (4, 3));
    let keys = sink.parked_keys(&ParkedFilter::default(), None, 10).unwrap();
    assert_eq!(keys.iter().map(|key| key.records).collect::<Vec<_>>(), [3]);
    expect![[r#"balances::fold of row "ada" at bank.account.events/0@3: panicked: cannot digest this"#]]
        .assert_eq(&keys[0].first.cause);
    instance.until("counted", |status| status.places[&place(ACCOUNTS, 0)].parked_keys == 1);
}

#[test]
fn a_foreign_record_stops_its_partition() {
    let bank = Bank::new(1);
    let mut batch = RecordBatch::new();
    let topic = Topic::from(ACCOUNTS);
    let mut record = batch.start(&topic, place(ACCOUNTS, 0).partition);
    record.key(b"ada");
    record.value(b"deposited 1");
    record.finish();
    bank.log.producer().unwrap().produce(&batch).unwrap();
    let mut instance = Instance::new(&bank, SqliteSink::in_memory(table()).unwrap());
    instance.until("stopped", |status| stop_class(status, ACCOUNTS, 0) == Some(StopClass::ForeignRecord));
}

#[test]
fn an_event_that_is_in_the_log_twice_is_applied_once() {
    let run = |protections| {
        let mut bank = Bank::new(1);
        bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
        bank.write_again(&place(ACCOUNTS, 0), "ada", 1, "deposited 50");
        let database = MemoryDatabase::new("test");
        let mut instance = Instance::protected(&bank, MemorySink::open(&database, table()).unwrap(), protections);
        instance.until_idle(&bank);
        balances(&database)
    };
    expect!["ada=50 total=50"].assert_eq(&run(Protections::ALL));
    expect!["ada=100 total=100"].assert_eq(&run(Protections { version_check: false, ..Protections::ALL }));
}

#[test]
fn a_version_that_two_commands_claim_stops_its_partition_and_names_both_records() {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    bank.write(&place(ACCOUNTS, 0), "bob", &["deposited 7"]);
    let mut instance = Instance::new(&bank, SqliteSink::in_memory(table()).unwrap());
    instance.until_idle(&bank);
    bank.write_from(&place(ACCOUNTS, 0), "ada", 1, &["deposited 1000"]);
    instance.until("stopped", |status| stop_class(status, ACCOUNTS, 0) == Some(StopClass::ForeignRecord));
    let status = instance.status();
    let reason = &status.stopped().next().unwrap().1.reason;
    expect!["bank.account.events/0@4: version 1 of aggregate ada is claimed by command 00000000-0000-0000-0000-000000000003 here and by command 00000000-0000-0000-0000-000000000001 at offset 0: a handler writes no version twice, so one of the two is not its own; find out which (the handler's is the one that the command's answer names), take the other writer's permission, and have all readers go on without it with --pass-over TOPIC/PARTITION@OFFSET"].assert_eq(reason);
}

#[test]
fn a_recreated_topic_is_refused() {
    let run = |protections| {
        let mut bank = Bank::new(1);
        bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
        let database = MemoryDatabase::new("test");
        let sink = || MemorySink::open(&database, table()).unwrap();
        let mut instance = Instance::new(&bank, sink());
        instance.until_idle(&bank);
        instance.runner.close().unwrap();
        bank.log.admin().unwrap().delete_topics(&[ACCOUNTS.into()]).unwrap();
        bank.create(ACCOUNTS, 1);
        bank.write_from(&place(ACCOUNTS, 0), "bob", 1, &["deposited 1"]);
        bank.write_from(&place(ACCOUNTS, 0), "eve", 1, &["deposited 2"]);
        let mut instance = Instance::protected(&bank, sink(), protections);
        instance
            .until("through or stopped", |status| bank.has_passed(status) || stop_class(status, ACCOUNTS, 0).is_some());
        (stop_class(&instance.status(), ACCOUNTS, 0), balances(&database))
    };
    let (stopped, rows) = run(Protections::ALL);
    assert_eq!(stopped, Some(StopClass::TopicIdentity));
    expect!["ada=50 total=50"].assert_eq(&rows);
    // Bob's deposit lies below the old topic's position and is never seen.
    let (stopped, rows) = run(Protections { topic_identity: false, ..Protections::ALL });
    assert_eq!(stopped, None);
    expect!["ada=50 eve=2 total=52"].assert_eq(&rows);
}

#[test]
fn deleted_records_are_told() {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    bank.log.admin().unwrap().delete_records(&place(ACCOUNTS, 0), Offset(2)).unwrap();
    let mut instance = Instance::new(&bank, SqliteSink::in_memory(table()).unwrap());
    instance.until("stopped", |status| stop_class(status, ACCOUNTS, 0) == Some(StopClass::DeletedRecords));
}

#[test]
fn a_new_schema_is_fetched_beside_the_loop() {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50", "new deposited 5"]);
    let database = MemoryDatabase::new("test");
    let mut instance = Instance::new(&bank, MemorySink::open(&database, table()).unwrap());
    instance.until_idle(&bank);
    expect!["ada=55 total=55"].assert_eq(&balances(&database));
}

#[test]
fn the_sink_of_another_view_is_refused() {
    let bank = Bank::new(1);
    let other = factum_core::view::ViewTable::new("others", 1, table().columns().to_vec()).unwrap();
    let fetch = Arc::new(|_| Ok(()));
    let options = factum_views::ViewOptions::new(fetch, || factum_core::TimestampMs(0));
    let sink = Box::new(SqliteSink::in_memory(other).unwrap());
    let refused =
        factum_views::ViewRunner::<Balances, _>::start(Arc::new(bank.log.clone()), TextCodec::default(), sink, options)
            .unwrap_err();
    assert_eq!(refused.to_string(), "view balances was given the sink of others_v1");
}

#[test]
fn a_running_view_stops_when_told() {
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
    let instance = Instance::new(&bank, SqliteSink::in_memory(table()).unwrap());
    let (status, stop) = (instance.runner.status(), Arc::new(AtomicBool::new(false)));
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || instance.runner.run(&stop)
    });
    let start = std::time::Instant::now();
    while !bank.has_passed(&status.lock().unwrap()) {
        assert!(start.elapsed() < DEADLINE, "not through");
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
}
