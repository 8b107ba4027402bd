//! `parked` on the embedded log.

use crate::{
    deposits::ORDINAL,
    process::until,
    site::{BANK, Site, Up},
};
use serde_json::{Value, json};

fn balance(site: &Site, account: &str) -> i64 {
    let ran = site.run(&["query", "balances", "--where", &format!("key = '{account}'"), "--json"]);
    ran.json()["balance"].as_i64().unwrap()
}

/// Makes anna's row one to which nothing can be added, or one that is as it was.
fn set(site: &Site, balance: i64) {
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    assert_eq!(file.execute("UPDATE balances_v1 SET balance = ?1 WHERE key = 'anna'", [balance]).unwrap(), 1);
}

fn parked(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let ran = site.run(&[&["parked"], arguments, &["--json"]].concat());
    assert!(ran.ok, "{ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Anna has 100, and two deposits of hers wait behind each other; carl goes on.
fn with_anna_parked() -> Site {
    let site = Site::new();
    site.deposit("anna", 100);
    site.deposit("carl", 7);
    assert_eq!((balance(&site, "anna"), balance(&site, "carl")), (100, 7));
    set(&site, i64::MAX);
    site.deposit("anna", 20);
    site.deposit("anna", 3);
    site.deposit("carl", 1);
    assert_eq!((balance(&site, "anna"), balance(&site, "carl")), (i64::MAX, 8));
    site
}

#[test]
fn an_event_that_cannot_be_folded_parks_its_account_until_it_is_redriven_in_order() {
    let site = with_anna_parked();
    let list = parked(&site, &["list", "balances"]);
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0]["key"], &list[0]["records"], &list[0]["attempts"]), (&json!("anna"), &json!(2), &json!(1)));
    assert!(list[0]["cause"].as_str().unwrap().contains("overflow"), "{list:?}");
    assert_eq!(parked(&site, &["list", "balances", "--cause", "no such cause"]), [] as [Value; 0]);
    assert_eq!(parked(&site, &["list", "balances", "--key", "carl"]), [] as [Value; 0]);
    let shown = parked(&site, &["show", "balances", "--key", "anna"]);
    let cents: Vec<_> = shown.iter().map(|record| record["record"]["value"]["amount_cents"].clone()).collect();
    assert_eq!(cents.len(), 2, "{shown:?}");

    // What still fails stays, and says how often it was tried.
    let tried = parked(&site, &["redrive", "balances"]);
    assert_eq!((&tried[0]["applied"], tried[0]["failed"].is_string()), (&json!(0), true));
    assert_eq!(parked(&site, &["list", "balances"])[0]["attempts"], 2);

    set(&site, 100);
    let dry = parked(&site, &["redrive", "balances", "--dry-run"]);
    assert_eq!((&dry[0]["applied"], &dry[0]["failed"]), (&json!(2), &Value::Null));
    assert_eq!(balance(&site, "anna"), 100);
    let offset = list[0]["offset"].as_i64().unwrap();
    let wrong = (offset + 1).to_string();
    site.run(&["parked", "redrive", "balances", "--key", "anna", "--expect", &wrong])
        .refused_with(&["anna is parked at bank.account.events/", "it moved on; look at it again"]);
    let done = parked(&site, &["redrive", "balances", "--key", "anna", "--expect", &offset.to_string()]);
    assert_eq!((&done[0]["applied"], &done[0]["of"], &done[0]["failed"]), (&json!(2), &json!(2), &Value::Null));
    assert_eq!(balance(&site, "anna"), 123);
    let again = site.run(&["parked", "redrive", "balances"]);
    assert!(again.ok && again.stdout.contains("balances: nothing is parked"), "{again:?}");

    site.deposit("anna", 5);
    assert_eq!(balance(&site, "anna"), 128);
    assert!(site.run(&["views", "verify", "balances"]).ok);
}

#[test]
fn a_command_that_is_given_up_is_left_out_and_what_waits_behind_it_is_redriven() {
    let site = with_anna_parked();
    site.run(&["parked", "drop", "balances"]).refused_with(&["--key", "--all"]);
    let dry = site.run(&["parked", "drop", "balances", "--key", "anna", "--dry-run"]);
    assert!(dry.ok && dry.stdout.contains("balances: 2 records of 1 aggregates would be given up"), "{dry:?}");
    assert_eq!(parked(&site, &["drop", "balances", "--key", "anna", "--first"])[0]["dropped"], 1);
    set(&site, 100);
    assert_eq!(parked(&site, &["redrive", "balances"])[0]["applied"], 1);
    assert_eq!(balance(&site, "anna"), 103);

    set(&site, i64::MAX);
    site.deposit("anna", 20);
    assert_eq!(balance(&site, "anna"), i64::MAX);
    assert_eq!(parked(&site, &["drop", "balances", "--all"])[0]["dropped"], 1);
    set(&site, 103);
    // The versions go on behind what was given up, and the log has everything.
    site.deposit("anna", 1);
    assert_eq!(balance(&site, "anna"), 104);
    assert_eq!(site.run(&["history", BANK, "anna", "--json"]).stdout.lines().count(), 5);
}

#[test]
fn names_that_are_not_there_are_refused_and_say_what_is() {
    let site = with_anna_parked();
    site.run(&["parked", "list", "balance"]).refused_with(&["balances"]);
    site.run(&["parked", "show", "balances", "--key", "zoe"]).refused_with(&["zoe of view balances is not parked"]);
    site.run(&["parked", "list", "balances", "--partition", "99"]).refused_with(&["the view reads no partition 99"]);
    site.run(&["parked", "list", "balances", "--views", "nowhere.sqlite"])
        .refused_with(&["there is no file nowhere.sqlite"]);
    assert_eq!(parked(&site, &["list", "balances"]).len(), 1);
}

/// The same while `up` has the log, and whoever asks waits for its view.
fn with_anna_parked_beside_up() -> (Site, Up) {
    let site = Site::new();
    let up = site.serve();
    site.deposit("anna", 100);
    until_has(&site, "anna", 100);
    set(&site, i64::MAX);
    site.deposit("anna", 20);
    site.deposit("anna", 3);
    until("both are parked", || (parked(&site, &["list", "balances"]).first()?["records"] == 2).then_some(()));
    (site, up)
}

fn until_has(site: &Site, account: &str, cents: i64) {
    until(&format!("{account} has {cents}"), || {
        let ran = site.run(&["query", "balances", "--where", &format!("key = '{account}'"), "--json"]);
        let row: Value = serde_json::from_str(ran.stdout.lines().next()?).ok()?;
        (row["balance"] == cents).then_some(())
    });
}

/// Redrives until nothing is parked any more: what is parked while commands flow may be put behind what a redrive has
/// done.
fn until_nothing_is_parked(site: &Site) {
    until("nothing is parked", || {
        let ran = site.run(&["parked", "redrive", "balances"]);
        (ran.ok && ran.stdout.contains("nothing is parked")).then_some(())
    });
}

#[test]
fn while_up_has_the_log_an_account_is_redriven_under_traffic_by_two_at_once_and_applied_once() {
    let (site, mut up) = with_anna_parked_beside_up();
    // Its code does not apply them: that is said, and what helps.
    let failed = site.run(&["parked", "redrive", "balances"]);
    assert!(failed.ok && failed.stdout.contains("0 records of 1 aggregates applied, 1 stay parked"), "{failed:?}");
    let code = format!("they were tried with the code of the process at {} that holds the log", up.address);
    assert!(failed.stderr.contains(&code) && failed.stderr.contains("start the mended one as `up`"), "{failed:?}");
    assert_eq!(parked(&site, &["list", "balances"])[0]["attempts"], 2);

    set(&site, 100);
    let rows = (0..600).map(|row| (["anna", "carl", "dave"][row % 3].to_owned(), "1".to_owned()));
    let import = site.deposits("traffic", rows);
    let import: Vec<&str> = ["publish", BANK].into_iter().chain(import.iter().map(String::as_str)).collect();
    // The versions that the rows of one account expect are not those of an account with other entries.
    let text = std::fs::read_to_string(import[5]).unwrap();
    std::fs::write(import[5], text.replace(ORDINAL, "")).unwrap();
    let mut traffic = site.start(&import);
    let mut redrives = [0, 1].map(|_| site.start(&["parked", "redrive", "balances"]));
    for redrive in &mut redrives {
        let ran = redrive.end();
        // The one that came second found nothing, or that the account moved on.
        assert!(ran.ok || ran.stderr.contains("moved on") || ran.stderr.contains("was faster"), "{ran:?}");
    }
    let traffic = traffic.end();
    assert!(traffic.ok, "{traffic:?}");
    until_nothing_is_parked(&site);
    until_has(&site, "anna", 323);
    until_has(&site, "carl", 200);
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    let row = |account: &str| {
        let sql = "SELECT balance, entries, factum_version FROM balances_v1 WHERE key = ?1";
        let row = file.query_row(sql, [account], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        row.unwrap()
    };
    assert_eq!((row("anna"), row("carl")), ((323_i64, 203_i64, 203_i64), (200, 200, 200)));
    let verified = site.run(&["views", "verify", "balances", "--rate", "0", "--json"]).json();
    assert_eq!(verified["parity"]["equal"], true, "{verified}");
    up.process.stop();
}

#[test]
fn ctrl_c_ends_a_redrive_beside_up_on_the_way_and_the_same_command_goes_on() {
    const ACCOUNTS: usize = 300;
    let site = Site::new();
    let mut up = site.serve();
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    let import = |name: &str| {
        let rows = (0..ACCOUNTS).map(|row| (format!("account-{row}"), "1".to_owned()));
        let import = site.deposits(name, rows);
        let text = std::fs::read_to_string(&import[3]).unwrap();
        std::fs::write(&import[3], text.replace(ORDINAL, "")).unwrap();
        let ran = site.run(&[&["publish", BANK], &import.each_ref().map(String::as_str)[..]].concat());
        assert!(ran.ok, "{ran:?}");
    };
    import("first");
    let all = |where_: &str| {
        let sql = format!("SELECT count(*) FROM balances_v1 WHERE {where_}");
        file.query_row(&sql, [], |row| row.get::<_, usize>(0)).unwrap_or_default()
    };
    until("all are there", || (all("balance = 1") == ACCOUNTS).then_some(()));
    // A redrive that was through before the signal came is tried with more once more.
    let stopped = (0..20).find_map(|attempt: usize| {
        file.execute("UPDATE balances_v1 SET balance = ?1", [i64::MAX]).unwrap();
        import(&format!("attempt-{attempt}"));
        let keys = || site.run(&["parked", "list", "balances", "--limit", "1000", "--json"]).stdout.lines().count();
        until("all are parked", || (keys() == ACCOUNTS).then_some(()));
        file.execute("UPDATE balances_v1 SET balance = entries", []).unwrap();
        let mut redrive = site.start(&["parked", "redrive", "balances"]);
        until("one is done", || (!redrive.stdout().is_empty() || !redrive.is_running()).then_some(()));
        redrive.signal("INT");
        let ran = redrive.end();
        (!ran.ok).then_some(ran)
    });
    let stopped = stopped.unwrap();
    stopped.refused_with(&["stopped on the way: the same command goes on"]);
    let left = parked(&site, &["list", "balances", "--limit", "1000"]).len();
    assert!((1..ACCOUNTS).contains(&left), "{left} are left: {stopped:?}");
    assert!(!site.run(&["parked", "list", "balances", "--views", "other.sqlite"]).ok);
    let done = site.run(&["parked", "redrive", "balances"]);
    assert!(done.stdout.contains(&format!("{left} records of {left} aggregates applied, 0 stay parked")), "{done:?}");
    until("all are right", || (all("balance = entries AND entries = factum_version") == ACCOUNTS).then_some(()));
    let verified = site.run(&["views", "verify", "balances", "--rate", "0", "--json"]).json();
    assert_eq!(verified["parity"]["equal"], true, "{verified}");
    up.process.stop();
}

#[test]
fn what_is_parked_because_it_ended_its_process_is_tried_beside_up_only_by_its_name() {
    let (site, mut up) = with_anna_parked_beside_up();
    set(&site, 100);
    let file = rusqlite::Connection::open(site.path("factum-data/views.sqlite")).unwrap();
    let cause = "the process ended 3 times while the events of this command were in hand";
    assert_eq!(file.execute("UPDATE factum_parked SET cause = ?1 WHERE cause <> ''", [cause]).unwrap(), 1);
    let refused = site.run(&["parked", "redrive", "balances"]);
    refused.refused_with(&["anna: left alone", "1 aggregates of view balances ended their process", "--key"]);
    let dry = site.run(&["parked", "redrive", "balances", "--dry-run"]);
    assert!(dry.ok && dry.stderr.contains("anna: left alone"), "{dry:?}");
    assert_eq!(parked(&site, &["redrive", "balances", "--key", "anna"])[0]["applied"], 2);
    until_has(&site, "anna", 123);
    up.process.stop();
}
