//! A registry that is away while an application starts.

use crate::{
    door::Door,
    place::{Application, registry},
};

const SAMPLE: &[&str] = &["up", "--until-idle", "--where", "balance < 0"];
const AGAIN: &[&str] = &["up", "--no-sample", "--until-idle", "--where", "balance < 0"];

fn is_whole(out: &str) {
    assert!(out.contains("account-0009") && out.contains("-29496"), "{out}");
}

#[test]
fn a_start_without_the_registry_is_told_and_one_with_kept_schemas_goes_on() {
    let (door, kept, unkept) = (Door::to(&registry()), Application::new(), Application::new());
    let cached = |arguments: &'static [&'static str]| [arguments, &["--schema-cache", "schemas"]].concat();
    door.shut();
    let err = kept.bad(&cached(SAMPLE), door.url());
    let told = format!("the schema registry {} is not available", door.url());
    assert!(err.contains(&told), "{err}");
    door.open();
    is_whole(&kept.good(&cached(SAMPLE), door.url()));
    is_whole(&unkept.good(SAMPLE, door.url()));
    door.shut();
    is_whole(&kept.good(&cached(AGAIN), door.url()));
    let err = unkept.bad(AGAIN, door.url());
    assert!(err.contains(&told), "{err}");
    let err = unkept.bad(&["schemas", "list"], door.url());
    assert!(err.starts_with(&format!("error: GET {}/subjects: no schema registry answers: ", door.url())), "{err}");
    door.open();
    is_whole(&unkept.good(AGAIN, door.url()));
}
