//! The shape of the first version is the one that was committed as the first version.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum::{
    Message,
    schemas::{AvroMessage, compact, pretty},
};
use factum_bank::v1::Event;
use std::{fs, path::Path};

#[test]
fn the_records_of_the_first_shape_have_the_first_committed_schemas() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avsc");
    let schemas = Event::schemas();
    assert_eq!(schemas.len(), Event::RECORDS.len());
    for (name, schema) in Event::RECORDS.iter().zip(&schemas) {
        let committed = fs::read_to_string(folder.join(name).join("1.avsc")).unwrap();
        let committed = factum::schemas::Schema::parse_str(&committed).unwrap();
        assert_eq!(compact(schema), compact(&committed), "{name}: {}", pretty(schema));
    }
}
