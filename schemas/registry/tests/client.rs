//! The client of people's verbs against the router.
#![allow(missing_docs, clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod site;

use factum_core::ErrorKind;
use factum_schemas::{Access, RegistryClient, rules::Level};
use site::{BREAKING, MORE, ONE, Site};

fn client(site: &Site) -> RegistryClient {
    RegistryClient::new(&site.url(), &Access::default()).unwrap()
}

#[test]
fn subjects_versions_and_schemas_are_listed() {
    let site = Site::new();
    let client = client(&site);
    assert_eq!(client.subjects().unwrap(), Vec::<String>::new());
    assert_eq!(client.versions("a/b").unwrap(), Vec::<u32>::new());
    assert_eq!(client.register("a/b", ONE).unwrap(), 1);
    assert_eq!(client.register("a/b", MORE).unwrap(), 2);
    assert_eq!(client.subjects().unwrap(), ["a/b"]);
    assert_eq!(client.versions("a/b").unwrap(), [1, 2]);
    assert_eq!(client.version("a/b", None).unwrap().id, 2);
    assert_eq!(client.version("a/b", Some(1)).unwrap().schema, client.schema(1).unwrap());
    for error in [client.version("a/b", Some(9)).unwrap_err(), client.schema(9).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains("status 404"), "{error}");
    }
}

#[test]
fn levels_are_set_and_problems_named() {
    let site = Site::new();
    let client = client(&site);
    assert_eq!(client.problems("s", ONE).unwrap(), Vec::<String>::new());
    client.register("s", ONE).unwrap();
    assert_eq!(client.level("s").unwrap(), Level::BackwardTransitive);
    client.set_level("s", Level::FullTransitive).unwrap();
    assert_eq!(client.level("s").unwrap(), Level::FullTransitive);
    let problems = client.problems("s", BREAKING).unwrap();
    assert!(problems[0].contains("field d: it is missing there and has no default"), "{problems:?}");
    let error = client.register("s", BREAKING).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("status 409: subject s: the new schema cannot read what version 1 wrote"),
        "{error}"
    );
    assert_eq!(client.register("s", MORE).unwrap(), 2);
}
