//! `transform` on the embedded log.

use crate::site::{BANK, Site};

const TRANSFORM: [&str; 3] = ["transform", "v1", "--until-end"];

#[test]
fn what_was_republished_is_not_republished_again_and_a_new_start_goes_on_behind_it() {
    let site = Site::new();
    for cents in [100, 20, 3] {
        site.deposit("anna", cents);
    }
    // Two events today, and one of the first version.
    let charge = site.run(&["publish", BANK, "anna", "ChargeOverdraftInterest", r#"{"cents": 5}"#]);
    assert!(charge.ok, "{charge:?}");
    let said = |line: &str| {
        let ran = site.run(&TRANSFORM);
        assert!(ran.ok && ran.stdout == format!("v1: {line}, 0 were left out\n"), "{ran:?}");
    };
    said("5 events became 4 records");
    said("0 events became 0 records");
    site.deposit("carl", 7);
    said("1 events became 1 records");
}

#[test]
fn it_needs_the_log_and_a_transform_that_exists() {
    let site = Site::new();
    site.run(&TRANSFORM).refused_with(&["there is no log in factum-data", "--data"]);
    site.run(&["transform", "v0"]).refused_with(&["there is no transform \"v0\" here; there is v1"]);
    let mut up = site.serve();
    site.run(&TRANSFORM).refused_with(&["runs everything on it", "then run `transform` again", "nothing was changed"]);
    up.process.stop();
    assert!(site.run(&TRANSFORM).ok);
}
