//! States that earlier folds have kept.

use super::*;
use factum_test_database::TestDatabase;
use factum_views::{Database, MemoryDatabase};
use serde_json::{Value as Json, json};

const START: &str = "bank.account/anna/";
const OTHER: &str = "bank.account/anna///";
const TOPIC: TopicId = TopicId([7; 16]);

/// Sums the bytes of its events, as many times as its weight says: two weights are two folds.
struct Weighted {
    weight: u8,
    sum: u64,
    version: Version,
}

impl Fold for Weighted {
    fn apply_value(&mut self, version: Version, value: &[u8]) -> Result<()> {
        self.sum += u64::from(self.weight) * value.iter().map(|&byte| u64::from(byte)).sum::<u64>();
        self.version = version;
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([self.weight; 8])
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(self.sum.to_be_bytes().to_vec())
    }

    fn restore(&mut self, version: Version, state: &[u8]) -> Result<()> {
        self.sum = u64::from_be_bytes(state.try_into().unwrap());
        self.version = version;
        Ok(())
    }

    fn state(&self) -> Result<Json> {
        Ok(json!(self.sum))
    }

    fn version(&self) -> Version {
        self.version
    }
}

fn begin(database: &Database, weight: u8, start: &str, up_to: u64) -> KeepingFold {
    let fold = Box::new(Weighted { weight, sum: 0, version: Version::NONE });
    KeepingFold::begin(fold, &*database.rows(), start, TOPIC, Version(up_to)).unwrap()
}

/// Folds events of 1 up to a version and keeps states; how many it folded, and its state.
fn fold(database: &Database, weight: u8, start: &str, up_to: u64) -> (u64, Json) {
    let mut fold = begin(database, weight, start, up_to);
    for version in fold.fold().version().0 + 1..=up_to {
        fold.apply(Version(version), &[1]).unwrap();
    }
    let done = (fold.folded(), fold.fold().state().unwrap());
    let kept = fold.into_kept(&*database.rows()).unwrap();
    keep(&mut *database.open(table().unwrap()).unwrap(), kept).unwrap();
    done
}

fn keys(database: &Database) -> Vec<String> {
    let query = Query::new(&table().unwrap()).projected("key").unwrap().limited(100).unwrap();
    database.rows().page(&query).unwrap().rows.into_iter().map(|row| row[0].to_string()).collect()
}

/// A database of each kind.
fn databases(folder: &tempfile::TempDir, server: &TestDatabase) -> [Database; 3] {
    [
        Database::Memory(MemoryDatabase::new("test")),
        Database::file(folder.path().join("views.sqlite")),
        Database::parse(&server.url()).unwrap(),
    ]
}

#[test]
fn a_changed_fold_takes_no_state_of_the_earlier_one_and_keeps_its_own() {
    let (folder, server) = (tempfile::TempDir::new().unwrap(), TestDatabase::new());
    for database in databases(&folder, &server) {
        assert_eq!(fold(&database, 2, START, 1_600), (1_600, json!(3_200)));
        assert_eq!(fold(&database, 2, START, 1_600), (100, json!(3_200)));
        // All again, and from near by when that was kept.
        assert_eq!(fold(&database, 3, START, 1_600), (1_600, json!(4_800)));
        assert_eq!(fold(&database, 3, START, 1_600), (100, json!(4_800)));
        assert_eq!(fold(&database, 3, START, 1_499), (499, json!(4_497)));
    }
}

#[test]
fn states_of_an_earlier_fold_are_deleted_when_those_of_the_new_one_are_kept() {
    let (folder, server) = (tempfile::TempDir::new().unwrap(), TestDatabase::new());
    for database in databases(&folder, &server) {
        for start in [START, OTHER] {
            fold(&database, 2, start, 1_000);
        }
        fold(&database, 2, START, 1_500);
        // What is folded from a few events keeps nothing and deletes nothing.
        fold(&database, 3, START, 499);
        assert_eq!(keys(&database).len(), 5);
        for weight in [3, 1] {
            fold(&database, weight, START, 1_000);
            let key = |start: &str, weight, version| state_key(start, Fingerprint([weight; 8]), Version(version));
            let kept = [key(OTHER, 2, 500), key(OTHER, 2, 1_000), key(START, weight, 500), key(START, weight, 1_000)];
            assert_eq!(keys(&database), kept, "other aggregates keep theirs");
        }
    }
}

#[test]
fn a_state_of_a_topic_that_was_made_anew_is_not_taken() {
    let database = Database::Memory(MemoryDatabase::new("test"));
    fold(&database, 2, START, 500);
    let fold = Box::new(Weighted { weight: 2, sum: 0, version: Version::NONE });
    let other = KeepingFold::begin(fold, &*database.rows(), START, TopicId([8; 16]), Version(500)).unwrap();
    assert_eq!(other.fold().version(), Version::NONE);
    assert_eq!(begin(&database, 2, START, 500).fold().version(), Version(500));
}
