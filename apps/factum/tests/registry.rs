//! An application and a schema registry over HTTP: the one that Factum embeds, or, where the variable
//! FACTUM_TEST_REGISTRY has an address, the one there (`deploy/registry/registry.sh start` prints it).
//! Every test has its own folder and prefix, so one registry may be used many times.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "registry/application.rs"]
mod application;
#[path = "registry/door.rs"]
mod door;
#[path = "registry/embedded.rs"]
mod embedded;
#[path = "registry/kafka.rs"]
mod kafka;
#[path = "registry/place.rs"]
mod place;
#[path = "kafka/process.rs"]
#[allow(dead_code)] // each test file uses a part
mod process;
#[path = "registry/restarted.rs"]
mod restarted;
#[path = "registry/trouble.rs"]
mod trouble;
