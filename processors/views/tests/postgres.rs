//! What can go wrong with a PostgreSQL database under a view, and that the view goes on afterwards.

#![allow(clippy::unwrap_used)] // helpers of tests, beside the test functions themselves
#![allow(dead_code)] // the bank is shared with the other tests of the runner

mod bank;
#[path = "postgres/running.rs"]
mod running;

use bank::*;
use expect_test::{Expect, expect};
use factum_core::{
    AggregateId, Error, ErrorKind, Offset, TopicId,
    view::{
        Claim, Column, ColumnType, Commit, CommitOutcome, Compare, LastEvent, LoadRequest, Move, Parking, PlaceState,
        RowLocking, Value, ViewTable, Watermark,
    },
};
use factum_test_database::{OwnServer, TestDatabase};
use factum_views::{PostgresRows, PostgresSink, PostgresUrl, Query, Rows as _, Sink};
use postgres::{Client, NoTls};
use std::process::Command;

const TOPIC_ID: TopicId = TopicId([7; 16]);

fn owners() -> ViewTable {
    let column = |name: &str, kind, nullable| Column { name: name.into(), kind, nullable };
    let columns = vec![column("cents", ColumnType::Integer, false), column("owner", ColumnType::Text, true)];
    ViewTable::new("owners", 1, columns).unwrap()
}

fn open_table(url: &str, table: ViewTable) -> factum_core::Result<PostgresSink> {
    PostgresSink::open(&PostgresUrl::parse(url).unwrap(), table)
}

fn open(url: &str) -> factum_core::Result<PostgresSink> {
    open_table(url, owners())
}

fn rows(claim: Claim, rows: &[(&str, &str)]) -> Commit {
    let upserts =
        rows.iter().map(|(key, owner)| ((*key).to_owned(), vec![Value::Integer(5), Value::Text((*owner).to_owned())]));
    Commit {
        upserts: upserts.collect(),
        deletes: Vec::new(),
        watermarks: Vec::new(),
        moves: vec![Move {
            place: place(ACCOUNTS, 0),
            topic_id: TOPIC_ID,
            epoch: claim.epoch,
            from: claim.position,
            to: claim.position.next(),
        }],
        parking: Parking::default(),
        compare: Compare::EpochAndPosition,
    }
}

/// How many rows the table has.
fn count(url: &str) -> usize {
    PostgresRows::new(&PostgresUrl::parse(url).unwrap()).page(&Query::new(&owners())).unwrap().rows.len()
}

/// A claim and a commit go through.
fn works(sink: &mut PostgresSink) {
    let claim = sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap();
    assert_eq!(sink.commit(&rows(claim, &[("ada", "ada")])).unwrap(), CommitOutcome::Committed);
}

fn check(error: &Error, kind: ErrorKind, expected: Expect) {
    assert_eq!(error.kind(), kind, "{error}");
    // The port is another one each time.
    let text = error.to_string();
    let told = text.split_once("/postgres: ").map_or(text.as_str(), |(_, told)| told);
    expected.assert_eq(told);
}

#[test]
fn a_server_that_is_restarted_within_a_transaction_loses_it_and_the_next_one_goes_through() {
    let server = OwnServer::start(&[]);
    let mut sink = open(server.url()).unwrap();
    let claim = sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap();
    let request = LoadRequest {
        keys: vec!["ada".into()],
        aggregates: Vec::new(),
        may_be_parked: Vec::new(),
        locking: RowLocking::Locked,
    };
    sink.load(&request).unwrap();
    server.restart();
    let error = sink.commit(&rows(claim, &[("ada", "ada")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let told = ["connection was lost within a transaction", "connection closed", "SQLSTATE 57P0"];
    assert!(told.iter().any(|told| error.to_string().contains(told)), "{error}");
    sink.rollback().unwrap();
    assert_eq!(count(server.url()), 0);
    assert_eq!(sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap().position, Offset(0));
    works(&mut sink);
}

#[test]
fn a_view_whose_server_is_restarted_in_the_middle_of_a_batch_applies_it_once() {
    let server = OwnServer::start(&[]);
    let mut bank = Bank::new(1);
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50", "deposited 7"]);
    let restarted = std::sync::Arc::new(server);
    let between = {
        let server = restarted.clone();
        move || server.restart()
    };
    let sink = open_table(restarted.url(), table()).unwrap();
    let mut instance = Instance::new(&bank, Interrupted { sink, between: Some(Box::new(between)) });
    let mut waited = String::new();
    instance.until("all is applied", |status| {
        if let Some(PlaceState::Waiting { why, .. }) = status.places.get(&place(ACCOUNTS, 0)).map(|place| &place.state)
        {
            waited.clone_from(why);
        }
        bank.has_passed(status)
    });
    assert!(waited.contains("postgresql database"), "it told why it waited: {waited:?}");
    let rows = PostgresRows::new(&PostgresUrl::parse(restarted.url()).unwrap());
    expect!["ada=57 total=57"].assert_eq(&balances(&rows));
    bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 1"]);
    instance.until_idle(&bank);
    expect!["ada=58 total=58"].assert_eq(&balances(&rows));
}

#[test]
fn a_server_without_a_free_connection_is_tried_again() {
    let server = OwnServer::start(&["max_connections=4", "superuser_reserved_connections=0", "max_wal_senders=0"]);
    open(server.url()).unwrap();
    let mut taken: Vec<Client> = Vec::new();
    while let Ok(client) = Client::connect(server.url(), NoTls) {
        taken.push(client);
    }
    let error = open(server.url()).unwrap_err();
    check(&error, ErrorKind::Unavailable, expect!["connect: sorry, too many clients already (SQLSTATE 53300)"]);
    drop(taken);
    let mut sink = wait(|| open(server.url()).ok());
    works(&mut sink);
}

/// The server takes a moment to see that a client has gone.
fn wait<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "not in time");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let error = open("postgres://ada:s3cret@127.0.0.1:1/postgres").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(
        error.to_string().starts_with("postgresql database postgres://ada@127.0.0.1:1/postgres: connect"),
        "{error}"
    );
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

/// The view's tables lie on a file system of 8 MB of their own.
#[test]
fn a_full_disk_is_tried_again_and_loses_nothing() {
    let Some(small) = Small::mount() else { return };
    let server = OwnServer::start(&[]);
    let mut client = Client::connect(server.url(), NoTls).unwrap();
    let mut sink = open(&small.tablespace_of(&server, &mut client)).unwrap();
    let claim = sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap();
    // Random digits, which no compression makes small.
    let mut digits = String::new();
    for number in 0..200_000_u64 {
        digits.push_str(&format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
    let big: Vec<(String, &str)> = (0..12).map(|number| (format!("big-{number}"), digits.as_str())).collect();
    let big: Vec<(&str, &str)> = big.iter().map(|(key, text)| (key.as_str(), *text)).collect();
    let error = sink.commit(&rows(claim, &big)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("No space left on device (SQLSTATE 53100)"), "{error}");
    sink.rollback().unwrap();
    let again = sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap();
    assert_eq!(again.position, claim.position);

    assert!(small.mounted("200m", "remount,"));
    assert_eq!(sink.commit(&rows(again, &big)).unwrap(), CommitOutcome::Committed);
    let keys = big.iter().map(|(key, _)| (*key).to_owned()).collect();
    let request =
        LoadRequest { keys, aggregates: Vec::new(), may_be_parked: Vec::new(), locking: RowLocking::Unlocked };
    assert!(sink.load(&request).unwrap().rows.iter().all(Option::is_some));
    drop((sink, client, server));
}

/// A file system of 8 MB; whatever is open on it has been dropped before this is.
struct Small(tempfile::TempDir);

impl Small {
    /// Mounts it; none where that is not permitted.
    fn mount() -> Option<Self> {
        let small = Small(tempfile::tempdir().unwrap());
        if !small.mounted("8m", "") {
            eprintln!("NOT TRIED: only root may mount a small file system, and not in every container");
            return None;
        }
        Some(small)
    }

    fn mounted(&self, size: &str, flags: &str) -> bool {
        let options = format!("{flags}size={size},mode=0777");
        let run = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(self.0.path()).output();
        run.is_ok_and(|run| run.status.success())
    }

    /// The URL by which a server's tables are made on it, in the tablespace `small`.
    fn tablespace_of(&self, server: &OwnServer, client: &mut Client) -> String {
        let space = self.0.path().join("space");
        std::fs::create_dir(&space).unwrap();
        let owned = Command::new("chown").arg("postgres").arg(&space).status().unwrap();
        assert!(owned.success());
        let enterable = Command::new("chmod").arg("0777").arg(self.0.path()).status().unwrap();
        assert!(enterable.success());
        client.batch_execute(&format!("CREATE TABLESPACE small LOCATION '{}'", space.display())).unwrap();
        format!("{}?options=-cdefault_tablespace%3Dsmall", server.url())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0.path()).status().unwrap();
    }
}

#[test]
fn a_schema_that_was_edited_by_hand_is_refused_with_what_differs() {
    let database = TestDatabase::new();
    let mut client = database.client();
    let mut check = |edit: &str, undo: &str, expected: Expect| {
        drop(open(&database.url()).unwrap());
        client.batch_execute(edit).unwrap();
        let error = open(&database.url()).unwrap_err();
        check(&error, ErrorKind::Invalid, expected);
        client.batch_execute(undo).unwrap();
        works(&mut open(&database.url()).unwrap());
    };
    check(
        "ALTER TABLE owners_v1 DROP COLUMN owner",
        "ALTER TABLE owners_v1 ADD COLUMN owner text COLLATE \"C\"",
        expect![[
            r#"table owners_v1 has other columns than view owners: raise its View::VERSION if its row type changed, else undo what was changed by hand (column owner (text COLLATE "C") is missing)"#
        ]],
    );
    check(
        "ALTER TABLE owners_v1 ALTER COLUMN cents TYPE numeric",
        "ALTER TABLE owners_v1 ALTER COLUMN cents TYPE bigint",
        expect![
            "table owners_v1 has other columns than view owners: raise its View::VERSION if its row type changed, else undo what was changed by hand (column cents is numeric NOT NULL and not bigint NOT NULL)"
        ],
    );
    check(
        "ALTER TABLE owners_v1 ADD COLUMN note text, ALTER COLUMN cents DROP NOT NULL",
        "ALTER TABLE owners_v1 DROP COLUMN note, ALTER COLUMN cents SET NOT NULL",
        expect![
            "table owners_v1 has other columns than view owners: raise its View::VERSION if its row type changed, else undo what was changed by hand (column cents is bigint and not bigint NOT NULL; column note (text) is new)"
        ],
    );
    check(
        "ALTER TABLE owners_v1 DROP CONSTRAINT owners_v1_pkey",
        "ALTER TABLE owners_v1 ADD PRIMARY KEY (key)",
        expect![
            "table owners_v1 has other columns than view owners: raise its View::VERSION if its row type changed, else undo what was changed by hand (its primary key is not (key))"
        ],
    );
    check(
        "ALTER TABLE owners_v1_versions RENAME COLUMN aggregate TO id",
        "ALTER TABLE owners_v1_versions RENAME COLUMN id TO aggregate",
        expect![[
            r#"table owners_v1_versions has other columns than this program makes: undo what was changed by hand (column aggregate (text COLLATE "C" NOT NULL) is missing; column id (text COLLATE "C" NOT NULL) is new)"#
        ]],
    );
}

#[test]
fn a_schema_that_is_edited_under_a_running_view_stops_it_and_it_goes_on_when_that_is_undone() {
    let database = TestDatabase::new();
    let mut client = database.client();
    let mut sink = open(&database.url()).unwrap();
    works(&mut sink);
    client.batch_execute("ALTER TABLE owners_v1 DROP COLUMN owner").unwrap();
    let claim = sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap();
    let error = sink.commit(&rows(claim, &[("bob", "bob")])).unwrap_err();
    check(
        &error,
        ErrorKind::Invalid,
        expect![[r#"commit to view owners: column "owner" of relation "owners_v1" does not exist (SQLSTATE 42703)"#]],
    );
    sink.rollback().unwrap();
    client.batch_execute("ALTER TABLE owners_v1 ADD COLUMN owner text COLLATE \"C\"").unwrap();
    works(&mut sink);
    assert_eq!(count(&database.url()), 1, "nothing of the failed batch is there");
}

#[test]
fn ids_with_the_signs_of_sql_are_text_like_any_other() {
    let ids = [
        "'); DROP TABLE owners_v1; --",
        "\"owners_v1\"",
        "$1",
        "?1",
        "{a,b}",
        "NULL",
        "\\",
        "%_",
        "' OR '1' = '1",
        "\0",
        "\u{fffe}0",
        "\u{1f600}\r\n\t",
    ];
    let database = TestDatabase::new();
    let mut sink = open(&database.url()).unwrap();
    let claim = sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap();
    let mut sorted = ids;
    sorted.sort_unstable();
    let mut commit = rows(claim, &sorted.map(|id| (id, id)));
    commit.watermarks = sorted
        .iter()
        .map(|id| Watermark {
            topic: place(ACCOUNTS, 0).topic,
            aggregate: AggregateId::new(*id).unwrap(),
            last: LastEvent {
                version: claim.position.0.try_into().map(factum_core::Version).unwrap(),
                offset: Offset(9),
            },
        })
        .collect();
    assert_eq!(sink.commit(&commit).unwrap(), CommitOutcome::Committed);
    let request = LoadRequest {
        may_be_parked: Vec::new(),
        keys: sorted.iter().map(|id| (*id).to_owned()).collect(),
        aggregates: commit.watermarks.iter().map(|mark| (mark.topic.clone(), mark.aggregate.clone())).collect(),
        locking: RowLocking::Locked,
    };
    let loaded = sink.load(&request).unwrap();
    sink.rollback().unwrap();
    for (row, id) in loaded.rows.iter().zip(sorted) {
        assert_eq!(*row, Some(vec![Value::Integer(5), Value::Text(id.into())]), "{id:?}");
    }
    assert!(loaded.last.iter().all(|last| last.offset == Offset(9)), "{:?}", loaded.last);
    assert_eq!(count(&database.url()), ids.len());
    let again = sink.claim(&place(ACCOUNTS, 0), TOPIC_ID).unwrap();
    let mut gone = rows(again, &[]);
    gone.deletes = request.keys;
    assert_eq!(sink.commit(&gone).unwrap(), CommitOutcome::Committed);
    assert_eq!(count(&database.url()), 0);
    works(&mut sink);
}
