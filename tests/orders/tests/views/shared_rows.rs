//! Rows that several partitions of several topics feed, by two instances at the same time.

use crate::shop::{Books, Shop, actions, wait_until};
use factum::{
    Database, MemoryDatabase,
    environment::Environment,
    host::{Running, Stop, TypedView, ViewHost, ViewProgress},
};
use factum_test_database::TestDatabase;
use factum_test_orders::{Outstanding, Overview};

/// An instance of each view; with another one it shares the partitions.
struct Instance {
    running: Vec<Running>,
    progress: [ViewProgress; 2],
    stop: Stop,
}

impl Instance {
    fn start(environment: &Environment, database: &Database) -> Self {
        let stop = Stop::default();
        let (orders, first) = TypedView::<Overview>::default().start(environment, database, &stop).unwrap();
        let (owed, second) = TypedView::<Outstanding>::default().start(environment, database, &stop).unwrap();
        Instance { running: vec![orders, owed], progress: [first, second], stop }
    }

    fn check(&self) {
        for (running, progress) in self.running.iter().zip(&self.progress) {
            assert_eq!((running.failure(), progress.stopped()), (None, None));
        }
    }

    fn close(self) {
        self.stop.stop();
        self.running.into_iter().for_each(|running| running.join().unwrap());
    }
}

/// Two instances of both views apply what happens while it happens, and a third takes over from one of them.
fn two_instances_keep_the_books(database: &Database, seed: u64) {
    let shop = Shop::open(Environment::in_memory(), 4);
    let actions = actions(seed, 400);
    let first = Instance::start(&shop.environment, database);
    let second = Instance::start(&shop.environment, database);
    wait_until("sharing the partitions", || {
        [&first, &second].iter().all(|one| one.progress.iter().all(|view| !view.positions().is_empty()))
    });
    let (before, after) = actions.split_at(actions.len() / 2);
    shop.act(before);
    second.close();
    let third = Instance::start(&shop.environment, database);
    wait_until("sharing them with the third", || third.progress.iter().all(|view| !view.positions().is_empty()));
    shop.act(after);
    for view in 0..2 {
        wait_until("read to the ends", || {
            first.check();
            third.check();
            shop.is_read_by(&[&first.progress[view], &third.progress[view]])
        });
    }
    let shared = [&first, &third].map(|one| one.progress[1].status().totals.applied);
    assert!(shared.iter().all(|applied| *applied > 0), "both had their part: {shared:?}");
    first.close();
    third.close();
    shop.close();
    assert_eq!(Books::read(database), Books::of(&actions), "seed {seed}");
}

#[test]
fn in_memory_no_update_is_lost() {
    for seed in 1..=3 {
        two_instances_keep_the_books(&Database::Memory(MemoryDatabase::new("test")), seed);
    }
}

#[test]
fn in_sqlite_no_update_is_lost() {
    for seed in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        two_instances_keep_the_books(&Database::file(folder.path().join("views.sqlite")), seed);
    }
}

#[test]
fn in_postgresql_no_update_is_lost() {
    for seed in 1..=3 {
        let schema = TestDatabase::new();
        two_instances_keep_the_books(&Database::parse(&schema.url()).unwrap(), seed);
    }
}
