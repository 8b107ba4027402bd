//! Marks of deprecation in the schemas of the types, also of those within others.

#![allow(missing_docs, clippy::unwrap_used)]

// The attributes write paths of the facade, whose place this crate takes.
extern crate self as factum;
pub use factum_core::{DecodeError, Error, Message};
pub mod schemas {
    pub use factum_schemas::*;
}

use factum_core::MessageCodec;
use factum_schemas::{
    AvroMessage, MemoryRegistry, RecordCodec, SchemaCache, changes, check_committed, compact, deprecations, event,
    schema_of,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// The first version of a customer's events, without any mark.
pub mod first {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, apache_avro::AvroSchema)]
    pub struct Address {
        pub street: String,
        #[avro(default = "\"\"")]
        pub town: String,
    }

    #[event("shop.customer")]
    pub struct Moved {
        pub to: Address,
        pub from: Option<Address>,
        pub others: Vec<Address>,
        pub named: HashMap<String, Address>,
    }

    #[event]
    pub enum Event {
        Moved(Moved),
    }
}

#[event("shop.customer")]
#[derive(Eq)]
pub struct Address {
    #[event(deprecated = "use lines")]
    pub street: String,
    #[avro(default = "\"\"")]
    pub town: String,
}

#[event("shop.customer")]
pub struct Moved {
    pub to: Address,
    pub from: Option<Address>,
    pub others: Vec<Address>,
    pub named: HashMap<String, Address>,
}

#[event]
pub enum Event {
    Moved(Moved),
}

/// Between the event and what is marked lies a struct with plain derives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, apache_avro::AvroSchema)]
pub struct Plain {
    pub address: Address,
    pub old: Option<Old>,
}

#[event("shop.customer", deprecated = "use Address")]
pub struct Old {
    pub text: String,
}

#[event("shop.customer")]
pub struct Met {
    pub plain: Plain,
}

fn marks(schema: &factum_schemas::Schema) -> Vec<(String, String)> {
    deprecations(schema).into_iter().map(|it| (it.field.unwrap_or_default(), it.why)).collect()
}

#[test]
fn a_marked_field_of_a_record_within_an_event_is_found_wherever_that_record_is_used() {
    let street = |place: &str| (format!("{place}.street"), "use lines".to_owned());
    let expected = [street("to"), street("from"), street("others[]"), street("named[]")];
    assert_eq!(marks(&schema_of::<Moved>()), expected);
    // As other languages and the committed files have it.
    let text = compact(&schema_of::<Moved>());
    assert_eq!(text.matches(r#""deprecated":"use lines""#).count(), 1, "{text}");
    assert_eq!(marks(&factum_schemas::parse_schema("it", &text).unwrap()), expected);
}

#[test]
fn marks_reach_through_structs_that_know_nothing_of_them() {
    let expected = [("plain.address.street", "use lines"), ("plain.old", "use Address")];
    assert_eq!(marks(&schema_of::<Met>()), expected.map(|(field, why)| (field.to_owned(), why.to_owned())));
}

#[test]
fn a_mark_within_changes_no_byte_and_is_the_next_version_of_the_record() {
    let (before, now) = (schema_of::<first::Moved>(), schema_of::<Moved>());
    assert_eq!(compact(&now).replacen(r#""deprecated":"use lines","#, "", 1), compact(&before));
    assert_eq!(changes(&before, &now), ["~ field to.street: deprecated: use lines"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.customer.Moved");
    std::fs::create_dir(&file).unwrap();
    std::fs::write(file.join("1.avsc"), factum_schemas::pretty(&before)).unwrap();
    check_committed(folder.path(), std::slice::from_ref(&before)).unwrap();
    let error = check_committed(folder.path(), std::slice::from_ref(&now)).unwrap_err().to_string();
    assert!(error.contains("record shop.customer.Moved differs from") && error.contains("2.avsc"), "{error}");
    std::fs::write(file.join("2.avsc"), factum_schemas::pretty(&now)).unwrap();
    check_committed(folder.path(), &[now]).unwrap();

    let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
    let (old, new) = (
        RecordCodec::<first::Event>::for_writing("shop.customer.events", &cache).unwrap(),
        RecordCodec::<Event>::for_writing("shop.customer.events", &cache).unwrap(),
    );
    let address = |street: &str| Address { street: street.to_owned(), town: "Z".to_owned() };
    let moved = Moved {
        to: address("a"),
        from: Some(address("b")),
        others: vec![address("c")],
        named: HashMap::from([("d".to_owned(), address("e"))]),
    };
    let earlier = |it: &Address| first::Address { street: it.street.clone(), town: it.town.clone() };
    let first = first::Moved {
        to: earlier(&moved.to),
        from: moved.from.as_ref().map(earlier),
        others: moved.others.iter().map(earlier).collect(),
        named: moved.named.iter().map(|(name, it)| (name.clone(), earlier(it))).collect(),
    };
    let (mut written_before, mut written_now) = (Vec::new(), Vec::new());
    old.encode(&first.into(), &mut written_before).unwrap();
    new.encode(&moved.clone().into(), &mut written_now).unwrap();
    assert_eq!(written_before[5..], written_now[5..]);
    assert_eq!(new.decode_one(&written_before).unwrap(), Event::Moved(moved));
    assert_eq!(Event::schemas().len(), 1);
}

#[test]
fn a_marked_field_within_counts_as_written_where_any_of_its_places_has_a_value() {
    let found = deprecations(&schema_of::<Moved>());
    let [_, from, others, named] = &found[..] else { panic!("four places have a street") };
    let event = |from: serde_json::Value, others: serde_json::Value, named: serde_json::Value| serde_json::json!({ "to": { "street": "a", "town": "" }, "from": from, "others": others, "named": named });
    let (null, street) = (serde_json::Value::Null, serde_json::json!({ "street": "b", "town": "" }));
    let empty = event(null.clone(), serde_json::json!([]), serde_json::json!({}));
    let full = event(street.clone(), serde_json::json!([street]), serde_json::json!({ "x": street }));
    for place in [from, others, named] {
        assert!(!place.is_in(&empty) && place.is_in(&full), "{place:?}");
    }
    // The mark of a whole record counts where there is one.
    let found = deprecations(&schema_of::<Met>());
    let met = |old: serde_json::Value| serde_json::json!({ "plain": { "address": street, "old": old } });
    assert!(!found[1].is_in(&met(null)) && found[1].is_in(&met(serde_json::json!({ "text": "" }))));
}
