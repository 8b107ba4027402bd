//! The bank's contract: the Avro schemas that are committed for other
//! languages to use, and that every later version must be able to read.

use factum::schemas::{AvroSchema, check_committed, check_messages};
use factum_bank::{Account, Command, Event};
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avsc")
}

#[test]
fn the_commands_are_those_that_are_committed() {
    check_messages::<Command>(&folder()).unwrap();
}

#[test]
fn the_events_are_those_that_are_committed() {
    check_messages::<Event>(&folder()).unwrap();
}

#[test]
fn the_state_is_the_one_that_is_committed() {
    check_committed(&folder(), &[Account::get_schema()]).unwrap();
}
