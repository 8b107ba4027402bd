//! The table of error classes in the documentation is that of the code.
#![allow(clippy::unwrap_used)] // a test's failure is its panic

use factum_core::{ErrorKind, Retry};
use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn the_documented_classes_are_those_of_the_code() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/parking.md")).unwrap();
    let rows = page.lines().skip_while(|line| !line.starts_with("| class | kind")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].to_owned(), cells[1].to_owned())
    });
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in ErrorKind::ALL {
        expected.entry(kind.class().to_string()).or_default().push(format!("`{kind:?}`"));
    }
    let expected: BTreeMap<_, _> = expected.into_iter().map(|(class, kinds)| (class, kinds.join(", "))).collect();
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), expected);
}

#[test]
fn only_what_a_later_try_may_change_is_tried_again() {
    let again: Vec<ErrorKind> = ErrorKind::ALL.into_iter().filter(|kind| kind.retry() != Retry::No).collect();
    assert_eq!(again, [ErrorKind::Conflict, ErrorKind::Unavailable, ErrorKind::Fenced]);
}
