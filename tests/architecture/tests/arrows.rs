//! Arrows between crates go one way:
//! core ← schemas ← {producers, processors} ← facade ← apps.
#![allow(clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// Every crate of the workspace and the crates of the workspace that it may use.
/// A new arrow is a decision: write it here, and say in the commit why.
const ALLOWED: &[(&str, &[&str])] = &[
    ("factum-core", &[]),
    ("factum-derive", &[]),
    ("factum-schemas", &["factum-core", "factum-derive"]),
    ("factum-client", &["factum-core", "factum-schemas"]),
    ("factum-gateway", &["factum-core", "factum-schemas"]),
    ("factum-registry", &["factum-core", "factum-schemas"]),
    ("factum-log-memory", &["factum-core"]),
    ("factum-log-embedded", &["factum-core", "factum-log-memory"]),
    ("factum-log-kafka", &["factum-core"]),
    ("factum-handler", &["factum-core"]),
    // It runs transactions as the handler does.
    ("factum-transform", &["factum-core", "factum-handler"]),
    ("factum-views", &["factum-core"]),
    (
        "factum",
        &[
            "factum-core",
            "factum-schemas",
            "factum-registry",
            "factum-client",
            "factum-gateway",
            "factum-log-memory",
            "factum-log-embedded",
            "factum-log-kafka",
            "factum-handler",
            "factum-transform",
            "factum-views",
        ],
    ),
    ("factum-bank", &["factum"]),
    ("factum-cli", &["factum", "factum-bank", "factum-simulation"]),
    ("factum-history", &["factum-bank", "factum-core"]),
    (
        "factum-simulation",
        &[
            "factum-bank",
            "factum-core",
            "factum-handler",
            "factum-history",
            "factum-log-memory",
            "factum-schemas",
            "factum-views",
        ],
    ),
    ("factum-log-contract", &["factum-core"]),
    ("factum-test-scripts", &[]),
    ("factum-test-broker", &["factum-test-scripts"]),
    ("factum-test-orders", &["factum"]),
    ("factum-test-releases", &["factum"]),
    ("factum-test-database", &["factum-test-scripts"]),
    // It runs the binary, and sends commands and reads topics as a user of the library does.
    ("factum-faults", &["factum", "factum-bank", "factum-history"]),
    (
        "factum-fuzz",
        &[
            "factum-core",
            "factum-schemas",
            "factum-registry",
            "factum-gateway",
            "factum-log-memory",
            "factum-log-embedded",
            "factum-views",
            "factum-bank",
        ],
    ),
    ("factum-architecture-tests", &[]),
];

/// What tests of any crate may use besides: the log in memory and the helpers under `tests/`.
const ALLOWED_IN_TESTS: &[&str] = &[
    "factum-log-memory",
    "factum-log-embedded",
    "factum-log-contract",
    "factum-test-broker",
    "factum-test-database",
    "factum-test-scripts",
];

/// What the core may use of the world outside: nothing that waits, reads a clock or draws a number.
const CORE_USES: &[&str] = &["foldhash", "hashbrown", "jiff", "serde", "serde_json"];

/// What must not reach the core by way of another crate either.
const NEVER_IN_CORE: &[&str] = &["tokio", "rdkafka", "rusqlite", "uuid", "rand", "getrandom"];

struct Dependency {
    user: String,
    used: String,
    in_tests: bool,
}

fn cargo(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn packages() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn dependencies() -> Vec<Dependency> {
    let mut found = Vec::new();
    for package in packages() {
        for dependency in package["dependencies"].as_array().unwrap() {
            found.push(Dependency {
                user: package["name"].as_str().unwrap().to_owned(),
                used: dependency["name"].as_str().unwrap().to_owned(),
                in_tests: dependency["kind"] == "dev",
            });
        }
    }
    found
}

#[test]
fn an_arrow_between_crates_is_one_of_the_allowed() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for Dependency { user, used, in_tests } in dependencies() {
        let expected = allowed.get(user.as_str()).is_some_and(|uses| uses.contains(&used.as_str()));
        let helper = in_tests && ALLOWED_IN_TESTS.contains(&used.as_str());
        if allowed.contains_key(used.as_str()) && !expected && !helper {
            wrong.push(format!("{user} must not use {used}{}", if in_tests { " in its tests" } else { "" }));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_crate_is_on_the_map() {
    let on_the_map: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there_are: BTreeSet<String> =
        packages().iter().map(|package| package["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(on_the_map, there_are);
}

#[test]
fn only_the_kafka_log_names_rdkafka() {
    let users: BTreeSet<String> = dependencies()
        .into_iter()
        .filter(|dependency| dependency.used.starts_with("rdkafka"))
        .map(|dependency| dependency.user)
        .collect();
    assert_eq!(users, BTreeSet::from(["factum-log-kafka".to_owned()]));
}

#[test]
fn the_core_uses_nothing_that_waits_or_draws_numbers() {
    let direct: BTreeSet<String> = dependencies()
        .into_iter()
        .filter(|dependency| dependency.user == "factum-core" && !dependency.in_tests)
        .map(|dependency| dependency.used)
        .collect();
    assert_eq!(direct, CORE_USES.iter().map(|name| (*name).to_owned()).collect());
    let tree = cargo(&["tree", "--offline", "-p", "factum-core", "-e", "normal,build", "--prefix", "none"]);
    let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(reached.contains("jiff"), "cargo tree prints other lines than expected: {tree}");
    let wrong: Vec<_> = NEVER_IN_CORE.iter().filter(|name| reached.contains(**name)).collect();
    assert!(wrong.is_empty(), "these reach the core: {wrong:?}");
}
