//! Views side by side and views built anew, measured by the verbs that people measure with.

use crate::site::Site;
use serde_json::Value;

#[test]
fn a_slow_view_does_not_slow_the_others() {
    let site = Site::new();
    let ran = site.run(&["bench", "views", "--records", "20000", "--rounds", "1", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let number = |name: &str| found[name].as_f64().unwrap();
    // A view that waited for the slow one would come to the end with it.
    let slow = number("slow_events");
    assert!(slow > 0.0 && slow < 10_000.0, "{found}");
    assert!((number("beside_per_second") / number("alone_per_second") - number("ratio")).abs() < 1e-9, "{found}");
}

#[test]
fn a_slow_view_that_is_through_first_is_no_measurement() {
    let site = Site::new();
    let ran = site.run(&["bench", "views", "--records", "1", "--rounds", "1"]);
    assert!(!ran.ok, "{ran:?}");
    assert!(ran.stderr.contains("give more --records"), "{ran:?}");
    // The log is left as it was, and the next run measures.
    assert!(site.run(&["bench", "views", "--records", "20000", "--rounds", "1"]).ok);
}

#[test]
fn a_rebuild_is_measured_against_the_live_drain_and_by_the_lag_of_the_live_view() {
    let site = Site::new();
    let bench = ["bench", "rebuild", "--aggregates", "500", "--rounds", "1", "--json", "--records"];
    site.run(&[&bench[..], &["1"]].concat()).refused_with(&["give more --records"]);
    let ran = site.run(&[&bench[..], &["20000"]].concat());
    assert!(ran.ok, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert!((number("rebuild_per_second") / number("live_per_second") - number("ratio")).abs() < 1e-9, "{found}");
    assert!(number("held_ms") > 0.0 && number("lag_ms") >= 0.0 && number("lag_without_rebuild_ms") >= 0.0, "{found}");
    // The backlog, and the commands that came while the lag was measured.
    assert!(number("beside_events") >= 20_000.0, "{found}");
}

#[test]
fn three_times_the_capacity_is_borne_and_what_is_not_taken_is_told() {
    let site = Site::new();
    // What may be under way is little, so that any machine is overloaded.
    let bench = ["bench", "overload", "--seconds", "4", "--warm", "2", "--aggregates", "500", "--in-flight", "300"];
    let ran = site.run(&[&bench[..], &["--json"]].concat());
    // On a machine that has no core to spare less is offered than was meant, which is told and fails.
    let found: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    borne(&found);
}

/// What has to hold of any overload on any machine.
fn borne(found: &Value) {
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!((number("lost"), number("twice"), number("other")), (0.0, 0.0, 0.0), "{found}");
    assert!(number("accepted") > 0.0 && number("overloaded") > 0.0, "{found}");
    assert_eq!(number("offered"), number("accepted") + number("overloaded") + number("expired"), "{found}");
    assert!(number("peak_mib") - number("before_mib") <= 512.0, "{found}");
    assert!(number("recovery_s") <= 60.0, "{found}");
}

#[test]
fn a_client_within_its_part_is_served_beside_one_that_sends_ten_times_its_own() {
    let site = Site::new();
    let ran = site.run(&["bench", "fair", "--seconds", "3", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert!(number("noisy_refused") > 0.0, "{found}");
    // It sends 80 a second; a machine that stands still for a while has it catch up faster than its part is.
    assert!(number("beside_per_second") >= 20.0, "{found}");
}
