//! More than the capacity, by the verb that people measure with.

use crate::site::Site;
use factum_test_broker::bootstrap;
use serde_json::Value;

#[test]
fn three_times_the_capacity_is_borne_and_what_is_not_taken_is_told() {
    let site = Site::empty(bootstrap());
    // What may be under way is little, so that any machine is overloaded.
    let bench = ["bench", "overload", "--seconds", "4", "--warm", "2", "--aggregates", "500", "--in-flight", "300"];
    let ran = site.run(&[&bench[..], &["--partitions", "2", "--json"]].concat());
    // On a machine that has no core to spare less is offered than was meant, which is told and fails.
    let found: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!((number("lost"), number("twice"), number("other")), (0.0, 0.0, 0.0), "{found}");
    assert!(number("accepted") > 0.0 && number("overloaded") > 0.0, "{found}");
    assert_eq!(number("offered"), number("accepted") + number("overloaded") + number("expired"), "{found}");
    assert!(number("peak_mib") - number("before_mib") <= 512.0, "{found}");
    assert!(number("recovery_s") <= 60.0, "{found}");
}
