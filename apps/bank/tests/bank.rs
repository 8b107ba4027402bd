//! The bank from end to end on the log in memory.
#![allow(clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod fresh;
mod ledger;
mod rig;

use factum::{
    Aggregate, AggregateId, Database, MessageCodec, Offset, Partition, RecordBatch,
    handler::Granted,
    history,
    host::{AggregateHost, Stop, Typed, TypedView, ViewHost},
    log::Isolation,
    schemas::RecordCodec,
    send,
    view::Value,
    views::Query,
    wire::{AnswerCode, EventHeader},
};
use factum_bank::{Account, Balances, Event, Year};
use ledger::Ledger;
use rig::{BANK, Bank, MAPPING, wait_for};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// The view of balances, kept up to date in a file of its own.
struct Balance {
    folder: TempDir,
}

impl Balance {
    /// The rows that a filter lets through, once the view has read all events.
    fn rows(&self, bank: &Bank, filter: &str) -> BTreeMap<String, (i64, i64)> {
        let database = Database::file(self.folder.path().join("views.sqlite"));
        let view = TypedView::<Balances>::default();
        let stop = Stop::default();
        let (running, progress) = view.start(&bank.environment, &database, &stop).unwrap();
        let ends = bank.ends(&bank.topics().events);
        wait_for("the view's last event", || {
            assert_eq!((running.failure(), progress.stopped()), (None, None));
            let positions = progress.positions();
            let read = |(partition, end): (u32, &Offset)| {
                let place = bank.topics().events.partition(Partition(partition));
                *end == Offset(0) || positions.get(&place).is_some_and(|position| position >= end)
            };
            (0..).zip(&ends).all(read).then_some(())
        });
        stop.stop();
        running.join().unwrap();
        let number = |value: &Value| match value {
            Value::Integer(number) => *number,
            other => panic!("{other:?} is not an integer"),
        };
        let query = Query::new(&view.table().unwrap()).filtered(filter).unwrap().limited(10_000).unwrap();
        let page = database.rows().page(&query).unwrap();
        assert_eq!(page.next, None);
        page.rows.into_iter().map(|row| (row[0].to_string(), (number(&row[1]), number(&row[2])))).collect()
    }
}

fn view() -> Balance {
    Balance { folder: TempDir::new().unwrap() }
}

#[test]
fn a_hundred_less_thirty_and_fifty_more_is_a_hundred_and_twenty() {
    let bank = Bank::open(Granted::Only(Default::default()));
    bank.deposit("anna", 100);
    assert_eq!(bank.send("anna", "Withdraw", json!({ "cents": 30 })).code, AnswerCode::Accepted);
    assert_eq!(bank.deposit("anna", 50), 3);
    bank.deposit("bert", 50);
    bank.deposit("carl", 51);

    let mut fold = Typed::<Account>::default().fold(&bank.environment).unwrap();
    let anna = AggregateId::new("anna").unwrap();
    history::read_events(&bank.environment, BANK, &anna, |record| {
        fold.apply(record).map(std::ops::ControlFlow::Continue)
    })
    .unwrap();
    assert_eq!(fold.state().unwrap(), json!({ "balance_cents": 120, "overdraft_limit_cents": 0 }));
    assert_eq!(fold.version().0, 3);

    let above_fifty = BTreeMap::from([("anna".to_owned(), (120, 3)), ("carl".to_owned(), (51, 1))]);
    assert_eq!(view().rows(&bank, "balance > 50"), above_fifty);
}

/// What the events say: each account's state and version, and how many events left a balance below zero.
fn fold_all(bank: &Bank) -> (BTreeMap<String, (Account, u64)>, u32) {
    let codec = RecordCodec::<Event>::for_reading(&bank.environment.schemas).unwrap();
    let events = bank.topics().events;
    let mut reader = bank.environment.log.reader(Isolation::ReadCommitted).unwrap();
    let ends = bank.ends(&events);
    for partition in 0..6 {
        reader.add(&events.partition(Partition(partition)), Offset(0)).unwrap();
    }
    let mut accounts: BTreeMap<String, (Account, u64)> = BTreeMap::new();
    let mut negative = 0;
    let mut batch = RecordBatch::new();
    wait_for("the last event", || {
        batch.clear();
        reader.poll(10_000, Duration::from_millis(100), &mut batch).unwrap();
        for record in batch.iter() {
            let id = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
            let event = codec.decode_one(record.value().unwrap()).unwrap();
            let (account, version) = accounts.entry(id).or_default();
            account.evolve(&event);
            *version += 1;
            assert_eq!(EventHeader::read(record).unwrap().version.0, *version, "{record:?}");
            negative += u32::from(account.balance_cents < 0);
        }
        let read = |(partition, end): (u32, &Offset)| {
            let position = reader.position(&events.partition(Partition(partition))).unwrap();
            position.is_some_and(|position| position >= *end)
        };
        (0..).zip(&ends).all(read).then_some(())
    });
    (accounts, negative)
}

/// The bank's own figures after each account's last row: cents and rows.
fn what_the_bank_says(file: &[u8]) -> BTreeMap<String, (i64, i64)> {
    let mut accounts: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in csv::Reader::from_reader(file).records() {
        let row = row.unwrap();
        let account = accounts.entry(row[1].to_owned()).or_default();
        // Two decimal places in every row.
        *account = (row[6].replace('.', "").parse().unwrap(), account.1 + 1);
    }
    accounts
}

/// The data is not the project's to ship: without it the test says that it did
/// not run. A folder that is given and lacks the file is a failure.
fn real_file() -> Option<Vec<u8>> {
    let given = env::var_os("FACTUM_REAL_DATA");
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = given.clone().map_or(beside, PathBuf::from).join("bank/transactions.csv");
    match fs::read(&path) {
        Ok(file) => Some(file),
        Err(error) if given.is_none() => {
            eprintln!("not run: {}: {error}", path.display());
            None
        }
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

#[test]
fn the_real_import_is_right_to_the_cent_and_a_second_one_changes_nothing() {
    let Some(file) = real_file() else { return };
    let oracle = what_the_bank_says(&file);
    assert_eq!(oracle.len(), 841);

    let bank = Bank::open(Granted::All);
    let tally = bank.import(&file, MAPPING).unwrap();
    assert_eq!((tally.to_string().as_str(), &tally.samples), ("33293 accepted", &Vec::new()));

    let (accounts, negative) = fold_all(&bank);
    assert_eq!(negative, 63);
    let states: BTreeMap<String, (i64, i64)> = accounts
        .iter()
        .map(|(id, (account, version))| (id.clone(), (account.balance_cents, i64::try_from(*version).unwrap())))
        .collect();
    assert_eq!(states, oracle);
    assert_eq!(view().rows(&bank, ""), oracle);

    // Of each account the handler knows its last 64 commands and answers them
    // as it did; the older ones expect a version that is gone.
    let before = bank.ends(&bank.topics().events);
    let conflicts: i64 = oracle.values().map(|(_, rows)| (rows - 64).max(0)).sum();
    let tally = bank.import(&file, MAPPING).unwrap();
    assert_eq!(tally.to_string(), format!("{} accepted, {conflicts} conflict", 33_293 - conflicts));
    assert_eq!(bank.ends(&bank.topics().events), before);
    assert_eq!(view().rows(&bank, ""), oracle);
}

#[test]
fn a_generated_year_is_handled_right_to_the_cent_and_a_second_time_changes_nothing() {
    let bank = Bank::open(Granted::All);
    let sample = Year::default().sample();
    let encode = Typed::<Account>::default().encoder(&bank.environment).unwrap();
    let publish = || {
        let requests = sample.commands().map(|command| send::request(&encode, &command, Duration::from_secs(60)));
        send::send_all(&bank.client, requests, |_| {}).unwrap()
    };
    let ledger = Ledger::of(sample.commands());
    assert_eq!(ledger.total_cents(), ledger.inflow_cents - ledger.outflow_cents);
    let accepted = sample.count() - ledger.refused;
    assert_eq!(publish().to_string(), format!("{accepted} accepted, {} refused", ledger.refused));

    let (accounts, _) = fold_all(&bank);
    let states =
        accounts.into_iter().map(|(id, (account, _))| (id, (account.balance_cents, account.overdraft_limit_cents)));
    assert_eq!(states.collect::<HashMap<_, _>>(), ledger.accounts);
    let rows: BTreeMap<String, (i64, i64)> =
        ledger.accounts.iter().map(|(id, (balance, _))| (id.clone(), (*balance, ledger.entries[id]))).collect();
    assert_eq!(view().rows(&bank, ""), rows);

    let before = bank.ends(&bank.topics().events);
    publish();
    assert_eq!(bank.ends(&bank.topics().events), before);
}
