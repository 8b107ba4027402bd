//! `kill -9` in the middle of imports, over and over.

use crate::{
    books::{Balances, finished},
    http::Client,
    process::Process,
    site::{BANK, Site, Up},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

const KILLS: usize = 50;
const ACCOUNTS: usize = 12;
/// Rows in a request.
const BATCH: usize = 20;
/// Rows in a file.
const FILE: usize = 1_200;

/// Numbers that look random, the same for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The row of an import: a deposit whose amount no other row of its account has.
fn row(import: &str, index: usize) -> (String, i64) {
    (format!("{import}-{:02}", index % ACCOUNTS), i64::try_from(index + 1).unwrap())
}

/// What the accounts of an import hold when its first rows are there.
fn expected(import: &str, rows: usize) -> Balances {
    let mut balances = Balances::new();
    for (account, cents) in (0..rows).map(|index| row(import, index)) {
        let (balance, entries) = balances.entry(account).or_default();
        (*balance, *entries) = (*balance + cents, *entries + 1);
    }
    balances
}

/// Sends rows in their order until the server is gone; returns how many are acknowledged.
fn send(client: Client, mut acknowledged: usize) -> usize {
    loop {
        let commands = (acknowledged..acknowledged + BATCH).map(|index| {
            let (account, cents) = row("http", index);
            json!({ "aggregate": account, "command": "Deposit", "fields": { "cents": cents }, "expected_version": index / ACCOUNTS })
        });
        let body = Value::Array(commands.collect()).to_string();
        let Ok(answer) = client.try_post("/bank/account/commands", &[], &body) else { return acknowledged };
        if answer.status != 200 {
            // It is about to die, and says what it can.
            return acknowledged;
        }
        // A conflict: it was there already, although nobody had heard so.
        let codes = answer.json()["answers"].clone();
        let count = |code: &str| codes[code].as_u64().unwrap_or(0);
        assert_eq!(count("accepted") + count("conflict"), BATCH as u64, "{codes}");
        acknowledged += BATCH;
    }
}

/// Every account holds its first rows, one after the other, and no fewer than were acknowledged.
fn holds(up: &Up, acknowledged: usize) {
    let least = expected("http", acknowledged);
    for place in 0..ACCOUNTS {
        let account = format!("http-{place:02}");
        let found = up.client().get(&format!("/bank/account/{account}")).json();
        let (version, cents) = (found["version"].as_u64().unwrap(), &found["state"]["balance_cents"]);
        let acknowledged = least.get(&account).map_or(0, |(_, entries)| *entries);
        assert!(i64::try_from(version).unwrap() >= acknowledged, "{acknowledged} rows were acknowledged: {found}");
        let sum: i64 = (0..usize::try_from(version).unwrap()).map(|turn| row("http", turn * ACCOUNTS + place).1).sum();
        assert_eq!(*cents, sum, "{found}");
    }
}

/// Waits and kills; whether it was still running.
fn kill_after(process: &mut Process, delay: Duration) -> bool {
    let due = Instant::now() + delay;
    while Instant::now() < due && process.is_running() {
        thread::sleep(Duration::from_millis(1));
    }
    let running = process.is_running();
    process.kill();
    running
}

#[test]
fn kill_9_at_50_points_of_an_import_loses_no_acknowledged_record() {
    let seed = std::env::var("FACTUM_TEST_SEED").map_or(7, |seed| seed.parse().unwrap());
    eprintln!("FACTUM_TEST_SEED={seed}");
    let (site, mut chance) = (Site::new(), Chance(seed));
    let (mut acknowledged, mut files, mut kills) = (0, 0, 0);
    let mut in_files = 0;
    while kills < KILLS {
        if kills % 2 == 0 {
            // A client of a process that serves.
            let mut up = site.serve();
            holds(&up, acknowledged);
            let client = up.client();
            let sender = thread::spawn(move || send(client, acknowledged));
            assert!(kill_after(&mut up.process, Duration::from_millis(chance.below(150))));
            acknowledged = sender.join().unwrap();
            kills += 1;
        } else {
            // A process of its own for the file; the next one goes on where this was killed.
            let mut import = import(&site, files);
            if kill_after(&mut import, Duration::from_millis(chance.below(400))) {
                kills += 1;
                in_files += 1;
            } else {
                files += 1;
            }
        }
    }
    eprintln!("{acknowledged} rows were acknowledged over HTTP; {files} files, in which were {in_files} kills");
    assert!(acknowledged > 0 && in_files == KILLS / 2);

    // All that is begun is finished, and each row is there once.
    let last = import(&site, files).end().json();
    let count = |code: &str| last["answers"][code].as_u64().unwrap_or(0);
    assert_eq!(count("accepted") + count("conflict"), FILE as u64, "{last}");
    let mut up = site.serve();
    holds(&up, acknowledged);
    // Beyond what was acknowledged a part of a request may be there: it is sent again.
    let rest = i64::try_from(acknowledged + BATCH).unwrap();
    for index in acknowledged..acknowledged + BATCH {
        let (account, cents) = row("http", index);
        let version = format!("\"{}\"", index / ACCOUNTS);
        let path = format!("/bank/account/{account}/commands/Deposit");
        let answer = up.client().post(&path, &[("If-Match", &version)], &json!({ "cents": cents }).to_string());
        assert!(matches!(answer.status, 200 | 412), "{answer:?}");
    }
    up.process.stop();
    let (_, balances) = finished(&site, &["--no-sample"]);
    let mut all = expected("http", usize::try_from(rest).unwrap());
    (0..=files).for_each(|file| all.extend(expected(&format!("file{file}"), FILE)));
    assert_eq!(balances, all);
    each_event_once(&site, &all);
}

fn import(site: &Site, file: usize) -> Process {
    let name = format!("file{file}");
    let rows = (0..FILE).map(|index| row(&name, index)).map(|(account, cents)| (account, cents.to_string()));
    let arguments = site.deposits(&name, rows);
    let mut verb = vec!["publish", BANK, "--json"];
    verb.extend(arguments.iter().map(String::as_str));
    site.start(&verb)
}

/// Reads every account's events: their versions have no gap, and no row is there twice.
fn each_event_once(site: &Site, balances: &Balances) {
    let up = site.serve();
    for (account, (_, entries)) in balances {
        let history = up.client().get(&format!("/bank/account/{account}/history")).json();
        let events = history["events"].as_array().unwrap();
        let versions: Vec<u64> = events.iter().map(|event| event["version"].as_u64().unwrap()).collect();
        assert_eq!(versions, (1..=u64::try_from(*entries).unwrap()).collect::<Vec<_>>(), "{account}");
        let mut amounts: BTreeMap<i64, usize> = BTreeMap::new();
        for event in events {
            *amounts.entry(event["event"]["cents"].as_i64().unwrap()).or_default() += 1;
        }
        assert!(amounts.values().all(|times| *times == 1), "{account}: {amounts:?}");
    }
}
