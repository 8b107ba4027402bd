//! Parked accounts of a view that runs while they are redriven.

use crate::{
    process::{Process, until},
    site::Site,
};
use serde_json::Value;

fn balance(site: &Site, account: &str) -> Option<i64> {
    let ran = site.run(&["query", "balances", "--where", &format!("key = '{account}'"), "--json"]);
    let row: Value = serde_json::from_str(ran.stdout.lines().next()?).ok()?;
    row["balance"].as_i64()
}

fn until_has(site: &Site, view: &mut Process, account: &str, cents: i64) {
    until(&format!("{account} has {cents}"), || {
        assert!(view.is_running(), "{}", view.stderr());
        (balance(site, account) == Some(cents)).then_some(())
    });
}

#[test]
fn a_parked_account_is_redriven_while_the_view_runs_and_two_redrives_do_it_once() {
    let site = Site::new(1);
    let _handler = site.handler(&[]);
    site.deposit("anna", 100);
    let mut view = site.start(&["run", "view", "balances"]);
    until_has(&site, &mut view, "anna", 100);
    let set = |cents: i64| {
        let file = rusqlite::Connection::open(site.path("views.sqlite")).unwrap();
        assert_eq!(file.execute("UPDATE balances_v1 SET balance = ?1 WHERE key = 'anna'", [cents]).unwrap(), 1);
    };
    // Nothing can be added to it, so the fold panics.
    set(i64::MAX);
    for cents in [20, 3] {
        site.deposit("anna", cents);
    }
    site.deposit("carl", 7);
    until_has(&site, &mut view, "carl", 7);
    let list = site.run(&["parked", "list", "balances", "--json"]).json();
    assert_eq!((list["key"].as_str(), list["records"].as_u64()), (Some("anna"), Some(2)));
    set(100);
    let mut redrives = [0, 1].map(|_| site.start(&["parked", "redrive", "balances"]));
    let ends: Vec<_> = redrives.iter_mut().map(Process::end).collect();
    // The one that came second found nothing, or that the account moved on.
    assert!(ends.iter().any(|end| end.stdout.contains("2 records of 1 aggregates applied, 0 stay parked")), "{ends:?}");
    let late =
        |end: &crate::process::Ran| end.ok || end.stderr.contains("moved on") || end.stderr.contains("was faster");
    assert!(ends.iter().all(late), "{ends:?}");
    until_has(&site, &mut view, "anna", 123);
    site.deposit("anna", 5);
    until_has(&site, &mut view, "anna", 128);
    assert!(site.run(&["parked", "list", "balances"]).stdout.contains("nothing is parked"));
    view.stop();
}
