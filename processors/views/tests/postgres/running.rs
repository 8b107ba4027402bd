//! What can go wrong under a running view, what its health says of it, and that it goes on.

use crate::{
    Small,
    bank::{ACCOUNTS, Bank, Instance, balances, place, table},
    open_table,
};
use expect_test::{Expect, expect};
use factum_core::view::PlaceState;
use factum_test_database::{OwnServer, TestDatabase};
use factum_views::{PostgresRows, PostgresUrl, ViewStatus};
use postgres::{Client, NoTls};

/// A view that runs over a database, and what is read there.
struct Running {
    bank: Bank,
    instance: Instance,
    url: PostgresUrl,
}

impl Running {
    /// It has applied a deposit of 50.
    fn on(url: &str) -> Self {
        let mut bank = Bank::new(1);
        bank.write(&place(ACCOUNTS, 0), "ada", &["deposited 50"]);
        let instance = Instance::new(&bank, open_table(url, table()).unwrap());
        let mut running = Running { bank, instance, url: PostgresUrl::parse(url).unwrap() };
        running.instance.until_idle(&running.bank);
        running.shows(expect!["ada=50 total=50"]);
        running
    }

    fn deposit(&mut self, cents: i64) {
        self.bank.write(&place(ACCOUNTS, 0), "ada", &[&format!("deposited {cents}")]);
    }

    /// Why it waits or stands still, once it does and says this.
    fn says(&mut self, what: &str) {
        self.instance.until(what, |status| reason(status).is_some_and(|why| why.contains(what)));
    }

    /// It applies all there is, once.
    fn goes_on(&mut self) {
        self.instance.until_idle(&self.bank);
    }

    /// The rows, by a connection that nothing has befallen.
    fn rows(&self) -> String {
        balances(&PostgresRows::new(&self.url))
    }

    fn shows(&self, expected: Expect) {
        expected.assert_eq(&self.rows());
    }
}

fn reason(status: &ViewStatus) -> Option<String> {
    match &status.places.get(&place(ACCOUNTS, 0))?.state {
        PlaceState::Waiting { why, .. } => Some(why.clone()),
        PlaceState::Stopped(stop) => Some(stop.to_string()),
        _ => None,
    }
}

#[test]
fn a_view_whose_server_is_out_of_connections_waits_and_goes_on_when_there_is_one() {
    let server = OwnServer::start(&["max_connections=5", "superuser_reserved_connections=0", "max_wal_senders=0"]);
    let mut running = Running::on(server.url());
    // Everybody is sent away, and others are quicker.
    server.restart();
    let mut taken: Vec<Client> = Vec::new();
    while let Ok(client) = Client::connect(server.url(), NoTls) {
        taken.push(client);
    }
    assert_eq!(taken.len(), 5);
    running.deposit(7);
    running.says("connect: sorry, too many clients already (SQLSTATE 53300)");
    drop(taken);
    running.goes_on();
    running.deposit(1);
    running.goes_on();
    running.shows(expect!["ada=58 total=58"]);
}

/// The tables lie on a file system of 8 MB of their own, which something else has filled.
#[test]
fn a_view_whose_disk_is_full_waits_and_goes_on_when_there_is_room() {
    let Some(small) = Small::mount() else { return };
    let server = OwnServer::start(&[]);
    let mut client = Client::connect(server.url(), NoTls).unwrap();
    let url = small.tablespace_of(&server, &mut client);
    let mut running = Running::on(&url);
    client.batch_execute("CREATE TABLE filler (data text) TABLESPACE small").unwrap();
    // Many rows at a time, then one, until not a page is left.
    for rows in [1_000, 10, 1] {
        let fill = format!("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, {rows})");
        while client.batch_execute(&fill).is_ok() {}
    }
    // More accounts than the pages that the tables have already hold.
    for account in 0..200 {
        let name = format!("{account:03}{}", "z".repeat(200));
        running.bank.write(&place(ACCOUNTS, 0), &name, &["deposited 1", "closed"]);
        running.bank.write(&place(ACCOUNTS, 0), &name, &["deposited 1"]);
    }
    running.says("No space left on device (SQLSTATE 53100)");
    client.batch_execute("DROP TABLE filler; CHECKPOINT").unwrap();
    running.goes_on();
    let total = running.rows().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(total, "total=450");
    drop((running, client, server));
}

#[test]
fn a_view_whose_schema_is_edited_by_hand_stands_still_and_goes_on_when_that_is_undone_and_it_is_started_again() {
    let database = TestDatabase::new();
    let mut by_hand = database.client();
    let mut check = |edit: &str, undo: &str, told: &str| {
        let mut running = Running::on(&database.url());
        by_hand.batch_execute(edit).unwrap();
        running.deposit(7);
        running.says(told);
        by_hand.batch_execute(undo).unwrap();
        running.instance.runner.close().unwrap();
        running.instance = Instance::new(&running.bank, open_table(&database.url(), table()).unwrap());
        running.goes_on();
        running.shows(expect!["ada=57 total=57"]);
        by_hand.batch_execute("DROP TABLE balances_v1, balances_v1_versions; DELETE FROM factum_progress").unwrap();
    };
    check(
        "ALTER TABLE balances_v1 DROP COLUMN last",
        "ALTER TABLE balances_v1 ADD COLUMN last text COLLATE \"C\"",
        "column \"last\" does not exist (SQLSTATE 42703)",
    );
    check(
        "ALTER TABLE balances_v1 RENAME COLUMN cents TO euros",
        "ALTER TABLE balances_v1 RENAME COLUMN euros TO cents",
        "column \"cents\" does not exist (SQLSTATE 42703)",
    );
    check(
        "ALTER TABLE balances_v1 ALTER COLUMN cents TYPE numeric",
        "ALTER TABLE balances_v1 ALTER COLUMN cents TYPE bigint",
        "cached plan must not change result type (SQLSTATE 0A000)",
    );
    check(
        "ALTER TABLE balances_v1 RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO balances_v1",
        "relation \"balances_v1\" does not exist (SQLSTATE 42P01)",
    );
}
