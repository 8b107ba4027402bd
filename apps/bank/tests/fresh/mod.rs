//! Reading one's own writes, on any instance: whoever reads asks the database how far the view is, not a process.

use crate::rig::Bank;
use factum::{
    Database,
    handler::Granted,
    host::{Stop, TypedView, ViewHost},
    view::{Value, view_topics},
    views::{Query, Rows, Tokens},
    wire::AnswerCode,
};
use factum_bank::Balances;
use factum_test_database::TestDatabase;
use serde_json::json;
use std::time::Duration;

/// Commands of many accounts, each of whose replies is followed by a query of one of two readers, while so many
/// instances of the view share its partitions.
fn every_reply_is_seen(database: &Database, instances: usize) {
    let bank = Bank::open(Granted::Only(Default::default()));
    let view = TypedView::<Balances>::default();
    let stop = Stop::default();
    let running: Vec<_> = (0..instances).map(|_| view.start(&bank.environment, database, &stop).unwrap().0).collect();
    let readers = [database.rows(), database.rows()];
    let (table, topics) = (view.table().unwrap(), view_topics::<Balances>());
    for number in 0..40_usize {
        let account = format!("account-{}", number % 13);
        let answer = bank.send(&account, "Deposit", json!({ "cents": 1 }));
        assert_eq!(answer.code, AnswerCode::Accepted);
        let reader: &dyn Rows = &*readers[number % 2];
        let tokens = [answer.token.unwrap()];
        let tokens = Tokens { table: &table, topics: &topics, tokens: &tokens };
        tokens.wait(reader, Duration::from_secs(60)).unwrap();
        let page = reader.page(&Query::of_key(&table, &account).projected("balance").unwrap()).unwrap();
        let expected = i64::try_from(number / 13 + 1).unwrap();
        assert_eq!(page.rows, [[Value::Integer(expected)]], "{account} after {number}");
    }
    for running in &running {
        assert_eq!(running.failure(), None);
    }
    stop.stop();
    running.into_iter().for_each(|running| running.join().unwrap());
}

#[test]
fn a_reply_is_seen_by_any_reader_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    every_reply_is_seen(&Database::file(folder.path().join("views.sqlite")), 1);
}

#[test]
fn a_reply_is_seen_by_any_reader_of_postgresql_whichever_instance_writes_it() {
    every_reply_is_seen(&Database::parse(&TestDatabase::new().url()).unwrap(), 2);
}
